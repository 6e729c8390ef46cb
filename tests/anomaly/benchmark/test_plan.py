"""What the benchmark cannot be asked for: told before anything is made or run, in Python and on the
command line; and what the list of detectors says of budgets.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from bench.__main__ import run
from bench.anomaly.benchmark import jobs as one_class
from bench.anomaly.benchmark.plan import Benchmark, run_benchmark
from bench.anomaly.benchmark.records_file import RECORDS
from bench.anomaly.choices import seed_counts
from bench.anomaly.detectors import DETECTORS
from bench.errors import EXIT_INVALID, EXIT_OK, EXIT_USAGE, UnknownNameError, UsageError
from bench.execution.ledger.ledger import Ledger
from bench.runtime.registry import Loadable, Unloadable
from tests.anomaly.conftest import use_digits
from tests.conftest import RealSample

COMMAND = ["anomaly", "--data", "mnist", "--executor", "inline", "--device", "cpu", "-q"]


@pytest.fixture(autouse=True)
def few_digits(mnist: RealSample, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Classes 0 and 1, and an empty current folder."""
    monkeypatch.chdir(tmp_path)
    use_digits(monkeypatch, mnist, below=2, num_train=200, num_test=100)


@pytest.fixture
def unfitted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may be fitted."""

    def fitted(*_: object) -> None:
        raise AssertionError("a job was run")

    for name in ("do_cell", "do_cells"):
        monkeypatch.setattr(one_class, name, fitted)


@pytest.mark.parametrize(
    ("changes", "kind", "message"),
    [
        ({"detectors": ()}, UsageError, "no detector is named; valid: knn-pixels, "),
        ({"budget": "x"}, UsageError, "budget 'x': expected published or cpu"),
        ({"device": "foo"}, UsageError, "device 'foo': expected cpu or cuda"),
        ({"stack": 0}, UsageError, "stack 0: expected 1 or more, or None"),
        ({"extractor": "foo"}, UnknownNameError, "unknown extractor 'foo'"),
    ],
)
def test_plans_that_cannot_be_made(
    changes: dict[str, Any], kind: type[UsageError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        Benchmark(**changes)


def test_plans_for_workers_that_have_what_is_not_here() -> None:
    """A node without a GPU may plan for those that have one."""
    assert Benchmark(device="cuda:1", stack=1, budget="cpu", extractor="hog").device == "cuda:1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2", "--num-seeds 1,2: more than one number for all; give one"),
        ("all=1,2", "more than one number for all"),
        ("shallow=1,2,shallow=1", "more than one number for shallow"),
        ("pca=1,pca=3", "more than one number for pca"),
        ("=3", "--num-seeds =3: no name before '='; expected a number of 1 to 1000, or NAME="),
        ("", "--num-seeds '': expected a number of 1 to 1000"),
    ],
)
def test_seeds_that_cannot_be(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        seed_counts(text, ["pca"])


@pytest.mark.usefixtures("unfitted")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--num-seeds", ""], "--num-seeds '': expected a number of 1 to 1000"),
        (["--num-seeds", "1,2"], "more than one number for all"),
        (["--num-seeds", "=3"], "no name before '='"),
        (["--contamination", ""], "--contamination '': expected none, lecture"),
        (["--executor", ""], "unknown executor ''"),
        (["--executor", "cloud"], "unknown executor 'cloud'"),
        (["--extractor", "foo"], "unknown extractor 'foo'"),
        (["--detectors", "knn-features", "--extractor", "foo"], "unknown extractor 'foo'"),
        (["--contamination", "lecture"], "pair (5, 7): expected two classes of 0 to 1"),
    ],
)
def test_commands_that_cannot_be(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run([*COMMAND, "--detectors", "pca", *options]) == EXIT_USAGE
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())  # no folder was made


@pytest.mark.usefixtures("unfitted")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--out", "afile/x"], "afile/x: results cannot be written there"),
        (["--out", "afile"], "afile: results cannot be written there"),
        (["--ledger", "afile"], "afile: finished fits cannot be written there"),
        (["--ledger", "afile/x"], "afile/x: finished fits cannot be written there"),
    ],
)
def test_places_that_cannot_be_written_are_told_before_the_fits(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("afile").write_text("x")
    places = {"--out": "results", "--ledger": "ledger"} | {options[0]: options[1]}
    given = [part for pair in places.items() for part in pair]
    assert run([*COMMAND, "--detectors", "pca", *given]) == EXIT_USAGE
    assert message in capsys.readouterr().err
    assert not Path("ledger", "jobs").exists()


def test_a_ledger_that_cannot_be_written_is_told_in_python(tmp_path: Path) -> None:
    (tmp_path / "afile").write_text("x")
    with pytest.raises(UsageError, match="afile: finished fits cannot be written there"):
        run_benchmark(Benchmark(detectors=("pca",)), Ledger(tmp_path / "afile"), "inline")


@pytest.mark.usefixtures("unfitted")
def test_records_that_are_none_are_told_before_the_fits(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("results").mkdir()
    Path("results", RECORDS).write_text('{"kind": "class", "data": "mnist"}\n')
    assert run([*COMMAND, "--detectors", "pca", "--out", "results"]) == EXIT_INVALID
    told = capsys.readouterr().err
    assert "line 1: no row of a benchmark (detector: Field required" in told
    assert not Path("runs").exists()


def test_what_a_group_loses_to_a_broken_package_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Loadable((DETECTORS.find("pca"),), (Unloadable("my-missing", "no module nomod"),))
    monkeypatch.setattr(type(DETECTORS), "loadable", lambda _self: broken)
    assert run([*COMMAND, "--detectors", "shallow"]) == EXIT_OK
    told = capsys.readouterr()
    assert "latentbench: my-missing omitted: no module nomod\n" in told.err
    assert "pca" in told.out
    assert run([*COMMAND, "--detectors", "pca"]) == EXIT_OK
    assert "my-missing" not in capsys.readouterr().err


def test_the_list_of_detectors_gives_both_budgets(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")  # the table loses columns, the budgets stay
    assert run(["detectors"]) == EXIT_OK
    shown = capsys.readouterr().out
    assert "  ae-conv: epochs 300, width 32; cpu: epochs 10, width 16\n" in shown
    budgets = shown.split("with --budget published; cpu:")[1]
    for row in map(DETECTORS.find, DETECTORS):
        assert (f"\n  {row.name}: " in budgets) == row.trains
        if row.trains:
            line = budgets.split(f"\n  {row.name}: ")[1].split("\n")[0]
            full, short = line.split("; cpu: ")
            assert f"epochs {row.constants['epochs']}" in full
            assert f"epochs {row.constants['cpu epochs']}" in short
