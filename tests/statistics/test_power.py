"""Power and the seeds it takes, against simulated t tests and tabulated values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import nct, ttest_1samp

from bench.statistics.power import detectable, power, seeds_needed, standardised_bounds


def test_power_without_effect_is_the_level() -> None:
    assert power(0.0, 7) == pytest.approx(0.05, rel=1e-6)
    assert power(0.0, 1e9) == pytest.approx(0.05, rel=1e-6)


def test_power_grows_to_one() -> None:
    found = [power(delta, 4) for delta in (0, 1, 2, 4, 8, 50, 500)]
    assert found == sorted(found)
    assert found[-1] == pytest.approx(1)


# Cohen (1988), table 2.4.1 as computed by G*Power: paired t, two-sided .05, power .80
@pytest.mark.parametrize(("d", "seeds"), [(0.5, 34), (0.8, 15), (1.0, 10), (0.2, 199)])
def test_seeds_of_a_paired_test(d: float, seeds: int) -> None:
    assert seeds_needed(d, 1.0, lambda n: n - 1) == seeds


def test_seeds_needed_reach_80_percent_in_simulation() -> None:
    """4,000 tests with the seeds that are said to be needed, and with one seed less."""
    d = 0.9
    seeds = seeds_needed(d, 1.0, lambda n: n - 1)
    assert seeds is not None
    generator = np.random.default_rng(0)
    shares = [
        (ttest_1samp(generator.normal(d, 1, (4_000, num)), 0, axis=1).pvalue < 0.05).mean()
        for num in (seeds, seeds - 2)
    ]
    error = math.sqrt(0.8 * 0.2 / 4_000)
    assert shares[0] >= 0.8 - 3 * error
    assert shares[1] < 0.8
    assert shares[0] == pytest.approx(power(d * math.sqrt(seeds), seeds - 1), abs=3 * error)


def test_what_cannot_be_reached() -> None:
    assert seeds_needed(0.0, 1.0, lambda n: n - 1) is None
    assert seeds_needed(1e-4, 1.0, lambda n: n - 1) is None
    assert seeds_needed(1.0, 0.0, lambda n: n - 1) == 2


@pytest.mark.parametrize("df", [2, 7, 60])
def test_detectable_effects_have_the_power(df: int) -> None:
    assert power(detectable(0.3, df) / 0.3, df) == pytest.approx(0.8, rel=1e-6)


@pytest.mark.parametrize("df", [3, 12, 65])
@pytest.mark.parametrize("t", [-25.0, -2.0, 0.0, 0.7, 6.0])
def test_bounds_of_the_noncentrality(df: int, t: float) -> None:
    low, high = standardised_bounds(t, df)
    assert nct.sf(t, df, low) == pytest.approx(0.025, rel=1e-4)
    assert nct.cdf(t, df, high) == pytest.approx(0.025, rel=1e-4)
    mirrored = standardised_bounds(-t, df)
    assert mirrored == pytest.approx((-high, -low), abs=1e-4)
