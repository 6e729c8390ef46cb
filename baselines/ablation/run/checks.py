"""What would fail only after a training, tried before the first one."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from baselines.ablation.design.cells import SAMPLING_SEED
from baselines.ablation.run.jobs import cell_of
from baselines.ablation.run.work import Task
from baselines.models import MODELS
from baselines.runs.jobs import shared_scorer, shared_training_set
from baselines.runs.run_folder import checkpoint_of
from baselines.sampling.sampler import Sampler, SamplingOptions
from baselines.sampling.trained import trained_from
from baselines.training.build import build_for
from baselines.training.engine import Engine
from bench.errors import UsageError
from bench.execution.ledger.work import Job

CHECKED_ON = "cpu"  # a head node may have nothing else, and a GPU is the workers'


def require_all_runnable(jobs: Sequence[Job]) -> None:
    """Load what the runs need and try what may be refused only after a training. Raises
    `UsageError`, and what loading raises, naming what cannot be found or done.
    """
    for payload in {json.dumps(_needs(job)): job.payload for job in jobs}.values():
        _require_loadable(payload)
    for label, payload in {cell_of(job): job.payload for job in jobs}.items():
        try:
            _require_samplable(payload)
        except UsageError as error:
            raise UsageError(f"{label}: its samples cannot be drawn so: {error}") from error


def _needs(job: Job) -> list[object]:
    """What a job loads before it begins."""
    return [
        job.payload[name] for name in ("data", "data_root", "reference", "extractor", "metrics")
    ]


def _require_loadable(payload: Mapping[str, Any]) -> None:
    """Load what every run of a plan needs, so that a wrong name of data, reference, extractor or
    metric is told before the first training and not after it. Raises what loading them raises.
    """
    task = Task.model_validate(payload)
    shared_training_set(task.data, task.data_root, CHECKED_ON)
    shared_scorer(task.reference, task.extractor, tuple(sorted(task.metrics)), CHECKED_ON, 0)


def _require_samplable(payload: Mapping[str, Any]) -> None:
    """Sample the untrained networks of a GAN, so that a trick of sampling that its loss or layers
    do not allow is told before the first training. Raises `UsageError`.
    """
    task = Task.model_validate(payload)
    if task.sampling == SamplingOptions(prior=task.sampling.prior):
        return
    config = task.run_config
    if MODELS[config.model].kind == "adversarial":
        data = shared_training_set(task.data, task.data_root, CHECKED_ON)
        engine = Engine(build_for(config, data), data)
        Sampler(trained_from(checkpoint_of(engine), CHECKED_ON), task.sampling, SAMPLING_SEED)
    elif task.sampling.rejection_gamma is not None or task.sampling.budget is not None:
        raise UsageError(f"recipe {config.recipe!r}: rejection by the discriminator needs a GAN")
