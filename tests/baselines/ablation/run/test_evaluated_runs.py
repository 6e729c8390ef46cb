"""One run of an ablation: what it gives, and that neither evaluations nor accidents change it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from baselines.ablation.analysis.results import RunResult
from baselines.ablation.design.cells import SAMPLING_SEED, make_runs
from baselines.ablation.design.plan import AblationPlan
from baselines.ablation.run import evaluated_runs
from baselines.ablation.run.evaluated_runs import EvaluatedRun
from baselines.ablation.run.plan_jobs import group_of, jobs_of
from baselines.ablation.run.training_jobs import Surroundings
from baselines.runs.run_folder import RunFolder
from baselines.runs.train import TrainingDiverged, train_stack
from baselines.sampling.sampler import Sampler
from baselines.sampling.trained import trained_from
from baselines.training.build import build_for
from baselines.training.checkpoint import Checkpoint, read_checkpoint
from baselines.training.engine import Engine
from baselines.training.stacked import require_one_program
from baselines.training.training_images import load_training_set
from bench.errors import UsageError
from bench.execution.ledger.causes import cause_of, is_result
from bench.execution.ledger.work import Job
from bench.scoring.scorer import Scorer
from tests.baselines.ablation.conftest import MakePlan
from tests.baselines.conftest import SMALL, context_of, train_run


def done(job: Job, folder: Path, **more: int) -> RunResult:
    return RunResult.model_validate(
        evaluated_runs.do_run(job.payload, context_of(job, folder, **more))
    )


def numbers(result: RunResult) -> list[tuple[int, dict[str, float | None]]]:
    """The part of a result that does not depend on the machine's speed."""
    return [(entry.step, entry.values) for entry in result.evaluations]


def test_a_run_is_trained_sampled_and_scored_as_the_verbs_do_it(
    make_plan: MakePlan, tmp_path: Path
) -> None:
    plan = make_plan()
    job, run = jobs_of(plan, Surroundings(device="cpu"))[0], make_runs(plan)[0]
    assert run.evaluations == (32, 40)
    result = done(job, tmp_path / "work")
    data = load_training_set(plan.data)
    train_run(run.config, data, tmp_path / "plain")
    trained = trained_from(read_checkpoint(tmp_path / "plain" / "checkpoint.safetensors"))
    images = Sampler(trained, run.sampling, SAMPLING_SEED).sample(run.num_images).images
    record = Scorer(reference="mnist", metrics=["fid"], device="cpu", use_cache=False)
    expected = record.score_images(images, name="plain")
    assert result.evaluations[-1].values == {"fid": expected.value("fid")}
    assert result.perfect == {"fid": expected.values[0].expected}
    assert result.key == run.key
    assert result.data_digest == data.digest
    assert result.protocol is not None
    assert result.protocol in expected.signature.replace(f"|images={expected.signature[-8:]}", "")
    assert result.train_s is not None
    assert 0 < (result.evaluations[0].train_s or 0) <= result.train_s
    left = sorted(path.name for path in (tmp_path / "work").iterdir())
    assert left == [".claim", "config.json", "grid.png", "log.jsonl", "scores.json"]


def test_milestones_hold_the_run_as_it_stood_and_change_nothing(
    make_plan: MakePlan, tmp_path: Path
) -> None:
    plan = make_plan()
    config, data = make_runs(plan)[2].config, load_training_set(plan.data)
    for name, milestones in (("with", (16, 40)), ("without", ())):
        train_stack([config], data, [tmp_path / name], milestones=milestones)
    with_, without = (
        read_checkpoint(tmp_path / name / "checkpoint.safetensors").tensors
        for name in ("with", "without")
    )
    assert with_.keys() == without.keys()
    assert all(torch.equal(with_[name], without[name]) for name in with_)
    kept = read_checkpoint(RunFolder(tmp_path / "with").milestone(16))
    engine = Engine(build_for(config, data), data)
    engine.run_block()
    after_16 = engine.tensors()
    assert kept.step == 16
    assert {name for name in after_16 if name.startswith("networks/")} == set(kept.tensors)
    assert all(torch.equal(value, after_16[name]) for name, value in kept.tensors.items())
    assert not RunFolder(tmp_path / "with").milestone(40).exists()  # the checkpoint is that one
    with pytest.raises(UsageError, match="milestone 17: expected a multiple of 16"):
        train_stack([config], data, [tmp_path / "odd"], milestones=[17])


