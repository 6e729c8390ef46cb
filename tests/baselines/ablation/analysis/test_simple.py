"""Simple effects within interactions, unequal variances, negligible effects; on published runs."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from baselines.ablation.analysis.analyse import Analysis, analyse
from baselines.ablation.analysis.effects import analysed, metric_effects
from baselines.ablation.analysis.simple import interacting, simple_effects, simple_frame
from baselines.ablation.report.effect_plots import BETTER, MUTED, WORSE, colour_of
from baselines.ablation.report.folder import read_about, read_records

COURSE = Path(__file__).parents[4] / "reports" / "ablation" / "course"
TWO = dict.fromkeys("ABC", ("off", "on"))


@pytest.fixture(scope="module")
def course() -> Analysis:
    return analyse(read_about(COURSE).parsed_plan, read_records(COURSE))


def test_label_noise_on_the_published_runs(course: Analysis) -> None:
    """It hurts FID by 1,760 on average, that is by -69 alone and by 3,595 beside the layer."""
    final = course.final
    found = {
        one.partner_level: one.effect
        for one in course.simple
        if (one.metric, one.factor) == ("fid", "label-noise")
    }
    for layer, expected, significant in (("off", -68.66, False), ("on", 3594.8, True)):
        own = final[final["minibatch-discrimination"] == layer]
        means = own.groupby("label-noise")["fid"].mean()
        assert found[layer].estimate == pytest.approx(means["on"] - means["off"])
        assert found[layer].estimate == pytest.approx(expected, abs=0.1)
        assert found[layer].is_significant == significant
    said = [one.text for one in course.sentences]
    (sentence,) = [text for text in said if text.startswith("label-noise (on) changes fid by ")]
    assert sentence.startswith("label-noise (on) changes fid by -68.7 [-183, +46], p ")
    assert "with minibatch-discrimination (off); +3,590 [" in sentence
    assert not any("worsens fid" in text or "1,760" in text for text in said)
    headline = next(text for text in said if text.startswith("On fid, the first metric"))
    assert "label-noise (on) with minibatch-discrimination (on)" in headline.partition(" hurt")[0]
    assert "label-noise (on) with minibatch-discrimination (off)" in headline.partition("shown")[2]


def test_negligible_effects_are_not_harmful(course: Analysis) -> None:
    """Coverage falls by .0003, where real images have .598: significant, and no harm."""
    coverage = next(one for one in course.effects if one.metric == "coverage_k5")
    layer = next(e for e in coverage.effects if e.term == ("minibatch-discrimination",))
    assert layer.is_significant
    assert layer.is_negligible
    assert colour_of("coverage_k5", layer) == MUTED
    text = next(
        one for one in course.sentences if one.text.startswith(f"{layer.name} (on) worsens cov")
    )
    assert text.tone == "note"
    assert "; negligible, less than 1% of what real images" in text.text
    fid = course.effects[0]
    noise = next(e for e in fid.effects if e.term == ("label-noise",))
    assert not noise.is_negligible
    assert colour_of("fid", noise) == WORSE
    modes = next(one for one in course.effects if one.metric == "modes_covered")
    assert not next(e for e in modes.effects if e.term == layer.term).is_negligible


def test_what_counts_as_negligible() -> None:
    """One percent of the median run or of real images, whichever is more; ranks have no limit."""
    frame = table(lambda a, _b, _c: 100 + 0.9 * a, noise=1e-3)
    small = metric_effects(frame, TWO, "fid").effects[0]
    assert small.is_negligible
    assert small.p_value is not None
    assert small.p_value < 1e-6
    frame = table(lambda a, _b, _c: 100 + 1.2 * a, noise=1e-3)
    assert not metric_effects(frame, TWO, "fid").effects[0].is_negligible
    assert metric_effects(frame, TWO, "fid", perfect=-130.0).effects[0].is_negligible
    assert (
        not metric_effects(frame, TWO, "fid", scale="ranks", perfect=-130.0)
        .effects[0]
        .is_negligible
    )
    assert colour_of("fid", metric_effects(frame, TWO, "fid").effects[0]) == MUTED  # not corrected
    assert colour_of("recall_k3", analysed(frame, TWO, ["fid"])[0].effects[0]) == BETTER


def table(
    mean: Callable[[int, int, int], float], noise: float, num_seeds: int = 5, seed: int = 0
) -> pd.DataFrame:
    """Runs of the 2^3 factorial; `mean` takes the three levels as 0 and 1."""
    generator = np.random.default_rng(seed)
    rows = []
    for cell in itertools.product((0, 1), repeat=3):
        named = {factor: ("off", "on")[level] for factor, level in zip("ABC", cell, strict=True)}
        for number in range(num_seeds):
            value = mean(*cell) + noise * generator.standard_normal()
            rows.append(
                {"cell": str(cell), "seed": number, "outcome": "finished", "fid": value} | named
            )
    return pd.DataFrame(rows)


def collapsing(seed: int = 0) -> pd.DataFrame:
    """10 of 40 runs, those with A and B, collapse to an FID of 3,000 +- 1,000; C lowers that of the
    other 30 from 100 by 20, with a standard deviation of 5.
    """
    generator = np.random.default_rng(seed)
    frame = table(lambda a, b, c: 0 if a and b else 100 - 20 * c, noise=5, seed=seed)
    both = (frame["A"] == "on") & (frame["B"] == "on")
    return frame.assign(fid=frame["fid"].where(~both, generator.normal(3000, 1000, len(frame))))


def test_collapsed_runs_do_not_drown_the_others() -> None:
    """Where B is off no run collapses, and the effect of A there has the interval of those runs."""
    frame = collapsing()
    analyses = analysed(frame, TWO, ["fid"])
    assert interacting(analyses[0]) == {"A": ("B",), "B": ("A",)}
    found = {
        (one.factor, one.partner_level): one.effect for one in simple_effects(frame, TWO, analyses)
    }
    alone, beside = found["A", "off"], found["A", "on"]
    assert alone.high is not None
    assert alone.low is not None
    assert alone.high - alone.low < 15, "3.3 of a standard deviation of 5, over 20 runs"
    assert alone.low < 0 < alone.high
    assert beside.estimate == pytest.approx(2900, abs=800)
    assert beside.is_significant


def test_a_quiet_cell_is_as_sure_as_its_own_runs_are() -> None:
    """One-at-a-time: B differs from the base by 3 in quiet cells, beside a cell of sd 1,000. The
    pooled variance would hide it; HC2 has the standard error of the two cells.
    """
    generator = np.random.default_rng(3)
    rows = [
        {"A": a, "B": b, "seed": seed, "fid": 3.0 * (b == "on") + sd * generator.standard_normal()}
        for a, b, sd in (("off", "off", 0.5), ("off", "on", 0.5), ("on", "off", 1000.0))
        for seed in range(6)
    ]
    frame = pd.DataFrame(rows)
    levels = {"A": ("off", "on"), "B": ("off", "on")}
    found = next(e for e in metric_effects(frame, levels, "fid").effects if e.name == "B")
    quiet = frame[frame["A"] == "off"]
    welch = stats.ttest_ind(
        *(quiet.loc[quiet["B"] == b, "fid"] for b in ("on", "off")), equal_var=False
    )
    assert found.estimate == pytest.approx(3, abs=1)
    pooled = frame.groupby(["A", "B"])["fid"].std().max() / np.sqrt(3)
    assert found.standard_error is not None
    assert found.standard_error < pooled / 2
    assert welch.pvalue < 1e-4


def test_without_an_interaction_there_is_nothing_within() -> None:
    frame = table(lambda a, b, _c: 100 + 30 * a + 20 * b, noise=1.0)
    analyses = analysed(frame, TWO, ["fid"])
    assert interacting(analyses[0]) == {}
    assert simple_effects(frame, TWO, analyses) == []
    assert simple_frame([]).empty


def test_holm_is_over_all_simple_effects(course: Analysis) -> None:
    rows = simple_frame(course.simple)
    assert len(rows) == 8  # two metrics, two factors, two levels
    raw = rows["p_value"].to_numpy()
    order = np.argsort(raw)
    expected = np.maximum.accumulate(np.minimum(1, (8 - np.arange(8)) * raw[order]))
    assert rows["p_holm"].to_numpy()[order] == pytest.approx(expected)
