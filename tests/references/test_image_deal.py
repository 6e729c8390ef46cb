"""What pixels decide: splits of the Inception Score, and the rate of copies."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import chisquare

from bench.references.image_deal import ImageDeal


def images_of(n, seed=0, channels=1):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (n, 8, 8, channels), dtype=np.uint8)


def deal_of(*blocks, seed=2020):
    deal = ImageDeal(seed)
    for block in blocks:
        deal.add(block)
    return deal


def members(images, deal):
    """Return, for each split, its images as sorted bytes."""
    splits = deal.splits(0, len(images))
    return [sorted(image.tobytes() for image in images[splits == number]) for number in range(10)]


def test_splits_do_not_depend_on_order_or_blocks():
    images = images_of(500)
    images[100:200] = images[:100]  # copies, of which one may be in any place
    images[200:205] = images[0]
    expected = members(images, deal_of(images))
    order = np.random.default_rng(1).permutation(500)
    assert members(images[order], deal_of(images[order])) == expected
    blocks = [images[start:stop] for start, stop in pairwise((0, 1, 130, 499, 500))]
    assert members(images, deal_of(*blocks)) == expected


def test_splits_are_random_and_depend_on_the_seed():
    images = images_of(4000)
    first, other = (deal_of(images, seed=seed).splits(0, 4000) for seed in (0, 1))
    for splits in (first, other):
        assert chisquare(np.bincount(splits, minlength=10)).pvalue > 1e-3
    assert np.mean(first == other) == pytest.approx(0.1, abs=0.02)


def test_copies_spread_over_the_splits():
    deal = deal_of(np.zeros((2000, 8, 8, 1), np.uint8))
    assert chisquare(np.bincount(deal.splits(0, 2000), minlength=10)).pvalue > 1e-3
    assert deal.copy_rate == 1


def test_grey_images_are_the_same_with_one_and_three_channels():
    images = images_of(20)
    assert deal_of(images, np.repeat(images, 3, axis=3)).copy_rate == pytest.approx(20 / 780)


def test_copy_rate_by_hand():
    images = images_of(10)
    assert deal_of(images).copy_rate == 0
    assert deal_of(images[:1]).copy_rate == ImageDeal(0).copy_rate == 0
    images[:3] = images[0]  # 3 of 45 pairs
    deal = deal_of(images[:5], images[5:])
    assert deal.copy_rate == pytest.approx(3 / 45)
    assert deal.repeated.tolist() == [False, True, True, *[False] * 7]
