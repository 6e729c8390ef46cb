"""The content of real images, in bundles and of any number of images."""

from __future__ import annotations

import numpy as np
import pytest

from bench.content import (
    Evidence,
    ReferenceContent,
    content_facts,
    content_findings,
    reference_content,
)
from bench.content.statistics import STATISTICS
from bench.errors import InputError
from tests.conftest import RealSample
from tests.content.conftest import Committed, Known

DRAWS = {100: 30, 1_000: 10}


def test_arrays_and_back(known: Known) -> None:
    arrays = known.content.arrays()
    assert all(name.startswith("content_") for name in arrays)
    again = ReferenceContent.of(arrays | {"train_mean": np.zeros(3)})
    assert again.digest == known.content.digest
    assert again.copy_rates == known.content.copy_rates
    for name in ("content_hashes", "content_groups"):
        with pytest.raises(InputError, match="content of a reference"):
            ReferenceContent.of({key: a for key, a in arrays.items() if key != name})
    with pytest.raises(InputError, match="do not fit"):
        ReferenceContent.of(arrays | {"content_hashes": known.content.hashes[:9]})


def test_figures_are_those_of_the_images(known: Known) -> None:
    levels = known.train.reshape(len(known.train), -1).astype(np.float64)
    mean, sd = known.content.statistic("mean")
    assert mean == pytest.approx(levels.mean(), rel=1e-5)
    assert sd == pytest.approx(levels.mean(axis=1).std(), rel=1e-4)
    assert np.array_equal(known.content.histogram, np.bincount(known.train.ravel(), minlength=256))
    column = STATISTICS.index("mean")
    expected = np.quantile(levels.mean(axis=1), [0.01, 0.5, 0.99])
    assert known.content.quantiles[:, column] == pytest.approx(expected, rel=1e-4)


def test_committed_references_hold_every_train_image(committed: Committed) -> None:
    content = committed.content
    assert content.num_train == len(content.hashes) == content.descriptors_int8.shape[1] == 60_000
    assert content.copy_rates.num_checked == 10_000
    assert np.array_equal(content_facts(committed.train).hashes, content.hashes[committed.rows])


@pytest.mark.parametrize("n", DRAWS)
def test_real_test_images_are_silent(committed: Committed, n: int) -> None:
    """Folders drawn from 2,000 test images. The first 2,000 digits of the test split were chosen
    by their makers to be cleaner than the rest, so this is harder than a draw from all.
    """
    rng = np.random.default_rng(11)
    found: list[str] = []
    for _ in range(DRAWS[n]):
        rows = np.sort(rng.permutation(2_000)[:n])
        facts = content_facts(committed.test[rows])
        found += [one.code for one in content_findings(Evidence(facts, committed.content))]
    assert found == []


@pytest.mark.parametrize("number", [6, 20, 100])
def test_small_references(mnist: RealSample, number: int) -> None:
    content = reference_content(mnist.images[:number])
    assert content.copy_rates.num_checked == 0
    found = content_findings(Evidence(content_facts(mnist.images[1_000:1_300]), content))
    assert {one.code for one in found} <= {"value-range-clipped"}


@pytest.mark.parametrize("value", [0, 128])
def test_references_and_folders_without_contrast(mnist: RealSample, value: int) -> None:
    flat = np.full((20, 28, 28, 1), value, np.uint8)
    content = reference_content(flat, flat)
    content_findings(Evidence(content_facts(mnist.images[:50]), content))
    assert "constant-images" in {
        one.code for one in content_findings(Evidence(content_facts(flat), content))
    }


@pytest.mark.parametrize("shape", [(1, 8, 8, 1), (1, 8, 512, 3), (3, 300, 200, 3)])
def test_images_of_any_size(shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    content = reference_content(images, images)
    content_findings(
        Evidence(content_facts(images), content, training_pixels=lambda rows: images[rows])
    )
    content_findings(Evidence(content_facts(images), None))