def test_autoencoders_are_measured_on_the_way_too(make_plan: MakePlan, tmp_path: Path) -> None:
    plan = make_plan(
        recipe="ae-dense",
        settings=list(SMALL["autoencoder"]),
        factors={"learning_rate": [1e-3, 1e-4]},
    )
    result = done(jobs_of(plan)[0], tmp_path / "work")
    assert [entry.step for entry in result.evaluations] == [32, 40]
    assert all(entry.values["fid"] is not None for entry in result.evaluations)


def test_kept_samples_are_those_that_were_scored(make_plan: MakePlan, tmp_path: Path) -> None:
    job = jobs_of(make_plan(), Surroundings(keep=True))[0]
    result = done(job, tmp_path / "work")
    record = Scorer(reference="mnist", metrics=["fid"], use_cache=False).score(
        tmp_path / "work" / "samples"
    )
    assert record.value("fid") == result.evaluations[-1].values["fid"]
    assert read_checkpoint(tmp_path / "work" / "checkpoint.safetensors").step == 40
    assert (tmp_path / "work" / "milestones" / "00000032.safetensors").is_file()


def test_an_attempt_that_ended_anywhere_is_taken_up(
    make_plan: MakePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = jobs_of(make_plan())[0]
    undisturbed = done(job, tmp_path / "whole")
    folder, steps = tmp_path / "broken", []
    run_block, evaluate = Engine.run_block, EvaluatedRun._evaluate

    class Gone(Exception):
        pass

    def block(engine: Engine) -> Any:
        steps.append(engine.step)
        if steps == [0, 16]:
            raise Gone
        return run_block(engine)

    def scoring(run: EvaluatedRun, step: int) -> None:
        if step == 40 and steps[-1] == 32 and len(steps) == 4:
            steps.append(-1)
            raise Gone
        evaluate(run, step)

    monkeypatch.setattr(Engine, "run_block", block)
    monkeypatch.setattr(EvaluatedRun, "_evaluate", scoring)
    for _ in range(2):  # in the training, in the scoring
        with pytest.raises(Gone):
            done(job, folder)
    result = done(job, folder)
    assert steps == [0, 16, 16, 32, -1]  # no step was trained again that a checkpoint held
    assert numbers(result) == numbers(undisturbed)

    def never(*_arguments: object, **_options: object) -> None:
        raise AssertionError("done again")

    monkeypatch.setattr("baselines.runs.jobs.train_stack", never)
    monkeypatch.setattr(evaluated_runs, "Sampler", never)
    assert done(job, folder) == result  # killed between the tidying and the ledger


def test_a_damaged_checkpoint_is_set_aside(make_plan: MakePlan, tmp_path: Path) -> None:
    job = jobs_of(make_plan(num_evaluations=1))[0]
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "checkpoint.safetensors").write_bytes(b"half a checkpoint")
    (tmp_path / "work" / "scores.json").write_bytes(b"{")
    result = done(job, tmp_path / "work")
    assert numbers(result) == numbers(done(job, tmp_path / "clean"))
    assert (tmp_path / "work" / "checkpoint.safetensors.corrupt").is_file()


