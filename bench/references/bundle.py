"""Reference bundles: what is known of a data set's real images, for one extractor.

A bundle is two files: `NAME-EXTRACTOR.npz`, plain arrays without pickle, and
`NAME-EXTRACTOR.json`, a manifest with the SHA-256 of the former, the digests of data, extractor
and code, and the command that rebuilds it. Committed bundles lie in the package `reference_stats`;
bundles that users build lie in `references/` below the data directory, or anywhere, given as a
path to the manifest. The user's own bundle of a name comes before the committed one.

The moments cover each whole split (float64). Features are kept for a fixed random subset of the
train split and for the test split, as float16: half precision moves a feature by at most 5e-4 of
its size, and the moments are taken before rounding.

Shape legend: N images, D features, K classes.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError

from bench.content import ReferenceContent
from bench.data.datasets import user_data_dir
from bench.errors import BundleError, InputError, UnknownNameError, UsageError
from bench.extractors.base import ResolvedExtractor
from bench.runtime.whole_files import arrays_from_bytes
from bench.statistics.moments import Features, Moments
from bench.statistics.neighbours import NearestNeighbours

SCHEMA_VERSION: Final = 1
NUM_NEIGHBOURS = 5
DEFAULT_EXTRACTORS = {"mnist": "digits", "fashion-mnist": "fashion"}


class Manifest(BaseModel):
    """The bundle's identity. Digests are SHA-256 in hex; sizes count images."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = SCHEMA_VERSION
    name: str
    extractor: str
    extractor_digest: str
    height_px: int
    width_px: int
    channels: Literal[1, 3]
    num_train: int
    num_test: int
    num_subset: int
    subset_seed: int
    data_digests: dict[str, str]
    code_version: str
    command: str
    arrays_sha256: str
    settings: dict[str, str] = {}  # of the extractor: layer, protocol, precision
    resize: str | None = None  # WIDTHxHEIGHT that images of other sizes were brought to
    held_out: dict[str, dict[str, FiniteFloat | None]] = {}  # "n:seed" -> metric -> value


@dataclass(frozen=True)
class Reference:
    """A loaded bundle. `digest` is the SHA-256 of its manifest, which holds that of the arrays.

    `train` and `test` are features of the fixed train subset and of the test split (float32 N,D);
    `test` is None for a reference without held-out images, and `test_moments` in an older bundle
    without them. `content` is what the pixels of real images are like, None in an older bundle.
    """

    manifest: Manifest
    train_moments: Moments
    train: NDArray[np.float32]
    train_nearest: NearestNeighbours
    train_class_counts: NDArray[np.int64] | None
    test: Features | None
    test_nearest: NearestNeighbours | None
    test_moments: Moments | None = None
    content: ReferenceContent | None = None

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def digest(self) -> str:
        return hashlib.sha256(manifest_json(self.manifest)).hexdigest()

    @property
    def class_shares(self) -> NDArray[np.float64] | None:
        """Share of each predicted class in the train split, K."""
        if self.train_class_counts is None:
            return None
        counts = self.train_class_counts.astype(np.float64)
        return np.asarray(counts / counts.sum())


class Listed(NamedTuple):
    """A manifest file where references are looked up; `manifest` is None when it cannot be read,
    and `problem` says why.
    """

    file: Traversable
    manifest: Manifest | None
    problem: str = ""


def list_references() -> list[Listed]:
    """Every manifest file, the user's own before the committed ones, each folder by name."""
    listed = []
    for place in (user_data_dir() / "references", resources.files("reference_stats")):
        files = sorted(place.iterdir(), key=lambda f: f.name) if place.is_dir() else []
        for file in files:
            if not file.name.endswith(".json"):
                continue
            try:
                listed.append(Listed(file, read_manifest(file)))
            except BundleError as error:
                listed.append(Listed(file, None, str(error)))
    return listed


def read_manifest(file: Traversable) -> Manifest:
    """The manifest of one bundle. Raises `BundleError` naming the file and the field."""
    try:
        return Manifest.model_validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        detail = str(error)
        if isinstance(error, ValidationError):
            first = error.errors()[0]
            detail = f"{'.'.join(map(str, first['loc'])) or 'file'}: {first['msg']}"
        raise BundleError(f"{file}: not a reference manifest: {detail}") from error


