"""The work of an ablation's run: train it, and score samples at each evaluation.

    work/checkpoint.safetensors, log.jsonl, ...   see `baselines.runs.run_folder`
    work/scores.json                              the scores so far
    work/grid.png                                 64 of the final samples

Every step resumes: training continues behind the last checkpoint (on the CPU bit for bit as if
never interrupted), scoring behind the last scored evaluation. Evaluations do not affect training:
the networks are stored at each of their steps and sampled when the training is over. Checkpoints
are removed once everything is scored, unless the task says to keep them.

Memory: the scheduler halves a stack that does not fit. A single run uses less memory with
`memory_step`, which halves the batches of sampling and scoring. Its training is not split into
micro-batches: batch normalisation, minibatch discrimination and the order of float32 sums depend on
the batch, and a result must not depend on the machine. A training that does not fit alone fails
with a message.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from baselines.ablation.analysis.results import Evaluation, RunResult
from baselines.ablation.design.cells import SAMPLING_SEED
from baselines.ablation.run.training_jobs import Task, start_events, train_and_score
from baselines.runs.jobs import (
    describe_divergence,
    divergence,
    exclusive_scorer,
    only_outcome,
    shared_training_set,
    trained_for,
)
from baselines.runs.run_folder import (
    CHECKPOINT,
    GRIDS,
    MILESTONES,
    RunFolder,
    write_sheet,
)
from baselines.runs.train import TrainingDiverged
from baselines.sampling.sampler import Sampler, SamplingOptions, manifest_of
from baselines.sampling.samples_folder import write_manifest, write_samples
from baselines.training.checkpoint import read_checkpoint
from bench.errors import BundleError
from bench.execution.ledger.work import WorkContext
from bench.records.score_record import ScoreRecord
from bench.runtime.devices import device_description, select_device
from bench.runtime.whole_files import write_atomically

SCORES, GRID, SAMPLES = "scores.json", "grid.png", "samples"
GRID_IMAGES = 64


class EvaluationTask(Task):
    """The payload of a run that is sampled in one way after each of `evaluations` steps."""

    evaluations: tuple[int, ...]
    sampling: SamplingOptions


class Scores(BaseModel):
    """The part of a result that a run's folder stores as it grows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_digest: str
    device: str
    evaluations: tuple[Evaluation, ...] = ()
    perfect: dict[str, float | None] = {}
    protocol: str | None = None
    sample_s: float = 0.0
    score_s: float = 0.0


def do_run(payload: Mapping[str, Any], context: WorkContext) -> Mapping[str, Any]:
    """Do one run and return its `RunResult` as JSON.

    Raises `TrainingDiverged`, with the result in `details`.
    """
    return only_outcome(do_stack([payload], [context]))


def do_stack(
    payloads: Sequence[Mapping[str, Any]], contexts: Sequence[WorkContext]
) -> list[Mapping[str, Any] | Exception]:
    """Do several runs of one group, as one program on a GPU and in turn on a CPU."""
    runs = [
        EvaluatedRun(EvaluationTask.model_validate(payload), context)
        for payload, context in zip(payloads, contexts, strict=True)
    ]
    return train_and_score(runs, milestones=runs[0].task.evaluations)


