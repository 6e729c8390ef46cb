"""The report: every part from results with a known truth, safe text, the same again from its own
records, and the study's pages.
"""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from baselines.ablation.analysis.analysis import Analysis, analyse
from baselines.ablation.analysis.conclusions import Findings, conclusions
from baselines.ablation.analysis.curves import CurvePoint
from baselines.ablation.analysis.results import RunResult
from baselines.ablation.analysis.wording import short
from baselines.ablation.design.budgets import CPU_BUDGETS
from baselines.ablation.design.cells import make_runs
from baselines.ablation.design.naming import cell_names, effect_name
from baselines.ablation.design.plan import AblationPlan
from baselines.ablation.design.presets import preset_plan
from baselines.ablation.report import figures
from baselines.ablation.report.course_plots import (
    CostGain,
    plot_arrows,
    plot_cost_gain,
    plot_curves,
)
from baselines.ablation.report.describing import budget, conflicts, design_facts
from baselines.ablation.report.effect_plots import BETTER, WORSE, plot_forest, plot_interactions
from baselines.ablation.report.records import (
    about,
    grid_path,
    keep_grids,
    read_about,
    read_records,
    write_about,
    write_records,
)
from baselines.ablation.report.report import render_again, write_report
from baselines.ablation.report.shown_tables import tables_of, to_markdown, with_bounds
from baselines.ablation.report.tables import NAMES, frames, write_tables
from baselines.ablation.run import published as study
from baselines.ablation.run.work import GRID
from bench.errors import InputError, NothingFoundError
from bench.execution.ledger.ledger import Ledger
from bench.plots import figure_svg, new_figure
from bench.reporting.picture import themed_svg
from tests.baselines.ablation.analysis.test_analysis import METRICS, changed, result_of


def results(plan: AblationPlan) -> dict[str, RunResult]:
    return {run.key: result_of(run) for run in make_runs(plan)}


@pytest.fixture(scope="module")
def plan() -> AblationPlan:
    return preset_plan("course", metrics=METRICS, seeds=3)


@pytest.fixture(scope="module")
def reported() -> AblationPlan:
    """With fewer figures."""
    return preset_plan("course", metrics=METRICS[:3], seeds=3)


@pytest.fixture(scope="module")
def analysis(plan: AblationPlan) -> Analysis:
    return analyse(plan, results(plan))


class Page(HTMLParser):
    """Headings, pictures and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.pictures: list[str] = []
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append(tag)
        self.anchors |= {found["id"]} if found.get("id") else set()
        if tag == "img":
            assert found.get("alt")
            self.pictures.append(found["src"] or "")
        if tag == "a":
            self.links.append(found["href"] or "")


@pytest.fixture(scope="module")
def out(reported: AblationPlan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on a course factorial, from records alone, with samples of two cells."""
    out = tmp_path_factory.mktemp("report")
    plan = reported
    write_records(out, make_runs(plan), results(plan))
    for cell in (0, 3):
        grid_path(out, cell).parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((60, 60), 40 * cell, np.uint8)).save(grid_path(out, cell))
    write_report(out, about(plan, out, out / "ledger", command="latentbench ablate <b>"))
    return out


def test_the_page_has_every_part_and_fetches_nothing(out: Path) -> None:
    text = (out / "report.html").read_text()
    page = Page(text)
    assert {"summary", "effects", "interactions", "outcomes", "learning", "tradeoffs", "samples",
            "cells", "design"} <= page.anchors  # fmt: skip
    assert all(link.removeprefix("#") in page.anchors for link in page.links)
    assert all(source.startswith("data:image/") for source in page.pictures)
    # 3 forests, 3 heat maps, the first metric by factor and 3 by cell, a plane, costs, 2 samples
    assert len(page.pictures) == 3 + 3 + 4 + 1 + 1 + 2
    assert "default-src 'none'" in unescape(text)
    assert "latentbench ablate &lt;b&gt;" in text
    assert "<b>" not in text
    assert "label-noise + replay-buffer" in text
    assert "non-saturating (on) helps fid" in text
    assert not re.search(r"\bnan\b", re.sub(r"data:image[^\"]*", "", text), re.IGNORECASE)


def test_readme_with_its_figures(out: Path) -> None:
    text = (out / "README.md").read_text()
    files = re.findall(r"!\[[^\]]*\]\(([^)]*)\)", text)
    assert len(files) == 14
    for name in files:
        assert (out / name).is_file()
        if name.endswith(".svg"):
            ET.fromstring((out / name).read_text())  # noqa: S314  (our own)
    assert text.index("## In words") < text.index("## Effects")
    assert "46,900 steps, the recipe's own" in text
    assert "| factor non-saturating | off: loss=minimax, on: loss=non-saturating |" in text


