"""The work of a run: train it into its folder, sample it in every way, score each as a folder.

    work/checkpoint.safetensors, log.jsonl, ...   as `baselines.runs.run_folder` has them
    work/rows.json                                what has been scored so far
    work/sheets/WAY.png                           64 of its samples
    work/samples-WAY/                             the samples, where they are kept

Training resumes behind its last checkpoint, scoring behind the last way that was scored.
"""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from baselines.recipes.config import RunConfig, make_config
from baselines.runs.jobs import (
    describe_divergence,
    divergence,
    exclusive_scorer,
    only_outcome,
    outcome_of,
    train_unfinished,
    trained_for,
)
from baselines.runs.run_folder import CHECKPOINT, RunFolder, write_sheet
from baselines.runs.train import TrainingDiverged
from baselines.sampling.checkerboard import checkerboard_ratio
from baselines.sampling.sampler import Sampler, SamplingOptions, manifest_of
from baselines.sampling.samples_folder import write_manifest, write_samples
from baselines.sampling.trained import Trained, reconstruct
from baselines.study.rows import DIVERGED, Row
from baselines.study.terms import held_out_terms
from baselines.training.checkpoint import read_checkpoint
from bench.data.datasets import Dataset, load_dataset
from bench.execution.ledger.work import WorkContext
from bench.records.score_record import ScoreRecord
from bench.runtime.devices import device_description
from bench.runtime.whole_files import write_atomically

METRICS = (
    "fid",
    "precision_k3",
    "recall_k3",
    "density_k5",
    "coverage_k5",
    "inception_score",
    "modes_covered",
)
WORK = "baselines.study.work:do_run"
STACKED_WORK = "baselines.study.work:do_stack"
SAMPLING_SEED = 0
ROWS, SHEETS = "rows.json", "sheets"
SHEET_IMAGES = 64


class Task(BaseModel):
    """The payload of a job; `share` and `narrowing` tell the budget."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    config: dict[str, Any]
    share: float
    narrowing: str
    ways: dict[str, SamplingOptions | None]
    num_images: int
    data_root: str | None
    device: str
    keep_samples: bool

    @property
    def run_config(self) -> RunConfig:
        return make_config(self.config)


def do_run(payload: Mapping[str, Any], context: WorkContext) -> Mapping[str, Any]:
    """One run; gives its rows. Raises `TrainingDiverged`, with its one row in `details`."""
    return only_outcome(do_stack([payload], [context]))


def do_stack(
    payloads: Sequence[Mapping[str, Any]], contexts: Sequence[WorkContext]
) -> list[Mapping[str, Any] | Exception]:
    """Several runs of one group, trained as one program on a GPU and in turn on a CPU."""
    tasks = [Task.model_validate(payload) for payload in payloads]
    first = tasks[0]
    train_unfinished(
        [task.run_config for task in tasks],
        [context.folder for context in contexts],
        data=first.run_config.data,
        data_root=first.data_root,
        device=first.device,
    )
    return [
        outcome_of(functools.partial(_result, task, context))
        for task, context in zip(tasks, contexts, strict=True)
    ]


def sheet_of(folder: Path, way: str) -> Path:
    """The picture of a job's samples."""
    return folder / SHEETS / f"{way}.png"


def _result(task: Task, context: WorkContext) -> Mapping[str, Any]:
    return {"rows": _rows(task, context)}


def _rows(task: Task, context: WorkContext) -> list[dict[str, Any]]:
    """The rows of a trained run, those scored earlier included. Raises `TrainingDiverged`."""
    folder, about = context.folder, _about(task)
    ended = divergence(folder)
    if ended is not None:
        reason = describe_divergence(ended)
        row = Row(**about, sampling=DIVERGED, reason=reason)
        raise TrainingDiverged(reason, {"rows": [row.model_dump()]})
    rows = _kept_rows(task, folder)
    trained = trained_for(read_checkpoint(folder / CHECKPOINT), task.device, context.memory_step)
    test = _test_split(task)
    about |= _cost(folder, task) | {"terms": held_out_terms(trained, test.images, test.labels)}
    for way in list(task.ways)[len(rows) :]:
        scored = _scored(task, context, trained, way, test.images)
        rows.append(Row(**about, **scored).model_dump())
        write_atomically(folder / ROWS, json.dumps(rows, allow_nan=False).encode())
    return rows


def _kept_rows(task: Task, folder: Path) -> list[dict[str, Any]]:
    """Rows of earlier attempts, in the order of the ways; what cannot be read is scored again."""
    try:
        rows = [Row(**row).model_dump() for row in json.loads((folder / ROWS).read_text())]
    except (FileNotFoundError, ValueError, TypeError):
        return []
    fits = [row["sampling"] for row in rows] == list(task.ways)[: len(rows)]
    return rows if fits else []


def _about(task: Task) -> dict[str, Any]:
    config = task.run_config
    return {
        "data": config.data,
        "recipe": config.recipe,
        "seed": config.seed,
        "num_steps": config.num_steps,
        "share": task.share,
        "narrowing": task.narrowing,
        "config_digest": config.digest,
    }


def _scored(
    task: Task, context: WorkContext, trained: Trained, name: str, test: NDArray[np.uint8]
) -> dict[str, Any]:
    """What one way of sampling gives: a folder of samples, scored as any other."""
    way, config = task.ways[name], task.run_config
    target = context.folder / f"samples-{name}"
    extra: dict[str, Any] = {}
    if way is None:
        images = reconstruct(trained, test[: task.num_images])
    else:
        samples = Sampler(trained, way, SAMPLING_SEED).sample(task.num_images)
        images = samples.images
        extra = {"acceptance_rate": samples.acceptance_rate, "num_forced": samples.num_forced}
        write_manifest(target, manifest_of(trained, way, SAMPLING_SEED, samples))
    write_samples(images, target, replace=True)
    with exclusive_scorer(config.data, None, METRICS, task.device, context.memory_step) as scorer:
        record = scorer.score(target)
    write_sheet(images[:SHEET_IMAGES], sheet_of(context.folder, name))
    if not task.keep_samples:
        shutil.rmtree(target)
    return {
        "sampling": name,
        **_values(record),
        **extra,
        "checkerboard_ratio": round(checkerboard_ratio(images), 4),
        "device": device_description(task.device),
    }


def _values(record: ScoreRecord) -> dict[str, Any]:
    return {
        "num_images": record.submission.num_images,
        "values": {entry.metric: entry.value for entry in record.values},
        "perfect": {entry.metric: entry.expected for entry in record.values},
        "signature": record.signature,
        "created_at": record.created_at,
    }


def _test_split(task: Task) -> Dataset:
    root = None if task.data_root is None else Path(task.data_root)
    return load_dataset(task.run_config.data, "test", data_root=root)


def _cost(folder: Path, task: Task) -> dict[str, Any]:
    """Seconds of training by the clock and of the processor, a stack's shared among its runs."""
    run, steps = RunFolder(folder), task.run_config.num_steps
    begun = [event for event in run.events() if event["event"] in ("start", "resume")]
    return {
        "train_s": run.train_s_until(steps),
        "train_cpu_s": run.train_s_until(steps, "cpu_s"),
        "stacked": begun[-1]["stacked"],
    }
