"""A plan as jobs of a ledger, and a preview of what they will do and cost.

A job has the key of its run, so that two plans share the runs they have in common. Its label names
plan, cell and seed: a known label with a new key is a changed run.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError

from baselines.ablation.analysis.results import FINISHED, RunResult
from baselines.ablation.design.cells import Run, make_runs
from baselines.ablation.design.plan import AblationPlan
from baselines.ablation.run.costs import (
    Estimate,
    estimates,
    scoring_estimates,
    tabulated_s,
    tabulated_scoring_s,
)
from baselines.ablation.run.evaluated_runs import EvaluationTask
from baselines.ablation.run.training_jobs import Surroundings
from bench.data.datasets import is_dataset_name
from bench.errors import InputError, UsageError
from bench.execution.ledger.ledger import Ledger
from bench.execution.ledger.work import Job
from bench.intake import split_array_name

WORK = "baselines.ablation.run.evaluated_runs:do_run"
STACKED_WORK = "baselines.ablation.run.evaluated_runs:do_stack"


class Preview(NamedTuple):
    """A plan compared with a ledger before anything runs. `changed` counts changed settings, such
    as "num_steps: 100 -> 200"; `orphans` are jobs of the ledger that are not in the plan.
    """

    runs: tuple[Run, ...]
    estimates: dict[str, Estimate]  # seconds of training by key
    scoring: dict[str, float]  # seconds of sampling and scoring by key
    done: frozenset[str]  # keys
    changed: dict[str, int]
    num_changed: int
    orphans: tuple[str, ...]


def jobs_of(plan: AblationPlan, around: Surroundings | None = None) -> list[Job]:
    """Return a job for each run. Raises `UsageError` as `make_runs` does."""
    around = around or Surroundings()
    return [
        Job(
            key=run.key,
            label=label_of_job(plan, run),
            payload=_task(run, around).model_dump(mode="json"),
            group=group_of(run),
            cost=round(tabulated_s(run.config), 3),
        )
        for run in make_runs(plan)
    ]


def label_of_job(plan: AblationPlan, run: Run) -> str:
    """Return a text such as "course: label-noise=on, ..., seed 3"."""
    return f"{plan.name}: {run.label}, seed {run.seed}"


def cell_of(job: Job) -> str:
    """Return a job's label without its seed."""
    return job.label.rpartition(", seed ")[0]


def group_of(run: Run) -> str:
    """Return a digest shared by the runs that may train as one program: the same model, length and
    data set, as `baselines.training.stacked.require_one_program` demands, and the same evaluations.
    """
    config = {name: getattr(run.config, name) for name in ("model", "num_steps", "data")}
    if run.config.resize is not None:
        config["resize"] = run.config.resize
    text = json.dumps(run.identity | {"config": config}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _task(run: Run, around: Surroundings) -> EvaluationTask:
    return EvaluationTask(
        config=run.config.identity,
        evaluations=run.evaluations,
        num_images=run.num_images,
        metrics=run.metrics,
        sampling=run.sampling,
        data=_placed(run.config.data),
        reference=_placed(run.reference),
        extractor=run.extractor,
        **around.payload(),
    )


def _placed(source: str) -> str:
    """Return a path as an absolute one, for workers in any folder, and a name as it is."""
    if is_dataset_name(source):
        return source
    path, array_name = split_array_name(source)
    if not path.exists():
        return source
    return str(path.resolve()) + ("" if array_name is None else f":{array_name}")


def results_of(ledger: Ledger, runs: Sequence[Run]) -> dict[str, RunResult]:
    """Return the results of these runs in a ledger, by key.

    Raises `InputError` for a result in another format.
    """
    found = {}
    for run in runs:
        entry = ledger.entry(run.key)
        if entry.result is not None:
            try:
                found[run.key] = RunResult.model_validate(entry.result.values)
            except ValidationError as error:
                raise InputError(
                    f"{ledger.folder(run.key) / 'result.json'} is not the result of an ablation: "
                    f"{error.errors()[0]['msg']}; give another ledger with --ledger"
                ) from error
    return found


def preview(plan: AblationPlan, ledger: Ledger) -> Preview:
    """Return what a plan would run; the ledger is only read."""
    runs = make_runs(plan)
    jobs = jobs_of(plan)
    compared = ledger.compare(jobs)
    finished = {
        key: result
        for key, result in results_of(ledger, runs).items()
        if result.outcome == FINISHED
    }
    trained = {key: one.train_s for key, one in finished.items() if one.train_s is not None}
    scored = {key: (one.sample_s or 0.0) + (one.score_s or 0.0) for key, one in finished.items()}
    past = _paces(ledger, [*compared.orphans, *(one.old_key for one in compared.changed)])
    payloads = {job.key: job.payload for job in jobs}
    changes: Counter[str] = Counter()
    for one in compared.changed:
        old = ledger.entry(one.old_key).job
        if old is not None:
            changes.update(_differences(old.payload, payloads[one.new_key]))
    return Preview(
        runs=runs,
        estimates=estimates(runs, trained, [one.training for one in past]),
        scoring=scoring_estimates(runs, scored, [one.scoring for one in past]),
        done=frozenset(compared.done),
        changed=dict(changes),
        num_changed=len({one.new_key for one in compared.changed}),
        orphans=compared.orphans,
    )


class _Pace(NamedTuple):
    """How long a run took, relative to the table's estimate."""

    training: float
    scoring: float


def _paces(ledger: Ledger, keys: Sequence[str]) -> list[_Pace]:
    """Return the paces of finished runs of other plans."""
    found = []
    for key in keys:
        entry = ledger.entry(key)
        if entry.job is None or entry.result is None:
            continue
        try:
            task = EvaluationTask.model_validate(entry.job.payload)
            result = RunResult.model_validate(entry.result.values)
            usual_s = tabulated_s(task.run_config)
        except (ValidationError, UsageError, KeyError):  # from another program or version
            continue
        if result.outcome == FINISHED and result.train_s:
            scored_s = (result.sample_s or 0.0) + (result.score_s or 0.0)
            usual_score_s = tabulated_scoring_s(len(task.evaluations), task.num_images)
            found.append(_Pace(result.train_s / usual_s, scored_s / usual_score_s))
    return found


_SURROUNDINGS = frozenset({"data_root", "device", "keep"})


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return a text such as "num_steps: 100 -> 200" for each setting that differs."""
    before, after = _flat(old), _flat(new)
    return [
        f"{key}: {before.get(key, 'none')} -> {after.get(key, 'none')}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key) and key not in _SURROUNDINGS
    ]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in values.items():
        name = f"{prefix}{key}".removeprefix("config.")
        if isinstance(value, Mapping):
            found |= _flat(value, f"{prefix}{key}.") or {name: "{}"}
        else:
            found[name] = json.dumps(value)
    return found
