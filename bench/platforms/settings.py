"""`PlatformSettings`: what a bundle scores against, and which values become columns.

A bundle holds them as `settings.json`. Files that they name lie beside it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from bench.errors import BundleError, UsageError, reason_of
from bench.extractors import EXTRACTORS
from bench.extractors.weights_files import HostedWeights
from bench.intake import builtin_specs, load_spec, sanitise
from bench.metrics import METRICS
from bench.metrics.base import Metric
from bench.references.bundle import verify
from bench.references.lookup import find_manifest, is_known

SETTINGS = "settings.json"
DEFAULT_METRICS = ("fid", "precision_k3", "recall_k3")
MANIFEST, ARRAYS, SPEC, WEIGHTS = "reference.json", "reference.npz", "spec.toml", "weights"


class PlatformSettings(BaseModel):
    """The settings of a bundle. `metrics` are the columns; the first one orders the leaderboard.

    `reference` and `spec` are names that the package knows, or files beside the settings; so is
    `weights`. `files` lists those files.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    reference: str
    spec: str | None = None
    metrics: tuple[str, ...] = DEFAULT_METRICS
    weights: str | None = None
    files: tuple[str, ...] = ()

    @property
    def columns(self) -> list[Metric]:
        """The rows of the metrics, in the order of the columns."""
        return [METRICS.find(name) for name in self.metrics]

    def score_options(self, folder: Path) -> dict[str, Any]:
        """Return the options of `ScoreSettings` for settings that lie in `folder`."""

        def beside(name: str | None) -> str | None:
            return str(folder / name) if name in self.files else name

        return {
            "reference": beside(self.reference),
            "spec": beside(self.spec),
            "weights": beside(self.weights),
            "metrics": self.metrics,
            "device": "cpu",
            "use_cache": False,
        }

    def to_json(self) -> bytes:
        """Return the text of the file."""
        return (json.dumps(self.model_dump(mode="json"), indent=2) + "\n").encode()


class Prepared(NamedTuple):
    """Settings, and the files of a bundle that hold them and what they name."""

    settings: PlatformSettings
    files: dict[str, bytes]


def prepare(
    *,
    title: str,
    reference: str,
    spec: str | None = None,
    metrics: Sequence[str] | None = None,
    weights: Path | None = None,
) -> Prepared:
    """Return the settings of a bundle, with the files that scoring needs and the package lacks.

    Raises `UnknownNameError` for a name that no table holds, `BundleError` for a reference that
    does not exist, and `UsageError` for what a platform cannot score with: real images in place of
    a built reference, weights that would be downloaded, a first column that has no best end.
    """
    rows = [METRICS.find(name) for name in dict.fromkeys(metrics or DEFAULT_METRICS)]
    if rows[0].direction == "target":
        raise UsageError(
            f"{rows[0].name} is best near its perfect value, and a leaderboard can only sort up or "
            "down; put another metric first, such as fid"
        )
    files: dict[str, bytes] = {}
    name = _reference(reference, files)
    named_weights = _weights(name if name != MANIFEST else reference, weights, files)
    settings = PlatformSettings(
        title=title,
        reference=name,
        spec=_spec(spec, files),
        metrics=tuple(row.name for row in rows),
        weights=named_weights,
        files=tuple(sorted(files)),
    )
    return Prepared(settings, {SETTINGS: settings.to_json(), **files})


def read_settings(path: Path) -> PlatformSettings:
    """Return the settings in a file. Raises `UsageError`."""
    try:
        return PlatformSettings.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path}: the settings cannot be read: {reason_of(error)}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "file"
        raise UsageError(
            f"{path}: not the settings of a bundle: {where}: {first['msg']}"
        ) from error


def _reference(reference: str, files: dict[str, bytes]) -> str:
    """Return the name of a reference; one that the package does not hold is added to `files`."""
    path = Path(reference)
    is_path = path.exists() and ("/" in reference or not is_known(reference))
    if is_path and path.suffix != ".json":
        raise UsageError(
            f"--reference {sanitise(reference)}: a platform needs a built reference. Build one of "
            f"these images: latentbench reference build NAME --train {sanitise(reference)}"
        )
    manifest = find_manifest(reference)
    verify(manifest)
    packaged = resources.files("reference_stats") / manifest.name
    if str(manifest) == str(packaged):
        return reference
    file = Path(str(manifest))
    files[MANIFEST] = file.read_bytes()
    files[ARRAYS] = file.with_suffix(".npz").read_bytes()
    return MANIFEST


def _weights(reference: str, weights: Path | None, files: dict[str, bytes]) -> str | None:
    manifest, _ = verify(find_manifest(reference))
    if not isinstance(EXTRACTORS[manifest.extractor].weights, HostedWeights):
        return None
    if weights is None or not weights.is_file():
        raise UsageError(
            f"extractor {manifest.extractor!r} of reference {sanitise(reference)} reads a weights "
            "file, which a platform without a network cannot download; give it: --weights FILE"
        )
    name = f"{WEIGHTS}-{weights.name}"
    try:
        files[name] = weights.read_bytes()
    except OSError as error:
        raise BundleError(f"{weights}: cannot be read: {reason_of(error)}") from error
    return name


def _spec(spec: str | None, files: dict[str, bytes]) -> str | None:
    if spec is None:
        return None
    load_spec(spec)
    if spec in builtin_specs():
        return spec
    files[SPEC] = Path(spec).read_bytes()
    return SPEC
