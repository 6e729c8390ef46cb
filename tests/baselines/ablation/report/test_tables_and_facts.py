"""Tables as files and as text, names, and facts about a plan and its results."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from baselines.ablation.analysis.analyse import Analysis
from baselines.ablation.analysis.conclusions import Findings, conclusions, short
from baselines.ablation.design.cells import make_runs
from baselines.ablation.design.plan import AblationPlan
from baselines.ablation.design.presets import preset_plan
from baselines.ablation.design.short_names import cell_names
from baselines.ablation.report.facts import budget, conflicts, design_facts
from baselines.ablation.report.frames import NAMES, frames, write_tables
from baselines.ablation.report.shown_tables import tables_of, to_markdown, with_bounds
from tests.baselines.ablation.report.conftest import results


def test_tables_as_files(analysis: Analysis, tmp_path: Path) -> None:
    write_tables(analysis, tmp_path / "csv")
    write_tables(analysis, tmp_path / "parquet", "parquet")
    for name, frame in frames(analysis).items():
        csv = pd.read_csv(tmp_path / "csv" / f"{name}.csv")
        parquet = pd.read_parquet(tmp_path / "parquet" / f"{name}.parquet")
        assert list(csv) == list(parquet) == list(frame)
        assert len(csv) == len(parquet) == len(frame)
    effects = pd.read_csv(tmp_path / "csv" / "effects.csv")
    first = analysis.effects[0].effects[0]
    assert effects.loc[0, "estimate"] == pytest.approx(first.estimate, rel=1e-12)
    assert set(frames(analysis)) == set(NAMES) - {"simple"}  # no significant interaction


def test_names_and_bounds(plan: AblationPlan) -> None:
    names = cell_names(plan)
    assert list(names.values())[:3] == ["base levels", "non-saturating", "minibatch-discrimination"]
    assert len(set(names.values())) == 16
    latent = cell_names(preset_plan("latent"))
    assert "model.latent_dim=10 + latent=uniform" in latent.values()
    assert with_bounds(-4.2, -6.1, -2.3, sign=True) == "-4.2\n[-6.1, -2.3]"
    assert with_bounds(1e-15, -0.7, 0.7, sign=True) == "+0\n[-0.7, +0.7]"
    assert with_bounds(1.5, None, None) == "1.5"


def test_tables_as_text(analysis: Analysis) -> None:
    found = {table.anchor: table for table in tables_of(analysis)}
    assert set(found) == {"effects-table", "variance-table", "cells-table", "outcomes-table",
                          "differences-table", "efficiency-table"}  # fmt: skip
    shares = {row[0]: row[1] for row in found["variance-table"].rows}
    expected = {share.source: share.share for share in analysis.effects[0].shares}
    assert list(shares) == list(expected)
    assert shares["non-saturating"] == f"{100 * expected['non-saturating']:.1f} %"
    for table in found.values():
        assert all(len(row) == len(table.heads) for row in table.rows)
        lines = to_markdown(table)
        assert len({line.count("|") for line in lines if line.startswith("|")}) == 1
    assert len(found["cells-table"].rows) == 16 + 1
    assert found["cells-table"].rows[-1][:3] == ("real images", "", "0.2")
    assert len(found["differences-table"].rows) == 15


def test_facts_of_a_fraction() -> None:
    plan = preset_plan("course", design="fractional-factorial", resolution=4, num_steps=4690)
    facts = design_facts(plan, make_runs(plan))
    expected = dict(facts)
    assert expected["fraction"] == "2^(4-1) of resolution IV"
    assert expected["generator"].startswith("non-saturating = label-noise x replay-buffer x")
    assert expected["budget"] == "4,690 steps (10 % of the recipe's 46,900)"
    assert budget(plan, make_runs(plan)) == expected["budget"]


def test_results_that_do_not_fit_together_are_told(plan: AblationPlan) -> None:
    found = results(plan)
    assert conflicts(found) == []
    first, second, *_ = found
    found[first] = found[first].model_copy(update={"data_digest": "a" * 64, "protocol": "x"})
    found[second] = found[second].model_copy(update={"data_digest": "b" * 64, "protocol": "x"})
    (said,) = conflicts(found)
    assert said.tone == "bad"
    found[second] = found[first].model_copy(update={"protocol": "x|code=2"})
    found[first] = found[first].model_copy(update={"protocol": "x|code=1"})
    (other,) = conflicts(found)
    assert "scoring protocols (code=1 in 1 run; code=2 in 1 run)" in other.text
    assert "2 different sets of training images (aaaaaaaa in 1 run; bbbbbbbb in 1 run)" in said.text


def test_numbers_in_words() -> None:
    assert short(1784.6, sign=True) == "+1,780"
    assert short(-123456.0) == "-123,000"
    assert short(0.04211) == "0.0421"
    assert short(351.2, digits=2) == "350"
    assert short(2.13e9) == "2.13e+09"


def test_the_headline_names_what_helps(analysis: Analysis) -> None:
    first = conclusions(Findings(effects=analysis.effects))[0]
    assert first.tone == "good"
    assert first.text == (
        "On fid, the first metric of the plan: non-saturating (on) helps; no effect is shown for "
        "label-noise (on), replay-buffer (on) and minibatch-discrimination (on)."
    )
