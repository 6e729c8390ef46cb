"""`latentbench ablate --example`: the plan that it prints runs as it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from baselines.ablation.design.plan import read_plan
from bench.__main__ import run
from bench.data import datasets
from bench.errors import EXIT_OK, EXIT_USAGE
from tests.conftest import RealSample
from tests.data.test_datasets import write_split

pytestmark = pytest.mark.usefixtures("_verbs")


@pytest.fixture
def plan_file(
    mnist: RealSample,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Path:
    """The printed plan in the working folder, and 200 digits as the data set MNIST."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LATENTBENCH_DATA", str(tmp_path / "data"))
    source = datasets.DATASETS["mnist"]._replace(sizes={"train": 200, "test": 200})
    monkeypatch.setitem(datasets.DATASETS, "mnist", source)
    for prefix in ("train", "t10k"):
        write_split(Path("data"), prefix, mnist, 200, zipped=False)
    assert run(["ablate", "--example"]) == EXIT_OK
    Path("plan.toml").write_text(capsys.readouterr().out)
    return Path("plan.toml")


def test_its_cells_and_costs(plan_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["ablate", str(plan_file), "--dry-run"]) == EXIT_OK
    assert "4 cells, 3 seeds, 2,000 steps" in capsys.readouterr().out
    assert read_plan(plan_file).num_evaluations == 3


def test_it_runs(plan_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With options that shorten it."""
    shorter = ["--num-steps", "48", "--num-seeds", "1", "-n", "40"]
    command = ["ablate", str(plan_file), *shorter, "--executor", "inline", "--device", "cpu", "-q"]
    assert run(command) == EXIT_OK
    assert "report: latentbench-ablation/example/report.html" in capsys.readouterr().out
    lines = Path("latentbench-ablation/example/records.jsonl").read_text().splitlines()
    assert len(lines) == 4
    evaluations = json.loads(lines[0])["result"]["evaluations"]
    assert len(evaluations) == 3
    assert set(evaluations[-1]["values"]) == {"fid", "precision_k3", "recall_k3", "modes_covered"}


def test_it_may_download_its_data(
    plan_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    downloads: list[Path] = []
    monkeypatch.setattr(
        "bench.data.datasets._download", lambda _source, root: downloads.append(root)
    )
    command = ["ablate", str(plan_file), "--dry-run", "--data-root", "elsewhere"]
    monkeypatch.delenv("LATENTBENCH_DATA")
    assert run(command) == EXIT_USAGE
    assert "with --download (of train, ablate," in capsys.readouterr().err
    assert not downloads
    assert run([*command, "--download"]) == EXIT_USAGE  # the replacement fetches nothing
    assert downloads == [Path("elsewhere")]
