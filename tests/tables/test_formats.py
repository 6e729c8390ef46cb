"""Every format holds the values, intervals, arrows and the perfect row, and stays text."""

from __future__ import annotations

import csv
import io
import json
import sys
from html.parser import HTMLParser

import pandas as pd
import pytest

from bench.errors import NothingFoundError, UsageError
from bench.tables.escaping import csv_cell
from bench.tables.formats import (
    FORMATS,
    to_csv,
    to_html,
    to_json,
    to_latex,
    to_markdown,
    to_parquet,
)
from bench.tables.frame import COLUMNS, table
from tests.records.test_score_record import record
from tests.reporting.complete import HOSTILE, entry
from tests.tables.three import three


def test_tidy_columns_of_the_interval() -> None:
    frame = table(three())
    first = frame.iloc[0]
    assert first["interval_low"] == pytest.approx(5.0 - 0.196)
    assert first["standard_error"] == pytest.approx(0.1)
    assert first["interval_method"] == "made up"
    best = frame[frame["significantly_best"]]
    assert best[["submission", "metric"]].to_numpy().tolist() == [["b", "fid"]]
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == COLUMNS


def test_bold_stands_where_the_best_is() -> None:
    assert "**2.01 \\[1.81, 2.21\\]**" in to_markdown(three())
    assert to_markdown(three()).count("**") == 4  # the title and the best value
    assert r"\textbf{2.01 [1.81, 2.21]}" in to_latex(three())
    assert to_latex(three()).count("textbf") == 1
    assert to_html(three()).count("<strong>") == 1


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"parquet"}))
def test_every_text_format_holds_values_and_perfect(name: str) -> None:
    text = FORMATS[name](three())
    assert isinstance(text, str)
    for part in ("fid", "recall", "0.25", "0.85"):
        assert part in text
    if name in ("latex", "html-table"):
        assert "perfect" in text
        assert "1.81, 2.21" in text
    with pytest.raises(NothingFoundError):
        FORMATS[name]([])


def test_csv_and_json_read_back() -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(three()))))
    assert [row["submission"] for row in rows] == ["a", "a", "b", "b", "c", "c"]
    assert float(rows[2]["value"]) == 2.01
    assert rows[2]["significantly_best"] == "True"
    assert rows[2]["reason"] == ""
    objects = json.loads(to_json(three()))
    assert objects[2]["value"] == 2.01
    assert objects[2]["reason"] is None
    assert list(objects[0]) == list(COLUMNS)


def test_parquet_reads_back_with_its_types() -> None:
    frame = pd.read_parquet(io.BytesIO(to_parquet(three())))
    pd.testing.assert_frame_equal(frame, table(three()), check_dtype=False)
    assert str(frame["n_fake"].dtype) == "Int64"


def test_parquet_without_pyarrow_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match="pip install pyarrow"):
        to_parquet(three())


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\r=1", "\n=1"])
def test_csv_cells_are_no_formulas(text: str) -> None:
    line = text.replace("\r", " ").replace("\n", " ").replace("\t", r"\x09")
    assert csv_cell(text) == f"'{line}"
    (row, *_) = csv.DictReader(io.StringIO(to_csv([record(text)])))
    assert row["submission"] == csv_cell(record(text).submission.name)
    assert row["submission"][0] in "'\\"


def test_csv_leaves_numbers_alone() -> None:
    (row, *_) = csv.DictReader(io.StringIO(to_csv([record("a", (entry("fid", -1.5),))])))
    assert row["value"] == "-1.5"
    assert csv_cell("a=1") == "a=1"


class _Texts(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_html_keeps_hostile_names_as_text() -> None:
    parser = _Texts()
    parser.feed(to_html([record(HOSTILE)]))
    assert parser.tags <= {"table", "caption", "thead", "tbody", "tr", "th", "td", "strong", "p"}
    assert HOSTILE in parser.texts


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"parquet", "json"}))
def test_no_format_holds_escape_bytes(name: str) -> None:
    """Of a record that was made without validation."""
    made = record("x", (entry("fid", 2.0, 0.1),))
    hostile = made.submission.model_copy(update={"name": "a\x1b[2J", "source": "\x9b31m"})
    text = FORMATS[name]([made.model_copy(update={"submission": hostile})])
    assert isinstance(text, str)
    assert text.replace("\n", "").isprintable()
    assert "x1b" in text
