"""Reading 10,000 PNGs of 28 px, against the usual loader on the same files in the same run.

    python -m pytest tests/throughput/test_intake.py

The peer is `Image.open(path).convert("RGB")` turned into an array, which checks next to nothing
(tests/intake/test_png.py). Only pixels are asserted; the times and their ratio are printed and
stored in `extra_info` by the last test.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pytest_benchmark.fixture import BenchmarkFixture

from bench.intake import audit, load_spec
from tests.throughput.conftest import WriteRow

NUM_IMAGES = 10_000
ROUNDS = 7
U8 = NDArray[np.uint8]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Blurred strokes, so that the encoder picks its row filters as it does for digits."""
    path = tmp_path_factory.mktemp("digits")
    rng = np.random.default_rng(0)
    for i in range(NUM_IMAGES):
        canvas = Image.new("L", (112, 112))
        points = [tuple(p) for p in rng.integers(20, 92, (4, 2)).tolist()]
        ImageDraw.Draw(canvas).line(points, fill=255, width=10, joint="curve")
        canvas.resize((28, 28), Image.Resampling.LANCZOS).save(path / f"{i:05d}.png")
    return path


@pytest.fixture(scope="module")
def times() -> dict[str, list[float]]:
    return {}


def usual_loader(folder: Path) -> U8:
    names = sorted(os.listdir(folder))  # noqa: PTH208 - as fast as the peer can be
    return np.stack([np.asarray(Image.open(folder / name).convert("RGB")) for name in names])


def own_reader(path: Path, num_workers: int | None = None) -> U8:
    report = audit(path, spec=load_spec("mnist-10k"), num_workers=num_workers)
    assert report.images is not None
    return report.images.images


def measure(
    benchmark: BenchmarkFixture, times: dict[str, list[float]], name: str, read: Callable[[], U8]
) -> U8:
    result: U8 = benchmark.pedantic(read, rounds=ROUNDS, warmup_rounds=1)
    times[name] = list(benchmark.stats.stats.data)
    return result


def test_usual_loader(
    benchmark: BenchmarkFixture, folder: Path, times: dict[str, list[float]]
) -> None:
    images = measure(benchmark, times, "usual loader", lambda: usual_loader(folder))
    assert images.shape == (NUM_IMAGES, 28, 28, 3)


@pytest.mark.parametrize("num_workers", [1, 2, None])
def test_folder(
    benchmark: BenchmarkFixture,
    folder: Path,
    times: dict[str, list[float]],
    num_workers: int | None,
    write_row: WriteRow,
) -> None:
    name = f"folder, {num_workers or 'default number of'} workers"
    images = measure(benchmark, times, name, lambda: own_reader(folder, num_workers))
    assert np.array_equal(images, usual_loader(folder)[..., :1])
    report_ratio(write_row, times, name)


def test_zip(
    benchmark: BenchmarkFixture, folder: Path, times: dict[str, list[float]], write_row: WriteRow
) -> None:
    path = folder.parent / "digits.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(os.listdir(folder)):  # noqa: PTH208
            archive.write(folder / name, name)
    images = measure(benchmark, times, "zip", lambda: own_reader(path))
    assert np.array_equal(images, own_reader(folder))
    report_ratio(write_row, times, "zip")


def report_ratio(write_row: WriteRow, times: dict[str, list[float]], name: str) -> None:
    title = f"read and check {NUM_IMAGES} PNGs: {name}"
    write_row(title, times[name], "Pillow, loose files", times["usual loader"])
