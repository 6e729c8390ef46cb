"""Every format can be written from Python and from the command line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from PIL import Image

import bench
from bench.__main__ import run
from bench.errors import (
    EXIT_INVALID,
    EXIT_NOTHING_FOUND,
    EXIT_OK,
    EXIT_USAGE,
    InputError,
    UsageError,
)
from bench.records.pictures_file import write_exhibits
from bench.records.score_record import append_record, record_file_name, write_record
from bench.reporting import FORMATS, report
from bench.reporting.pull_request import markdown
from bench.reporting.sources import Scored
from bench.reporting.writing import render
from tests.records.test_score_record import record, value
from tests.reporting.complete import HOSTILE, complete, complete_record, entry
from tests.test_light_imports import modules_after

MAGIC = {"html": b"<!DOCTYPE html>", "png": b"\x89PNG", "parquet": b"PAR1", "json": b"["}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("num", [1, 2])
def test_every_format(tmp_path: Path, name: str, num: int) -> None:
    records = [complete_record(f"team-{seed}", seed) for seed in range(num)]
    path = report(records, tmp_path / "out", format=name)
    data = path.read_bytes()
    assert data.startswith(MAGIC.get(name, b""))
    if name not in ("png", "parquet"):
        assert b"team" in data


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("num", [1, 2])
def test_metrics_that_this_version_does_not_know_are_shown(name: str, num: int) -> None:
    """Every format shows the values of a record of another version or package."""
    foreign = entry("fid", 12.5, 0.1).model_copy(
        update={"metric": "foreign_metric", "direction": "target", "expected": None}
    )
    absent = value("absent_metric", None, "not computed")
    scored = [
        Scored(record(f"team-{place}", (foreign, entry("fid", 2.5, 0.1), absent)), {})
        for place in range(num)
    ]
    data = render(scored, name, use_cache=False)
    if name not in ("png", "parquet"):
        text = re.sub(r"<wbr>|\\", "", data.decode())
        for part in ("foreign_metric", "12.5", "absent_metric"):
            assert part in text, part


HEAVY = {"torch", "scipy.stats", "sklearn", "matplotlib"}


@pytest.mark.parametrize(
    "code",
    [
        "import bench.tables.console",
        "import bench.tables.score_table",
        "import bench.reporting",
        "import bench.reporting.sources",
        "from bench.__main__ import run; assert run([*arguments, 'csv']) == 0",
        "from bench.__main__ import run; assert run([*arguments, 'latex']) == 0",
    ],
)
def test_tables_and_lists_load_nothing_heavy(tmp_path: Path, code: str) -> None:
    path = tmp_path / "a.json"
    write_record(complete_record(), path)
    arguments = ["report", str(path), "--out", str(tmp_path / "out"), "--format"]
    assert not modules_after(f"arguments = {arguments}; {code}") & HEAVY


def test_the_ending_says_the_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert bench.report is report
    assert report(record()) == Path("report.html")
    assert report(record(), "x.csv").read_text().startswith("submission,")
    assert report(record(), format="md") == Path("report.md")
    with pytest.raises(UsageError, match="no format has this ending"):
        report(record(), "x.docx")
    with pytest.raises(UsageError, match="unknown format 'docx'"):
        report(record(), format="docx")
    with pytest.raises(InputError, match="not a score record"):
        report([3])  # type: ignore[list-item]


def test_records_from_files_and_memory_together(tmp_path: Path) -> None:
    write_record(record("stored"), tmp_path / "a.json")
    path = report([tmp_path, record("fresh")], tmp_path / "r.json")
    assert [row["submission"] for row in json.loads(path.read_text())] == ["stored", "fresh"]


def test_card_is_1200_by_630(tmp_path: Path) -> None:
    for name, scored in (("one", complete(1)), ("many", complete(12))):
        folder = tmp_path / name
        folder.mkdir()
        for one in scored:
            path = folder / record_file_name(one.record)
            write_record(one.record, path)
            write_exhibits(one.exhibits, path.with_suffix(".npz"))
        path = report(folder, tmp_path / f"{name}.png")
        with Image.open(path) as picture:
            assert picture.size == (1200, 630)
            assert len(set(picture.convert("L").tobytes())) > 20


def test_markdown_holds_words_table_and_findings() -> None:
    text = markdown(complete(2))
    assert "### team-1" in text
    assert "46 % of the images are nines (10 % expected)" in text
    assert "| fid ↓ |" in text
    assert "what to do: save them again" in text
    assert "latentbench score /x/samples" in text
    hostile = markdown([Scored(complete_record(HOSTILE), {})])
    assert "<img" not in hostile.replace("\\<img", "")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    append_record(complete_record("a", 1), tmp_path / "records.jsonl")
    (tmp_path / "notes.json").write_text("{}")
    out = tmp_path / "page.html"
    assert run(["report", str(tmp_path), "--out", str(out)]) == EXIT_OK
    captured = capsys.readouterr()
    assert f"html: {out} (1 record," in captured.out
    assert "notes.json: holds no score records, skipped" in captured.err
    assert out.read_bytes().startswith(b"<!DOCTYPE html>")


def test_the_command_on_stdout(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    write_record(record("a"), tmp_path / "a.json")
    assert run(["report", str(tmp_path / "a.json"), "--format", "csv", "--out", "-"]) == EXIT_OK
    assert capfdbinary.readouterr().out.startswith(b"submission,source,metric,")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["."], EXIT_NOTHING_FOUND),
        (["missing"], EXIT_USAGE),
        (["junk.json"], EXIT_INVALID),
        (["good.json", "--format", "docx"], EXIT_USAGE),
        (["good.json", "--out", "x.docx"], EXIT_USAGE),
        ([], EXIT_USAGE),
    ],
)
def test_exit_codes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int
) -> None:
    monkeypatch.chdir(tmp_path)
    if arguments and arguments[0] != ".":
        Path("junk.json").write_text("{}")
        write_record(record(), "good.json")
    assert run(["report", *arguments]) == code