def test_the_same_again_from_its_own_records(out: Path, reported: AblationPlan) -> None:
    before = {name: (out / name).read_bytes() for name in ("README.md", "report.html")}
    render_again(out)
    assert {name: (out / name).read_bytes() for name in before} == before
    assert read_records(out) == results(reported)
    assert read_about(out).parsed_plan == reported
    lines = [json.loads(line) for line in (out / "records.jsonl").read_text().splitlines()]
    assert len(lines) == 48
    assert lines[0]["cell"].startswith("label-noise=off")


def test_what_an_earlier_report_left_is_removed(tmp_path: Path) -> None:
    """One of a factorial with Parquet tables, then one of a smaller plan with one metric and CSV;
    what is not ours stays.
    """
    out = tmp_path / "out"
    ledger = Ledger(tmp_path / "ledger")
    for metrics, factors, kind in (
        (["fid", "recall_k3"], ["label-noise", "replay-buffer"], "parquet"),
        (["fid"], ["label-noise"], "csv"),
    ):
        plan = preset_plan("course", metrics=metrics, factors=factors, seeds=2)
        found = {run.key: result_of(run) for run in make_runs(plan)}
        described = about(plan, out, ledger.root, command="c")
        write_about(out, described)
        assert not list(out.glob("grids/*")), "samples of other cells under the same numbers"
        write_records(out, make_runs(plan), found)
        for run in make_runs(plan):
            grid_path(out, run.cell).parent.mkdir(exist_ok=True)
            Image.fromarray(np.zeros((6, 6), np.uint8)).save(grid_path(out, run.cell))
        write_report(out, described, tables="csv" if kind == "csv" else "parquet")
        if kind == "parquet":
            first = {path.relative_to(out) for path in out.rglob("*")}
            (out / "mine.svg").touch()
            (out / "tables" / "mine.csv").touch()
    left = {path.relative_to(out) for path in out.rglob("*") if path.is_file()}
    assert Path("effects-recall_k3.svg") in first - left
    assert Path("tables/effects.parquet") in first - left
    assert Path("grids/cell-03.png") in first - left
    assert {Path("effects-fid.svg"), Path("tables/effects.csv"), Path("grids/cell-01.png"),
            Path("mine.svg"), Path("tables/mine.csv")} <= left  # fmt: skip
    text = (out / "README.md").read_text()
    assert {str(path) for path in left if path.suffix in (".svg", ".png")} == {
        *re.findall(r"!\[[^\]]*\]\(([^)]*)\)", text), "mine.svg"
    }  # fmt: skip


def test_samples_that_no_run_has_any_more_are_removed(tmp_path: Path) -> None:
    plan = preset_plan("course", metrics=["fid"], factors=["label-noise"], seeds=1)
    ledger = Ledger(tmp_path / "ledger")
    first, second = make_runs(plan)
    (ledger.work_folder(first.key)).mkdir(parents=True)
    (ledger.work_folder(first.key) / GRID).write_bytes(b"png")
    grid_path(tmp_path, second.cell).parent.mkdir()
    grid_path(tmp_path, second.cell).write_bytes(b"of an earlier plan")
    keep_grids(tmp_path, [first, second], ledger)
    assert [path.name for path in (tmp_path / "grids").iterdir()] == ["cell-00.png"]


def test_a_report_of_one_seed_claims_no_intervals(tmp_path: Path) -> None:
    plan = preset_plan("course", metrics=["fid", "precision_k3"], factors=["label-noise"], seeds=1)
    write_records(tmp_path, make_runs(plan), results(plan))
    write_report(tmp_path, about(plan, tmp_path, tmp_path / "ledger", command="c"))
    text = (tmp_path / "README.md").read_text()
    assert "2 cells, full-factorial; 1 seed; " in text
    assert "One seed: no intervals." in text
    for false in ("1 seeds", "intervals over seeds", "interval of the mean", "± "):
        assert false not in text
    assert "from 2 runs." in (tmp_path / "report.html").read_text()


def test_a_report_where_everything_diverged(tmp_path: Path) -> None:
    plan = preset_plan("course", metrics=["fid", "precision_k3", "recall_k3"], seeds=1)
    gone = {
        run.key: RunResult(key=run.key, outcome="diverged", reason="g_loss is not finite")
        for run in make_runs(plan)
    }
    write_records(tmp_path, make_runs(plan), gone)
    written = write_report(tmp_path, about(plan, tmp_path, tmp_path / "ledger", command="c"))
    assert any("No run finished" in said.text for said in written.sentences)
    assert not list(tmp_path.glob("*.svg"))
    assert "![" not in (tmp_path / "README.md").read_text()


