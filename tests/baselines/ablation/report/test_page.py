"""The page and README.md, from results with known effects, and again from their records."""

from __future__ import annotations

import dataclasses
import json
import re
import xml.etree.ElementTree as ET
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from baselines.ablation.analysis.analyse import analyse
from baselines.ablation.analysis.results import RunResult
from baselines.ablation.design.cells import make_runs
from baselines.ablation.design.plan import AblationPlan
from baselines.ablation.design.presets import preset_plan
from baselines.ablation.report.folder import (
    about,
    grid_path,
    keep_grids,
    read_about,
    read_records,
    write_about,
    write_records,
)
from baselines.ablation.report.index import render_index, reports_in
from baselines.ablation.report.opening import opening
from baselines.ablation.report.page import render_again, write_report
from baselines.ablation.run.evaluated_runs import GRID
from bench.errors import InputError, NothingFoundError
from bench.execution.ledger.ledger import Ledger
from tests.baselines.ablation.analysis.test_analyse import METRICS, result_of
from tests.baselines.ablation.report.conftest import results


@pytest.fixture(scope="module")
def reported() -> AblationPlan:
    """With fewer figures."""
    return preset_plan("course", metrics=METRICS[:3], seeds=3)


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
    assert "non-saturating (on) improves fid" in text
    assert not re.search(r"\bnan\b", re.sub(r"data:image[^\"]*", "", text), re.IGNORECASE)


def test_readme_with_its_figures(out: Path) -> None:
    text = (out / "README.md").read_text()
    files = re.findall(r"!\[[^\]]*\]\(([^)]*)\)", text)
    assert len(files) == 14
    for name in files:
        assert (out / name).is_file()
        if name.endswith(".svg"):
            ET.fromstring((out / name).read_text())  # noqa: S314  (our own)
    assert text.index("## Conclusions") < text.index("## Effects")
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


def test_a_note_stands_first_and_the_index_shows_it(reported: AblationPlan, tmp_path: Path) -> None:
    for name in ("course", "other"):
        plan = reported.model_copy(update={"name": name})
        write_records(tmp_path / name, make_runs(plan), results(plan))
        described = about(plan, tmp_path / name, tmp_path / "ledger", command=f"ablate {name}")
        write_report(tmp_path / name, described)
    render_again(tmp_path / "course", note="Short <runs>: beginnings only.")
    readme = (tmp_path / "course" / "README.md").read_text()
    assert readme.startswith(
        "# Ablation course: course-gan on mnist\n\n> Short \\<runs\\>: beginnings only.\n"
    )
    page = (tmp_path / "course" / "report.html").read_text()
    note = "<p><strong>Short &lt;runs&gt;: beginnings only.</strong></p>"
    assert page.index("<h1>") < page.index(note) < page.index("Conclusions")
    assert reports_in(tmp_path) == [tmp_path / "course", tmp_path / "other"]
    assert reports_in(tmp_path / "other" / "ledger") == [tmp_path / "other"]
    render_index(tmp_path)
    index = (tmp_path / "README.md").read_text()
    assert "## [Ablation course: course-gan on mnist](course/README.md)" in index
    assert index.count("> Short") == 1
    assert "    ablate other\n" in index
    factors = "label-noise, replay-buffer, minibatch-discrimination, non-saturating"
    assert f"Factors: {factors}; 16 cells, full-factorial; 3 seeds; " in index
    assert index.count("is better with non-saturating (on), by 20") == 2


def test_the_opening_says_what_a_stranger_needs(reported: AblationPlan) -> None:
    """Effects of `results` are known: one trick helps, one hurts, the others do nothing."""
    runs = make_runs(reported)
    found = results(reported)
    texts = [one.text for one in opening(analyse(reported, found), runs)]
    assert 3 <= len(texts) <= 5
    assert texts[0] == (
        "48 models of the recipe course-gan learned mnist: 16 combinations of label-noise, "
        "replay-buffer, minibatch-discrimination and non-saturating, each with 3 random starts."
    )
    assert texts[1].endswith(
        "8 of 24 with minibatch-discrimination on and 0 of 24 with minibatch-discrimination off."
    )
    assert texts[2] == (
        "The fid, where lower is better, is better with non-saturating (on), by 20.1; undecided "
        "about label-noise, replay-buffer and minibatch-discrimination."
    )
    assert texts[3].startswith("Best mean fid of finished runs: 38.7 with replay-buffer + ")
    assert texts[3].endswith("60.4 with base levels; real images have 0.2.")
    short = [run for run in runs if run.seed == 0]
    short = [
        dataclasses.replace(run, config=run.config.model_copy(update={"num_steps": 4_690}))
        for run in short
    ]
    second = opening(analyse(reported, found), short)[1].text
    assert second.startswith("Training stopped after 10 % of the usual steps")
