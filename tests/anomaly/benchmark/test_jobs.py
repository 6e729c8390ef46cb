"""The one-class benchmark on committed digits: jobs, resuming, rows, page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from bench.anomaly import choices as naming
from bench.anomaly.benchmark import plan as benchmark
from bench.anomaly.benchmark.jobs import Cell, training_rows
from bench.anomaly.benchmark.page import render_benchmark
from bench.anomaly.benchmark.plan import Benchmark, Outcome, run_benchmark
from bench.anomaly.benchmark.records_file import RECORDS, keep_rows, read_rows
from bench.anomaly.detectors import DETECTORS, DetectorRow, DetectorSettings
from bench.data.datasets import Dataset
from bench.errors import InputError, NothingFoundError, UnknownNameError, UsageError
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


def test_rows_against_scikit_learn(outcome: Outcome, digits: dict[str, Dataset]) -> None:
    assert not outcome.failed
    classes = of_kind(outcome, "class")
    assert len(classes) == 3 + 3 * 2  # k-NN leaves nothing to chance: one seed
    train, test = digits["train"], digits["test"]
    for row in classes:
        if row["detector"] != "knn-pixels":
            continue
        alone = DETECTORS["knn-pixels"].make(DetectorSettings())
        alone.fit(train.images[train.labels == row["normal_class"]])
        expected = roc_auc_score(test.labels != row["normal_class"], alone.scores(test.images))
        assert row["auc"] == pytest.approx(expected, rel=1e-12)
        assert row["low"] < row["auc"] < row["high"]
        assert row["num_train"] == (train.labels == row["normal_class"]).sum()
        assert row["num_normal"] + row["num_anomalous"] == len(test.labels)
    means = {row["detector"]: row for row in of_kind(outcome, "mean")}
    for name, mean in means.items():
        own = [row["auc"] for row in classes if row["detector"] == name]
        assert mean["auc"] == pytest.approx(np.mean(own))
        assert mean["low"] < mean["auc"] < mean["high"] <= 1
    assert means["knn-pixels"]["seed_sd"] is None
    assert means["isolation-forest"]["seed_sd"] > 0
    (pair,) = of_kind(outcome, "pair")
    assert pair["estimate"] > 0  # the better one is the second
    assert pair["p_adjusted"] == pair["p_value"]


def test_contamination_is_what_it_says(outcome: Outcome, digits: dict[str, Dataset]) -> None:
    mixed = of_kind(outcome, "contamination")
    assert {(row["detector"], row["share"]) for row in mixed} == {
        (name, share) for name in PLAN.detectors for share in PLAN.shares
    }
    counts = np.bincount(digits["train"].labels)
    for row in mixed:
        wanted = round(row["share"] / (1 - row["share"]) * counts[1])
        assert row["num_train"] == counts[1] + wanted
        assert row["num_normal"] == (digits["test"].labels == 1).sum()
        assert row["num_anomalous"] == (digits["test"].labels == 2).sum()
    knn = {row["share"]: row["auc"] for row in mixed if row["detector"] == "knn-pixels"}
    assert knn[0.1] < knn[0.0]  # what was seen in training looks normal


def test_training_rows_by_hand() -> None:
    labels = np.array([0, 1, 0, 1, 1, 2, 0, 0, 0, 0, 0, 0])  # 8 of class 0, 3 of class 1
    cell = Cell(data="x", detector="pca", normal_class=0, seed=0, extractor="", budget="published")
    assert training_rows(labels, cell).tolist() == [0, 2, 6, 7, 8, 9, 10, 11]
    mixed = Cell(**{**vars(cell), "contaminant": 1, "share": 0.2})
    rows = training_rows(labels, mixed)  # 2 of 10 are 20 %
    assert len(rows) == 10
    assert (labels[rows] == 1).sum() == 2
    assert len({mixed.key, cell.key, Cell(**{**vars(mixed), "seed": 1}).key}) == 3
    with pytest.raises(InputError, match="are 8, and there are 3"):
        training_rows(labels, Cell(**{**vars(mixed), "share": 0.5}))
    with pytest.raises(InputError, match="no training images of class 7"):
        training_rows(labels, Cell(**{**vars(cell), "normal_class": 7}))


def test_the_same_command_does_only_what_is_missing(tmp_path: Path, outcome: Outcome) -> None:
    ledger = Ledger(tmp_path / "ledger")
    events: list[Event] = []
    again = run_benchmark(PLAN, ledger, "inline", on_event=events.append)
    assert {event.kind for event in events} == {"cached"}
    assert again.rows == outcome.rows
    begun: list[Event] = []
    more = changed(PLAN, num_seeds=3, pairs=())
    grown = run_benchmark(more, ledger, "inline", on_event=begun.append)
    assert sum(event.kind == "started" for event in begun) == 3  # the third seed of the forest
    assert len(of_kind(grown, "class")) == 3 + 3 * 3


def test_a_detector_that_fails_is_told_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_settings: DetectorSettings) -> Any:
        raise UsageError("pca cannot be made today")

    row = DETECTORS["pca"]
    monkeypatch.setitem(DETECTORS._rows, "pca", type(row)(**{**vars(row), "make": broken}))
    plan = Benchmark(detectors=("pca", "knn-pixels"), num_seeds=1)
    found = run_benchmark(plan, Ledger(tmp_path / "ledger"), "inline")
    assert len(found.failed) == 3
    assert "cannot be made today" in str(found.failed[0].message)
    assert [row["detector"] for row in of_kind(found, "mean")] == ["knn-pixels"]
    alone = Benchmark(detectors=("pca",), num_seeds=1)
    with pytest.raises(NothingFoundError, match="no job of 3 is done.*cannot be made today"):
        run_benchmark(alone, Ledger(tmp_path / "other"), "inline")


def test_names_and_groups() -> None:
    everything = naming.named_detectors("all")
    shallow, network = map(naming.named_detectors, ("shallow", "network"))
    assert set(everything) == {*shallow, *network}
    assert not {*shallow} & {*network}
    assert naming.named_detectors("pca, knn-pixels,pca") == ("pca", "knn-pixels")
    with pytest.raises(UnknownNameError, match="unknown detector 'knn'"):
        naming.named_detectors("knn")
    with pytest.raises(UsageError, match="no detector is named; valid: .*; all, shallow, network"):
        naming.named_detectors(" , ")
    assert (5, 7) in benchmark.neighbour_pairs(10)
    assert len(benchmark.all_pairs(10)) == 90


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pairs": ((1, 1),)}, r"pair \(1, 1\): expected two classes of 0 to 2"),
        ({"pairs": ((1, 3),)}, r"pair \(1, 3\)"),
        ({"shares": (1.0,)}, "share 1.0: expected at least 0 and less than 1"),
        ({"num_seeds": 0}, "0 seeds: expected 1 or more"),
        (
            {"data": "torchvision:KMNIST", "detectors": ("knn-features",)},
            "choose its features by --extractor",
        ),
    ],
)
def test_plans_that_cannot_be(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        benchmark.benchmark_cells(changed(PLAN, **changes))


def test_the_page(tmp_path: Path, outcome: Outcome) -> None:
    rows = keep_rows(tmp_path / RECORDS, outcome.rows)
    assert keep_rows(tmp_path / RECORDS, outcome.rows) == rows == read_rows(tmp_path / RECORDS)
    keep_rows(tmp_path / RECORDS, [{"kind": "run", "data": "mnist", "command": "latentbench x"}])
    page = render_benchmark(tmp_path).read_text()
    assert "Made by\n\n    latentbench x\n" in page
    best = max(of_kind(outcome, "mean"), key=lambda row: row["auc"])
    told = f"The best detector without labels is `{best['detector']}`: {100 * best['auc']:.2f}"
    assert told in page
    forest = next(r for r in of_kind(outcome, "mean") if r["detector"] == "isolation-forest")
    assert f"| 92.3 | {100 * forest['auc'] - 92.3:+.1f} |" in page
    assert "Normal 1, 2 mixed in:" in page
    assert "pairs of classes" not in page
    assert "Normal 5, 7 mixed in" not in page
    for name in ("mnist.svg", "mnist-contamination.svg"):
        assert (tmp_path / name).read_text().startswith("<?xml")


def test_a_detector_run_again_takes_the_place_of_its_old_rows(
    tmp_path: Path, outcome: Outcome
) -> None:
    path = tmp_path / RECORDS
    keep_rows(path, outcome.rows)
    knn = [row for row in outcome.rows if row.get("detector") == "knn-pixels"]
    other = {"class": {"seed": 7}, "mean": {"auc": 0.5, "seeds": [7]}}
    rows = keep_rows(path, [{**row, **other.get(row["kind"], {})} for row in knn])
    seeds = {r["seed"] for r in rows if (r["kind"], r.get("detector")) == ("class", "knn-pixels")}
    assert seeds == {7}  # those of the earlier run are gone
    assert {r["detector"] for r in rows if r["kind"] == "class"} == set(PLAN.detectors)
    assert "pair" not in {row["kind"] for row in rows}  # compared with what is no longer there
    trained = [{**row, "trains": row.get("detector") == "isolation-forest"} for row in rows]
    path.unlink()
    keep_rows(path, trained)
    assert "beat" not in render_benchmark(tmp_path).read_text()  # nothing is said untested


def test_a_page_without_records(tmp_path: Path) -> None:
    with pytest.raises(NothingFoundError, match="no records of a benchmark"):
        render_benchmark(tmp_path)
    assert not list(tmp_path.iterdir())


class Centroid:
    """Distance to the mean image; remembers how many were fitted together."""

    calls: list[int] = []  # noqa: RUF012  (of the class: workers make their own objects)

    def __init__(self, settings: DetectorSettings) -> None:
        assert settings.options == {"budget": "published"}

    def fit(self, normal: NDArray[np.uint8]) -> None:
        self.mean = normal.mean(axis=0)

    def fit_stack(self, others: Sequence[Any], normals: Sequence[NDArray[np.uint8]]) -> None:
        self.calls.append(len(normals))
        for one, normal in zip([self, *others], normals, strict=True):
            one.fit(normal)

    def scores(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        return np.square(images - self.mean).sum(axis=(1, 2, 3))


def test_classes_of_a_network_are_fitted_as_one_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = DetectorRow(name="centroid", title="t", source="s", make=Centroid, trains=True)
    monkeypatch.setitem(DETECTORS._rows, "centroid", row)
    monkeypatch.setattr(Centroid, "calls", [])
    plan = Benchmark(detectors=("centroid",), num_seeds=1)
    alone = run_benchmark(plan, Ledger(tmp_path / "alone"), "inline")
    assert not Centroid.calls
    stacked = run_benchmark(changed(plan, stack=2), Ledger(tmp_path / "stacked"), "inline")
    assert Centroid.calls == [2]  # of three classes, the third one is by itself
    for one, other in zip(of_kind(alone, "class"), of_kind(stacked, "class"), strict=True):
        assert (one["normal_class"], one["auc"]) == (other["normal_class"], other["auc"])


def _page(out: Path, rows: list[dict[str, Any]]) -> str:
    keep_rows(out / RECORDS, rows)
    return render_benchmark(out).read_text()


def test_budgets_stand_beside_each_other(tmp_path: Path, outcome: Outcome) -> None:
    rows = [row for row in outcome.rows if row.get("detector") == "knn-pixels"]
    trained = [{**row, "trains": True} for row in rows]
    keep_rows(tmp_path / RECORDS, trained)
    kept = keep_rows(tmp_path / RECORDS, [{**row, "budget": "cpu"} for row in trained])
    assert len(kept) == 2 * len(rows)


def test_comparisons_outlive_a_run_that_finds_the_same(tmp_path: Path, outcome: Outcome) -> None:
    """A second run shares a detector with the first; all p-values are adjusted together."""
    first = keep_rows(tmp_path / RECORDS, outcome.rows)
    again = run_benchmark(
        Benchmark(detectors=("knn-pixels", "pca"), num_seeds=1), Ledger(tmp_path / "l"), "inline"
    )
    kept = keep_rows(tmp_path / RECORDS, again.rows)
    pairs = [row for row in kept if row["kind"] == "pair"]
    assert {frozenset((r["first"], r["second"])) for r in pairs} == {
        frozenset(("knn-pixels", "isolation-forest")),
        frozenset(("knn-pixels", "pca")),
    }
    by_p = sorted(pairs, key=lambda row: row["p_value"])
    assert by_p[0]["p_adjusted"] == pytest.approx(min(1, 2 * by_p[0]["p_value"]))
    (alone,) = [row for row in first if row["kind"] == "pair"]
    assert alone["p_adjusted"] == alone["p_value"]


def test_tables_by_class(tmp_path: Path, outcome: Outcome) -> None:
    """AUC, average precision and FPR of every class, by the rows."""
    page = _page(tmp_path, outcome.rows)
    for title, key in (
        ("Average precision", "average_precision"),
        ("FPR at 95 % TPR", "fpr_at_95_tpr"),
    ):
        table = page.split(f"### {title} of each normal class")[1].split("###")[0]
        for name in PLAN.detectors:
            rows = [r for r in of_kind(outcome, "class") if r["detector"] == name]
            cells = [
                f"{100 * np.mean([r[key] for r in rows if r['normal_class'] == c]):.1f}"
                for c in range(3)
            ]
            assert f"| `{name}` | {' | '.join(cells)} |" in table


def test_contamination_has_intervals(tmp_path: Path, digits: dict[str, Dataset]) -> None:
    """Of one pair DeLong's, of the mean over pairs another draw of the test images they share."""
    plan = changed(PLAN, detectors=("knn-pixels",), pairs=((0, 1), (1, 2)), shares=(0.0, 0.1))
    found = run_benchmark(plan, Ledger(tmp_path / "ledger"), "inline")
    single = of_kind(found, "contamination")
    means = of_kind(found, "contamination-mean")
    assert [row["share"] for row in means] == [0.0, 0.1]
    for mean in means:
        own = [row for row in single if row["share"] == mean["share"]]
        assert mean["auc"] == pytest.approx(np.mean([row["auc"] for row in own]))
        assert mean["low"] < mean["auc"] < mean["high"] <= 1
        assert mean["num_pairs"] == 2
    page = _page(tmp_path, found.rows)
    assert "Mean over 2 pairs of classes (0+1, 1+2):" in page
    last = means[-1]
    told = f"{100 * last['auc']:.1f} [{100 * last['low']:.1f}, {100 * last['high']:.1f}]"
    assert told in page.split("Mean over 2 pairs")[1]
    alone = run_benchmark(changed(plan, pairs=((1, 2),)), Ledger(tmp_path / "ledger"), "inline")
    page = _page(tmp_path / "alone", alone.rows)
    row = next(r for r in of_kind(alone, "contamination") if r["share"] == 0.1)
    told = f"{100 * row['auc']:.1f} [{100 * row['low']:.1f}, {100 * row['high']:.1f}]"
    assert told in page.split("Normal 1, 2 mixed in:")[1]