def test_a_metric_that_never_varies_has_no_figures(tmp_path: Path) -> None:
    plan = preset_plan("course", metrics=["fid", "precision_k3", "recall_k3"], seeds=2)
    found = analyse(plan, changed(plan, precision_k3=0.0, recall_k3=0.0))
    names = {shown.name for shown in figures.figures_of(found)}
    assert {"effects-fid", "learning-fid"} <= names
    assert not {name for name in names if "precision" in name or "recall" in name}
    notes = [said.text for said in found.sentences]
    assert "On precision_k3, recall_k3: all runs have one and the same value, so that nothing " \
        "changes it." in notes  # fmt: skip


def test_a_band_does_not_set_the_axis() -> None:
    points = [CurvePoint("a", step, 3.0 + step, -500.0, 500.0, 2) for step in (0, 1)]
    low, high = plot_curves(points, "fid", ax=new_figure(4, 4).subplots()).get_ylim()
    assert (low, high) == (3.0 - 1.5, 4.0 + 1.5)


def test_numbers_in_words() -> None:
    assert short(1784.6, sign=True) == "+1,780"
    assert short(-123456.0) == "-123,000"
    assert short(0.04211) == "0.0421"
    assert short(351.2, digits=2) == "350"
    assert short(2.13e9) == "2.13e+09"


def test_damaged_folders(out: Path, tmp_path: Path) -> None:
    with pytest.raises(NothingFoundError, match="no ablation here"):
        render_again(tmp_path)
    (tmp_path / "plan.json").write_text("{")
    with pytest.raises(InputError, match=r"plan\.json cannot be read"):
        render_again(tmp_path)
    (tmp_path / "plan.json").write_bytes((out / "plan.json").read_bytes())
    with pytest.raises(NothingFoundError, match="none of 48 runs has a result"):
        render_again(tmp_path)
    (tmp_path / "records.jsonl").write_text('{"cell": 1}\n')
    with pytest.raises(InputError, match="line 1: not a record of a run"):
        render_again(tmp_path)


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
    assert set(frames(analysis)) == set(NAMES)


def test_a_forest_shows_what_the_effects_say(analysis: Analysis) -> None:
    fid = analysis.effects[0]
    ax = plot_forest(fid, ax=new_figure(4, 4).subplots())
    names = [tick.get_text() for tick in ax.get_yticklabels()]
    assert names == [effect_name(effect) for effect in fid.effects]
    marks = [line for line in ax.lines if line.get_marker() == "o"]
    places = {names[int(line.get_ydata()[0])]: line for line in marks}
    for effect in fid.effects:
        line = places[effect_name(effect)]
        assert line.get_xdata()[0] == effect.estimate
        assert (line.get_markerfacecolor() != "none") == effect.is_significant
    assert places["non-saturating"].get_color() == BETTER  # FID falls
    precision = next(one for one in analysis.effects if one.metric == "precision_k3")
    worse = plot_forest(
        type(precision)(**{**vars(precision), "metric": "fid"}), ax=new_figure(4, 4).subplots()
    )
    assert WORSE in {line.get_color() for line in worse.lines}  # the same rise, of a distance


def test_a_heat_map_has_mains_on_the_diagonal(analysis: Analysis) -> None:
    fid = analysis.effects[0]
    ax = plot_interactions(fid, ax=new_figure(4, 4).subplots())
    shown = {tuple(map(int, text.get_position())): text.get_text() for text in ax.texts}
    mains = [e for e in fid.effects if len(e.term) == 1]
    assert len(shown) == 4 + 6
    for place, effect in enumerate(mains):
        assert shown[place, place].rstrip("*") == f"{round(effect.standardised or 0, 1) + 0.0:+.1f}"
        assert shown[place, place].endswith("*") == effect.is_significant
    assert all(column >= row for column, row in shown)


def test_learning_curves_have_bands_and_names() -> None:
    points = [
        CurvePoint(group, step, 40.0 / step, 35.0 / step, 45.0 / step, 3)
        for group in ("base", "best", "other")
        for step in (1, 10)
    ]
    ax = plot_curves(
        points, "fid", ax=new_figure(4, 4).subplots(), named={"best": "noise", "base": "plain"}
    )
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["noise", "plain"]
    assert len(ax.lines) == 3
    assert len(ax.collections) == 2  # bands of the named ones
    assert ax.get_yscale() == "log"
    flat = [point._replace(mean=5.0) for point in points]
    assert plot_curves(flat, "fid", ax=new_figure(4, 4).subplots()).get_yscale() == "linear"


