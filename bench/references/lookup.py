"""Find the bundle of a reference by its name.

Committed bundles lie in the package `reference_stats`. Bundles that users build lie in
`references/` below the data directory, or anywhere, given as a path to the manifest. A user's own
bundle takes precedence over a committed one of the same name.
"""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import NamedTuple

from bench.data.datasets import user_data_dir
from bench.errors import BundleError, UnknownNameError, UsageError
from bench.references.manifest import Manifest, read_manifest

DEFAULT_EXTRACTORS = {"mnist": "digits", "fashion-mnist": "fashion"}  # reference -> extractor


class Listed(NamedTuple):
    """A manifest file. `manifest` is None when it cannot be read; `problem` then says why."""

    file: Traversable
    manifest: Manifest | None
    problem: str = ""


class Wanted(NamedTuple):
    """The extractor and settings that a user asks for; None where any will do."""

    extractor: str | None = None
    layer: str | None = None
    protocol: str | None = None
    precision: str | None = None  # decides only between bundles that are otherwise alike

    def fits(self, manifest: Manifest) -> bool:
        """Return whether a bundle is what was asked for."""
        return self.extractor in (None, manifest.extractor) and all(
            wanted is None or manifest.settings.get(kind) == wanted
            for kind, wanted in (("layer", self.layer), ("protocol", self.protocol))
        )

    def __str__(self) -> str:
        return " ".join(str(part) for part in self if part is not None)


def list_references() -> list[Listed]:
    """Return every manifest file: the user's own, then the committed ones, each folder by name."""
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


def _named(name: str) -> list[tuple[Traversable, Manifest]]:
    return [
        (file, manifest)
        for file, manifest, _ in list_references()
        if manifest is not None and manifest.name == name
    ]


def is_known(name: str) -> bool:
    """Return whether there is a bundle of that name."""
    return bool(_named(name))


def find_manifest(name: str, wanted: Wanted | None = None) -> Traversable:
    """Return the manifest file of reference `name`, or of a path to a manifest.

    Without an extractor in `wanted`, a data set of `DEFAULT_EXTRACTORS` takes its own, and any
    other reference must be built for a single one. Raises `UnknownNameError` for an unknown name,
    `BundleError` for a missing file or a reference that is not built for what is wanted, and
    `UsageError` when several bundles fit.

    >>> find_manifest("mnist").name
    'mnist-digits.json'
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
    named = _named(name)
    if not named:
        known = {listed.manifest.name for listed in list_references() if listed.manifest}
        raise UnknownNameError("reference", name, known)
    if wanted.extractor is None:
        wanted = wanted._replace(extractor=DEFAULT_EXTRACTORS.get(name))
    fitting = [(file, manifest) for file, manifest in named if wanted.fits(manifest)]
    if not fitting:
        built_for = ", ".join(sorted({manifest.label for _, manifest in named}))
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
    labels = {manifest.label for _, manifest in fitting}
    if len(labels) > 1:
        raise UsageError(
            f"reference {name!r} is built for {', '.join(sorted(labels))}; say which: --extractor, "
            "--protocol, --layer, --precision"
        )
    return fitting[0][0]


def find_manifests(name: str) -> list[Traversable]:
    """Return the manifest files of every bundle of that name, or of a path to one.

    Raises as `find_manifest` does.
    """
    return [file for file, _ in _named(name)] or [find_manifest(name)]
