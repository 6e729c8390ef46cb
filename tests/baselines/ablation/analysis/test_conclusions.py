"""Trade-offs, curves and conclusions, on tables with known effects."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as t_distribution

from baselines.ablation.analysis.conclusions import Findings, conclusions, needed, short
from baselines.ablation.analysis.curves import curves, efficiencies
from baselines.ablation.analysis.effects import analysed
from baselines.ablation.analysis.outcomes import (
    CollapseRule,
    cell_outcomes,
    factor_outcomes,
    with_states,
)
from baselines.ablation.analysis.ranking import is_better, rank_effects
from baselines.ablation.analysis.simple import simple_effects
from baselines.ablation.analysis.simulation import simulated_table
from baselines.ablation.analysis.tradeoff import arrows, arrows_frame, cell_time_ratios, time_ratios
from bench.errors import InputError

TWO = {"A": ("off", "on"), "B": ("off", "on")}
NAN = float("nan")


def final(seed: int = 0, **effects: float) -> pd.DataFrame:
    """A 2^2 factorial with 6 seeds: fid, precision and recall with noise of 1."""
    generator = np.random.default_rng(seed)

    def drawn(*terms: tuple[tuple[str, ...], float]) -> pd.Series:
        table = simulated_table(
            generator, num_factors=2, num_seeds=6, effects=dict(terms), seed_sd=0.5
        )
        frame.update(table)
        return table["fid"]

    frame: dict[str, pd.Series] = {}
    fid = drawn((("A",), effects.get("A", 0.0)), (("A", "B"), effects.get("AB", 0.0)))
    whole = pd.DataFrame(frame)
    return whole.assign(
        fid=fid,
        precision_k3=drawn((("A",), effects.get("precision", 0.0))),
        recall_k3=drawn((("A",), effects.get("recall", 0.0))),
        train_s=10.0 * np.where(whole["B"] == "on", 1.5, 1.0) * (1 + 0.01 * whole["seed"]),
    )


def test_arrows_are_the_main_effects() -> None:
    frame = final(precision=3.0, recall=-3.0)
    analyses = analysed(frame, TWO, ["precision_k3", "recall_k3"])
    found = {arrow.factor: arrow for arrow in arrows(frame, TWO, analyses)}
    arrow = found["A"]
    for axis, shift in (("precision_k3", arrow.quality), ("recall_k3", arrow.diversity)):
        means = frame.groupby("A")[axis].mean()
        assert shift.start == pytest.approx(means["off"])
        assert shift.shift == pytest.approx(means["on"] - means["off"])
    assert arrow.quality.low is not None
    assert arrow.quality.low > 0
    assert arrow.diversity.high is not None
    assert arrow.diversity.high < 0
    table = arrows_frame(list(found.values()))
    assert {"factor", "level", "quality_start", "diversity_high"} <= set(table)
    assert arrows(frame, TWO, analyses[:1]) == []


def test_time_ratios() -> None:
    """B takes 1.5 times as long at every seed: nothing varies around that ratio."""
    frame = final()
    by_name = {one.name: one for one in time_ratios(frame, TWO)}
    assert by_name["B=on"].ratio == pytest.approx(1.5)
    assert by_name["A=on"].ratio == pytest.approx(1.0)
    noisy = frame.assign(train_s=frame["train_s"] * np.linspace(0.9, 1.1, len(frame)))
    one = {one.name: one for one in time_ratios(noisy, TWO)}["B=on"]
    assert one.low is not None
    assert one.high is not None
    assert one.low < one.ratio < one.high
    cells = {one.name: one.ratio for one in cell_time_ratios(frame, "A=off, B=off")}
    assert cells["A=on, B=on"] == pytest.approx(1.5)
    assert time_ratios(frame.assign(train_s=NAN), TWO) == []
    # a run that diverged at once took no time, and its trick is not the faster one for it
    ended = (frame["A"] == "off") & (frame["seed"] == frame["seed"].min())
    early = frame.assign(
        train_s=frame["train_s"].where(~ended, 0.1),
        outcome=frame["outcome"].where(~ended, "diverged"),
    )
    assert {one.name: one for one in time_ratios(early, TWO)}["A=on"].ratio == pytest.approx(1.0)


def curve(values: dict[tuple[str, int], list[float]]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"cell": cell, "seed": seed, "step": 100 * (place + 1), "fid": value}
            for (cell, seed), run in values.items()
            for place, value in enumerate(run)
        ]
    )


def test_curves_have_bands_over_seeds() -> None:
    """Seeds 4 and 6 at step 100: mean 5, t(.975, 1) x sqrt(2) / sqrt(2); one run left at 200."""
    found = curves(curve({("base", 0): [4.0, 2.0], ("base", 1): [6.0]}), "fid")
    half = float(t_distribution.ppf(0.975, 1))
    assert found[0][:3] == ("base", 100, 5.0)
    assert (found[0].low, found[0].high) == pytest.approx((5 - half, 5 + half))
    assert found[1] == ("base", 200, 2.0, None, None, 1)


def test_steps_to_the_bases_end_with_censoring() -> None:
    """The base ends at 4 and 2, and the worse of the two in the middle is the target: `fast` is
    there at once, `slow` in one run of three.
    """
    table = curve(
        {
            ("base", 0): [9.0, 6.0, 4.0],
            ("base", 1): [9.0, 5.0, 2.0],
            ("fast", 0): [3.0, 1.0, 1.0],
            ("fast", 1): [4.0, 3.0, 5.0],
            ("slow", 0): [9.0, 9.0, 9.0],
            ("slow", 1): [9.0, 9.0, 3.0],
            ("slow", 2): [9.0, 9.0],
        }
    )
    base, fast, slow = efficiencies(table, "fid", "base", {})
    assert base.target == 4.0
    assert (base.num_censored, base.median_steps, base.ratio) == (0, 300.0, 1.0)
    assert (fast.num_censored, fast.median_steps, fast.ratio) == (0, 100.0, 1 / 3)
    assert (slow.num_censored, slow.median_steps, slow.ratio) == (2, None, None)
    with pytest.raises(InputError, match="no cell 'none'"):
        efficiencies(table, "fid", "none", {})
    target = table.assign(density_k5=1.0)
    assert efficiencies(target, "density_k5", "base", {}) == []
    assert len(efficiencies(target, "density_k5", "base", {"density_k5": 1.0})) == 3


def test_directions() -> None:
    assert is_better("fid", -1.0) is True
    assert is_better("recall_k3", -1.0) is False
    assert is_better("density_k5", 1.0) is None


def texts(findings: Findings) -> str:
    return "\n".join(sentence.text for sentence in conclusions(findings))


def test_what_helps_and_what_interacts() -> None:
    """A is 7 better without B and 1 better with it; its average of 4 is nowhere."""
    frame = final(A=-4.0, AB=6.0, precision=-4.0)
    analyses = analysed(frame, TWO, ["fid", "precision_k3"])
    findings = Findings(effects=analyses, simple=simple_effects(frame, TWO, analyses))
    said = texts(findings)
    assert "A (on) improves fid" not in said
    means = frame.groupby(["A", "B"])["fid"].mean()
    parts = [short(means["on", b] - means["off", b], sign=True) for b in ("off", "on")]
    assert f"A (on) changes fid by {parts[0]} [" in said
    assert f"with B (off); {parts[1]} [" in said
    assert "A (on) worsens precision_k3: -" in said
    assert "A (on) and B (on) interact on fid: their combination is worse than the sum" in said
    assert "after Holm" in said
    assert "It is open whether B (on) changes fid: " not in said
    assert "No effect" not in said
    tones = {sentence.text[:16]: sentence.tone for sentence in conclusions(findings)}
    assert tones["A (on) changes f"] == "good"
    assert tones["A (on) worsens p"] == "bad"


def test_nothing_significant_is_said_with_the_seeds_it_would_take() -> None:
    frame = final(seed=3)
    analyses = analysed(frame, TWO, ["fid"])
    said = texts(Findings(effects=analyses))
    assert said.startswith(
        "No effect on the values of a metric is significant at 5 %: none of 3 tested effects"
    )
    effect = min(analyses[0].effects[:2], key=lambda effect: effect.p_value or 1.0)
    seeds = needed(analyses[0], effect, 0.05 / 3)
    assert f"The closest is {effect.name} (on) on fid: if its estimate is the true effect, " in said
    assert f"about {seeds:,} seeds are needed to show it; this study has 6." in said
    assert "seeds would find an effect of this size with 80 % power, 6 find one of " in said
    assert seeds is not None
    assert seeds > analyses[0].num_seeds


def test_seeds_needed_give_that_power_in_simulated_ablations() -> None:
    """300 tables with the spread and the effect as estimated: uncorrected power near 80 %."""
    generator = np.random.default_rng(5)
    (analysis,) = analysed(
        simulated_table(generator, num_factors=2, num_seeds=3, effects={("A",): 1.0}), TWO, ["fid"]
    )
    effect = next(e for e in analysis.effects if e.name == "A")
    seeds = needed(analysis, effect)
    assert seeds is not None
    assert effect.standardised is not None
    hits = 0
    for _ in range(300):
        frame = simulated_table(
            generator, num_factors=2, num_seeds=seeds, effects={("A",): effect.standardised}
        )
        (one,) = analysed(frame, TWO, ["fid"])
        p_value = next(e for e in one.effects if e.name == "A").p_value
        assert p_value is not None
        hits += p_value < 0.05
    least = 0.8 - 3 * math.sqrt(0.8 * 0.2 / 300)
    assert hits / 300 >= least
    assert hits / 300 <= 0.97  # the least number of seeds, not many more


def test_bad_ends_are_told() -> None:
    frame = final()
    frame["outcome"] = frame["outcome"].astype(object)
    gone = (frame["A"] == "on") & (frame["seed"] != 0)
    frame.loc[gone, "outcome"] = "diverged"
    frame.loc[gone, ["fid", "precision_k3", "recall_k3"]] = NAN
    states = with_states(frame, {})
    said = texts(
        Findings(
            effects=analysed(frame, TWO, ["fid"]),
            ranks=rank_effects(frame, TWO, ["fid"], {}),
            cells=cell_outcomes(states),
            factors=factor_outcomes(states, TWO),
            times=time_ratios(frame, TWO),
        )
    )
    assert "Of 24 runs, 10 diverged and 0 collapsed (collapsed: fewer than" in said
    assert (
        "The share of runs that diverge or collapse depends on A: off 0 % [0 %, 24 %]; on 83"
        in said
    )
    ranks = "By ranks, which count diverged runs as worst, A (on) is worse by "
    assert ranks in said
    assert " places on fid, of 24; p " in said
    assert "10 runs have no value and are left out" in said


def test_what_ranks_show_is_not_denied_above() -> None:
    """Values of the few runs that are left show nothing; that the others diverged does."""
    frame = final(seed=3)
    frame["outcome"] = frame["outcome"].astype(object)
    gone = (frame["A"] == "on") & (frame["seed"] != 0)
    frame.loc[gone, "outcome"] = "diverged"
    frame.loc[gone, "fid"] = NAN
    states = with_states(frame, {})
    findings = Findings(
        effects=analysed(frame, TWO, ["fid"]),
        ranks=rank_effects(frame, TWO, ["fid"], {}),
        cells=cell_outcomes(states),
        factors=factor_outcomes(states, TWO),
    )
    first, *others = [sentence.text for sentence in conclusions(findings)]
    assert first == (
        "No effect on the values of a metric is significant at 5 %: none of 3 tested effects "
        "exceeds the variation between seeds, after Holm's correction. Significant, and described "
        "below: how often runs diverge or collapse and effects on ranks, which count diverged runs "
        "as worst."
    )
    assert any(
        text.startswith("The share of runs that diverge or collapse depends on A")
        for text in others
    )
    assert any(text.startswith("By ranks, which count diverged runs") for text in others)
    (open_a,) = [text for text in others if text.startswith("It is open whether A (on)")]
    assert "whether A (on) changes fid among finished runs: " in open_a


def test_the_headline_knows_of_ranks() -> None:
    """A helps by values, and B, whose runs diverge, is worse by ranks only."""
    frame = final(seed=1, A=-6.0)
    frame["outcome"] = frame["outcome"].astype(object)
    gone = (frame["B"] == "on") & (frame["seed"] > 1)
    frame.loc[gone, "outcome"] = "diverged"
    frame.loc[gone, "fid"] = NAN
    findings = Findings(
        effects=analysed(frame, TWO, ["fid"]), ranks=rank_effects(frame, TWO, ["fid"], {})
    )
    assert conclusions(findings)[0].text == (
        "On fid, the first metric of the plan: A (on) helps; B (on) is worse by ranks only."
    )


def test_all_bad_tells_nothing_of_factors() -> None:
    frame = final()
    states = with_states(frame.assign(outcome="diverged"), {})
    said = texts(
        Findings(
            effects=[],
            cells=cell_outcomes(states),
            factors=factor_outcomes(states, TWO),
            rule=CollapseRule(),
        )
    )
    assert "All runs diverged or collapsed, so no factor can be seen to change how often." in said
    assert "No factor is shown" not in said


def test_one_bad_run_of_the_base_does_not_move_its_target() -> None:
    """The mean of 2, 2, 2 and 90 would be reached by all at once, that of 2, 2, 2 and 1.9 by one
    run of the base alone.
    """
    ends = {"bad": [2.0, 2.0, 2.0, 90.0], "good": [2.0, 2.0, 2.0, 1.9]}
    for values in ends.values():
        table = curve({("base", seed): [95.0, value] for seed, value in enumerate(values)})
        (base,) = efficiencies(table, "fid", "base", {})
        assert base.target == 2.0
        assert (base.median_steps, base.ratio) == (200.0, 1.0)


def test_all_well() -> None:
    states = with_states(final(), {})
    said = texts(Findings(effects=analysed(states, TWO, ["fid"]), cells=cell_outcomes(states)))
    assert "None of 24 runs diverged or collapsed." in said


def test_one_seed_says_nothing() -> None:
    frame = final()
    frame = frame[(frame["seed"] == 0) & ~((frame["A"] == "on") & (frame["B"] == "on"))]
    said = texts(Findings(effects=analysed(frame, TWO, ["fid"])))
    assert said.startswith("One seed allows no conclusions: no effect has an interval")
    assert "add seeds" in said