def test_the_best_cell_is_none_of_survivors(analysis: Analysis) -> None:
    """With the minibatch layer and without the non-saturating loss one of three seeds is left."""
    for metric in ("fid", "recall_k3", "coverage_k5"):
        named = list(figures.named_cells(analysis, metric))
        assert named[0] == analysis.base
        assert len(named) in (1, 2)
        lost = "minibatch-discrimination=on, non-saturating=off"
        assert not any(cell.endswith(lost) for cell in named)
    assert "non-saturating=on" in list(figures.named_cells(analysis, "fid"))[1]


def test_arrows_and_costs(analysis: Analysis) -> None:
    plane = [a for a in analysis.arrows if a.quality_metric == "precision_k3"]
    ax = plot_arrows(plane, ax=new_figure(4, 4).subplots())
    tips = {line.get_label(): line for line in ax.lines if not line.get_label().startswith("_")}
    arrow = next(a for a in plane if a.factor == "non-saturating")
    assert tips["non-saturating"].get_ydata()[0] == arrow.quality.start + arrow.quality.shift
    low, high = ax.get_ylim()
    assert low < arrow.quality.start < high
    points = [
        CostGain("a", 1.3, 1.2, 1.4, -20.0, -21.0, -19.0),
        CostGain("b", 1, None, None, 2, None, None),
    ]
    ax = plot_cost_gain(points, "fid", ax=new_figure(4, 4).subplots(), lower=True)
    bottom, top = ax.get_ylim()
    assert bottom > top  # better is up


def test_text_of_a_plot_keeps_its_digits() -> None:
    """Coordinates are rounded to what a screen shows, ticks are not."""
    figure = new_figure(3, 2)
    ax = figure.subplots()
    ax.plot([0, 1], [0, 1])
    ax.set_title("AUC 0.55312")
    ax.set_xticks([0.0125], ["0.0125"])
    svg = themed_svg(figure_svg(figure))
    root = ET.fromstring(svg)  # noqa: S314  (our own)
    texts = [node.text for node in root.iter() if node.tag.endswith("text")]
    assert {"AUC 0.55312", "0.0125"} <= set(texts)
    assert not re.search(r'd="[^"]*\d\.\d{3}', svg)


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
    told = {share.source: share.share for share in analysis.effects[0].shares}
    assert list(shares) == list(told)
    assert shares["non-saturating"] == f"{100 * told['non-saturating']:.0f} %"
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
    told = dict(facts)
    assert told["fraction"] == "2^(4-1) of resolution IV"
    assert told["generator"].startswith("non-saturating = label-noise x replay-buffer x")
    assert told["budget"] == "4,690 steps (10 % of the recipe's 46,900)"
    assert budget(plan, make_runs(plan)) == told["budget"]


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
    assert "protocols of scoring (code=1 in 1 run; code=2 in 1 run)" in other.text
    assert "trained on 2 different images (aaaaaaaa in 1 run; bbbbbbbb in 1 run)" in said.text


def test_the_headline_names_what_helps(analysis: Analysis) -> None:
    first = conclusions(Findings(effects=analysis.effects))[0]
    assert first.tone == "good"
    assert first.text == (
        "On fid, the first metric of the plan: non-saturating (on) helps; of label-noise (on), "
        "replay-buffer (on) and minibatch-discrimination (on) neither is shown."
    )


def test_the_study_runs_what_it_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plans = []

    class Finished:
        failed = ()
        analysis = object()

    def run(plan: AblationPlan, ledger: Path, **_options: object) -> Finished:
        plans.append(plan)
        out = tmp_path / "reports" / plan.name
        write_records(out, make_runs(plan), results(plan))
        return Finished()

    monkeypatch.setattr(study, "run_ablation", run)
    monkeypatch.setattr(
        study, "preset_plan", lambda name: preset_plan(name, metrics=["fid"], num_evaluations=1)
    )
    monkeypatch.setattr(
        study, "write_report", lambda out, described, _ledger, **_: write_report(out, described)
    )
    arguments = ["--out", str(tmp_path / "reports"), "--work", str(tmp_path / "runs")]
    study.main([*arguments, "--cpu-sized", "--presets", "course", "--seeds", "2"])
    (plan,) = plans
    assert plan.num_steps == CPU_BUDGETS["course-gan"]["num_steps"]
    page = (tmp_path / "reports" / "README.md").read_text()
    assert "## [course](course/README.md)" in page
    assert f"sized: {plan.num_steps:,} steps" in page
    assert "learning\\_rate=0.0005" in page  # among what the budget sets
    assert "--seeds 2 --cpu-sized" in page
    study.main([*arguments, "--presets", "course", "--render"])
    assert len(plans) == 1
    with pytest.raises(SystemExit) as ended:
        study.main([*arguments, "--presets", "tricks", "--render"])
    assert ended.value.code == 5
    assert "no ablation here" in capsys.readouterr().err
