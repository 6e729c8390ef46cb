"""Small training sets and small networks for the baselines' tests."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from baselines.recipes.config import RunConfig
from baselines.recipes.table import recipe_config
from baselines.runs.train import train_stack
from baselines.training.build import Game, build_for
from baselines.training.engine import Engine
from baselines.training.training_images import TrainingSet, training_set
from bench.execution.ledger.work import Job, WorkContext
from tests.conftest import RealSample

SMALL_DENSE = ("model.generator_widths=[32,48]", "model.discriminator_widths=[48,32]")
SMALL = {
    "dense-gan": (*SMALL_DENSE, "batch_size=16", "model.latent_dim=8"),
    "conditional-dense-gan": (*SMALL_DENSE, "batch_size=16", "model.latent_dim=8"),
    "dcgan": ("model.width=4", "batch_size=16", "model.latent_dim=8"),
    "conditional-dcgan": ("model.width=4", "batch_size=16", "model.latent_dim=8"),
    "infogan": ("model.width=4", "batch_size=16", "model.latent_dim=8"),
    "autoencoder": ("model.widths=[32]", "batch_size=16", "model.code_dim=6"),
    "conv-autoencoder": ("model.width=4", "batch_size=16", "model.code_dim=6"),
    "vae": ("model.widths=[32]", "batch_size=16", "model.latent_dim=4"),
    "conv-vae": ("model.width=4", "batch_size=16", "model.latent_dim=4"),
    "embedding": ("model.width=4", "batch_size=16"),
}


@pytest.fixture(scope="session")
def digits(mnist: RealSample) -> TrainingSet:
    """500 real digits with labels."""
    return training_set(mnist.images[:500], mnist.labels[:500], name="digits")


def small_game(
    recipe: str, data: TrainingSet, *settings: str, seed: int = 0, num_steps: int = 40
) -> Game:
    """Build a recipe with small networks."""
    model = recipe_config(recipe).model
    config = recipe_config(
        recipe, seed=seed, settings=(*SMALL[model], f"num_steps={num_steps}", *settings)
    )
    return build_for(config, data)


def small_engine(
    recipe: str, data: TrainingSet, *settings: str, seed: int = 0, num_steps: int = 40
) -> Engine:
    return Engine(small_game(recipe, data, *settings, seed=seed, num_steps=num_steps), data)


def train_run(config: RunConfig, data: TrainingSet, folder: Path, **options: Any) -> Path:
    """Train one run; return its folder."""
    train_stack([config], data, [folder], **options)
    return folder


def context_of(job: Job, folder: Path, attempt: int = 1, memory_step: int = 0) -> WorkContext:
    """Return the context of a job that works in `folder`."""
    folder.mkdir(exist_ok=True)
    return WorkContext(
        key=job.key,
        label=job.label,
        folder=folder,
        attempt=attempt,
        memory_step=memory_step,
        deadline=None,
    )


@pytest.fixture
def _verbs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the verbs of this checkout's pyproject.toml instead of the installed ones."""
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    verbs = tomllib.loads(text)["project"]["entry-points"]["latentbench.verbs"]
    entries = [
        metadata.EntryPoint(name, value, "latentbench.verbs") for name, value in verbs.items()
    ]
    monkeypatch.setattr("bench.cli.app.entry_points", lambda: entries)