class Wanted(NamedTuple):
    """What a user asked of a reference's extractor; None where anything will do."""

    extractor: str | None = None
    layer: str | None = None
    protocol: str | None = None
    precision: str | None = None  # decides between bundles that differ in nothing else

    def fits(self, manifest: Manifest) -> bool:
        """Whether a bundle is what was asked for."""
        return self.extractor in (None, manifest.extractor) and all(
            wanted is None or manifest.settings.get(kind) == wanted
            for kind, wanted in (("layer", self.layer), ("protocol", self.protocol))
        )

    def __str__(self) -> str:
        return " ".join(str(part) for part in self if part is not None)


def is_known(name: str) -> bool:
    """Whether a bundle of that name can be found."""
    return any(
        manifest is not None and manifest.name == name for _, manifest, _ in list_references()
    )


def find_manifest(name: str, wanted: Wanted | None = None) -> Traversable:
    """The manifest file of reference `name` as `wanted`, or of a path to a manifest.

    Without an extractor, a data set of `DEFAULT_EXTRACTORS` takes its own, and any other name must
    be built for one only. Raises `UnknownNameError`, `BundleError`, `UsageError`.
    """
    if name.endswith(".json") or "/" in name:
        path = Path(name)
        if not path.is_file():
            raise BundleError(
                f"{path}: no such reference manifest (a .json file is expected), and no folder or "
                "file of real images"
            )
        return path
    wanted = wanted or Wanted()
    known = [(file, manifest) for file, manifest, _ in list_references() if manifest is not None]
    named = [(file, manifest) for file, manifest in known if manifest.name == name]
    if not named:
        raise UnknownNameError("reference", name, {manifest.name for _, manifest in known})
    if wanted.extractor is None:
        wanted = wanted._replace(extractor=DEFAULT_EXTRACTORS.get(name))
    fitting = [(file, manifest) for file, manifest in named if wanted.fits(manifest)]
    if not fitting:
        built_for = ", ".join(sorted({bundle_label(manifest) for _, manifest in named}))
        options = "".join(
            f" --{kind} {value}" for kind, value in wanted._asdict().items() if value is not None
        )
        raise BundleError(
            f"reference {name!r} is not built for extractor {str(wanted)!r}, only for {built_for}. "
            f"Build it: latentbench reference build {name}{options}"
        )
    if wanted.precision is not None:
        same = [each for each in fitting if each[1].settings.get("precision") == wanted.precision]
        fitting = same or fitting
    labels = {bundle_label(manifest) for _, manifest in fitting}
    if len(labels) > 1:
        raise UsageError(
            f"reference {name!r} is built for {', '.join(sorted(labels))}; say which: --extractor, "
            "--protocol, --layer, --precision"
        )
    return fitting[0][0]


def find_manifests(name: str) -> list[Traversable]:
    """The manifest files of every bundle of that name, or of a path to one. Raises as
    `find_manifest` does.
    """
    named = [
        file
        for file, manifest, _ in list_references()
        if manifest is not None and manifest.name == name
    ]
    return named or [find_manifest(name)]


def bundle_label(manifest: Manifest) -> str:
    """The extractor of a bundle with its settings, to tell bundles of one name apart."""
    return " ".join([manifest.extractor, *manifest.settings.values()])


def _sibling(file: Traversable, name: str) -> Traversable:
    if isinstance(file, Path):
        return file.with_name(name)
    return resources.files("reference_stats") / name


def verify(file: Traversable) -> tuple[Manifest, bytes]:
    """Manifest and checked bytes of the arrays. Raises `BundleError` when the digest differs."""
    manifest = read_manifest(file)
    arrays_file = _sibling(file, file.name.removesuffix(".json") + ".npz")
    try:
        data = arrays_file.read_bytes()
    except OSError as error:
        raise BundleError(
            f"{arrays_file}: the arrays of {file.name} are missing: {error}"
        ) from error
    found = hashlib.sha256(data).hexdigest()
    if found != manifest.arrays_sha256:
        raise BundleError(
            f"{arrays_file}: damaged or changed: SHA-256 {found}, the manifest says "
            f"{manifest.arrays_sha256}. Rebuild it: {manifest.command}"
        )
    return manifest, data


