"""Effects against statsmodels and by hand, on balanced, unbalanced, fractional and other tables."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
import statsmodels.formula.api as smf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from baselines.ablation.analysis.coding import coded, contrast
from baselines.ablation.analysis.effects import MetricEffects, analysed, metric_effects
from baselines.ablation.analysis.least_squares import fitted, robust_error
from baselines.ablation.analysis.simulation import simulate, simulated_table
from baselines.ablation.design.cells import label_of
from baselines.ablation.design.designs import make_design
from bench.errors import InputError
from bench.statistics.intervals import holm

EXACT = 1e-9
MIXED = {"A": ("off", "on"), "B": ("low", "mid", "high"), "D": ("off", "on")}
FORMULA = "fid ~ (C(A, Sum) + C(B, Sum) + C(D, Sum))**2 + C(seed, Sum)"
TWO = dict.fromkeys("ABCD", ("off", "on"))


def table(
    levels: Mapping[str, Sequence[str]],
    cells: Sequence[tuple[int, ...]] | None = None,
    num_seeds: int = 3,
    seed: int = 0,
) -> pd.DataFrame:
    """Random values: an offset for each level, each pair of the first two factors, each seed."""
    generator = np.random.default_rng(seed)
    chosen = cells or list(itertools.product(*(range(len(names)) for names in levels.values())))
    rows = []
    for cell in chosen:
        named = {f: names[n] for (f, names), n in zip(levels.items(), cell, strict=True)}
        for number in range(num_seeds):
            mean = sum((place + 1) * n for place, n in enumerate(cell)) + 2 * cell[0] * cell[1]
            rows.append(
                {"cell": label_of(named), "seed": number, "outcome": "finished", **named}
                | {"fid": mean + number + generator.normal()}
            )
    return pd.DataFrame(rows)


def by_term(found: MetricEffects) -> dict[tuple[tuple[str, ...], tuple[str, ...]], float]:
    return {(e.term, e.levels): e.estimate for e in found.effects}


def frames() -> list[pd.DataFrame]:
    whole = table(MIXED)
    return [whole, whole.drop(index=[0, 7, 8, 20])]


@pytest.mark.parametrize("frame", frames(), ids=["balanced", "unbalanced"])
def test_agrees_with_statsmodels(frame: pd.DataFrame) -> None:
    """Coefficients to contrasts: with Sum coding statsmodels leaves out the last level, so the
    effects are read off predicted means of all cells instead.
    """
    found = metric_effects(frame, MIXED, "fid")
    model = smf.ols(FORMULA, frame).fit(cov_type="HC2", use_t=True)
    grid = pd.DataFrame(
        [
            {**dict(zip(MIXED, cell, strict=True)), "seed": seed, "fid": 0.0}
            for cell in itertools.product(*MIXED.values())
            for seed in range(3)
        ]
    )
    x = smf.ols(FORMULA, grid).exog  # the same columns, for every cell and seed
    for effect in found.effects:
        weights = np.zeros(len(grid))
        for signs in itertools.product((0, 1), repeat=len(effect.term)):
            at = np.ones(len(grid), bool)
            for factor, level, sign in zip(effect.term, effect.levels, signs, strict=True):
                at &= (grid[factor] == (level if sign else MIXED[factor][0])).to_numpy()
            weights += (-1) ** (len(signs) - sum(signs)) * at / at.sum()
        expected = model.t_test(weights @ x)
        assert effect.estimate == pytest.approx(expected.effect.item(), rel=EXACT, abs=EXACT)
        assert effect.standard_error == pytest.approx(expected.sd.item(), rel=EXACT)
        assert effect.df is not None
        t = expected.effect.item() / expected.sd.item()
        assert effect.p_value == pytest.approx(2 * stats.t.sf(abs(t), effect.df), rel=1e-7)
        half = stats.t.ppf(0.975, effect.df) * expected.sd.item()
        bounds = (effect.estimate - half, effect.estimate + half)
        assert (effect.low, effect.high) == pytest.approx(bounds, rel=EXACT, abs=EXACT)
    assert found.sigma == pytest.approx(np.sqrt(model.mse_resid), rel=EXACT)
    assert found.df == model.df_resid


def test_one_factor_is_tested_as_by_welch() -> None:
    """Two cells of unequal variance and size, no seeds in common: standard error of Welch's test.
    The degrees of freedom are those of its form without bias: V^2 / sum(V_c^2 / (n_c + 1)) - 2.
    """
    generator = np.random.default_rng(1)
    off, on = generator.normal(0, 1, 9), generator.normal(3, 5, 4)
    coding = coded(pd.DataFrame({"A": ["off"] * 9 + ["on"] * 4, "seed": 0}), {"A": ("off", "on")})
    fit = fitted(coding, np.concatenate([off, on]))
    cells = np.array([0] * 9 + [1] * 4)
    weights = contrast(coding, {"A": ("off", "on")}, {"A": "on"})
    found = robust_error(coding, fit, weights, cells)
    expected = stats.ttest_ind(on, off, equal_var=False)
    assert found.standard_error == pytest.approx((on.mean() - off.mean()) / expected.statistic)
    parts = off.var(ddof=1) / 9, on.var(ddof=1) / 4
    df = sum(parts) ** 2 / (parts[0] ** 2 / 10 + parts[1] ** 2 / 5) - 2
    assert found.df == pytest.approx(df)
    assert 3 <= found.df < expected.df + 0.5 < 11


def test_equal_variances_cost_few_degrees_of_freedom() -> None:
    """16 cells of 5 runs have 64, and at most those of the residual, 80 - 15 = 65. With one noisy
    cell little more than its own 4 are left.
    """
    generator = np.random.default_rng(2)
    frame = simulated_table(generator, effects={}, seed_sd=0)
    noisy = frame.assign(fid=frame["fid"].where(frame.index > 4, 100 * frame["fid"]))
    found = [metric_effects(one, TWO, "fid").effects[0].df or 0 for one in (frame, noisy)]
    assert 50 <= found[0] <= 65
    assert 3 <= found[1] <= 10


@pytest.mark.parametrize("frame", frames(), ids=["balanced", "unbalanced"])
def test_sums_of_squares_are_those_of_anova_lm(frame: pd.DataFrame) -> None:
    found = metric_effects(frame, MIXED, "fid")
    model = smf.ols(FORMULA, frame).fit()
    expected = sm.stats.anova_lm(model, typ=3)
    for share in found.shares:
        names = [f"C({part}, Sum)" for part in share.source.split(" x ")]
        row = expected.loc["Residual" if share.source == "residual" else ":".join(names)]
        assert share.sum_of_squares == pytest.approx(row["sum_sq"], rel=EXACT)
        assert share.df == row["df"]
        if share.f is not None:
            assert share.f == pytest.approx(row["F"], rel=EXACT)
            assert share.p_value == pytest.approx(row["PR(>F)"], rel=1e-7)


def test_shares_of_a_balanced_table_add_up() -> None:
    found = metric_effects(table(MIXED), MIXED, "fid")
    assert sum(share.share for share in found.shares) == pytest.approx(1, rel=1e-12)


def test_effects_by_hand() -> None:
    """Means 1, 2, 4, 9 of the cells off/off, off/on, on/off, on/on: A = 6.5 - 1.5 = 5,
    B = 5.5 - 2.5 = 3, A x B = (9 - 4) - (2 - 1) = 4.
    """
    rows = [
        {"seed": seed, "A": a, "B": b, "fid": mean + seed * 10}
        for a, b, mean in (("off", "off", 1), ("off", "on", 2), ("on", "off", 4), ("on", "on", 9))
        for seed in (0, 1)
    ]
    found = metric_effects(pd.DataFrame(rows), {"A": ("off", "on"), "B": ("off", "on")}, "fid")
    assert list(by_term(found).values()) == pytest.approx([5, 3, 4])
    assert found.sigma == 0
    assert "the effects explain all differences" in " ".join(found.notes)
    assert all(effect.p_value is None for effect in found.effects)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), st.floats(-50, 50), st.floats(0.1, 10))
def test_a_shift_moves_nothing_and_a_scale_scales(seed: int, shift: float, scale: float) -> None:
    frame = table(MIXED, seed=seed)
    plain = metric_effects(frame, MIXED, "fid")
    moved = metric_effects(frame.assign(fid=frame["fid"] * scale + shift), MIXED, "fid")
    for one, other in zip(plain.effects, moved.effects, strict=True):
        assert other.estimate == pytest.approx(one.estimate * scale, rel=1e-6, abs=1e-8)
        assert other.p_value == pytest.approx(one.p_value, rel=1e-5, abs=1e-12)
        assert other.standardised == pytest.approx(one.standardised, rel=1e-6, abs=1e-8)


def test_rounding_is_no_effect() -> None:
    frame = table(TWO).assign(fid=0.1 + 0.2)
    found = metric_effects(frame, TWO, "fid")
    assert {effect.estimate for effect in found.effects} == {0.0}


def test_seeds_are_blocks() -> None:
    """An offset of each seed changes no effect and no interval."""
    frame = table(MIXED)
    moved = frame.assign(fid=frame["fid"] + 1_000 * frame["seed"])
    for one, other in zip(
        metric_effects(frame, MIXED, "fid").effects,
        metric_effects(moved, MIXED, "fid").effects,
        strict=True,
    ):
        assert other.estimate == pytest.approx(one.estimate, rel=1e-8)
        assert other.standard_error == pytest.approx(one.standard_error, rel=1e-8)


def test_fractions_name_aliases() -> None:
    """2^(4-1) with D = ABC: main effects are clear of pairs, pairs come in twos."""
    design = make_design("fractional-factorial", list(TWO), [2] * 4, 4)
    found = metric_effects(table(TWO, design.cells), TWO, "fid")
    aliases = {effect.name: effect.aliases for effect in found.effects}
    assert aliases["A"] == ("B x C x D",)
    assert aliases["A x B"] == ("C x D",)
    assert set(aliases) == {"A", "B", "C", "D", "A x B", "A x C", "A x D"}
    assert found.left_out == (("B", "C"), ("B", "D"), ("C", "D"))


def test_main_effects_of_resolution_three_name_pairs() -> None:
    names = dict.fromkeys("ABCDE", ("off", "on"))
    design = make_design("fractional-factorial", list(names), [2] * 5, 3)
    found = metric_effects(table(names, design.cells), names, "fid")
    aliases = {effect.name: effect.aliases for effect in found.effects}
    assert aliases["A"][:2] == ("-B x D", "-C x E")
    assert aliases["B"][:1] == ("-A x D",)


@pytest.mark.parametrize("kind", ["one-at-a-time", "leave-one-out"])
def test_designs_around_a_base_tell_no_interactions(kind: str) -> None:
    design = make_design(kind, list(MIXED), [2, 3, 2])  # type: ignore[arg-type]
    frame = table(MIXED, design.cells, num_seeds=5)
    found = metric_effects(frame, MIXED, "fid")  # a leave-one-out has no run at the middle level
    assert {len(effect.term) for effect in found.effects} == {1}
    assert "cannot estimate interactions" in " ".join(found.notes)
    means = frame.groupby("cell", sort=False)["fid"].mean().to_numpy()
    differences = means[1:] - means[0]
    sign = 1 if kind == "one-at-a-time" else -1
    estimates = np.array([effect.estimate for effect in found.effects])
    np.testing.assert_allclose(estimates, sign * differences, rtol=1e-9)


def test_one_seed_without_room_gives_no_interval() -> None:
    cells = make_design("one-at-a-time", list(TWO), [2] * 4).cells
    found = metric_effects(table(TWO, cells, num_seeds=1), TWO, "fid")
    assert found.sigma is None
    assert all(effect.low is None and effect.p_value is None for effect in found.effects)
    assert "add seeds" in " ".join(found.notes)
    assert len(found.to_frame()) == 4


def test_holm_is_over_all_metrics_together() -> None:
    frame = table(MIXED)
    frame["recall_k3"] = frame["fid"].to_numpy()[::-1]
    found = analysed(frame, MIXED, ["fid", "recall_k3"])
    effects = [effect for one in found for effect in one.effects]
    assert [e.p_holm for e in effects] == holm([e.p_value or 0.0 for e in effects])


def test_missing_values_are_counted() -> None:
    frame = table(MIXED)
    frame.loc[3, "fid"] = np.nan
    found = metric_effects(frame, MIXED, "fid")
    assert found.num_missing == 1
    assert found.num_runs == len(frame) - 1
    assert "1 run has no value" in " ".join(found.notes)


def test_a_factor_that_does_not_vary_is_told() -> None:
    frame = table(MIXED)
    for rest in (frame[frame["A"] == "off"], frame[frame["A"] == "on"]):
        found = metric_effects(rest, MIXED, "fid")
        assert {effect.name for effect in found.effects} == {"B", "D", "B x D"}
        assert "A: these runs cannot separate its levels" in " ".join(found.notes)


def test_tables_that_cannot_be_analysed() -> None:
    frame = table(MIXED)
    with pytest.raises(InputError, match="no column of factor 'Z'"):
        metric_effects(frame, {"Z": ("off", "on")}, "fid")
    with pytest.raises(InputError, match="factor 'B': level 'mid' is not one of"):
        metric_effects(frame, {"B": ("low", "high")}, "fid")
    with pytest.raises(InputError, match="no column 'kid'"):
        metric_effects(frame, MIXED, "kid")
    with pytest.raises(InputError, match="0 runs have a value"):
        metric_effects(frame.assign(fid=np.nan), MIXED, "fid")


def test_frames_hold_everything() -> None:
    found = metric_effects(table(MIXED), MIXED, "fid")
    assert {"metric", "term", "estimate", "low", "p_holm", "aliases"} <= set(found.to_frame())
    assert found.shares_frame()["share"].sum() == pytest.approx(1)


def test_simulated_effects_are_what_was_put_in() -> None:
    """Without noise the analysis gives back the effects that the table was made of."""
    true = {("A",): 1.5, ("B", "C"): -2.0}
    generator = np.random.default_rng(0)
    frame = simulated_table(generator, effects=true, noise=lambda _g, n: np.zeros(n))
    for effect in metric_effects(frame, TWO, "fid").effects:
        assert effect.estimate == pytest.approx(true.get(effect.term, 0.0), abs=1e-12)


def test_error_of_the_first_kind_and_coverage() -> None:
    """60 null tables: false alarms at 5 % family-wise; 600 intervals hold the truth in 95 %."""
    found = simulate(60, effects={})
    assert found.false_alarm <= 0.14  # 5 % + 3 standard errors of 2.8 %
    assert 0.92 <= found.coverage <= 0.98
    assert 0.02 <= found.uncorrected <= 0.08
