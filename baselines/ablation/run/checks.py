"""Checks before the first training, of what would otherwise fail after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from baselines.ablation.design.cells import SAMPLING_SEED
from baselines.ablation.run.evaluated_runs import EvaluationTask
from baselines.ablation.run.plan_jobs import cell_of
from baselines.models import MODELS
from baselines.runs.jobs import shared_scorer, shared_training_set
from baselines.runs.run_folder import checkpoint_of
from baselines.sampling.sampler import Sampler, SamplingOptions
from baselines.sampling.trained import trained_from
from baselines.training.build import build_for
from baselines.training.engine import Engine
from bench.errors import UsageError
from bench.execution.ledger.work import Job

CHECKED_ON = "cpu"  # a head node may have no GPU, and a GPU belongs to the workers


def require_all_runnable(jobs: Sequence[Job]) -> None:
    """Load what the runs of an ablation need, and try what sampling may refuse.

    Raises `UsageError`, and what loading raises, naming what cannot be found or done.
    """
    require_loadable(jobs)
    for label, payload in {cell_of(job): job.payload for job in jobs}.items():
        try:
            _require_samplable(EvaluationTask.model_validate(payload))
        except UsageError as error:
            raise UsageError(f"{label}: its samples cannot be drawn: {error}") from error


def require_loadable(jobs: Sequence[Job]) -> None:
    """Load the data and scorers that jobs need, so that a wrong name of a data set, reference,
    extractor or metric is reported before the first training. Raises what loading them raises.
    """
    names = ("data", "data_root", "reference", "extractor", "metrics")
    needs = {
        (*map(str, map(job.payload.get, names)), _resize_of(job.payload)): job.payload
        for job in jobs
    }
    for need in needs.values():
        shared_training_set(need["data"], need["data_root"], CHECKED_ON, _resize_of(need))
        metrics = tuple(sorted(need["metrics"]))
        shared_scorer(need["reference"], need["extractor"], metrics, CHECKED_ON, 0)


def _resize_of(payload: Mapping[str, Any]) -> str | None:
    size: str | None = payload.get("config", {}).get("resize")
    return size


def _require_samplable(task: EvaluationTask) -> None:
    """Sample a GAN's untrained networks, so that a sampling trick that its loss or layers do not
    allow is reported before the first training. Raises `UsageError`.
    """
    MODELS[task.run_config.model].require_images()
    if task.sampling == SamplingOptions(prior=task.sampling.prior):
        return
    config = task.run_config
    if MODELS[config.model].kind == "adversarial":
        data = shared_training_set(task.data, task.data_root, CHECKED_ON, config.resize)
        engine = Engine(build_for(config, data), data)
        Sampler(trained_from(checkpoint_of(engine), CHECKED_ON), task.sampling, SAMPLING_SEED)
    elif task.sampling.rejection_gamma is not None or task.sampling.budget is not None:
        raise UsageError(f"recipe {config.recipe!r}: rejection by the discriminator needs a GAN")
