"""Authenticity against its definition in a double loop, and against two known probabilities."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bench.metrics.authenticity import AUTHENTICITY, authentic
from bench.metrics.base import MetricInputs, UndefinedMetric
from bench.statistics.moments import Moments
from bench.statistics.neighbours.search import nearest_neighbours


def inputs(real, fake, **more):
    return MetricInputs(
        fake_features=fake,
        fake_probabilities=None,
        real_features=real,
        real_moments=Moments.of(real),
        **more,
    )


def by_loops(real, fake):
    """Alaa et al. 2022: float64 distances rounded to float32, ties to the first."""

    def distance(x, y):
        return np.float32(math.sqrt(sum((float(a) - float(b)) ** 2 for a, b in zip(x, y))))  # noqa: B905

    found = []
    for g in fake:
        to_real = [distance(g, x) for x in real]
        nearest = to_real.index(min(to_real))
        others = [distance(real[nearest], x) for i, x in enumerate(real) if i != nearest]
        found.append(to_real[nearest] > min(others))
    return np.array(found)


def grid(max_rows):
    shape = st.tuples(st.integers(2, max_rows), st.just(2))
    return hnp.arrays(np.float32, shape, elements=st.integers(0, 6).map(float))


@settings(deadline=None, max_examples=60)
@given(real=grid(12), fake=grid(12))
def test_equals_the_double_loop_with_ties_everywhere(real, fake):
    found = authentic(inputs(real, fake).neighbours)
    assert found.tolist() == by_loops(real, fake).tolist()


def test_equals_the_double_loop():
    rng = np.random.default_rng(3)
    real, fake = (rng.normal(size=(n, 5)).astype(np.float32) for n in (80, 60))
    fake[:7] = real[:7]
    wanted = by_loops(real, fake)
    assert 7 <= (~wanted).sum() < 60
    found = AUTHENTICITY.compute(inputs(real, fake))
    assert found.value == wanted.mean()
    assert found.details == {"not_authentic": (~wanted).sum()}
    stored = nearest_neighbours(real, real, 5, exclude_self=True)
    assert AUTHENTICITY.compute(inputs(real, fake, real_nearest=stored)) == found


def test_by_hand():
    # reals 0, 1, 5. Fakes: 0.4 -> i*=0, .4 > 1 no; 8 -> i*=5, 3 > 4 no; 9.5 -> i*=5, 4.5 > 4 yes;
    # 5 is a copy: 0 > 4 no; -1 -> i*=0, 1 > 1 no (the surface does not count)
    real = np.array([[0], [1], [5]], np.float32)
    fake = np.array([[0.4], [8], [9.5], [5], [-1]], np.float32)
    assert authentic(inputs(real, fake).neighbours).tolist() == [False, False, True, False, False]
    assert AUTHENTICITY.compute(inputs(real, fake)).value == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("dim", "mutual"),
    [
        (1, 2 / 3),  # length of a ball over that of two at distance 1: 2 / 3
        (2, math.pi / (4 * math.pi / 3 + math.sqrt(3) / 2)),  # the same with discs: 0.6215
    ],
)
def test_perfect_folders_score_what_mutual_neighbours_say(dim, mutual):
    """g and i* are mutual neighbours in a Poisson process (Clark and Evans 1955 for the plane)."""
    rng = np.random.default_rng(0)
    real = rng.random((4000, dim)).astype(np.float32)
    values = [
        AUTHENTICITY.compute(inputs(real, rng.random((500, dim)).astype(np.float32))).value
        for _ in range(6)
    ]
    # 3,000 draws around i* of 4,000: neighbouring fakes share an i*, so not quite independent
    assert np.mean(values) == pytest.approx(1 - mutual, abs=0.03)


def test_copies_lower_it_monotonically():
    rng = np.random.default_rng(1)
    real, fresh = (rng.normal(size=(600, 6)).astype(np.float32) for _ in range(2))
    values = []
    for num in (0, 6, 60, 600):
        folder = np.concatenate([real[:num], fresh[num:]])
        values.append(AUTHENTICITY.compute(inputs(real, folder)).value)
    assert values == sorted(values, reverse=True)
    assert len(set(values)) == 4
    assert values[-1] == 0


def test_interval_is_wilsons():
    rng = np.random.default_rng(1)
    real, fake = (rng.normal(size=(n, 3)).astype(np.float32) for n in (50, 40))
    given_inputs = inputs(real, fake)
    found = AUTHENTICITY.compute(given_inputs)
    interval = AUTHENTICITY.uncertainty(given_inputs, found)
    # Wilson 1927: the p with |p_hat - p| = 1.96 sqrt(p (1 - p) / n)
    for p in (interval.low, interval.high):
        assert abs(found.value - p) == pytest.approx(1.959964 * math.sqrt(p * (1 - p) / 40))


def test_one_real_image_has_no_other():
    one = inputs(np.ones((1, 2), np.float32), np.zeros((4, 2), np.float32))
    with pytest.raises(UndefinedMetric, match="needs 2 or more real images, got 1"):
        AUTHENTICITY.compute(dataclasses.replace(one))
