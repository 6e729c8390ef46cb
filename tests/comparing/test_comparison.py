"""Verdicts, differences, and the rates of errors in simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from bench.comparing.comparison import compare
from bench.errors import UnknownNameError, UsageError
from bench.records.score_record import ScoreRecord
from bench.statistics.intervals import Uncertainty, difference, holm, normal_interval, wilson
from tests.comparing.made_records import normal, only, scored, value
from tests.records.test_score_record import record


def test_the_same_record_twice_is_no_difference() -> None:
    same = scored(normal("fid", 9.0, 0.1), value("kid_poly3", 1.0), value("prd_f8", None))
    found = compare(same, same)
    assert found.ok
    assert [change.verdict for change in found.changes] == ["no change", "no change", "not judged"]
    assert [change.change for change in found.changes] == [0, 0, None]
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("metric", "before", "after", "verdict"),
    [
        ("fid", 9.0, 9.6, "regression"),
        ("fid", 9.6, 9.0, "improvement"),
        ("fid", 9.0, 9.2, "no change"),  # z = 0.2 / (0.1 sqrt 2) = 1.41
        ("recall_k3", 9.0, 9.6, "improvement"),
        ("recall_k3", 9.6, 9.0, "regression"),
        ("density_k5", 2.0, 2.6, "regression"),  # the target is 1
        ("density_k5", -0.6, 0.0, "improvement"),
        ("density_k5", 1.5, 0.5, "no change"),  # as far from it, on the other side
        ("density_k5", 1.2, 0.0, "regression"),
    ],
)
def test_worse_is_what_the_direction_says(metric, before, after, verdict) -> None:
    base, new = scored(normal(metric, before, 0.1)), scored(normal(metric, after, 0.1), images="d")
    found = only(compare(base, new))
    assert found.verdict == verdict
    assert found.change == pytest.approx(after - before)
    half = 1.959964 * 0.1 * math.sqrt(2)
    assert (found.low, found.high) == pytest.approx((found.change - half, found.change + half))


def test_an_unknown_target_is_not_judged() -> None:
    base = scored(normal("vendi_score", 3.0, 0.1, direction="target"))
    new = scored(normal("vendi_score", 9.0, 0.1, direction="target"), images="d")
    assert only(compare(base, new)).verdict == "not judged"


def test_a_target_is_aimed_at_with_the_bias_that_it_holds() -> None:
    """The value and the expected value carry the same bias; the estimate carries none."""
    biased = [Uncertainty(number - 5, 0.1, number - 5.2, number - 4.8, "t") for number in (6, 7)]
    base, new = (
        scored(value("density_k5", n, u, expected=6.0), images=str(n))
        for n, u in zip((6, 7), biased, strict=True)
    )
    assert only(compare(base, new)).verdict == "regression"
    assert only(compare(new, base)).verdict == "improvement"


@pytest.mark.parametrize(
    ("tolerance", "verdict"),
    [
        ("5%", "regression"),  # 0.6 of 9.0 is 6.7 %
        ("7%", "no change"),
        ("fid=7%", "no change"),
        ("kid_poly3=7%", "regression"),
        ("0.59", "regression"),
        (0.61, "no change"),
        ({"fid": "7%"}, "no change"),
        ("7%,fid=1%", "regression"),
    ],
)
def test_tolerance(tolerance, verdict) -> None:
    kid = normal("kid_poly3", 1.0, 0.1)
    base = scored(normal("fid", 9.0, 0.1), kid)
    new = scored(normal("fid", 9.6, 0.1), kid, images="d")
    assert compare(base, new, tolerance=tolerance).changes[0].verdict == verdict


@pytest.mark.parametrize("tolerance", ["x", "-1%", "nan", "fid=", "inf%"])
def test_tolerances_that_are_none(tolerance) -> None:
    with pytest.raises(UsageError, match="expected a number of 0 or more"):
        compare(record(), record(), tolerance=tolerance)
    with pytest.raises(UnknownNameError, match="Did you mean 'fid'"):
        compare(record(), record(), tolerance="fdi=2%")


def test_holm_over_all_metrics() -> None:
    """One z of 2.1 (p 0.036) among five metrics is luck; alone it is not."""
    shift = 2.1 * 0.1 * math.sqrt(2)
    names = ["a", "b", "c", "d", "e"]
    base = scored(*(normal(name, 1.0, 0.1) for name in names))
    moved = [normal(name, 1.0 + (shift if name == "a" else 0), 0.1) for name in names]
    new = scored(*moved, images="d")
    assert compare(base, new).ok
    assert compare(base, new).changes[0].p_value == pytest.approx(5 * 0.0357, rel=0.01)
    assert not compare(base, new, metrics="a").ok


def test_a_metric_that_lost_its_value_is_a_regression() -> None:
    base, new = scored(value("fid", 1.0)), scored(value("fid", None))
    found = only(compare(base, new))
    assert (found.verdict, found.note) == ("regression", "lost its value: too few images, got 1")
    assert only(compare(new, base)).verdict == "improvement"


def test_without_intervals_the_tolerance_decides_alone() -> None:
    base, new = scored(value("fid", 100.0)), scored(value("fid", 101.0), images="d")
    found = only(compare(base, new))
    assert (found.verdict, found.note) == ("not judged", "no interval and no tolerance")
    found = only(compare(base, new, tolerance="0.5%"))
    assert (found.verdict, found.note) == ("regression", "no interval: the tolerance alone decides")
    assert only(compare(base, new, tolerance="2%")).verdict == "no change"
    half = scored(normal("fid", 100.0, 0.1))
    assert only(compare(half, new, tolerance="0.5%")).p_value is None


def test_of_the_same_images_every_change_counts_but_rounding() -> None:
    base = scored(normal("fid", 9.0, 1.0))
    assert only(compare(base, scored(normal("fid", 9.0 + 1e-7, 1.0)))).verdict == "no change"
    found = only(compare(base, scored(normal("fid", 9.001, 1.0))))
    assert (found.verdict, found.note) == ("regression", "same images, no draw")
    assert compare(base, scored(normal("fid", 9.001, 1.0)), tolerance="1%").ok


# -------------------------------------------------------------------------------- differences


@pytest.mark.parametrize(
    ("new", "base", "low", "high"),
    [  # Newcombe 1998, table II, method 10
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((10, 10), (0, 10), 0.6075, 1.0),
        ((0, 10), (0, 10), -0.2775, 0.2775),
    ],
)
def test_differences_of_shares_are_newcombes(new, base, low, high) -> None:
    found = difference(wilson(*base), wilson(*new))
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)
    assert (found.p_value < 0.05) == (low > 0)


def test_differences_of_symmetric_intervals_add_variances() -> None:
    found = difference(normal_interval(1.0, 0.3, "a"), normal_interval(2.0, 0.4, "b"))
    half = 1.959964 * 0.5
    assert found[:3] == pytest.approx((1, 1 - half, 1 + half))
    assert found.p_value == pytest.approx(2 * norm.sf(1 / 0.5))


def test_a_difference_without_width_is_certain() -> None:
    one, two = normal_interval(1.0, 0.0, ""), normal_interval(2.0, 0.0, "")
    assert difference(one, two).p_value == 0
    assert difference(one, one).p_value == 1


def test_holm_by_hand() -> None:
    # sorted .01 .03 .04 -> 3 * .01, 2 * .03, then .04 is raised to the .06 before it
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


# --------------------------------------------------------------------------------- simulation


def drawn(rng: np.random.Generator, shift: float = 0.0) -> ScoreRecord:
    """Six metrics of 500 images of one generator: shares near 0 and 1, normals, a target."""
    hits = rng.binomial(500, [0.5, 0.03, 0.995])
    shares = [
        value(f"share_{k}", n / 500, wilson(int(n), 500), direction="higher")
        for k, n in enumerate(hits)
    ]
    normals = [
        normal("fid", rng.normal(9 + shift, 0.1), 0.1),
        normal("kid_poly3", rng.normal(0, 1e-4), 1e-4),
        normal("density_k5", rng.normal(1, 0.05), 0.05),
    ]
    return scored(*shares, *normals, images=f"{rng.integers(2**60)}")


def test_type_one_error_and_power() -> None:
    rng = np.random.default_rng(0)
    num = 1500
    wrong = sum(not compare(drawn(rng), drawn(rng)).ok for _ in range(num))
    # one-sided at 2.5 % of a family: at most 5 % with three standard errors of the simulation
    assert 0.005 <= wrong / num <= 0.05
    found = [compare(drawn(rng), drawn(rng, shift=0.7)) for _ in range(100)]  # 4.9 errors
    hits = sum("fid" in [change.metric for change in each.regressions] for each in found)
    assert hits >= 95  # the power against a corrected level of 0.05 / 6 is 0.99


@given(
    hits=st.lists(st.integers(0, 40), min_size=2, max_size=2),
    shift=st.floats(-5, 5),
    error=st.floats(0, 3),
)
def test_swapping_the_sides_swaps_the_verdict(hits, shift, error) -> None:
    opposite = {"regression": "improvement", "improvement": "regression"}
    records = [
        scored(value("recall_k3", n / 40, wilson(n, 40)), normal("fid", mean, error), images=side)
        for n, mean, side in zip(hits, (0.0, shift), "ab", strict=True)
    ]
    forth, back = compare(*records).changes, compare(*reversed(records)).changes
    for one, other in zip(forth, back, strict=True):
        assert other.verdict == opposite.get(one.verdict, one.verdict)
        assert other.p_value == pytest.approx(one.p_value)
        assert other.change == pytest.approx(-one.change)
        assert (other.low, other.high) == pytest.approx((-one.high, -one.low))
        assert 0 <= one.p_value <= 1
