"""The score table shows values with their intervals on terminals of any width."""

from __future__ import annotations

import pytest
from rich.console import Console

from bench.records.score_record import IntervalEntry, ScoreRecord, ScoreValue
from bench.tables.score_table import print_record
from tests.records.test_score_record import record
from tests.reporting.complete import entry


def value(metric: str, number: float | None, **more: object) -> ScoreValue:
    fields = {
        "metric": metric,
        "value": number,
        "reason": None if number is not None else "one image",
        "expected": 0.8425,
        "expected_source": "1,000 held-out real images",
        "direction": "lower",
        "unit": "x",
        "n_real": 60_000,
        "n_fake": 10_000,
    }
    return ScoreValue.model_validate(fields | more)


def interval(estimate: float, low: float, high: float) -> IntervalEntry:
    return IntervalEntry(
        estimate=estimate, standard_error=0.1, low=low, high=high, level=0.95, method="test"
    )


def whole() -> ScoreRecord:
    return record(
        values=(
            value("fid", 27.71, interval=interval(26.11, 25.213, 27.007)),
            value("inception_score", 9.206, spread=0.25, interval=interval(9.206, 9.07, 9.34)),
            value("kid_poly3", -1.053e-5, interval=interval(-1.053e-5, -3.5e-5, 1.4e-5)),
            value("modes_covered", 10, interval=interval(10, 10, 10)),
            value("class_kl", 0.0017),
            value("prd_f8", None),
        )
    )


def shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int
) -> list[str]:
    monkeypatch.setattr("bench.tables.score_table._console", lambda **_: Console(width=width))
    print_record(whole())
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_the_table_fits_and_keeps_value_interval_and_yardstick(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int
) -> None:
    lines = shown(monkeypatch, capsys, width)
    assert max(len(line) for line in lines if not line.startswith("signature")) <= width
    rows = {words[0]: " ".join(words) for line in lines if (words := line.split())}
    assert rows["fid"].startswith("fid 27.71 (26.1) 25.2 to 27.0")
    assert rows["inception_score"].startswith("inception_score 9.206 9.07 to 9.34")
    assert rows["kid_poly3"].startswith("kid_poly3 -1.053e-05")
    assert rows["modes_covered"].startswith("modes_covered 10 10")
    assert rows["prd_f8:"] == "prd_f8: no value, one image"
    header = rows["metric"]
    for name in ("value", "95 % interval", "perfect"):
        assert name in header
    for name, least in {"± sd": 140, "extractor": 100, "better": 80, "yours": 80}.items():
        assert (name in header) == (width >= least), name
    assert any(line.strip() == "extractor: digits" for line in lines) == (width < 100)


def test_an_interval_about_another_number_is_explained(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = " ".join(shown(monkeypatch, capsys, 140))
    assert "centred on the value after correction for bias: fid 26.11" in text
    assert "inception_score 9.206," not in text
    assert "in brackets: the corrected value, where the value lies outside its interval" in text


def test_copies_are_mentioned(capsys: pytest.CaptureFixture[str]) -> None:
    values = (entry("fid", 5.0, 0.1),)
    print_record(record(values=values).model_copy(update={"independent_images": 50.0}))
    assert "for 50 different images of" in " ".join(capsys.readouterr().out.split())


def test_a_record_without_intervals_has_no_such_column(capsys: pytest.CaptureFixture[str]) -> None:
    print_record(record())
    out = capsys.readouterr().out
    assert "interval" not in out
    assert "fid" in out


def test_what_compiling_cost_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "compiling" not in "\n".join(shown(monkeypatch, capsys, 80))
    told = record().model_copy(update={"timings_s": {"of these, compiling": 23.04}})
    print_record(told)
    assert "compiling the network took 23.0 s (once)" in capsys.readouterr().out
