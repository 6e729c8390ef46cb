"""Real digits, a few hundred, in place of the data sets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from baselines.ablation.recipe_study import sampled_runs
from baselines.runs.jobs import shared_training_set
from baselines.training.training_images import TrainingSet
from bench.data.datasets import Dataset
from tests.conftest import RealSample


@pytest.fixture(autouse=True)
def _small_data(
    monkeypatch: pytest.MonkeyPatch, digits: TrainingSet, mnist: RealSample
) -> Iterator[None]:
    def load(name: str, split: str, *, data_root: Path | None) -> Dataset:
        return Dataset(name, split, mnist.images[500:800], mnist.labels[500:800])

    shared_training_set.cache_clear()
    monkeypatch.setattr("baselines.runs.jobs.load_training_set", lambda name, **_options: digits)
    monkeypatch.setattr(sampled_runs, "load_dataset", load)
    yield
    shared_training_set.cache_clear()
