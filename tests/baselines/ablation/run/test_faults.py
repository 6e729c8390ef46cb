"""What happens to ablations: killed workers and schedulers, full disks, NaN, edited plans."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from baselines.ablation.analysis.results import RunResult
from baselines.ablation.design.cells import make_runs
from baselines.ablation.design.plan import AblationPlan
from baselines.ablation.run.plan_jobs import jobs_of, preview, results_of
from baselines.ablation.run.run_ablation import default_stack, run_ablation
from baselines.ablation.run.training_jobs import Surroundings
from baselines.runs.run_folder import CHECKPOINT, RunFolder
from bench.errors import UsageError
from bench.execution.executors.executors import executor_for
from bench.execution.ledger.ledger import Ledger
from bench.execution.scheduling import run_jobs
from tests.baselines.ablation import works
from tests.baselines.ablation.conftest import MakePlan, tiny, toml_of

CPU = Surroundings(device="cpu")


def inline(plan: AblationPlan, ledger: Ledger, **options: Any) -> dict[str, RunResult]:
    return run_ablation(plan, ledger.root, executor="inline", around=CPU, **options).results


def scores(result: RunResult) -> list[dict[str, float | None]]:
    return [entry.values for entry in result.evaluations]


def keys_of(ledger: Ledger) -> list[str]:
    return [entry.key for entry in ledger.entries()]


def starts(ledger: Ledger) -> dict[str, int]:
    """How often the training of each job started or resumed."""
    return {
        key: sum(
            event["event"] in ("start", "resume")
            for event in RunFolder(ledger.work_folder(key)).events()
        )
        for key in keys_of(ledger)
    }


def test_workers_that_are_killed_are_replaced_and_nothing_is_lost(
    make_plan: MakePlan, ledger: Ledger, tmp_path: Path
) -> None:
    """SIGKILL in the middle of one run's training, and between the scores of another."""
    plan = make_plan(factors={"learning_rate": [2e-4, 1e-4]}, seeds=1, num_steps=64)
    jobs, runs = jobs_of(plan, CPU), make_runs(plan)
    with executor_for("local:1") as workers:
        outcomes = run_jobs(jobs, works.killed_once, ledger, workers)
    assert [(one.state, one.attempts) for one in outcomes] == [("done", 2)] * 2
    resumed = {}
    for run in runs:
        first, second = ledger.entry(run.key).attempts
        assert (first.cause, first.progress, second.outcome) == ("lost", True, "done")
        events = RunFolder(ledger.work_folder(run.key)).events()
        resumed[run.config.learning_rate] = [e["step"] for e in events if e["event"] == "resume"]
    assert resumed == {2e-4: [32], 1e-4: []}
    found, whole = results_of(ledger, runs), inline(plan, Ledger(tmp_path / "undisturbed"))
    for run in runs:
        assert scores(found[run.key]) == scores(whole[run.key])
        assert [entry.step for entry in found[run.key].evaluations] == [32, 64]


ABLATE = """
import typer
from baselines.cli.ablate import ablate

app = typer.Typer(pretty_exceptions_enable=False)
app.command()(ablate)
app()
"""


def command(plan: Path, out: Path) -> list[str]:
    """The verb, without what is installed."""
    return [
        sys.executable, "-c", ABLATE, str(plan), "--out", str(out), "--device", "cpu",
        "--executor", "local:2", "--quiet",
    ]  # fmt: skip


