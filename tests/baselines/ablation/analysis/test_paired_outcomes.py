"""Differences to the base, outcomes, ranks, against scipy and by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import fisher_exact as scipy_fisher
from scipy.stats import permutation_test, rankdata, ttest_rel

from baselines.ablation.analysis import outcomes
from baselines.ablation.analysis.outcomes import (
    COLLAPSED,
    STATE,
    CollapseRule,
    cell_outcomes,
    factor_outcomes,
    fisher_exact,
    with_states,
)
from baselines.ablation.analysis.paired import (
    paired_difference,
    paired_differences,
    paired_frame,
    sign_flip,
)
from baselines.ablation.analysis.ranking import rank_effects, ranked
from bench.errors import InputError
from bench.statistics.intervals import holm, wilson

NAN = float("nan")
PERFECT = {"modes_covered": 10.0, "coverage_k5": 0.97, "density_k5": 1.0, "fid": 0.2}
LEVELS = {"A": ("off", "on")}


def frame_of(base: list[float], other: list[float], **columns: list[object]) -> pd.DataFrame:
    rows = [
        {"cell": f"A={level}", "A": level, "seed": seed, "outcome": "finished", "fid": value}
        for level, values in (("off", base), ("on", other))
        for seed, value in enumerate(values)
    ]
    return pd.DataFrame(rows).assign(**columns)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 20))
def test_differences_are_scipys_paired_t(seed: int, num: int) -> None:
    generator = np.random.default_rng(seed)
    base, other = generator.normal(0, 1, num), generator.normal(0.5, 2, num)
    found = paired_difference(frame_of(list(base), list(other)), "fid", "A=on", "A=off")
    expected = ttest_rel(other, base)
    assert found is not None
    assert found.estimate == pytest.approx((other - base).mean())
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-9)
    bounds = expected.confidence_interval()
    assert (found.low, found.high) == pytest.approx((bounds.low, bounds.high), rel=1e-9)
    assert (found.p_sign_flip is None) == (num > 14)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 9))
def test_sign_flip_is_scipys_exact_permutation_test(seed: int, num: int) -> None:
    x = np.random.default_rng(seed).normal(0.4, 1, num).round(1)
    expected = permutation_test(
        (x,), lambda d, axis: d.sum(axis=axis), permutation_type="samples", n_resamples=np.inf
    )
    assert sign_flip(x) == pytest.approx(expected.pvalue)


def test_sign_flip_by_hand() -> None:
    """1, 2, 3: sums of all 8 patterns are +-6, +-4, +-2, 0, 0; two are as far as 6."""
    assert sign_flip(np.array([1.0, 2, 3])) == 2 / 8
    assert sign_flip(np.array([0.1, 0.2, -0.3])) == 1.0
    with pytest.raises(InputError, match="needs 1 to 14"):
        sign_flip(np.zeros(15))


def test_five_seeds_cannot_reject_by_signs() -> None:
    found = paired_difference(frame_of([0.0] * 5, [8, 9, 10, 11, 12]), "fid", "A=on", "A=off")
    assert found is not None
    assert found.p_sign_flip == 2 ** (1 - 5)
    assert found.p_value is not None
    assert found.p_value < 0.001
    # standardised 10 / sqrt(2.5) = 6.3: t with 1 or 2 degrees of freedom finds that
    assert found.seeds_needed in (2, 3)


def test_only_seeds_of_both_are_compared() -> None:
    frame = frame_of([1.0, 2, 3], [2.0, NAN, 5])
    found = paired_difference(frame, "fid", "A=on", "A=off")
    assert found is not None
    assert (found.num_seeds, found.estimate) == (2, 1.5)
    assert paired_difference(frame_of([1.0, NAN], [NAN, 2.0]), "fid", "A=on", "A=off") is None
    equal = paired_difference(frame_of([1.0, 2, 3], [2.0, 3, 4]), "fid", "A=on", "A=off")
    assert equal is not None
    assert (equal.estimate, equal.low, equal.p_value) == (1.0, None, None)


def test_all_comparisons_are_corrected_together() -> None:
    generator = np.random.default_rng(0)
    frame = frame_of(list(generator.normal(0, 1, 4)), list(generator.normal(3, 1, 4)))
    more = frame[frame["A"] == "on"].assign(cell="A=more", fid=lambda f: f["fid"] * 2)
    both = pd.concat([frame, more]).assign(recall_k3=lambda f: -(f["fid"] ** 2))
    found = paired_differences(both, ["fid", "recall_k3"], "A=off")
    assert [one.p_holm for one in found] == holm([one.p_value or 0.0 for one in found])
    assert len(paired_frame(found)) == 4
    with pytest.raises(InputError, match="no cell 'Z'"):
        paired_differences(both, ["fid"], "Z")


def test_states() -> None:
    """Of 10 modes fewer than 5, or else a coverage below .05 x .97 = .0485, are a collapse."""
    frame = pd.DataFrame(
        {
            "outcome": ["finished"] * 5 + ["diverged"],
            "modes_covered": [10.0, 5.0, 4.0, NAN, NAN, NAN],
            "coverage_k5": [0.01, 0.5, 0.5, 0.048, 0.049, NAN],
        }
    )
    states = with_states(frame, PERFECT)[STATE].tolist()
    assert states == ["finished", "finished", COLLAPSED, COLLAPSED, "finished", "diverged"]
    strict = with_states(frame, PERFECT, CollapseRule(modes_share=1.0))[STATE].tolist()
    assert strict[1] == COLLAPSED
    assert "fewer than 50% of the classes" in str(CollapseRule())


def test_shares_have_wilsons_interval() -> None:
    frame = frame_of([1.0] * 5, [2.0] * 5).assign(
        state=["finished"] * 6 + ["diverged"] * 3 + [COLLAPSED]
    )
    off, on = cell_outcomes(frame)
    assert (off.share, off.num_runs) == (0.0, 5)
    assert (on.num_diverged, on.num_collapsed, on.share) == (3, 1, 0.8)
    interval = wilson(4, 5)
    assert (on.low, on.high) == (interval.low, interval.high)
    (test,) = factor_outcomes(frame, LEVELS)
    assert test.p_value == pytest.approx(scipy_fisher([[0, 5], [4, 1]]).pvalue)
    assert test.p_holm == test.p_value


@given(st.tuples(*(st.integers(1, 12) for _ in range(2))), st.data())
def test_fisher_is_scipys_for_two_levels(totals: tuple[int, int], data: st.DataObject) -> None:
    bad = [data.draw(st.integers(0, total)) for total in totals]
    expected = scipy_fisher([bad, [n - k for n, k in zip(totals, bad, strict=True)]]).pvalue
    assert fisher_exact(bad, totals) == pytest.approx(expected, rel=1e-9)


def test_fisher_of_three_levels_by_hand() -> None:
    """2 bad of 2, 0 of 1, 0 of 1: of the C(4,2) = 6 ways to choose the bad runs, two of the first
    group are 1 way; one of it and one of the others 2 x 1 each, and both of the others 1 way. The
    tables weigh 1, 2, 2, 1, so that those no likelier than the first have 2 of 6.
    """
    assert fisher_exact([2, 0, 0], [2, 1, 1]) == pytest.approx(2 / 6)


@given(st.lists(st.integers(1, 5), min_size=3, max_size=5), st.data())
def test_fisher_of_several_levels_is_the_sum_over_all_tables(
    totals: list[int], data: st.DataObject
) -> None:
    bad = [data.draw(st.integers(0, total)) for total in totals]
    tables = [
        math.prod(math.comb(n, k) for n, k in zip(totals, table, strict=True))
        for table in itertools.product(*(range(n + 1) for n in totals))
        if sum(table) == sum(bad)
    ]
    seen = math.prod(math.comb(n, k) for n, k in zip(totals, bad, strict=True))
    expected = sum(weight for weight in tables if weight <= seen) / sum(tables)
    assert fisher_exact(bad, totals) == pytest.approx(expected, rel=1e-9)


def test_fisher_of_many_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    """12 levels of 5 runs have 2e9 tables; random ones, drawn and weighed here, agree with it, and
    so does what takes over where the partial tables are too many.
    """
    bad, totals = [0, 0, 0, 1, 1, 1, 2, 2, 3, 3, 4, 4], [5] * 12
    drawn = np.random.default_rng(5).multivariate_hypergeometric(totals, sum(bad), size=40_000)
    log_ways = np.log([math.comb(5, k) for k in range(6)])
    weights = log_ways[drawn].sum(axis=1)
    expected = (weights <= log_ways[bad].sum() + 1e-9).mean()
    error = math.sqrt(expected * (1 - expected) / 40_000)
    exact = fisher_exact(bad, totals)
    assert abs(exact - expected) < 4 * error
    monkeypatch.setattr(outcomes, "MAX_TABLES", 10)
    assert fisher_exact(bad, totals) != exact
    assert abs(fisher_exact(bad, totals) - exact) < 4 * error
    assert fisher_exact([20, 0] * 20, [40] * 40) < 1e-3  # no end of tables


def test_ranks_put_diverged_runs_below_all() -> None:
    frame = frame_of([5.0, 3, 9], [4.0, NAN, NAN])
    frame.loc[[4, 5], "outcome"] = "diverged"
    ranks = ranked(frame, ["fid"], PERFECT)["fid"].tolist()
    # lower is better: 9 < 5 < 4 < 3 above two diverged, which share ranks 1 and 2
    assert ranks == [4, 6, 3, 5, 1.5, 1.5]


def test_ranks_of_targets_need_the_target() -> None:
    frame = frame_of([1.0, 1, 1], [1.0, 1, 1]).assign(density_k5=[0.2, 0.9, 1.3, 1.05, 2.0, NAN])
    ranks = ranked(frame, ["density_k5"], PERFECT)["density_k5"]
    assert ranks.tolist()[:5] == rankdata([-0.8, -0.1, -0.3, -0.05, -1.0]).tolist()
    assert ranks.isna().tolist()[5]  # finished without a value: missing, not worst
    assert ranked(frame, ["density_k5"], {})["density_k5"].isna().all()


def test_a_trick_that_diverges_is_worse_by_ranks() -> None:
    """Values of the runs that are left say nothing; ranks do."""
    generator = np.random.default_rng(1)
    rows = [
        {"cell": f"{a}{b}", "seed": seed, "A": a, "B": b, "fid": generator.normal()}
        for a, b, seed in itertools.product(("off", "on"), ("off", "on"), range(8))
    ]
    frame = pd.DataFrame(rows).assign(outcome="finished")
    gone = (frame["A"] == "on") & (frame["seed"] < 6)
    frame.loc[gone, ["outcome", "fid"]] = ["diverged", NAN]
    (found,) = rank_effects(frame, {"A": ("off", "on"), "B": ("off", "on")}, ["fid"], PERFECT)
    by_name = {effect.name: effect for effect in found.effects}
    assert set(by_name) == {"A", "B"}
    assert by_name["A"].estimate < 0
    assert by_name["A"].is_significant
    assert not by_name["B"].is_significant
    assert found.num_missing == 0
