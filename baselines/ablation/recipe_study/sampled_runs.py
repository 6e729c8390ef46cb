"""The work of a run of the study: train it, sample it in several ways, score each as a folder.

    work/checkpoint.safetensors, log.jsonl, ...   see `baselines.runs.run_folder`
    work/rows.json                                the rows so far
    work/sheets/WAY.png                           64 of the samples
    work/samples-WAY/                             the samples, if they are kept

Training resumes behind its last checkpoint, scoring behind the last way that was scored.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.ablation.recipe_study.held_out import held_out_terms
from baselines.ablation.recipe_study.rows import DIVERGED, Row
from baselines.ablation.run.training_jobs import Task, start_events, train_and_score
from baselines.runs.jobs import (
    describe_divergence,
    divergence,
    exclusive_scorer,
    only_outcome,
    trained_for,
)
from baselines.runs.run_folder import CHECKPOINT, RunFolder, write_sheet
from baselines.runs.train import TrainingDiverged
from baselines.sampling.checkerboard import checkerboard_ratio
from baselines.sampling.sampler import Sampler, SamplingOptions, manifest_of
from baselines.sampling.samples_folder import write_manifest, write_samples
from baselines.sampling.trained import Trained, reconstruct
from baselines.training.checkpoint import read_checkpoint
from bench.data.datasets import Dataset, load_dataset
from bench.execution.ledger.work import WorkContext
from bench.records.score_record import ScoreRecord
from bench.runtime.devices import device_description, select_device
from bench.runtime.whole_files import write_atomically

SCORED_METRICS = (
    "fid",
    "precision_k3",
    "recall_k3",
    "density_k5",
    "coverage_k5",
    "inception_score",
    "modes_covered",
)
SAMPLING_SEED = 0
ROWS, SHEETS = "rows.json", "sheets"
SHEET_IMAGES = 64


class SamplingTask(Task):
    """The payload of a run that is sampled in several ways at its end. `share` and `narrowing`
    describe the budget; a way of None reconstructs test images.
    """

    share: float
    narrowing: str
    ways: dict[str, SamplingOptions | None]


def do_run(payload: Mapping[str, Any], context: WorkContext) -> Mapping[str, Any]:
    """Do one run and return its rows. Raises `TrainingDiverged`, with its one row in `details`."""
    return only_outcome(do_stack([payload], [context]))


def do_stack(
    payloads: Sequence[Mapping[str, Any]], contexts: Sequence[WorkContext]
) -> list[Mapping[str, Any] | Exception]:
    """Do several runs of one group, as one program on a GPU and in turn on a CPU."""
    return train_and_score(
        [
            SampledRun(SamplingTask.model_validate(payload), context)
            for payload, context in zip(payloads, contexts, strict=True)
        ]
    )


def sheet_of(folder: Path, way: str) -> Path:
    """Return the path of the picture of a job's samples."""
    return folder / SHEETS / f"{way}.png"


class SampledRun:
    """One run, its folder, and its rows so far."""

    def __init__(self, task: SamplingTask, context: WorkContext) -> None:
        self.task, self.context = task, context
        self.folder = context.folder
        self.config = task.run_config
        self.device = select_device(task.device)
        self.rows = self._stored_rows()

    @property
    def is_scored(self) -> bool:
        """Whether nothing is left to do, so that data and checkpoints are not needed."""
        return len(self.rows) == len(self.task.ways)

    def result(self) -> Mapping[str, Any]:
        """Score the ways that are not scored and return all rows.

        Raises `TrainingDiverged`, with the one row of the divergence in `details`.
        """
        ended = divergence(self.folder)
        if ended is not None:
            reason = describe_divergence(ended)
            row = Row(**self._about(), sampling=DIVERGED, reason=reason)
            raise TrainingDiverged(reason, {"rows": [row.model_dump()]})
        if not self.is_scored:
            self._score_ways()
        return {"rows": self.rows}

    def _score_ways(self) -> None:
        checkpoint = read_checkpoint(self.folder / CHECKPOINT)
        trained = trained_for(checkpoint, self.device, self.context.memory_step)
        test = self._test_split()
        terms = held_out_terms(trained, test.images, test.labels)
        about = self._about() | self._cost() | {"terms": terms}
        for way in list(self.task.ways)[len(self.rows) :]:
            scored = self._score(trained, way, test.images)
            self.rows.append(Row(**about, **scored).model_dump())
            text = json.dumps(self.rows, allow_nan=False)
            write_atomically(self.folder / ROWS, text.encode())

    def _score(self, trained: Trained, name: str, test: NDArray[np.uint8]) -> dict[str, Any]:
        """Write the samples of one way as a folder, score it as any other, and return a row's
        fields.
        """
        way, task = self.task.ways[name], self.task
        target = self.folder / f"samples-{name}"
        extra: dict[str, Any] = {}
        if way is None:
            images = reconstruct(trained, test[: task.num_images])
        else:
            samples = Sampler(trained, way, SAMPLING_SEED).sample(task.num_images)
            images = samples.images
            extra = {"acceptance_rate": samples.acceptance_rate, "num_forced": samples.num_forced}
            write_manifest(target, manifest_of(trained, way, SAMPLING_SEED, samples))
        write_samples(images, target, replace=True)
        with exclusive_scorer(
            task.reference, task.extractor, task.metrics, self.device, self.context.memory_step
        ) as scorer:
            record = scorer.score(target)
        write_sheet(images[:SHEET_IMAGES], sheet_of(self.folder, name))
        if not task.keep:
            shutil.rmtree(target)
        return {
            "sampling": name,
            **_values(record),
            **extra,
            "checkerboard_ratio": round(checkerboard_ratio(images), 4),
            "device": device_description(self.device),
        }

    def _stored_rows(self) -> list[dict[str, Any]]:
        """Return the rows of earlier attempts, in the order of the ways; none if damaged."""
        try:
            text = (self.folder / ROWS).read_text()
            rows = [Row(**row).model_dump() for row in json.loads(text)]
        except (FileNotFoundError, ValueError, TypeError, RecursionError):
            return []
        fits = [row["sampling"] for row in rows] == list(self.task.ways)[: len(rows)]
        return rows if fits else []

    def _about(self) -> dict[str, Any]:
        config = self.config
        return {
            "data": config.data,
            "recipe": config.recipe,
            "seed": config.seed,
            "num_steps": config.num_steps,
            "share": self.task.share,
            "narrowing": self.task.narrowing,
            "config_digest": config.digest,
        }

    def _cost(self) -> dict[str, Any]:
        """Return the wall-clock and processor seconds of training, a run's share of a stack's."""
        run, steps = RunFolder(self.folder), self.config.num_steps
        return {
            "train_s": run.train_s_until(steps),
            "train_cpu_s": run.train_s_until(steps, "cpu_s"),
            "stacked": start_events(self.folder)[-1]["stacked"],
        }

    def _test_split(self) -> Dataset:
        root = None if self.task.data_root is None else Path(self.task.data_root)
        return load_dataset(self.config.data, "test", data_root=root)


def _values(record: ScoreRecord) -> dict[str, Any]:
    return {
        "num_images": record.submission.num_images,
        "values": {entry.metric: entry.value for entry in record.values},
        "perfect": {entry.metric: entry.expected for entry in record.values},
        "signature": record.signature,
        "created_at": record.created_at,
    }
