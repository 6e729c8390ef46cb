"""Photographs, weights and a machine without a network, for tests of targets."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.errors import (
    BundleError,
)
from bench.studies.image_sets import photo_crops
from tests.conftest import write_pngs
from tests.inception_weights import save_random_weights


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of 32x32 crops: 7 in `real`, 5 in `fake`, 6 in `held`."""
    folder = tmp_path_factory.mktemp("photos")
    for seed, (name, num) in enumerate({"real": 7, "fake": 5, "held": 6}.items()):
        write_pngs(photo_crops(num, 32, 32, seed), folder / name)
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random_weights(tmp_path_factory.mktemp("weights") / "random.pth")


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise BundleError("no network")

    monkeypatch.setattr("bench.runtime.download.fetch", fail)
