"""Where spaces come from: `pca`, `pixels`, a class of your own, or a path that a source opens.

Another package, such as the baselines, opens its own models through the entry-point group
`latentbench.latent_sources`:

    [project.entry-points."latentbench.latent_sources"]
    runs = "baselines.latent.source:RUNS"
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import UsageError
from bench.latent.data import LatentData
from bench.latent.space import CheckedSpace, PcaSpace, PixelSpace, checked, outside_space
from bench.runtime.outside_class import FORM
from bench.runtime.registry import Registry

PCA_DIM = 32
PIXELS, PCA = "pixels", "pca"


@dataclass(frozen=True, kw_only=True)
class SpaceSource:
    """A row of the table of sources: `recognises` a path by its files, without loading them, and
    `open` returns the space on a device (see `bench.latent.space`).
    """

    name: str
    title: str
    recognises: Callable[[Path], bool]
    open: Callable[[Path, str], Any]


SOURCES = Registry("source of latent spaces", "latentbench.latent_sources", SpaceSource, ())


def space_of(
    name: str, data: LatentData, *, dim: int = PCA_DIM, device: str = "cpu"
) -> CheckedSpace:
    """Return the space of that name: `pixels`, `pca` (of `dim` dimensions), `package.module:Class`,
    or a path. Raises `UsageError` for a path that no source opens.
    """
    if name == PIXELS:
        return checked(PixelSpace(data.image_shape))
    if name == PCA:
        most = min(len(data.train.images), data.train.images[0].size)
        return checked(PcaSpace(data.train.images, min(dim, most)))
    path = Path(name)
    if path.exists():
        for source in SOURCES.loadable().rows:
            if source.recognises(path):
                return checked(source.open(path, device), path.name)
        titles = "; ".join(source.title for source in SOURCES.loadable().rows)
        raise UsageError(f"{name}: not a latent space; expected {titles or 'no path'}")
    if ":" in name:
        return outside_space(name, device)
    raise UsageError(
        f"{name}: there is no such path; expected a trained run, {PCA}, {PIXELS} or {FORM}"
    )
