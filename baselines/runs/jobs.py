"""Training as the work of a job: into the job's folder, resumed, a divergence being a result."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from baselines.recipes.config import RunConfig
from baselines.runs.loading import training_set_of
from baselines.runs.run_folder import CHECKPOINT, LOG, RunFolder
from baselines.runs.train import TrainingDiverged, train_stack
from baselines.sampling.trained import CHUNK, Trained, trained_from
from baselines.training.checkpoint import Checkpoint, read_checkpoint
from bench.errors import BundleError, UsageError
from bench.execution.ledger.causes import TaskTimeout, cause_of
from bench.execution.ledger.files import set_aside

DIVERGED = "diverged"
Result = TypeVar("Result")


def divergence(folder: Path) -> Mapping[str, Any] | None:
    """The event that ended a run before its time, from its log."""
    last = (RunFolder(folder).events() or [{}])[-1] if (folder / LOG).is_file() else {}
    return last if last.get("event") == DIVERGED else None


def describe_divergence(event: Mapping[str, Any]) -> str:
    """As "loss is not finite at step 3"."""
    return f"{event['term']} is not finite at step {event['step']}"


def train_open(
    configs: Sequence[RunConfig],
    folders: Sequence[Path],
    *,
    data: str,
    data_root: str | None,
    device: str,
    milestones: Collection[int] = (),
) -> None:
    """Train what is not trained yet, as one program where they are several: behind the last
    checkpoints, anew where one is damaged. A run that diverged is left as it is, and one that
    diverges says so in its log. Raises what `train_stack` raises else, and `UsageError` where a
    single training does not fit into memory.
    """
    ready = [place for place, folder in enumerate(folders) if divergence(folder) is None]
    if not ready:
        return
    images = training_set_of(data, data_root, device)
    for place in ready:
        _drop_unreadable(folders[place])
    try:
        train_stack(
            [configs[place] for place in ready],
            images,
            [folders[place] for place in ready],
            device=device,
            resume=True,
            milestones=milestones,
        )
    except TrainingDiverged:
        return
    except Exception as error:
        if len(ready) == 1 and cause_of(error) == "memory":
            raise UsageError(
                f"a training with batches of {configs[ready[0]].batch_size} does not fit into "
                "memory alone, and is not split, since smaller batches give other results; free "
                "the device, take a larger one, or set a smaller batch_size"
            ) from error
        raise


def _drop_unreadable(folder: Path) -> None:
    """Set a damaged checkpoint aside, so that the training begins anew."""
    path = folder / CHECKPOINT
    if path.is_file():
        try:
            read_checkpoint(path)
        except BundleError:
            set_aside(path)


def trained_for(checkpoint: Checkpoint, device: str, memory_step: int) -> Trained:
    """The networks of a checkpoint, sampling in batches halved `memory_step` times."""
    trained = trained_from(checkpoint, device)
    return replace(trained, chunk=max(1, CHUNK >> memory_step)) if memory_step else trained


def outcome_of(result: Callable[[], Result]) -> Result | Exception:
    """A run's result, or why it has none, so that the others of a stack go on."""
    try:
        return result()
    except TaskTimeout:
        raise
    except Exception as error:  # noqa: BLE001  (handed on: the ledger keeps it)
        return error


def only(outcomes: Sequence[Result | Exception]) -> Result:
    """The result of a stack of one run. Raises what it has instead."""
    (outcome,) = outcomes
    if isinstance(outcome, Exception):
        raise outcome
    return outcome
