"""Real images for the tests of content, and references made of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from bench.content import (
    Evidence,
    ReferenceContent,
    content_facts,
    content_findings,
    reference_content,
)
from bench.records.score_record import FindingEntry
from bench.references.bundle import load_reference
from bench.references.lookup import find_manifest
from tests.conftest import DATA, RealSample
from tests.content.faults import U8

NUM_TRAIN = 1_400


def by_code(evidence: Evidence) -> dict[str, FindingEntry]:
    return {finding.code: finding for finding in content_findings(evidence)}


@dataclass(frozen=True)
class Known:
    """A small reference of 1,400 real images, `train`, and 600 others, `rest`, for folders."""

    train: U8
    rest: U8
    content: ReferenceContent
    cut_by_shifts: bool  # images that fill their frame lose an edge by a shift

    def pixels(self, rows: np.ndarray) -> U8:
        return self.train[rows]

    def findings(self, images: U8) -> dict[str, FindingEntry]:
        facts = content_facts(images)
        return by_code(Evidence(facts, self.content, training_pixels=self.pixels))


def _known(sample: RealSample, *, cut_by_shifts: bool) -> Known:
    order = np.random.default_rng(3).permutation(len(sample.images))
    train, rest = sample.images[order[:NUM_TRAIN]], sample.images[order[NUM_TRAIN:]]
    return Known(train, rest, reference_content(train, rest), cut_by_shifts)


@pytest.fixture(scope="session")
def digits(mnist: RealSample) -> Known:
    return _known(mnist, cut_by_shifts=False)


@pytest.fixture(scope="session")
def clothes(fashion: RealSample) -> Known:
    return _known(fashion, cut_by_shifts=True)


@pytest.fixture(scope="session", params=["digits", "clothes"])
def known(request: pytest.FixtureRequest) -> Known:
    """Digits, then clothes."""
    found: Known = request.getfixturevalue(request.param)
    return found


@dataclass(frozen=True)
class Committed:
    """The content of a committed bundle with 60,000 train images, and 300 of them with rows."""

    name: str
    content: ReferenceContent
    train: U8
    rows: np.ndarray
    test: U8
    class_shares: np.ndarray


@pytest.fixture(scope="session", params=["mnist", "fashion-mnist"])
def committed(request: pytest.FixtureRequest, mnist: RealSample, fashion: RealSample) -> Committed:
    name = request.param
    reference = load_reference(find_manifest(name))
    assert reference.content is not None
    assert reference.class_shares is not None
    with np.load(DATA / f"{name}-train-300.npz") as archive:
        train, rows = archive["images"], archive["rows"].astype(np.int64)
    test = (mnist if name == "mnist" else fashion).images
    return Committed(name, reference.content, train, rows, test, reference.class_shares)


@pytest.fixture(scope="session")
def photos() -> U8:
    """400 smooth colour images of 48x40 px: sums of random waves, all levels in use."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[:48, :40] / 48
    images = np.zeros((400, 48, 40, 3))
    for power in range(1, 9):
        angle, phase = rng.uniform(0, 2 * np.pi, (2, 400, 1, 1, 3))
        wave = np.cos(angle) * y[..., None] + np.sin(angle) * x[..., None]
        images += np.sin(2 * np.pi * power * 0.7 * wave + phase) / power
    images += rng.normal(0, 0.03, images.shape)
    low, high = np.quantile(images, [0.002, 0.998])
    return ((images - low) / (high - low) * 255).clip(0, 255).astype(np.uint8)
