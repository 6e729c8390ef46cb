"""Untrained weights and small sets of images for the studies of `inception`."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.studies.image_sets import ImageSets
from tests.conftest import RealSample
from tests.inception_weights import save_random_weights


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random_weights(tmp_path_factory.mktemp("weights") / "random.pth")


@pytest.fixture
def sets(mnist: RealSample) -> ImageSets:
    return {"digits": (mnist.images[:4], mnist.images[4:8])}