def test_a_divergence_is_a_result_with_its_details(make_plan: MakePlan, tmp_path: Path) -> None:
    plan = make_plan(factors={"learning_rate": [2e-4, 1e30]})
    job = jobs_of(plan)[2]
    with pytest.raises(TrainingDiverged, match=r"^g_loss is not finite at step 0$") as caught:
        evaluated_runs.do_run(job.payload, context_of(job, tmp_path / "work"))
    assert is_result(caught.value)
    result = RunResult.model_validate(caught.value.details)
    assert result.outcome == "diverged"
    assert result.reason is not None
    assert result.reason.endswith("is not finite at step 0")
    assert result.evaluations == ()
    assert result.data_digest is not None


def test_a_late_divergence_keeps_what_was_reached(
    make_plan: MakePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_block = Engine.run_block

    def block(engine: Engine) -> Any:
        if engine.step == 32:
            for value in engine.lanes[0].parameters["generator"].values():
                value.data.fill_(float("nan"))
        return run_block(engine)

    monkeypatch.setattr(Engine, "run_block", block)
    job = jobs_of(make_plan())[0]
    for _ in range(2):  # the second time without training
        with pytest.raises(TrainingDiverged) as caught:
            evaluated_runs.do_run(job.payload, context_of(job, tmp_path / "work"))
        result = RunResult.model_validate(caught.value.details)
        assert [entry.step for entry in result.evaluations] == [32]
        assert result.reason is not None
        assert result.reason.endswith("at step 32")
        monkeypatch.setattr("baselines.runs.jobs.train_stack", None)


def test_less_memory_changes_batches_only(make_plan: MakePlan, tmp_path: Path) -> None:
    job = jobs_of(make_plan(num_evaluations=1))[0]
    usual = done(job, tmp_path / "usual").evaluations[-1].values["fid"]
    spare = done(job, tmp_path / "spare", memory_step=4).evaluations[-1].values["fid"]
    assert usual is not None
    assert spare == pytest.approx(usual, rel=1e-4)


def test_a_training_that_does_not_fit_says_that_it_is_not_split(
    make_plan: MakePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class OutOfMemoryError(RuntimeError):
        pass

    def too_large(*_arguments: object, **_options: object) -> None:
        raise OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr("baselines.runs.jobs.train_stack", too_large)
    one, two = jobs_of(make_plan())[:2]
    with pytest.raises(UsageError, match="batches of 16 does not fit into memory") as caught:
        evaluated_runs.do_run(one.payload, context_of(one, tmp_path / "one"))
    assert cause_of(caught.value) == "memory"
    contexts = [context_of(job, tmp_path / job.key) for job in (one, two)]
    with pytest.raises(OutOfMemoryError):  # of a stack the scheduler makes two
        evaluated_runs.do_stack([one.payload, two.payload], contexts)


def stacked(plan: AblationPlan, folder: Path) -> list[Mapping[str, Any] | Exception]:
    jobs = jobs_of(plan)
    return evaluated_runs.do_stack(
        [job.payload for job in jobs], [context_of(job, folder / job.key) for job in jobs]
    )


@pytest.mark.parametrize("together", [False, True], ids=["in turn", "one program"])
def test_a_stack_gives_what_its_runs_give_alone(
    together: bool, make_plan: MakePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In turn, as on a CPU, bit for bit; as one program up to the order of float32 sums, here 1e-3
    of the FID after 40 steps. A run that diverges does not end the others.
    """
    plan = make_plan(factors={"learning_rate": [2e-4, 1e-4, 1e30]}, seeds=1)
    jobs = jobs_of(plan)
    assert len({job.group for job in jobs}) == 1
    alone = [done(job, tmp_path / job.key[:6]) for job in jobs[:2]]
    if together:
        monkeypatch.setattr(
            "baselines.runs.train.Engine", lambda *a, **options: Engine(*a, **options, stack=True)
        )
    found = stacked(plan, tmp_path / "stack") if (tmp_path / "stack").mkdir() is None else []
    assert isinstance(found[2], TrainingDiverged)
    for single, one in zip(alone, found[:2], strict=True):
        assert isinstance(one, dict)
        result = RunResult.model_validate(one)
        assert result.stacked == 3
        for mine, theirs in zip(numbers(result), numbers(single), strict=True):
            assert mine[0] == theirs[0]
            expected = theirs[1]["fid"]
            assert mine[1]["fid"] == (pytest.approx(expected, rel=1e-3) if together else expected)


def test_time_that_cells_share_is_told(make_plan: MakePlan, tmp_path: Path) -> None:
    (tmp_path / "stack").mkdir()
    for factors, shared in (({"learning_rate": [2e-4, 1e-4]}, False), (["label-noise"], True)):
        plan = make_plan(factors=factors, seeds=1, num_evaluations=1)
        found = stacked(plan, tmp_path / "stack")
        assert [RunResult.model_validate(one).shared for one in found] == [shared] * 2
        shutil.rmtree(tmp_path / "stack")
        (tmp_path / "stack").mkdir()


def test_one_score_that_fails_does_not_fail_the_stack(
    make_plan: MakePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(factors={"learning_rate": [2e-4, 1e-4]}, seeds=1, num_evaluations=1)
    evaluate, first = EvaluatedRun._evaluate, jobs_of(plan)[0].key

    def scoring(run: EvaluatedRun, step: int) -> None:
        if run.context.key == first:
            raise ValueError("seven is not a colour")
        evaluate(run, step)

    monkeypatch.setattr(EvaluatedRun, "_evaluate", scoring)
    (tmp_path / "stack").mkdir()
    failed, well = stacked(plan, tmp_path / "stack")
    assert isinstance(failed, ValueError)
    assert isinstance(well, dict)


def test_groups_are_what_can_be_one_program(make_plan: MakePlan) -> None:
    """Whatever differs between cells of one model and length; others are other groups."""
    factors = {
        "learning_rate": [2e-4, 1e-4],
        "kind": {
            "none": [],
            "noise": ["tricks.label-noise=on"],
            "rates": ["tricks.two-time-scales=on", "optimiser=rmsprop"],
            "batch": ["batch_size=8", "tricks.minibatch-discrimination=on"],
        },
    }
    plan = make_plan(factors=factors)
    runs, data = make_runs(plan), load_training_set(plan.data)
    require_one_program([build_for(run.config, data) for run in runs])
    (group,) = {group_of(run) for run in runs}
    for other in (
        make_plan(factors=factors, num_steps=plan.num_steps + 16),
        make_plan(factors=factors, num_images=plan.num_images + 100),
    ):
        assert group not in {group_of(run) for run in make_runs(other)}


def test_seconds_of_training_over_resumptions(tmp_path: Path) -> None:
    """A stack of two runs: 10 s to step 32, killed; from step 16 (4 s) on again, 9 s to the end: 2
    s and 4.5 s for each run.
    """
    run = RunFolder(tmp_path)
    assert run.train_s_until(48) is None
    run.log("start", step=0, stacked=2)
    assert run.train_s_until(48) is None
    for step, seconds in ((16, 4.0), (32, 10.0)):
        run.log("checkpoint", step=step, train_s=seconds)
    run.log("resume", step=16, stacked=2)
    run.log("milestone", step=32, train_s=5.0)
    run.log("end", step=48, train_s=9.0)
    assert run.train_s_until(16) == 2.0
    assert run.train_s_until(32) == 4.5
    assert run.train_s_until(48) == 6.5


def test_a_checkpoint_of_another_step_is_no_milestone(
    make_plan: MakePlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = evaluated_runs.read_checkpoint

    def other(path: Path) -> Checkpoint:
        return read(path)._replace(step=7)

    monkeypatch.setattr(evaluated_runs, "read_checkpoint", other)
    job = jobs_of(make_plan())[0]
    with pytest.raises(UsageError, match="after 7 steps, expected 32"):
        evaluated_runs.do_run(job.payload, context_of(job, tmp_path / "work"))