def test_seeds_by_group_and_name(tmp_path: Path) -> None:
    names = ("knn-pixels", "isolation-forest", "ae-dense")
    assert naming.seed_counts("3", names) == dict.fromkeys(names, 3)
    assert naming.seed_counts("shallow=3, network=1", names) == {
        "knn-pixels": 3,
        "isolation-forest": 3,
        "ae-dense": 1,
    }
    found = naming.seed_counts("isolation-forest=4,shallow=2,1", names)
    assert found == {"knn-pixels": 2, "isolation-forest": 4, "ae-dense": 1}
    with pytest.raises(UnknownNameError, match="isolation-forrest"):
        naming.seed_counts("isolation-forrest=4", names)
    for wrong in ("", "0", "x", "shallow=", "2.5", "-1", "1001"):
        with pytest.raises(UsageError, match="--num-seeds"):
            naming.seed_counts(wrong, names)
    plan = changed(PLAN, seeds={"isolation-forest": 2}, num_seeds=1, pairs=())
    found_rows = run_benchmark(plan, Ledger(tmp_path / "ledger"), "inline")
    counts = {row["detector"]: row["num_seeds"] for row in of_kind(found_rows, "mean")}
    assert counts == {"knn-pixels": 1, "isolation-forest": 2}
    single = changed(plan, seeds={})
    alone = run_benchmark(single, Ledger(tmp_path / "ledger"), "inline")
    page = _page(tmp_path / "page", alone.rows)
    assert "One seed: `isolation-forest`. Their intervals describe another draw of test" in page
