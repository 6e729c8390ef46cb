"""Mean and covariance of features in an npz file: read as a reference, and written.

pytorch-fid, clean-fid and EDM store `mu` (float D) and `sigma` (float D,D, divisor n - 1); ADM adds
`mu_s`, `sigma_s` and images as `arr_0`. Metrics that compare moments need no more. Such a file says
neither which network and resizing made it nor the number of images, so a record that is based on
one says where its moments come from.

Files that are written here hold two more arrays, which other programs ignore: `num_images`
(integer), and `origin` (JSON text) with the extractor and the reference. On reading, a file of
another extractor, layer or protocol is refused.

Shape legend: D features.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from bench.errors import BundleError, UsageError
from bench.extractors.base import ExtractorChoice, ResolvedExtractor
from bench.intake import sanitise
from bench.intake.archive import read_directory
from bench.intake.findings import Collector
from bench.intake.npz import read_member
from bench.records.submission import submission_name
from bench.references.bundle import Origin, Reference, Statistics
from bench.references.manifest import Manifest
from bench.runtime import provenance
from bench.runtime.npz import arrays_to_bytes
from bench.runtime.whole_files import write_atomically
from bench.statistics.moments import SUBSET_SEED, Moments
from bench.statistics.neighbours.results import K_NEAREST, NearestNeighbours

MEAN, COVARIANCE, COUNT, ORIGIN = "mu", "sigma", "num_images", "origin"
MAX_FEATURES = 8_192
MAX_COUNT = 2**53
ASYMMETRY = 1e-5  # of the largest entry; a covariance in float32 is symmetric to 1e-7
NEGATIVE = 1e-5  # of the largest eigenvalue; rounding to float32 leaves up to D * 6e-8


class StatedOrigin(BaseModel):
    """The array `origin` of a file that was written here. Digests are SHA-256 in hex."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    program: str
    reference: str
    reference_digest: str
    split: str
    extractor: str
    extractor_digest: str
    settings: dict[str, str] = {}

    @property
    def choice(self) -> ExtractorChoice:
        """The layer, protocol and precision of the extractor."""
        return ExtractorChoice(
            layer=self.settings.get("layer"),
            protocol=self.settings.get("protocol"),
            precision=self.settings.get("precision"),
        )


class _Arrays(NamedTuple):
    mean: NDArray[np.float64]  # D
    covariance: NDArray[np.float64]  # D,D
    num_images: int | None
    other_names: tuple[str, ...]


def is_statistics_file(path: Path) -> bool:
    """Return whether a path is an npz file with the arrays `mu` and `sigma`."""
    return path.suffix.lower() == ".npz" and path.is_file() and {MEAN, COVARIANCE} <= _names(path)


def stated_origin(path: Path) -> StatedOrigin | None:
    """Return what a file that was written here says of itself, None for another program's.

    Raises `BundleError` for an array `origin` of another form.
    """
    if ORIGIN not in _names(path):
        return None
    array = _read(path, ORIGIN)
    try:
        return StatedOrigin.model_validate_json(str(array.item()))
    except (ValueError, ValidationError) as error:
        raise BundleError(
            f"{_shown(path)}: array {ORIGIN!r} is not JSON of the form that "
            "`latentbench reference export` writes; remove it"
        ) from error


def statistics_reference(path: Path, extractor: ResolvedExtractor) -> Reference:
    """Return the reference in a statistics file, for features of `extractor`.

    It has moments and nothing else. Raises `BundleError` for arrays that are no mean and
    covariance, for another number of features, and for a file that states another extractor.
    """
    origin = stated_origin(path)
    if origin is not None:
        _require_same(path, origin, extractor)
    arrays = _arrays(path)
    _require_width(path, arrays, extractor)
    digest = hashlib.sha256(arrays.mean.tobytes() + arrays.covariance.tobytes()).hexdigest()
    manifest = Manifest(
        name=submission_name(path),
        extractor=extractor.name,
        extractor_digest=extractor.digest,
        settings=dict(extractor.settings),
        height_px=0,
        width_px=0,
        channels=extractor.row.channels,
        num_train=arrays.num_images or 0,
        num_test=0,
        num_subset=0,
        subset_seed=SUBSET_SEED,
        data_digests={},
        code_version=provenance.version(),
        command="",
        arrays_sha256=digest,
    )
    return Reference(
        manifest=manifest,
        read=functools.partial(_statistics, path, arrays),
        origin=Origin(_words(path, origin), is_known=origin is not None),
    )


def write_statistics(
    path: Path, reference: Reference, extractor: ResolvedExtractor, *, split: str = "train"
) -> None:
    """Write the mean and covariance (float64, divisor n - 1) of a split of a reference.

    pytorch-fid, clean-fid, EDM and ADM read the file. Raises `UsageError` for a split that the
    reference does not hold, or a name that does not end in .npz.
    """
    if path.suffix != ".npz":
        raise UsageError(f"{_shown(path)}: the name of a statistics file ends in .npz")
    moments = {"train": reference.train_moments, "test": reference.test_moments}.get(split)
    if moments is None:
        raise UsageError(f"reference {reference.name!r} holds no moments of the split {split!r}")
    origin = StatedOrigin(
        program=f"latentbench {provenance.version()}",
        reference=reference.name,
        reference_digest=reference.digest,
        split=split,
        extractor=extractor.name,
        extractor_digest=extractor.digest,
        settings=dict(extractor.settings),
    )
    arrays: dict[str, NDArray[np.generic]] = {
        MEAN: moments.mean,
        COVARIANCE: moments.covariance(),
        ORIGIN: np.array(origin.model_dump_json()),
    }
    if reference.is_counted:
        arrays[COUNT] = np.array(moments.n)
    write_atomically(path, arrays_to_bytes(arrays, compress=True))