def load_reference(file: Traversable) -> Reference:
    """The bundle behind a manifest, checked: digest, arrays, shapes, finite values."""
    manifest, data = verify(file)
    try:
        arrays = arrays_from_bytes(data, file.name)
        reference = reference_of(manifest, arrays)
    except KeyError as error:
        raise BundleError(f"{file}: the bundle lacks the array {error}") from error
    except InputError as error:
        raise BundleError(f"{file}: {error}") from error
    return reference


def reference_of(manifest: Manifest, arrays: dict[str, NDArray[np.generic]]) -> Reference:
    """A reference from a manifest and the arrays of its bundle. Raises `InputError`, `KeyError`."""
    train = _finite(arrays, "train_features", manifest.num_subset)
    moments = _moments(arrays, "train", manifest.num_train)
    _require_fit(train, moments)
    test = test_nearest = test_moments = None
    if manifest.num_test:
        logits = _finite(arrays, "test_logits", None) if "test_logits" in arrays else None
        test = Features(_finite(arrays, "test_features", None), logits)
        test_nearest = _nearest(arrays, "test")
        if "test_m2" in arrays:
            test_moments = _moments(arrays, "test", manifest.num_test)
            _require_fit(test.values, test_moments)
    counts = arrays.get("train_class_counts")
    return Reference(
        manifest=manifest,
        train_moments=moments,
        train=train,
        train_nearest=_nearest(arrays, "train"),
        train_class_counts=None if counts is None else np.asarray(counts, np.int64),
        test=test,
        test_nearest=test_nearest,
        test_moments=test_moments,
        content=ReferenceContent.of(arrays) if "content_shape" in arrays else None,
    )


def _finite(
    arrays: dict[str, NDArray[np.generic]], key: str, num_rows: int | None
) -> NDArray[np.float32]:
    values = np.asarray(arrays[key], np.float32)
    if values.ndim != 2 or (num_rows is not None and len(values) != num_rows):
        raise InputError(f"{key} has shape {values.shape}, expected {num_rows or 'N'} rows")
    if not np.isfinite(values).all():
        raise InputError(f"{key} holds NaN or infinite values")
    return values


def _moments(arrays: dict[str, NDArray[np.generic]], split: str, n: int) -> Moments:
    mean, m2 = (np.asarray(arrays[f"{split}_{part}"], np.float64) for part in ("mean", "m2"))
    return Moments(n, mean, m2)


def _require_fit(features: NDArray[np.float32], moments: Moments) -> None:
    mean, m2 = moments.mean, moments.m2
    if features.shape[1:] != mean.shape or m2.shape != (*mean.shape, *mean.shape):
        raise InputError(
            f"features {features.shape}, mean {mean.shape} and M2 {m2.shape} do not fit"
        )


def _nearest(arrays: dict[str, NDArray[np.generic]], split: str) -> NearestNeighbours:
    return NearestNeighbours(
        np.asarray(arrays[f"{split}_nearest_distances"], np.float32),
        np.asarray(arrays[f"{split}_nearest_indices"], np.int64),
    )


def require_same_extractor(manifest: Manifest, extractor: ResolvedExtractor) -> None:
    """Raises `BundleError` unless the bundle was built with these weights, layer and protocol."""
    if manifest.extractor_digest != extractor.digest:
        raise BundleError(
            f"reference {manifest.name!r} was built with {manifest.extractor!r} weights of "
            f"SHA-256 {manifest.extractor_digest[:12]}, but the extractor in use has "
            f"{extractor.digest[:12]}: their features cannot be compared. "
            f"Rebuild it: {manifest.command}"
        )
    for kind, value in extractor.settings.items():
        built = manifest.settings.get(kind)
        if built != value and kind != "precision":
            raise BundleError(
                f"reference {manifest.name!r} was built for {kind} {built!r}, not {value!r}: their "
                f"features cannot be compared. Leave --{kind} out, or build another reference."
            )


def manifest_json(manifest: Manifest) -> bytes:
    """The manifest as it is written to disk."""
    return (json.dumps(manifest.model_dump(mode="json"), indent=1) + "\n").encode()
