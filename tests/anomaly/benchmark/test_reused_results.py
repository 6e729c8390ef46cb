"""Which results of a ledger a later run of the benchmark uses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.anomaly.benchmark import jobs as one_class
from bench.anomaly.benchmark import plan as benchmark
from bench.anomaly.benchmark.page import render_benchmark
from bench.anomaly.benchmark.plan import Benchmark, Outcome, run_benchmark
from bench.anomaly.benchmark.provenance import code_state, data_digest
from bench.anomaly.benchmark.records_file import RECORDS, keep_rows
from bench.data.datasets import Dataset
from bench.execution.ledger.ledger import Ledger
from bench.execution.scheduling import Event
from tests.anomaly.conftest import use_digits
from tests.conftest import RealSample

PLAN = Benchmark(
    detectors=("knn-pixels", "isolation-forest"), num_seeds=2, pairs=((1, 2),), shares=(0.0, 0.1)
)


@pytest.fixture(autouse=True)
def digits(mnist: RealSample, monkeypatch: pytest.MonkeyPatch) -> dict[str, Dataset]:
    """Classes 0, 1 and 2 of the committed digits: 400 images to train on, the others to judge."""
    return use_digits(monkeypatch, mnist, below=3, num_train=400)


@pytest.fixture
def outcome(tmp_path: Path) -> Outcome:
    return run_benchmark(PLAN, Ledger(tmp_path / "ledger"), "inline")


def of_kind(outcome: Outcome, kind: str) -> list[dict[str, Any]]:
    return [row for row in outcome.rows if row["kind"] == kind]


def changed(plan: Benchmark, **changes: Any) -> Benchmark:
    return Benchmark(**{**vars(plan), **changes})


def counted(plan: Benchmark, ledger: Ledger) -> tuple[Outcome, int]:
    """Rows, and how many fits were made for them."""
    events: list[Event] = []
    found = run_benchmark(plan, ledger, "inline", on_event=events.append)
    return found, sum(event.kind == "done" for event in events)


def test_a_result_says_what_it_was_made_of(tmp_path: Path, outcome: Outcome) -> None:
    for row in of_kind(outcome, "class"):
        assert len(row["data_digest"]) == len(row["code"]) == 64
        assert code_state(row, row["detector"], row["extractor"]) == "current"
        assert "code_state" not in row  # true of a moment only
        assert row["device"].startswith("cpu")
        assert (row["budget"], row["extractor"]) == ("published", "")
        expected = {"k": 5} if row["detector"] == "knn-pixels" else {"trees": 100, "samples": 256}
        assert expected.items() <= row["options"].items()
    assert len({row["code"] for row in of_kind(outcome, "class")}) == 2
    page = _page(tmp_path / "page", outcome.rows)
    assert "results" not in page.split("Computed on:")[1].split("###")[0]


def _page(out: Path, rows: list[dict[str, Any]]) -> str:
    keep_rows(out / RECORDS, rows)
    return render_benchmark(out).read_text()


def test_results_of_other_images_are_not_used(
    tmp_path: Path, digits: dict[str, Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One grey level of one test image: everything is run again, and the old results stay."""
    ledger = Ledger(tmp_path / "ledger")
    plan = Benchmark(detectors=("knn-pixels",), num_seeds=1)
    before, made = counted(plan, ledger)
    assert made == 3
    others = dict(digits)
    images = digits["test"].images.copy()
    images[0, 0, 0] ^= 1
    others["test"] = digits["test"]._replace(images=images)
    with monkeypatch.context() as patch:
        for module in (one_class, benchmark):
            patch.setattr(module, "split", lambda _data, name, _root: others[name])
        after, made = counted(plan, ledger)
        assert made == 3
        assert counted(plan, ledger)[1] == 0
        digests = {row["data_digest"] for row in of_kind(after, "class")}
        assert not digests & {row["data_digest"] for row in of_kind(before, "class")}
    again, made = counted(plan, ledger)
    assert made == 0
    assert again.rows == before.rows
    labels = np.roll(digits["test"].labels, 1)
    parts = digits["train"], digits["test"]._replace(labels=labels)
    assert data_digest(*parts) != data_digest(*digits.values())


def test_results_of_older_code_and_of_older_versions_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger(tmp_path / "ledger")
    plan = Benchmark(detectors=("knn-pixels", "pca"), num_seeds=1)
    monkeypatch.setattr(
        one_class, "detector_code", lambda row, _: "0" * 64 if row.name == "pca" else None
    )
    found, made = counted(plan, ledger)
    assert made == 6
    states = {
        (r["detector"], code_state(r, r["detector"], r["extractor"]))
        for r in of_kind(found, "class")
    }
    assert states == {("pca", "older"), ("knn-pixels", "not recorded")}
    page = _page(tmp_path / "page", found.rows)
    assert "3 of 6 results were made by older code than that which is here now (`pca`)" in page
    bare = [
        {k: v for k, v in row.items() if k not in ("data_digest", "code")}
        for row in found.rows
        if row.get("detector") == "knn-pixels"
    ]
    page = _page(tmp_path / "bare", bare)
    assert "3 of 3 results do not record their images, device and code" in page


def test_an_older_ledger_is_used_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results as older versions kept them: numbers alone, under the same name."""
    ledger = Ledger(tmp_path / "ledger")
    plan = Benchmark(detectors=("pca",), num_seeds=1)
    whole = one_class.do_cells
    new = ("data_digest", "device", "budget", "extractor", "code", "options")

    def older(payloads: Any, contexts: Any) -> list[dict[str, Any]]:
        found = whole(payloads, contexts)
        return [{k: v for k, v in one.items() if k not in new} for one in found]

    with monkeypatch.context() as patch:
        patch.setattr(one_class, "do_cells", older)
        run_benchmark(plan, ledger, "inline")
    found, made = counted(plan, ledger)
    assert made == 0
    (mean,) = of_kind(found, "mean")
    assert mean["device"] == "not recorded"
    page = _page(tmp_path / "page", found.rows)
    assert "Computed on: not recorded." in page
    assert "3 of 3 results do not record their images" in page


def test_what_features_have_seen_depends_on_the_data(tmp_path: Path) -> None:
    """`digits` has learnt MNIST's labels, `hog` nothing."""
    ledger = Ledger(tmp_path / "ledger")
    plan = Benchmark(detectors=("knn-features",), num_seeds=1)
    on_digits = run_benchmark(plan, ledger, "inline").rows
    on_hog = run_benchmark(changed(plan, extractor="hog"), ledger, "inline").rows
    labels = [{row["labels"] for row in rows if "labels" in row} for rows in (on_digits, on_hog)]
    assert labels == [{"data"}, {"none"}]
    page = _page(tmp_path / "hog", on_hog)
    assert "`knn-features` on hog |" in page
    assert "The best detector without labels is `knn-features` on hog" in page
    page = _page(tmp_path / "hog", on_digits)  # beside the other, not in its place
    assert "| `knn-features` on digits (trained on labels) |" in page
    assert "| `knn-features` on hog |" in page
    assert "Trained on: labels of this data (digits)." in page