def test_the_same_command_after_scheduler_and_workers_were_killed(
    digits_file: Path, tmp_path: Path
) -> None:
    """Killed when the first of four runs is done."""
    path, out = tmp_path / "plan.toml", tmp_path / "out"
    path.write_text(toml_of(tiny(digits_file, num_evaluations=1)))
    ledger = Ledger(out / "ledger")
    with subprocess.Popen(command(path, out), start_new_session=True) as killed:
        for _ in range(30_000):  # ten minutes: a busy machine takes long to start processes
            if any(entry.result for entry in ledger.entries()):
                break
            assert killed.poll() is None
            threading.Event().wait(0.02)
        running = {
            attempt.pid
            for entry in ledger.entries()
            for attempt in entry.attempts
            if attempt.ended is None
        }
        killed.send_signal(signal.SIGKILL)
        for pid in running:
            os.kill(pid, signal.SIGKILL)
    before = {entry.key: entry.result for entry in ledger.entries() if entry.result is not None}
    assert 1 <= len(before) < 4
    again = subprocess.run(command(path, out), capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert "report: " in again.stdout
    entries = {entry.key: entry for entry in ledger.entries()}
    assert all(entry.state == "done" for entry in entries.values())
    for key, result in before.items():
        assert entries[key].result == result
        assert len(entries[key].attempts) == 1
        assert starts(ledger)[key] == 1
    finished = [
        event
        for key in entries
        for event in RunFolder(ledger.work_folder(key)).events()
        if event["event"] == "end"
    ]
    assert len(finished) == 4  # each training ended once


def test_a_loss_that_is_nan_at_once_is_a_result_and_the_others_go_on(
    make_plan: MakePlan, ledger: Ledger
) -> None:
    plan = make_plan(factors={"learning_rate": [2e-4, 1e30]}, num_evaluations=1)
    kinds: list[str] = []
    ablation = run_ablation(
        plan, ledger.root, executor="inline", on_event=lambda event: kinds.append(event.kind)
    )
    assert ablation.failed == ()
    assert sorted(kinds).count("diverged") == 2
    assert ablation.analysis is not None
    usual, bad = ablation.analysis.cells
    assert (usual.num_diverged, bad.num_diverged, bad.share) == (0, 2, 1.0)
    reasons = [r.reason for r in ablation.results.values() if r.outcome == "diverged"]
    assert reasons == ["g_loss is not finite at step 0"] * 2
    text = "\n".join(said.text for said in ablation.analysis.sentences)
    assert "Of 4 runs, 2 diverged" in text
    again = run_ablation(plan, ledger.root, executor="inline")
    assert again.results == ablation.results
    assert set(starts(ledger).values()) == {1}  # never tried again
    assert {len(entry.attempts) for entry in ledger.entries()} == {1}


def test_an_edited_plan_runs_what_is_new_and_tells_what_changed(
    make_plan: MakePlan, ledger: Ledger
) -> None:
    one = {"seeds": 1, "num_evaluations": 1}
    inline(make_plan(**one), ledger)
    kept = starts(ledger)
    more_seeds = make_plan(**one | {"seeds": 2})
    before = preview(more_seeds, ledger)
    assert (len(before.done), len(before.runs)) == (2, 4)
    assert (before.num_changed, before.orphans) == (0, ())
    assert {estimate.basis for estimate in before.estimates.values()} == {"same cell"}
    inline(more_seeds, ledger)
    assert len(keys_of(ledger)) == 4
    assert {key: count for key, count in starts(ledger).items() if key in kept} == kept
    longer = preview(make_plan(**one | {"seeds": 2, "num_steps": 56}), ledger)
    assert (len(longer.done), longer.num_changed) == (0, 4)
    assert longer.changed == {"evaluations: [40] -> [56]": 4, "num_steps: 40 -> 56": 4}
    assert {estimate.basis for estimate in longer.estimates.values()} == {"other plans"}
    one_run = next(iter(before.scoring.values()))
    assert list(longer.scoring.values()) == pytest.approx([one_run] * 4, rel=0.9)
    other = preview(make_plan(**one, factors=["replay-buffer"]), ledger)
    assert (len(other.done), len(other.orphans)) == (1, 3)  # plans share the plain run
    levels = {"0": ["tricks.label-noise=off"], "1": ["tricks.label-noise=on"]}
    assert len(preview(make_plan(**one, factors={"n": levels}), ledger).done) == 2  # other names


def test_a_full_disk_stops_everything_and_nothing_is_lost(
    make_plan: MakePlan, ledger: Ledger, tmp_path: Path
) -> None:
    """The checkpoint goes to /dev/full, where the kernel says that no space is left."""
    plan = make_plan(factors={"learning_rate": [2e-4, 1e-4]}, seeds=1)
    jobs = jobs_of(plan, CPU)
    for job in jobs:
        folder = ledger.work_folder(job.key)
        folder.mkdir(parents=True)
        name = f".{CHECKPOINT}.{os.getpid()}.{threading.get_ident()}.tmp"
        (folder / name).symlink_to("/dev/full")
    with pytest.raises(UsageError, match=r"No space left on device.*nothing is lost"):
        inline(plan, ledger)
    assert not any(entry.result for entry in ledger.entries())
    assert ledger.entry(jobs[0].key).attempts[-1].cause == "disk"
    for job in jobs:  # space is made
        for path in ledger.work_folder(job.key).glob(".*.tmp"):
            path.unlink()
    found = inline(plan, ledger)
    whole = inline(plan, Ledger(tmp_path / "undisturbed"))
    assert {key: scores(one) for key, one in found.items()} == {
        key: scores(one) for key, one in whole.items()
    }


def test_a_corrupt_result_is_repeated(make_plan: MakePlan, ledger: Ledger) -> None:
    plan = make_plan(seeds=1, num_evaluations=1)
    before = inline(plan, ledger)
    key = jobs_of(plan)[0].key
    (ledger.folder(key) / "result.json").write_bytes(b'{"key": "half')
    assert inline(plan, ledger) == before  # from what its folder had scored
    assert (ledger.folder(key) / "result.json.corrupt").is_file()
    assert set(starts(ledger).values()) == {1}


def test_stacks_through_the_scheduler(make_plan: MakePlan, ledger: Ledger, tmp_path: Path) -> None:
    """Seeds of a cell together; on a CPU in turn, so bit for bit what each gives alone."""
    plan = make_plan(num_evaluations=1)
    jobs = jobs_of(plan, CPU)
    assert default_stack(jobs, "cpu") == 1
    assert default_stack(jobs, "cuda") == 4, "cells and seeds"
    assert default_stack(jobs, "cuda", "slurm:gpu") == 2, "the seeds of a cell"
    together = inline(plan, ledger, stack=2)
    assert {result.stacked for result in together.values()} == {2}
    assert {a.stack for entry in ledger.entries() for a in entry.attempts} == {2}
    alone = inline(plan, Ledger(tmp_path / "alone"))
    assert {k: scores(r) for k, r in together.items()} == {k: scores(r) for k, r in alone.items()}


def test_failed_runs_are_told_with_their_reason(
    make_plan: MakePlan, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: object, **_options: object) -> None:
        raise RuntimeError("seven is not a colour")

    monkeypatch.setattr("baselines.runs.jobs.train_stack", broken)
    ablation = run_ablation(make_plan(seeds=1), ledger.root, executor="inline")
    assert ablation.analysis is None
    assert len(ablation.failed) == 2
    assert "seven is not a colour" in (ablation.failed[0].message or "")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        (
            {"factors": ["minibatch-discrimination"], "sampling": {"rejection_gamma": 80}},
            "tiny: minibatch-discrimination=on: its samples cannot be drawn.*minibatch layer",
        ),
        ({"factors": {"loss": ["hinge", "minimax"]}, "sampling": {"budget": 2}},
         "tiny: loss=hinge"),
        ({"recipe": "vae", "settings": [], "factors": {"model.beta": [1, 2]},
          "sampling": {"budget": 2}}, "'vae': rejection by the discriminator needs a GAN"),
        ({"factors": {"latent": {"a": [], "b": ["tricks.latent.distribution=uniform"]}},
          "sampling": {"truncation": 0.5}}, "tiny: latent=b: .* this run has none"),
    ],
)  # fmt: skip
def test_tricks_of_sampling_that_a_cell_cannot_have_are_told_before_it_trains(
    changes: dict[str, Any], match: str, make_plan: MakePlan, ledger: Ledger
) -> None:
    with pytest.raises(UsageError, match=match):
        run_ablation(make_plan(seeds=1, **changes), ledger.root, executor="inline", around=CPU)
    assert not ledger.keys()


def test_data_that_are_not_there_are_told_once_and_nothing_is_begun(
    make_plan: MakePlan, ledger: Ledger
) -> None:
    plan = make_plan(data="no-such-file.npz", reference="mnist", seeds=1)
    with pytest.raises(UsageError, match=r"unknown data set 'no-such-file\.npz'"):
        run_ablation(plan, ledger.root, executor="inline")
    assert not ledger.keys()
