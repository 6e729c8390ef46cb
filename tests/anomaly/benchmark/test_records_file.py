"""The records file of benchmarks: what is a row of it, and runs that write at the same time."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from bench.anomaly.benchmark import records_file as kept_rows
from bench.anomaly.benchmark.page import render_benchmark
from bench.anomaly.benchmark.records_file import LOCK, RECORDS, keep_rows, read_rows
from bench.errors import InputError, UsageError
from bench.execution.ledger.claims import try_claim

Row = dict[str, Any]

ABOUT: Row = {"data": "mnist", "detector": "pca", "budget": "published", "extractor": ""}
NUMBERS: Row = {"auc": 0.9, "low": 0.8, "high": 0.95}
MORE: Row = {"average_precision": 0.9, "fpr_at_95_tpr": 0.5, "fit_s": 1.0, "score_s": 1.0}
DEVICE: Row = {"device": "cpu"}
ROWS: dict[str, Row] = {
    "class": {**ABOUT, **NUMBERS, **MORE, **DEVICE, "normal_class": 0, "seed": 0},
    "mean": {
        **ABOUT,
        **NUMBERS,
        **MORE,
        "labels": "none",
        "seen": "",
        "trains": False,
        "seeded": False,
        "seeds": [0],
        "num_seeds": 1,
    },
    "pair": {
        "data": "mnist",
        "first": "pca",
        "second": "kde",
        "estimate": 0.1,
        "low": 0.0,
        "high": 0.2,
        "p_value": 0.01,
        "p_adjusted": 0.01,
    },
    "contamination": {
        **ABOUT,
        **NUMBERS,
        **DEVICE,
        "normal_class": 0,
        "contaminant": 1,
        "share": 0.1,
    },
    "contamination-mean": {**ABOUT, **NUMBERS, "share": 0.1, "pairs": "0+1", "num_pairs": 1},
    "run": {"data": "mnist", "command": "latentbench x"},
}
OPTIONAL = {("class", "fit_s"), ("class", "score_s")}  # of the page only the mean's are read


def row_of(kind: str, **changes: Any) -> Row:
    return {"kind": kind, **ROWS[kind], **changes}


def run_row(command: str) -> Row:
    return row_of("run", command=command)


def written(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_a_file_of_one_row_of_each_kind_makes_a_page(tmp_path: Path) -> None:
    rows = [row_of(kind) for kind in ROWS]
    path = written(tmp_path / RECORDS, *map(json.dumps, rows), "", "  ")
    assert read_rows(path) == rows
    assert "| `pca` | 90.00 [80.00, 95.00] |" in render_benchmark(tmp_path).read_text()


@pytest.mark.parametrize("kind", ROWS)
def test_a_row_without_one_of_its_keys_is_told_before_the_page_needs_it(
    tmp_path: Path, kind: str
) -> None:
    """Without the checks `{"kind": "class", "data": "mnist"}` was a traceback after all fits."""
    whole = row_of(kind)
    for key in ROWS[kind]:
        bare = {k: v for k, v in whole.items() if k != key}
        path = written(tmp_path / RECORDS, json.dumps(whole), json.dumps(bare))
        if (kind, key) in OPTIONAL:
            assert read_rows(path) == [whole, bare]
            continue
        message = rf"records\.jsonl, line 2: no row .*{key}: Field required.*name another --out"
        with pytest.raises(InputError, match=message):
            read_rows(path)
        with pytest.raises(InputError, match=message):
            keep_rows(path, [run_row("x")])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"kind": "mean"', "JSON expected"),
        ("[1, 2]", "expected a JSON object, got list"),
        ("3", "expected a JSON object, got int"),
        ("{}", "kind"),
        ('{"kind": "median"}', "median"),
        ('{"kind": "class", "data": "mnist"}', "detector: Field required; .* more"),
        (json.dumps(row_of("mean", auc="0.9")), "auc: .*number"),
        (json.dumps(row_of("mean", auc=float("nan"))), "auc: .*finite"),
        (json.dumps(row_of("class", auc=1.5)), "auc: .*less than or equal to 1"),
        (json.dumps(row_of("mean", labels="some")), "labels: "),
        (json.dumps(row_of("class", normal_class="0")), "normal_class: .*integer"),
    ],
)
def test_a_line_that_is_no_row_is_told(tmp_path: Path, line: str, message: str) -> None:
    path = written(tmp_path / RECORDS, json.dumps(run_row("x")), line)
    with pytest.raises(InputError, match=rf"records\.jsonl, line 2: .*{message}.*remove it"):
        read_rows(path)


def test_what_is_no_text_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / RECORDS
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not a records file: .*remove it"):
        read_rows(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(InputError, match="not a records file: .*remove it"):
        read_rows(path)


def test_what_older_versions_kept_of_a_moment_is_read_and_dropped(tmp_path: Path) -> None:
    """`code_state` was true when it was written; the page finds it anew."""
    path = written(tmp_path / RECORDS, json.dumps(row_of("class", code_state="current")))
    assert read_rows(path) == [row_of("class")]
    keep_rows(path, [run_row("x")])
    assert "code_state" not in path.read_text()


def test_a_mean_whose_fits_are_not_there_has_dashes(tmp_path: Path) -> None:
    rows = [row_of("mean"), row_of("class", detector="kde"), row_of("class", normal_class=1)]
    page = tmp_path / RECORDS
    written(page, *map(json.dumps, [*rows, row_of("mean", detector="kde")]))
    told = render_benchmark(tmp_path).read_text()
    assert "| `pca` | - | 90.0 (7.5) |" in told
    assert "| `kde` | 90.0 (7.5) | - |" in told


def test_runs_that_end_at_the_same_time_lose_no_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / RECORDS
    whole = kept_rows.read_rows

    def slow(place: Path) -> list[Row]:
        found = whole(place)
        time.sleep(0.01)  # so that without a lock somebody writes in between
        return found

    monkeypatch.setattr(kept_rows, "read_rows", slow)
    runs = [
        threading.Thread(target=lambda k=k: [keep_rows(path, [run_row(f"{k} {i}")]) for i in "abc"])
        for k in range(4)
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert len(read_rows(path)) == 12


def test_records_and_page_wait_for_another_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep_rows(tmp_path / RECORDS, [run_row("first")])
    claim = try_claim(tmp_path / LOCK)
    assert claim is not None
    with claim:
        monkeypatch.setattr(kept_rows, "WAIT_S", 0.05)
        with pytest.raises(UsageError, match=r"\.records\.lock: another run has been writing"):
            keep_rows(tmp_path / RECORDS, [run_row("second")])
        with pytest.raises(UsageError, match=r"\.records\.lock: another run has been writing"):
            render_benchmark(tmp_path)
    assert not (tmp_path / "README.md").exists()
    assert len(keep_rows(tmp_path / RECORDS, [run_row("second")])) == 2
    assert "    second\n" in render_benchmark(tmp_path).read_text()
