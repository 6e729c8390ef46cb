"""`latentbench ablate`: its words, its exit codes, what it writes and what not."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from baselines.ablation.analysis.analyse import Analysis, analyse
from baselines.ablation.design.budgets import CELL_BUDGETS
from baselines.ablation.design.plan import read_plan
from baselines.ablation.design.presets import PRESETS, changed_plan, preset_plan
from baselines.ablation.report.folder import read_about
from baselines.ablation.run.plan_jobs import jobs_of
from baselines.ablation.run.training_jobs import Surroundings
from bench.__main__ import run
from bench.errors import (
    EXIT_INTERRUPTED,
    EXIT_INVALID,
    EXIT_NOTHING_FOUND,
    EXIT_OK,
    EXIT_USAGE,
    UsageError,
)
from bench.execution.executors.executors import executor_for
from bench.execution.ledger.attempts import Attempt
from bench.execution.ledger.ledger import Ledger
from bench.execution.ledger.work import Job
from bench.execution.scheduling import run_jobs
from tests.baselines.ablation import works
from tests.baselines.ablation.conftest import MakePlan, tiny, toml_of
from tests.test_light_imports import HEAVY, modules_after

pytestmark = pytest.mark.usefixtures("_verbs")

Write = Callable[..., Path]


@pytest.fixture
def write(digits_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes plan.toml into the working folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def written(**changes: Any) -> Path:
        path = folder / "plan.toml"
        path.write_text(toml_of(tiny(digits_file, **changes)))
        return path

    return written


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_the_verb_loads_nothing_heavy() -> None:
    assert not modules_after("import baselines.cli.ablate") & set(HEAVY)


def test_from_a_plan_to_its_report(
    write: Write, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    write(name="tiny")
    arguments = ["ablate", "plan.toml", "--executor", "inline", "--device", "cpu"]
    assert run(["ablate", "plan.toml", "--dry-run"]) == EXIT_OK
    assert files(tmp_path / "here") == ["plan.toml"]  # nothing is written
    shown = capsys.readouterr().out
    assert "2 cells, 2 seeds, 40 steps" in shown
    assert "label-noise=on" in shown
    assert "4 of 4 runs to do" in shown
    assert run([*arguments, "--quiet"]) == EXIT_OK
    said = capsys.readouterr().out
    assert "Of 4 runs 0 diverged and 4 collapsed" in said or "None of 4 runs" in said
    assert "report: latentbench-ablation/tiny/report.html" in said
    out = tmp_path / "here" / "latentbench-ablation" / "tiny"
    assert {"README.md", "plan.json", "records.jsonl", "report.html"} <= set(files(out))
    before = (out / "records.jsonl").read_bytes()
    assert len(before.splitlines()) == 4
    assert run([*arguments, "--status"]) == EXIT_OK
    assert "4 runs: 4 done" in capsys.readouterr().out
    page = (out / "report.html").read_bytes()
    (out / "report.html").unlink()
    assert run(["ablate", "report", str(out / "ledger")]) == EXIT_OK
    assert (out / "report.html").read_bytes() == page
    assert (out / "records.jsonl").read_bytes() == before
    assert run(["ablate", "plan.toml", "--dry-run", "--num-steps", "56"]) == EXIT_OK
    shown = capsys.readouterr().out
    assert "changed: 4 runs of the ledger have another configuration" in shown
    assert "num_steps: 40 -> 56 (4 runs)" in shown
    assert run(["ablate", "plan.toml", "--dry-run", "--num-seeds", "1"]) == EXIT_OK
    shown = capsys.readouterr().out
    assert "orphans: 2 runs of the ledger are not in this plan" in shown
    assert "0 of 2 runs to do" in shown


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"factors": ["label-nois"]}, "Did you mean 'label-noise'"),
        ({"factors": ["spectral-norm", "weight-clipping"]}, "cannot be combined"),
        ({"factors": ["label-noise"], "design": "fractional-factorial"}, "give a resolution"),
        ({"metrics": ["fidd"]}, "unknown metric 'fidd'"),
        ({"colour": "seven"}, "unknown key of"),
        ({"reference": "mnis"}, "unknown reference 'mnis'"),
        ({"extractor": "digit"}, "Did you mean 'digits'"),
        ({"data": "nowhere"}, "unknown data set 'nowhere'"),
    ],
    ids=["factor", "conflict", "design", "metric", "key", "reference", "extractor", "data"],
)
def test_a_plan_that_cannot_be_run_is_refused_before_anything_is_written(
    changes: dict[str, Any],
    message: str,
    write: Write,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write(**changes)
    for way in (["--executor", "inline"], ["--dry-run"], ["--emit-slurm", "jobs"]):
        assert run(["ablate", "plan.toml", *way]) == EXIT_USAGE
        assert message in capsys.readouterr().err
        assert files(tmp_path / "here") == ["plan.toml"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], EXIT_USAGE, "one of the presets tricks, course"),
        (["cours"], EXIT_USAGE, "Did you mean 'course'"),
        (["none.toml"], EXIT_USAGE, "none.toml: cannot be read: "),
        (["status"], EXIT_USAGE, "give the folder of an ablation"),
        (["status", "."], EXIT_NOTHING_FOUND, "no ledger of an ablation here"),
        (["report", "."], EXIT_NOTHING_FOUND, "no ablation here (plan.json is missing)"),
        (["course", "folder"], EXIT_USAGE, "a folder goes with status and report only"),
        (["course", "--num-steps", "5", "--share", "0.5"], EXIT_USAGE, "both set the length"),
        (["course", "--executor", "nowhere"], EXIT_USAGE, "unknown executor 'nowhere'"),
    ],
)
def test_refusals(
    arguments: list[str],
    code: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["ablate", *arguments]) == code
    assert message in capsys.readouterr().err
    assert files(tmp_path) == []


def test_what_there_is_of_an_interrupted_ablation_is_reported(
    write: Write, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_run(jobs: list[Job], *arguments: Any, **options: Any) -> None:
        run_jobs(jobs[:1], *arguments, **options)
        raise KeyboardInterrupt

    write(num_evaluations=1)
    arguments = ["ablate", "plan.toml", "--executor", "inline", "--device", "cpu", "--quiet"]
    with monkeypatch.context() as patched:
        patched.setattr("baselines.ablation.run.run_ablation.run_jobs", one_run)
        assert run(arguments) == EXIT_INTERRUPTED
    out = Path("latentbench-ablation/tiny")
    assert (out / "plan.json").is_file()
    assert not (out / "report.html").exists()
    capsys.readouterr()
    assert run(["ablate", "report", str(out)]) == EXIT_OK
    assert "3 of 4 runs have no result yet." in capsys.readouterr().out
    assert run(["ablate", "status", str(out)]) == EXIT_OK
    assert "4 runs: 3 todo, 1 done" in capsys.readouterr().out
    assert run(arguments) == EXIT_OK
    assert "no result yet" not in capsys.readouterr().out


def test_status_is_of_the_plan_and_tells_orphans(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write(num_evaluations=1)
    arguments = ["ablate", "plan.toml", "--executor", "inline", "--device", "cpu", "--quiet"]
    assert run(arguments) == EXIT_OK
    assert run([*arguments, "--num-seeds", "1"]) == EXIT_OK
    out = Path("latentbench-ablation/tiny")
    for place in (out, out / "ledger"):
        capsys.readouterr()
        assert run(["ablate", "status", str(place)]) == EXIT_OK
        shown = capsys.readouterr().out
        assert "2 runs: 2 done" in shown
        assert "orphans: 2 runs of the ledger are not in this plan" in shown
    (out / "plan.json").unlink()
    assert run(["ablate", "status", str(out)]) == EXIT_OK
    assert "4 runs: 4 done" in capsys.readouterr().out


def test_results_are_analysed_once(
    write: Write, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    times = []

    def counted(*arguments: Any) -> Analysis:
        times.append(arguments)
        return analyse(*arguments)

    for module in ("run.run_ablation", "report.page"):
        monkeypatch.setattr(f"baselines.ablation.{module}.analyse", counted)
    write(num_evaluations=1, seeds=1)
    assert run(["ablate", "plan.toml", "--executor", "inline", "--quiet"]) == EXIT_OK
    assert len(times) == 1
    assert "One seed allows no conclusions" in capsys.readouterr().out
    assert run(["ablate", "report", "latentbench-ablation/tiny"]) == EXIT_OK
    assert len(times) == 2


def test_a_report_tells_the_whole_command(write: Write) -> None:
    write(num_evaluations=1)
    given = ["ablate", "plan.toml", "--num-seeds", "3", "--data-root", "my data", "--device", "cpu",
             "--out", "here", "--ledger", "b"]  # fmt: skip
    assert run([*given, "--emit-slurm", "jobs"]) == EXIT_OK
    assert shlex.split(read_about(Path("here")).command) == ["latentbench", *given]


def test_a_dry_run_tells_what_its_estimate_rests_on(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write(num_evaluations=1, seeds=1)
    assert run(["ablate", "plan.toml", "--dry-run"]) == EXIT_OK
    shown = capsys.readouterr().out
    assert "2 cells, 1 seed, 40 steps" in shown
    # two evaluations of 40 images: 2 x (1.2 + .022) s
    assert "2 of 2 runs to do: about 0 s of training and 2 s of sampling and scoring" in shown
    assert "measured on one core of a CPU" in shown
    assert run(["ablate", "plan.toml", "--executor", "inline", "--quiet"]) == EXIT_OK
    capsys.readouterr()
    assert run(["ablate", "plan.toml", "--dry-run", "--num-seeds", "2"]) == EXIT_OK
    assert "one run at a time, estimated from finished runs" in capsys.readouterr().out
    assert run(["ablate", "plan.toml", "--dry-run"]) == EXIT_OK
    assert "\n0 of 2 runs to do\n" in capsys.readouterr().out


def test_failed_runs_end_with_1(
    write: Write, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: object, **_options: object) -> None:
        raise RuntimeError("gone.npz went away in the middle")

    monkeypatch.setattr("baselines.runs.jobs.train_stack", broken)
    write(seeds=1)
    assert run(["ablate", "plan.toml", "--executor", "inline", "--quiet"]) == EXIT_INVALID
    errors = capsys.readouterr().err
    assert "2 runs failed:" in errors
    assert "gone.npz" in errors
    assert run(["ablate", "status", "latentbench-ablation/tiny"]) == EXIT_OK
    shown = capsys.readouterr().out
    assert "2 runs: 2 failed" in shown
    assert "gone.npz" in shown


def test_status_of_every_state(
    make_plan: MakePlan, ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = make_plan(factors={"learning_rate": [2e-4, 1e-4, 1e30]}, num_evaluations=1)
    jobs = jobs_of(plan, Surroundings(device="cpu"))
    done, failed, running, corrupt, diverged, todo = jobs
    with executor_for("inline") as workers:
        run_jobs([done, diverged], "baselines.ablation.run.evaluated_runs:do_run", ledger, workers)
        run_jobs([failed], works.fails, ledger, workers)
    ledger.register([running, corrupt, todo], "baselines.ablation.run.evaluated_runs:do_run")
    (ledger.folder(corrupt.key) / "result.json").write_text("{")
    claim = ledger.claim(running.key)
    assert claim is not None
    with claim:
        ledger.write_attempt(
            running.key,
            Attempt.begun(1, executor="local:2", stack=1, memory_step=0, folder_state=""),
        )
        assert run(["ablate", "status", str(ledger.root)]) == EXIT_OK
    shown = capsys.readouterr().out
    assert "6 runs: 1 todo, 1 running, 1 done, 1 diverged, 1 failed, 1 corrupt" in shown
    assert "seven is not a colour" in shown
    assert "local:2" in shown
    assert "not readable, will be repeated by the next command" in shown
    assert " of work, about " in shown


def test_the_emitted_array_runs_by_hand(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(seeds=1, num_evaluations=1)
    # emitted where there is no GPU, for nodes that have one
    assert run(["ablate", "plan.toml", "--num-seeds", "2", "--device", "cuda",
                "--emit-slurm", "gpu", "--out", "elsewhere"]) == EXIT_OK  # fmt: skip
    assert "4 runs in gpu/jobs.txt" in capsys.readouterr().out
    assert run(["ablate", "plan.toml", "--device", "cpu", "--emit-slurm", "jobs",
                "--slurm-option", "--partition=gpu"]) == EXIT_OK  # fmt: skip
    assert "2 runs in jobs/jobs.txt" in capsys.readouterr().out
    script = tmp_path / "here" / "jobs" / "array-1.sbatch"
    assert "#SBATCH --partition=gpu" in script.read_text()
    assert "#SBATCH --array=1-2" in script.read_text()
    finished = subprocess.run(
        ["/bin/bash", str(script)],
        env=os.environ | {"SLURM_ARRAY_TASK_ID": "2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    ledger = Ledger("latentbench-ablation/tiny/ledger")
    keys = [job.key for job in jobs_of(read_plan(path))]
    assert [ledger.entry(key).state for key in keys] == ["todo", "done"]
    assert run(["ablate", "report", "latentbench-ablation/tiny"]) == EXIT_OK
    assert "1 of 2 runs has no result yet." in capsys.readouterr().out


def test_a_short_plan() -> None:
    plan = preset_plan("course")
    short = changed_plan(plan, {"num_images": None}, cpu_sized=True)
    assert short.num_steps == CELL_BUDGETS["course-gan"]["num_steps"]
    assert changed_plan(plan, {"share": 0.5}, cpu_sized=True).num_steps is None
    assert changed_plan(short, {"share": 0.5}).share == 0.5
    assert changed_plan(plan, {"seeds": 2}).seeds == (0, 1)
    assert changed_plan(plan, {}) == plan
    with pytest.raises(UsageError, match="both set the length"):
        changed_plan(plan, {"num_steps": 5, "share": 0.5})
    for name in PRESETS:
        assert changed_plan(preset_plan(name), {}, cpu_sized=True).num_images == 2_000


def test_settings_of_a_short_plan_stand_below_the_plans_own() -> None:
    """Below those of the command line, of the plan, and of what its factors vary."""
    plan = preset_plan("course", settings=["learning_rate=0.01", "beta1=0.4"])
    budget = CELL_BUDGETS["course-gan"]["settings"]
    narrow = tuple(text for text in budget if not text.startswith("learning_rate="))
    assert len(narrow) == len(budget) - 1
    short = changed_plan(plan, {"settings": ["beta1=0.3"]}, cpu_sized=True)
    assert short.settings == ("learning_rate=0.01", "beta1=0.3", *narrow)
    varied = preset_plan("course", factors={"learning_rate": [1e-4, 2e-4]})
    assert changed_plan(varied, {}, cpu_sized=True).settings == narrow
    assert changed_plan(plan, {"settings": ["beta1=0.3"]}).settings[1:] == ("beta1=0.3",)
    with pytest.raises(UsageError, match="learning_rat"):
        changed_plan(plan, {"settings": ["learning_rat=0.3"]})


def test_settings_from_the_command_line(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(seeds=1, num_evaluations=1)
    out = tmp_path / "out"
    arguments = ["ablate", "plan.toml", "--set", "beta1=0.3", "--set", "learning_rate=0.001"]
    assert run([*arguments, "--executor", "inline", "--device", "cpu", "--quiet",
                "--out", str(out), "--note", "beside a build"]) == EXIT_OK  # fmt: skip
    assert "\n> beside a build\n" in (out / "README.md").read_text()
    described = json.loads((out / "plan.json").read_text())
    assert described["plan"]["settings"][-2:] == ["beta1=0.3", "learning_rate=0.001"]
    assert "--set beta1=0.3 --set learning_rate=0.001" in described["command"]
    assert "beta1=0.3 learning\\_rate=0.001" in (out / "README.md").read_text()
    capsys.readouterr()
    assert run([*arguments[:2], "--set", "beta1", "--dry-run"]) == EXIT_USAGE
    assert "beta1" in capsys.readouterr().err


def test_conflicting_results_are_told(
    write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(seeds=1, num_evaluations=1)
    out = tmp_path / "out"
    arguments = ["ablate", "plan.toml", "--executor", "inline", "--out", str(out), "--quiet"]
    assert run([*arguments, "--device", "cpu"]) == EXIT_OK
    records = [json.loads(line) for line in (out / "records.jsonl").read_text().splitlines()]
    records[0]["result"] |= {"data_digest": "f" * 64, "device": "cuda (a GPU)"}
    (out / "records.jsonl").write_text("".join(f"{json.dumps(one)}\n" for one in records))
    (out / "ledger").rename(tmp_path / "elsewhere")
    capsys.readouterr()
    assert run(["ablate", "report", str(out)]) == EXIT_OK
    said = capsys.readouterr().out
    assert "✕ The results have 2 different sets of training images (ffffffff in 1 run; " in said
    assert "✕ The results have 2 different devices" in said
