"""Shared pieces: the committed real images, and a home of its own for every test."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import settings
from numpy.typing import NDArray
from PIL import Image

# The same examples in every run, so that a failure is the change's; `--hypothesis-profile=explore`
# looks for new ones (with `--hypothesis-seed=N`). No deadline: machines are noisy.
settings.register_profile("same", deadline=None, database=None, derandomize=True)
settings.register_profile("explore", deadline=None, database=None, print_blob=True)
settings.load_profile("same")

DATA = Path(__file__).parent / "data"


class RealSample(NamedTuple):
    """The first 2,000 images of a test split: uint8 2000,28,28,1 and int64 labels."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


def _sample(name: str) -> RealSample:
    with np.load(DATA / f"{name}-test-2000.npz") as archive:
        return RealSample(archive["images"], archive["labels"].astype(np.int64))


@pytest.fixture(scope="session")
def mnist() -> RealSample:
    return _sample("mnist")


@pytest.fixture(scope="session")
def fashion() -> RealSample:
    return _sample("fashion-mnist")


def pytest_make_parametrize_id(val: object) -> str | None:
    """Bytes are named by their number: archives and compressed data may differ between workers.

    All workers of a parallel run must collect the same names.
    """
    return f"{len(val)} bytes" if isinstance(val, bytes) and len(val) > 8 else None


def _set_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATENTBENCH_CACHE", str(home / "cache"))
    monkeypatch.setenv("LATENTBENCH_DATA", str(home / "data"))
    monkeypatch.setenv("TORCH_HOME", str(home / "torch"))
    monkeypatch.delenv("LATENTBENCH_WEIGHTS", raising=False)


@pytest.fixture(scope="session", autouse=True)
def _home_of_shared_fixtures(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Directories for fixtures that tests share: never the user's, where old results may lie."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        _set_home(tmp_path_factory.mktemp("shared-home"), monkeypatch)
        yield


@pytest.fixture(autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cache, data and weights directories that no other test and no user shares."""
    _set_home(tmp_path_factory.mktemp("home"), monkeypatch)


@pytest.fixture(autouse=True)
def _interrupts() -> Iterator[None]:
    """Ctrl-C as a person's shell has it: a shell that starts a job in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def write_pngs(images: NDArray[np.uint8], folder: Path) -> Path:
    """Grey or RGB images as 00000.png and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images):
        squeezed = image[..., 0] if image.shape[2] == 1 else image
        Image.fromarray(squeezed).save(folder / f"{number:05d}.png")
    return folder


@pytest.fixture(scope="session")
def digits_folder(mnist: RealSample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 real digits as PNG files."""
    return write_pngs(mnist.images[:300], tmp_path_factory.mktemp("digits") / "samples")
