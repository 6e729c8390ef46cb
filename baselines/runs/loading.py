"""What jobs have in common, loaded once a process: training images and the scorer."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from baselines.training.training_images import TrainingSet, load_training_set
from bench.runtime.cache import Cache, default_root
from bench.scoring.scorer import Scorer

_in_turn = threading.Lock()  # threads of one process share its scorer


@functools.lru_cache(maxsize=2)
def training_set_of(source: str, data_root: str | None, device: str) -> TrainingSet:
    root = None if data_root is None else Path(data_root)
    return load_training_set(source, data_root=root, device=device)


@functools.lru_cache(maxsize=2)
def scorer_of(
    reference: str, extractor: str | None, metrics: tuple[str, ...], device: str, memory_step: int
) -> Scorer:
    """Loaded once a process. What real images score is cached on disk; features of samples, which
    nobody scores twice, are not.
    """
    settings: dict[str, Any] = {
        "reference": reference,
        "extractor": extractor,
        "metrics": metrics,
        "device": device,
        "use_cache": False,
    }
    scorer = Scorer(**settings)
    if memory_step:
        usual = scorer.targets[0].network.batch_size
        scorer = Scorer(**settings, batch_size=max(1, usual >> memory_step))
        if device.startswith("cuda"):
            torch.cuda.empty_cache()
    scorer.cache = Cache(default_root())
    return scorer


@contextmanager
def scorer_in_turn(
    reference: str, extractor: str | None, metrics: tuple[str, ...], device: str, memory_step: int
) -> Iterator[Scorer]:
    """`scorer_of`, for this thread alone."""
    with _in_turn:
        yield scorer_of(reference, extractor, tuple(sorted(metrics)), device, memory_step)