class EvaluatedRun:
    """One run, its folder, and its scores so far."""

    def __init__(self, task: EvaluationTask, context: WorkContext) -> None:
        self.task, self.context = task, context
        self.folder = context.folder
        self.run = RunFolder(context.folder)
        self.config = task.run_config
        self.device = select_device(task.device)
        self.scores = self._stored_scores()

    @property
    def is_scored(self) -> bool:
        """Whether nothing is left to do, so that data and checkpoints are not needed."""
        done = () if self.scores is None else self.scores.evaluations
        return len(done) == len(self.task.evaluations)

    def result(self) -> Mapping[str, Any]:
        """Score what is not scored, remove temporary files, and return the `RunResult` as JSON.

        Raises `TrainingDiverged`, with the result in `details`.
        """
        ended = divergence(self.folder)
        steps = [s for s in self.task.evaluations if ended is None or s <= ended["step"]]
        known = set() if self.scores is None else {e.step for e in self.scores.evaluations}
        for step in steps:
            if step not in known and (ended is None or self.run.milestone(step).is_file()):
                self._evaluate(step)
        found = self._result(ended).model_dump(mode="json")
        if not self.task.keep:
            self._remove_temporary_files()
        if ended is not None:
            raise TrainingDiverged(describe_divergence(ended), found)
        return found

    def _result(self, ended: Mapping[str, Any] | None) -> RunResult:
        task, scores = self.task, self.scores or self._no_scores()
        starts = start_events(self.folder)
        return RunResult(
            key=self.context.key,
            outcome="finished" if ended is None else "diverged",
            reason=None if ended is None else describe_divergence(ended),
            evaluations=scores.evaluations,
            train_s=self.run.train_s_until(
                task.evaluations[-1] if ended is None else ended["step"]
            ),
            perfect=scores.perfect,
            data_digest=scores.data_digest,
            protocol=scores.protocol,
            device=scores.device,
            stacked=starts[-1]["stacked"] if starts else 1,
            shared=any(event.get("kinds", 1) > 1 for event in starts),
            sample_s=round(scores.sample_s, 3),
            score_s=round(scores.score_s, 3),
        )

    def _evaluate(self, step: int) -> None:
        """Sample and score the networks as they were after `step` steps, and store the scores."""
        is_last = step == self.task.evaluations[-1]
        path = self.folder / CHECKPOINT if is_last else self.run.milestone(step)
        started = time.perf_counter()
        checkpoint = read_checkpoint(path)
        if checkpoint.step != step:
            raise BundleError(f"{path}: after {checkpoint.step} steps, expected {step}")
        trained = trained_for(checkpoint, self.device, self.context.memory_step)
        samples = Sampler(trained, self.task.sampling, SAMPLING_SEED).sample(self.task.num_images)
        sampled = time.perf_counter()
        record = self._score(samples.images, step)
        scored = time.perf_counter()
        if is_last:
            write_sheet(samples.images[:GRID_IMAGES], self.folder / GRID)
            if self.task.keep:
                target = self.folder / SAMPLES
                write_samples(samples.images, target, replace=True)
                write_manifest(
                    target, manifest_of(trained, self.task.sampling, SAMPLING_SEED, samples)
                )
        before = self.scores or self._no_scores(checkpoint.data_digest)
        entry = Evaluation(
            step=step,
            values={value.metric: value.value for value in record.values},
            train_s=self.run.train_s_until(step),
        )
        self.scores = before.model_copy(
            update={
                "evaluations": (*before.evaluations, entry),
                "perfect": {value.metric: value.expected for value in record.values},
                "protocol": _protocol(record),
                "sample_s": before.sample_s + sampled - started,
                "score_s": before.score_s + scored - sampled,
            }
        )
        write_atomically(self.folder / SCORES, self.scores.model_dump_json().encode())

    def _score(self, images: NDArray[np.uint8], step: int) -> ScoreRecord:
        task = self.task
        with exclusive_scorer(
            task.reference, task.extractor, task.metrics, self.device, self.context.memory_step
        ) as scorer:
            return scorer.score_images(images, name=f"{self.context.label}, step {step}")

    def _remove_temporary_files(self) -> None:
        """Remove what only an unfinished run needs."""
        (self.folder / CHECKPOINT).unlink(missing_ok=True)
        for name in (MILESTONES, GRIDS):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def _no_scores(self, data_digest: str | None = None) -> Scores:
        data = (
            data_digest
            or shared_training_set(
                self.task.data, self.task.data_root, self.device, self.task.run_config.resize
            ).digest
        )
        return Scores(data_digest=data, device=device_description(self.device))

    def _stored_scores(self) -> Scores | None:
        """Return the scores of earlier attempts, None if there are none that can be read."""
        try:
            return Scores.model_validate_json((self.folder / SCORES).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None


def _protocol(record: ScoreRecord) -> str:
    """Return the signature without its part on the images."""
    return "|".join(part for part in record.signature.split("|") if not part.startswith("images="))
