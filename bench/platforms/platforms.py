"""The table of platforms, and `make_bundle`, which writes the bundle of one of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench.errors import UnknownNameError
from bench.platforms.bundle import NOT_NAMED, Parts, Platform, write_bundle
from bench.platforms.codabench import CODABENCH
from bench.platforms.evalai import EVALAI
from bench.platforms.gradescope import GRADESCOPE
from bench.platforms.huggingface import HUGGINGFACE
from bench.platforms.settings import prepare
from bench.platforms.wheel import wheel
from bench.runtime.provenance import version

PLATFORMS = {row.name: row for row in (CODABENCH, GRADESCOPE, EVALAI, HUGGINGFACE)}


class Bundle(NamedTuple):
    """A bundle that was written."""

    platform: Platform
    files: list[Path]


def make_bundle(
    platform: str,
    out: str | Path,
    *,
    title: str = "Generated images",
    reference: str = "mnist",
    spec: str | None = None,
    metrics: Sequence[str] | None = None,
    weights: Path | None = None,
    image: str | None = None,
) -> Bundle:
    """Write a bundle that scores submissions on a platform.

    `metrics` are the columns of the leaderboard; the first one orders it. `image` is the name under
    which staff publish the image that the bundle's Dockerfile makes.

    Raises `UnknownNameError` for a platform, metric, spec or reference that does not exist,
    `BundleError` for a reference that is missing or damaged, and `UsageError` for settings that a
    platform cannot score with and for a folder that is not empty.
    """
    if platform not in PLATFORMS:
        raise UnknownNameError("platform", platform, PLATFORMS)
    row = PLATFORMS[platform]
    prepared = prepare(
        title=title, reference=reference, spec=spec, metrics=metrics, weights=weights
    )
    name, data = wheel()
    tag = f"{NOT_NAMED}:{version()}"
    parts = Parts(prepared.settings, prepared.files, name, data, image or tag)
    return Bundle(row, write_bundle(row, parts, Path(out)))
