"""Networks: shapes for every size, numbers of parameters, InfoGAN's bound."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from baselines.models import MODELS, model_row
from baselines.models.base import LatentSpec
from baselines.models.infogan import mutual_information
from baselines.recipes.table import recipe_config
from baselines.training.build import build
from baselines.training.engine import Engine, train_through
from baselines.training.training_images import TrainingSet, training_set
from bench.errors import UnknownNameError, UsageError
from tests.baselines.conftest import small_engine, small_game

RECIPE_OF = {
    "dense-gan": "course-gan",
    "dcgan": "dcgan",
    "conditional-dense-gan": "conditional-dense-gan",
    "conditional-dcgan": "conditional-dcgan",
    "infogan": "infogan",
    "autoencoder": "ae-dense",
    "conv-autoencoder": "ae-conv",
    "vae": "vae-conditional",
    "conv-vae": "vae-conv",
    "embedding": "drlim",
}


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 64, 64), (1, 16, 24), (1, 9, 30)])
@pytest.mark.parametrize("model", MODELS)
def test_every_model_trains_on_every_size(model: str, shape: tuple[int, int, int]) -> None:
    channels, height, width = shape
    images = np.random.default_rng(0).integers(0, 256, (20, height, width, channels), np.uint8)
    data = training_set(images, np.arange(20) % 10, name="noise")
    engine = small_engine(RECIPE_OF[model], data, num_steps=2)
    assert torch.isfinite(engine.run_block().values).all()


def test_parameters_of_the_course_networks(digits: TrainingSet) -> None:
    game = build(recipe_config("course-gan"), (1, 28, 28))
    count = {n: sum(p.numel() for p in net.parameters()) for n, net in game.networks.items()}
    # weights a*b and biases b along 100-256-512-1024-784, and 784-1024-512-256-1
    assert count["generator"] == 101 * 256 + 257 * 512 + 513 * 1024 + 1025 * 784
    assert count["discriminator"] == 785 * 1024 + 1025 * 512 + 513 * 256 + 257
    z = torch.randn(5, 100)
    assert game.networks["generator"](z).abs().max() < 1


def test_conditional_models_need_labels(digits: TrainingSet) -> None:
    unlabelled = training_set(digits.images.permute(0, 2, 3, 1).numpy(), None, name="unlabelled")
    for recipe in ("conditional-dcgan", "vae-conditional"):
        with pytest.raises(UsageError, match="has no labels"):
            small_game(recipe, unlabelled)


@pytest.mark.parametrize("recipe", ["conditional-dense-gan", "conditional-dcgan"])
def test_both_players_read_the_class(recipe: str, digits: TrainingSet) -> None:
    game = small_game(recipe, digits)
    for network in game.networks.values():
        network.eval()
    z, x = torch.randn(1, 8).expand(10, -1), digits.batch(torch.zeros(10).long(), "signed")
    with torch.no_grad():
        images = game.networks["generator"](z, torch.eye(10))
        logits = game.networks["discriminator"](x, torch.eye(10)).logits
    assert len(images.flatten(1).unique(dim=0)) == 10
    assert len(logits.unique()) == 10


def test_the_bound_is_the_entropy_when_codes_are_read_perfectly() -> None:
    spec = LatentSpec(noise=3, categories=10, continuous=0)
    z = torch.cat([torch.randn(50, 3), torch.eye(10).repeat(5, 1)], dim=1)
    sure = 100 * z[:, 3:]
    assert mutual_information(sure, z, spec).item() == pytest.approx(math.log(10))
    blind = torch.zeros(50, 10)
    assert mutual_information(blind, z, spec).item() == pytest.approx(0, abs=1e-6)


def test_the_bound_of_a_continuous_code() -> None:
    """Q = N(0, 1/3), with the moments of U(-1, 1), holds no information: the bound is at most 0."""
    spec = LatentSpec(noise=1, categories=2, continuous=1)
    generator = torch.Generator().manual_seed(0)
    code = torch.rand(100_000, 1, generator=generator) * 2 - 1
    category = torch.eye(2)[torch.randint(2, (100_000,), generator=generator)]
    z = torch.cat([torch.zeros(100_000, 1), category, code], dim=1)
    blind = torch.cat([torch.zeros(100_000, 3), torch.full((100_000, 1), 0.5 * math.log(1 / 3))], 1)
    # E log q = -log(2 pi e / 3) / 2, plus H = log 2
    expected = math.log(2) - 0.5 * math.log(2 * math.pi * math.e / 3)
    assert expected < 0
    assert mutual_information(blind, z, spec).item() == pytest.approx(expected, abs=2e-3)
    read = torch.cat([torch.zeros(100_000, 2), code, torch.full((100_000, 1), math.log(0.05))], 1)
    assert mutual_information(read, z, spec).item() > 2


def test_infogan_learns_its_codes(digits: TrainingSet) -> None:
    game = small_game("infogan", digits, "learning_rate=2e-3", num_steps=160)
    engine = Engine(game, digits)
    bound: list[float] = []

    def keep(block: object) -> None:
        place = block.names.index("mutual_information")  # type: ignore[attr-defined]
        bound.extend(block.values[:, place].tolist())  # type: ignore[attr-defined]

    train_through(engine, keep)
    assert abs(bound[0]) < 1
    assert bound[-1] > bound[0] + 1


def test_unknown_model() -> None:
    with pytest.raises(UnknownNameError, match="unknown model 'gan'"):
        model_row("gan")
