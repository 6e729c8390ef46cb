"""A small bundle that is built once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.extractors import extractor_row
from bench.references.build import build_references
from bench.references.real_images import RealImages
from tests.conftest import RealSample

COMMITTED = ["mnist", "fashion-mnist"]


def build_reference(
    name: str,
    out: Path,
    *,
    extractor: str,
    train: NDArray[np.uint8],
    test: NDArray[np.uint8] | None,
    labels: dict[str, NDArray[np.int64]] | None = None,
    command: str,
) -> Path:
    """Manifest of one bundle made of arrays."""
    (path,) = build_references(
        name,
        out,
        extractors=[extractor_row(extractor).resolve()],
        train=RealImages(train),
        test=None if test is None else RealImages(test),
        labels=labels,
        command=command,
    )
    return path


@pytest.fixture(scope="session")
def small(mnist: RealSample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Manifest of a bundle made of 300 train and 200 test digits."""
    return build_reference(
        "small",
        tmp_path_factory.mktemp("bundle"),
        extractor="digits",
        train=mnist.images[:300],
        test=mnist.images[300:500],
        labels={"train": mnist.labels[:300], "test": mnist.labels[300:500]},
        command="made by a test",
    )


def copy_bundle(manifest: Path, folder: Path) -> Path:
    for file in (manifest, manifest.with_suffix(".npz")):
        (folder / file.name).write_bytes(file.read_bytes())
    return folder / manifest.name