def _names(path: Path) -> set[str]:
    try:
        infos, _ = read_directory(path, Collector())
    except UsageError:
        return set()
    return {info.filename.removesuffix(".npy") for info in infos}


def _read(path: Path, name: str) -> NDArray[np.generic]:
    """Return one array. Raises `BundleError`, which names it."""
    collector = Collector()
    _, array = read_member(path, name, collector)
    if array is None:
        reasons = "; ".join(finding.message for finding in collector.findings())
        raise BundleError(f"{_shown(path)}: array {name!r} cannot be read: {reasons}")
    return array


def _arrays(path: Path) -> _Arrays:
    mean, covariance = _float64(path, MEAN), _float64(path, COVARIANCE)
    if mean.ndim != 1 or covariance.shape != 2 * mean.shape or not 0 < len(mean) <= MAX_FEATURES:
        raise BundleError(
            f"{_shown(path)}: mu has shape {mean.shape} and sigma {covariance.shape}; expected D "
            f"and D,D with D at most {MAX_FEATURES:,}"
        )
    if abs(covariance - covariance.T).max() > ASYMMETRY * abs(covariance).max():
        raise BundleError(f"{_shown(path)}: sigma is not symmetric, so it is no covariance")
    names = _names(path)
    count = None
    if COUNT in names:
        array = _read(path, COUNT)
        if array.shape != () or array.dtype.kind not in "iu" or not 2 <= array.item() <= MAX_COUNT:
            raise BundleError(f"{_shown(path)}: {COUNT} must be one integer of at least 2")
        count = int(array.item())
    others = sorted(names - {MEAN, COVARIANCE, COUNT, ORIGIN})
    return _Arrays(mean, covariance, count, tuple(sanitise(name, 40) for name in others))


def _float64(path: Path, name: str) -> NDArray[np.float64]:
    array = _read(path, name)
    if array.dtype.kind not in "fiu":
        raise BundleError(f"{_shown(path)}: array {name!r} is {array.dtype.name}, expected floats")
    values = np.array(array, np.float64, order="C")  # a writable copy, which torch wants
    if not np.isfinite(values).all():
        raise BundleError(f"{_shown(path)}: array {name!r} holds NaN or infinite values")
    return values


def _statistics(path: Path, arrays: _Arrays) -> Statistics:
    """Return the moments. Raises `BundleError` for a matrix with clearly negative eigenvalues.

    Where the number of images is not stored, it is the least that has a covariance of this rank.
    """
    dim = len(arrays.mean)
    covariance = (arrays.covariance + arrays.covariance.T) / 2
    w, V = np.linalg.eigh(covariance)
    if w[0] < -NEGATIVE * max(w[-1], 0.0):
        raise BundleError(
            f"{_shown(path)}: sigma has the negative eigenvalue {w[0]:.3g}, so it is no covariance"
        )
    if w[0] < 0:  # rounding, which would be a square root of a negative number
        covariance = (V * w.clip(min=0)) @ V.T
    rank = int((w > w[-1] * dim * np.finfo(np.float64).eps).sum())
    n = arrays.num_images or max(rank, 1) + 1
    return Statistics(
        train_moments=Moments(n, arrays.mean, covariance * (n - 1)),
        train=np.empty((0, dim), np.float32),
        train_nearest=NearestNeighbours(
            np.empty((0, K_NEAREST), np.float32), np.empty((0, K_NEAREST), np.int64)
        ),
        train_class_counts=None,
    )


def _require_same(path: Path, origin: StatedOrigin, extractor: ResolvedExtractor) -> None:
    stated = (origin.extractor, origin.extractor_digest, origin.settings)
    if stated != (extractor.name, extractor.digest, dict(extractor.settings)):
        label = " ".join([origin.extractor, *origin.settings.values()])
        used = " ".join([extractor.name, *extractor.settings.values()])
        raise BundleError(
            f"{_shown(path)} was made with {label}, weights {origin.extractor_digest[:12]}; in use "
            f"is {used}, weights {extractor.digest[:12]}. Their features cannot be compared: leave "
            "the options of the extractor out, or export the statistics again"
        )


def _require_width(path: Path, arrays: _Arrays, extractor: ResolvedExtractor) -> None:
    row = extractor.row
    is_default = not row.layers or extractor.settings.get("layer") == row.layers[0]
    dim = len(arrays.mean)
    if is_default and row.feature_dim not in (None, dim):
        images = [name for name in arrays.other_names if name.startswith(("arr_", "images"))]
        hint = (
            f", or compare with its images: --reference {_shown(path)}:{images[0]}"
            if images
            else ""
        )
        raise BundleError(
            f"{_shown(path)} holds mean and covariance of {dim:,} features, but extractor "
            f"{extractor.name!r} has {row.feature_dim:,}; choose the --extractor and --layer that "
            f"made the file{hint}"
        )


def _words(path: Path, origin: StatedOrigin | None) -> str:
    if origin is not None:
        return (
            f"statistics file by {sanitise(origin.program)}: {sanitise(origin.split)} split of "
            f"{sanitise(origin.reference)}, {sanitise(origin.reference_digest[:12])}"
        )
    program = "ADM" if {"mu_s", "sigma_s"} <= _names(path) else "a program that it does not name"
    return f"statistics file (arrays mu and sigma) by {program}"


def _shown(path: Path) -> str:
    return sanitise(str(path))
