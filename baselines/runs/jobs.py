"""What the jobs of studies and ablations share: training into the job's folder, the training images
and the scorer.

A job resumes from its last checkpoint, and a divergence is a result rather than an error. Training
images and scorers are loaded once per process.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch

from baselines.recipes.config import RunConfig
from baselines.runs.run_folder import CHECKPOINT, LOG, RunFolder
from baselines.runs.train import TrainingDiverged, train_stack
from baselines.sampling.trained import CHUNK, Trained, trained_from
from baselines.training.checkpoint import Checkpoint, read_checkpoint
from baselines.training.training_images import TrainingSet, load_training_set
from bench.errors import BundleError, UsageError
from bench.execution.ledger.causes import TaskTimeout, cause_of
from bench.execution.ledger.files import set_aside
from bench.scoring.scorer import Scorer
from bench.scoring.settings import ScoreSettings

DIVERGED = "diverged"
Result = TypeVar("Result")
_scorer_lock = threading.Lock()


def divergence(folder: Path) -> Mapping[str, Any] | None:
    """Return the log event of a divergence that ended the run, or None."""
    last = (RunFolder(folder).events() or [{}])[-1] if (folder / LOG).is_file() else {}
    return last if last.get("event") == DIVERGED else None


def describe_divergence(event: Mapping[str, Any]) -> str:
    """Format a divergence.

    >>> describe_divergence({"term": "loss", "step": 3})
    'loss is not finite at step 3'
    """
    return f"{event['term']} is not finite at step {event['step']}"


def train_unfinished(
    configs: Sequence[RunConfig],
    folders: Sequence[Path],
    *,
    data: str,
    data_root: str | None,
    device: str,
    milestones: Collection[int] = (),
) -> None:
    """Train the runs that have not finished, as one program if there are several.

    Training continues from the last checkpoints, and starts again where one is damaged. A run that
    diverged earlier is left unchanged; one that diverges now says so in its log. Raises
    `UsageError` if a single training does not fit into memory, and otherwise what `train_stack`
    raises.
    """
    ready = [number for number, folder in enumerate(folders) if divergence(folder) is None]
    if not ready:
        return
    images = shared_training_set(data, data_root, device, configs[0].resize)
    for number in ready:
        _drop_unreadable(folders[number])
    try:
        train_stack(
            [configs[number] for number in ready],
            images,
            [folders[number] for number in ready],
            device=device,
            resume=True,
            milestones=milestones,
        )
    except TrainingDiverged:
        return
    except Exception as error:
        if len(ready) == 1 and cause_of(error) == "memory":
            raise UsageError(
                f"a single training with batches of {configs[ready[0]].batch_size} does not fit "
                "into memory. It is not split, because smaller batches give other results; free "
                "the device, use a larger one, or set a smaller batch_size"
            ) from error
        raise


def _drop_unreadable(folder: Path) -> None:
    """Set a damaged checkpoint aside, so that the training starts again."""
    path = folder / CHECKPOINT
    if path.is_file():
        try:
            read_checkpoint(path)
        except BundleError:
            set_aside(path)


def trained_for(checkpoint: Checkpoint, device: str, memory_step: int) -> Trained:
    """Return the networks of a checkpoint, which sample in batches halved `memory_step` times."""
    trained = trained_from(checkpoint, device)
    return replace(trained, chunk=max(1, CHUNK >> memory_step)) if memory_step else trained


def outcome_of(result: Callable[[], Result]) -> Result | Exception:
    """Return a run's result, or the exception it raised, so that the rest of its stack goes on.

    Raises `TaskTimeout`.
    """
    try:
        return result()
    except TaskTimeout:
        raise
    except Exception as error:  # noqa: BLE001  (the ledger records it)
        return error


def only_outcome(outcomes: Sequence[Result | Exception]) -> Result:
    """Return the result of a stack of one run. Raises the run's exception."""
    (outcome,) = outcomes
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


@functools.lru_cache(maxsize=2)
def shared_training_set(
    source: str, data_root: str | None, device: str, resize: str | None = None
) -> TrainingSet:
    """Return the training images, loaded once per process."""
    root = None if data_root is None else Path(data_root)
    return load_training_set(source, data_root=root, device=device, resize=resize)


@functools.lru_cache(maxsize=2)
def shared_scorer(
    reference: str, extractor: str | None, metrics: tuple[str, ...], device: str, memory_step: int
) -> Scorer:
    """Return a scorer, made once per process. Its batch size is halved `memory_step` times.

    Values of perfect images are cached on disk; features of samples are not, since nobody scores
    them twice.
    """
    settings = ScoreSettings(
        reference=reference,
        extractor=extractor,
        metrics=metrics,
        device=device,
        cache_submissions=False,
    )
    scorer = Scorer(settings)
    if memory_step:
        usual = scorer.targets[0].network.batch_size
        scorer = Scorer(settings, batch_size=max(1, usual >> memory_step))
        if device.startswith("cuda"):
            torch.cuda.empty_cache()
    return scorer


@contextmanager
def exclusive_scorer(
    reference: str, extractor: str | None, metrics: tuple[str, ...], device: str, memory_step: int
) -> Iterator[Scorer]:
    """Yield `shared_scorer` to one thread at a time."""
    with _scorer_lock:
        yield shared_scorer(reference, extractor, tuple(sorted(metrics)), device, memory_step)
