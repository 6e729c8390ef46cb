"""A comparison on a terminal, in Markdown and as JSON."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bench
from bench.__main__ import run
from bench.comparing.comparison import Comparison, compare
from bench.comparing.views import escaped, headline, markdown, print_comparison
from bench.errors import EXIT_INVALID, EXIT_NOTHING_FOUND, EXIT_OK, EXIT_USAGE
from bench.records.score_record import append_record, record_file_name, write_record
from tests.comparing.made_records import normal, pair_of, scored, written
from tests.records.test_score_record import record

HOSTILE = "a|b`c`<img src=x>@user [x](http://evil.example)\n# big ![i](u) &amp; *b* www.x.de"


def test_exit_codes_and_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = written(tmp_path, *pair_of())
    assert run(["compare", *files]) == EXIT_INVALID
    out = capsys.readouterr().out
    for words in ("fid", "+0.6", "0.3228 to 0.8772", "regression", "1 regression (fid), 1 value"):
        assert words in out
    assert "prd_f8: no interval and no tolerance" in out
    assert run(["compare", *reversed(files)]) == EXIT_OK
    assert "no regression" in capsys.readouterr().out
    assert run(["compare", *files, "--tolerance", "fid=7%"]) == EXIT_OK
    assert run(["compare", *files, "--metrics", "prd_f8"]) == EXIT_OK
    assert run(["compare", files[0], files[0]]) == EXIT_OK
    capsys.readouterr()
    for wrong in (
        ["compare", *files, "--metrics", "nothing"],
        ["compare", *files, "--tolerance", "x"],
        ["compare", *files, "--format", "html"],
        ["compare", *files, "--out", str(tmp_path / "base.json" / "x")],
        ["compare", "absent.json", files[0]],
        ["compare", files[0], __file__],
        ["compare", files[0]],
    ):
        assert run(wrong) == EXIT_USAGE
        assert "Traceback" not in capsys.readouterr().err


def test_folders_are_read_as_a_report_reads_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A record in its own file and in records.jsonl counts once; other JSON does not count."""
    base, new = pair_of()
    for name, each in (("old", base), ("now", new)):
        append_record(each, tmp_path / name / "records.jsonl")
        write_record(each, tmp_path / name / record_file_name(each))
        (tmp_path / name / "other.json").write_text("[1]")
    folders = [str(tmp_path / name) for name in ("old", "now")]
    assert run(["compare", *folders]) == EXIT_INVALID
    assert "1 regression (fid), 1 value" in capsys.readouterr().out
    assert [one.signature for one in bench.read_records(folders[0])] == [base.signature]
    later = new.model_copy(update={"created_at": "2027-01-01T00:00:00+00:00"})
    append_record(later, tmp_path / "old" / "a.jsonl")
    assert bench.read_records(folders[0])[-1] == later
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "other.json").write_text("{}")
    assert run(["compare", folders[0], str(tmp_path / "empty")]) == EXIT_NOTHING_FOUND
    assert "empty: holds no score records" in capsys.readouterr().err


def test_jsonl_and_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base, new = pair_of()
    for name, each in (("base", base), ("new", base), ("new", new)):
        append_record(each, tmp_path / f"{name}.jsonl")
    files = [str(tmp_path / f"{name}.jsonl") for name in ("base", "new")]
    for form in ("text", "md", "json"):
        page = tmp_path / f"page.{form}"
        assert run(["compare", *files, "--format", form, "--out", str(page)]) == EXIT_INVALID
        assert capsys.readouterr().out == "1 regression (fid), 1 value judged\n"
        assert "regression" in page.read_text()


def test_json_is_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = written(tmp_path, *pair_of(HOSTILE))
    assert run(["compare", *files, "--format", "json"]) == EXIT_INVALID
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is False
    fid = told["changes"][0]
    assert (fid["metric"], fid["verdict"], fid["base"], fid["new"]) == ("fid", "regression", 9, 9.6)
    assert fid["p_value"] == pytest.approx(2.2e-5, rel=0.01)  # 2 sf(0.6 / (0.1 sqrt 2) = 4.243)
    assert told["signatures"] == [[each.signature for each in pair_of(HOSTILE)]]


def test_markdown_escapes_what_comes_from_outside() -> None:
    pairs = [pair_of(HOSTILE), pair_of("b")]
    page = markdown(compare(*([pair[side] for pair in pairs] for side in (0, 1))))
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 4
    assert len({row.count("|") for row in rows}) == 1
    for char in "`<@[*!":
        ours = ("**regression**", "< 0.0001")
        assert all(char not in row.replace(ours[0], "").replace(ours[1], "") for row in rows[2:])
    assert "<img" not in page
    assert "http:" not in page
    assert "&#124;" in page


@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from("_.:a1 |\n`*<&@["))))
def test_escaped_text_holds_no_markup(text: str) -> None:
    found = escaped(text)
    bare = re.sub(r"&#\d+;", "", found)
    assert all(char.isalnum() or char in " ,()=-_.:" for char in bare)
    assert not re.search(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|(?<!\d)\.|:(?! )", found)


def test_escaped_text_reads_as_it_was() -> None:
    assert html.unescape(escaped(HOSTILE)) == " ".join(HOSTILE.split())
    assert escaped("fid_infinity: 1.5 (0.1.0)") == "fid_infinity: 1.5 (0.1.0)"


@pytest.mark.parametrize("width", [80, 140])
def test_the_table_fits_the_terminal(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    base = scored(normal("inception_score", -1.2345e-5, 1e-7), normal("fid", 12345.678, 0.1))
    new = scored(normal("inception_score", 9.8765, 1e-7), normal("fid", 12.6, 0.1), images="d")
    comparison = compare(base, new)
    print_comparison(comparison, Console(width=width))
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= width
    for words in ("inception_score", "-1.234e-05", "regression", "improvement", "< 0.0001"):
        assert words in out
    assert ("95 % interval" in out) == (width == 140)


def test_public_names() -> None:
    assert bench.compare is compare
    assert bench.Comparison is Comparison
    assert headline(bench.compare(record(), record())) == "no regression, 1 value judged"
