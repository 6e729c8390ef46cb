"""Copies of images are not independent draws: intervals count different images."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bench.metrics import METRICS
from bench.metrics.base import UndefinedMetric
from bench.statistics.intervals import difference
from tests.metrics.test_properties import inputs_of, sample

N = 120  # different images
WEIGHTS = (40, 30, 20, 10)


def inputs_for(fake, *, copies=1, num_real=300):
    """Return inputs for images that occur `copies` times each."""
    many = np.tile(fake, (copies, 1))
    n = len(many)
    return dataclasses.replace(
        inputs_of(sample(0, num_real), many, held_out=sample(9, 200)),
        copy_rate=(copies - 1) / (n - 1),
        repeated=np.arange(n) >= len(fake) if copies > 1 else None,
    )


def test_effective_number_by_hand():
    inputs = inputs_for(sample(1, N), copies=2)
    # Kish: (2 N)^2 / (N 2^2) = N
    assert inputs.independent(2 * N) == pytest.approx(N)
    assert inputs.design_effect(2 * N) == pytest.approx(2)
    # of half of them, chosen at random, a quarter of the partners are there: N / (1 + (N-1)/(2N-1))
    assert inputs.independent(N) == pytest.approx(N / (1 + (N - 1) / (2 * N - 1)))
    none = inputs_for(sample(1, N))
    assert none.independent(N) == N
    assert none.design_effect(N) == 1


@pytest.mark.parametrize("name", sorted(METRICS))
def test_copies_do_not_narrow_an_interval(name):
    """Every image saved twice: as wide as for the images saved once, give or take what copies do
    to the value itself.
    """
    ratios = []
    for seed in range(2):
        fake = sample(seed + 1, N, weights=WEIGHTS)
        metric = METRICS[name]
        widths = []
        num_real = N if name.startswith("prd") else 300  # PRD takes as many reals as fakes
        for copies in (1, 2):
            inputs = inputs_for(fake, copies=copies, num_real=num_real)
            found = metric.interval(inputs, metric.compute(inputs))
            widths.append(found.high - found.low)
        if widths[0]:
            ratios.append(widths[1] / widths[0])
    if name == "modes_covered":
        assert all(ratio == 1 for ratio in ratios)
    else:  # 0.71 if copies counted as independent draws
        assert 0.85 < np.mean(ratios) < 2


@pytest.mark.parametrize(
    "name", ["fid", "kid_poly3", "class_kl", "mean_confidence", "authenticity"]
)
def test_two_folders_of_copies_rarely_differ(name):
    """Pairs of folders of one distribution, every image saved twice."""
    metric = METRICS[name]
    intervals = []
    for seed in range(60):
        inputs = inputs_for(sample(seed + 20, N, weights=WEIGHTS), copies=2)
        try:
            intervals.append(metric.interval(inputs, metric.compute(inputs)))
        except UndefinedMetric:
            continue
    assert len(intervals) > 50
    pairs = [(one, other) for i, one in enumerate(intervals) for other in intervals[i + 1 :: 7]]
    rate = np.mean([difference(one, other).p_value < 0.05 for one, other in pairs])
    assert rate < 0.1  # 0.15 and more if copies counted as independent draws


def test_estimates_are_those_of_the_different_images():
    """Copies raise FID and KID as fewer images do, which the correction for bias removes."""
    fake = sample(1, N, weights=WEIGHTS)
    once, twice = (inputs_for(fake, copies=copies) for copies in (1, 2))
    for name in ("fid", "kid_poly3", "class_kl"):
        metric = METRICS[name]
        found = [metric.interval(one, metric.compute(one)) for one in (once, twice)]
        assert found[1].estimate == pytest.approx(
            found[0].estimate, abs=0.35 * found[0].standard_error
        )
