"""Training as the work of a ledger's job: the payload, and what every such job does.

A job trains into its own folder, resumes behind its last checkpoint, and then scores what it
trained. A diverged training is a result, not a failure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict

from baselines.recipes.config import RunConfig, make_config
from baselines.runs.jobs import outcome_of, train_unfinished
from baselines.runs.run_folder import RunFolder


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a run needs but its result does not depend on: the root of the data sets, the device
    (None: cuda if available, else cpu), and whether to keep what only an unfinished run needs
    (`keep`: checkpoints and samples).
    """

    data_root: Path | None = None
    device: str | None = None
    keep: bool = False

    def payload(self) -> dict[str, Any]:
        """Return the fields of a `Task` that describe the surroundings."""
        root = None if self.data_root is None else str(self.data_root.resolve())
        return {"data_root": root, "device": self.device, "keep": self.keep}


class Task(BaseModel):
    """The payload of a job. `data` and `reference` are names or absolute paths."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    config: dict[str, Any]
    num_images: int
    metrics: tuple[str, ...]
    data: str
    data_root: str | None
    reference: str
    extractor: str | None
    device: str | None
    keep: bool

    @property
    def run_config(self) -> RunConfig:
        return make_config(self.config)


class TrainingJob(Protocol):
    """One run to train and score in its folder."""

    @property
    def task(self) -> Task: ...
    @property
    def config(self) -> RunConfig: ...
    @property
    def folder(self) -> Path: ...
    @property
    def device(self) -> str: ...
    @property
    def is_scored(self) -> bool:
        """Whether nothing is left to do, so that data and checkpoints are not needed."""

    def result(self) -> Mapping[str, Any]:
        """Return the result as JSON, scoring what is not scored yet. Raises `TrainingDiverged`."""


def train_and_score(
    jobs: Sequence[TrainingJob], milestones: Collection[int] = ()
) -> list[Mapping[str, Any] | Exception]:
    """Train the jobs of one group, as one program on a GPU and in turn on a CPU, and score them.

    Returns the result of each job, or the exception it raised. `milestones` are the steps whose
    networks are kept.
    """
    unfinished = [job for job in jobs if not job.is_scored]
    if unfinished:
        first = unfinished[0]
        train_unfinished(
            [job.config for job in unfinished],
            [job.folder for job in unfinished],
            data=first.task.data,
            data_root=first.task.data_root,
            device=first.device,
            milestones=milestones,
        )
    return [outcome_of(job.result) for job in jobs]


def start_events(folder: Path) -> list[Mapping[str, Any]]:
    """Return the log events of the starts and resumptions of a run."""
    return [event for event in RunFolder(folder).events() if event["event"] in ("start", "resume")]
