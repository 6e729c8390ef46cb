"""The contrastive embedding: its loss by hand, its pairs, and what a short training reaches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from baselines.latent.spaces import space_of_trained
from baselines.models.embedding import code_distances, contrastive_loss, paired_variations
from baselines.recipes.table import IMAGE_RECIPES, RECIPES, recipe_config
from baselines.runs.run_folder import checkpoint_of, load_run
from baselines.sampling.sampler import Sampler, SamplingOptions
from baselines.sampling.trained import trained_from
from baselines.training.build import build_for
from baselines.training.engine import Engine, train_through
from baselines.training.objectives import embedding_objective
from baselines.training.training_images import TrainingSet, load_training_set
from baselines.tricks.base import Net
from bench.errors import UsageError
from bench.latent.context import Context
from bench.latent.data import LabelledImages, LatentData
from bench.latent.invariance import (
    linear_correlations,
    measure_invariance,
    random_variations,
    varied,
)
from bench.latent.space import checked
from tests.baselines.conftest import train_run
from tests.conftest import RealSample

SMALL = ("model.width=4", "batch_size=32")


def trained_embedding(data: TrainingSet, *settings: str):
    config = recipe_config("drlim", settings=[*SMALL, *settings])
    engine = Engine(build_for(config, data), data)
    train_through(engine)
    return trained_from(checkpoint_of(engine))


def test_the_loss_by_hand() -> None:
    """Hadsell et al. 2006, eq. 4: similar pairs are pulled together, others up to the margin."""
    distance = torch.tensor([0.0, 0.5, 3.0, 0.0, 0.5, 3.0])
    similar = torch.tensor([True] * 3 + [False] * 3)
    expected = [0, 0.125, 4.5, 2.0, 1.125, 0]  # with margin 2: (2 - d)^2 / 2
    assert contrastive_loss(distance, similar, 2.0).tolist() == pytest.approx(expected)


def test_distances_have_finite_gradients_at_0() -> None:
    codes = torch.zeros(4, 3, requires_grad=True)
    code_distances(codes).sum().backward()
    assert torch.isfinite(codes.grad).all()
    apart = torch.tensor([[0.0, 0], [1, 1], [3, 4], [1, 2]])
    assert code_distances(apart).tolist() == pytest.approx([5, 1])


def test_pairs_are_similar_when_both_parts_are_near() -> None:
    rng = torch.Generator().manual_seed(0)
    first, second = (torch.rand(20_000, 2, generator=rng) for _ in range(2))
    near = torch.rand(20_000, generator=rng)
    pairs = paired_variations(first, second, near, 0.1)
    assert pairs.first.abs().max() <= 1
    assert pairs.second.abs().max() <= 1
    gap = (pairs.first - pairs.second).abs()
    assert torch.equal(pairs.similar, (gap <= 0.2 + 1e-6).all(dim=1))
    assert pairs.similar[near < 0.5].all()
    # of independent ones: two uniform numbers lie within a tenth with probability 1 - 0.9^2
    assert float(pairs.similar[near >= 0.5].float().mean()) == pytest.approx(0.19**2, abs=0.006)


def test_the_objective_is_the_mean_loss_of_varied_pairs(digits: TrainingSet) -> None:
    still = ("model.max_shift_px=0", "model.max_degrees=0")
    config = recipe_config("drlim", settings=[*SMALL, *still])
    game = build_for(config, digits)
    network = game.networks["encoder"]
    images = digits.images[:8].float() / 255
    near = torch.tensor([0.0, 0.9, 0.0, 0.9])
    first = torch.tensor([[0.5, 0.5]] * 4)
    second = torch.tensor([[0.5, 0.5], [1.0, 1.0], [0.6, 0.4], [0.0, 0.0]])
    draws = {"real": images, "first": first, "second": second, "near": near}
    net = Net(network, dict(network.named_parameters()), dict(network.named_buffers()))
    with torch.no_grad():
        loss, terms = embedding_objective(game, net, draws)
        codes = network(images)  # nothing is varied
    distance = (codes[:4] - codes[4:]).norm(dim=1)
    apart = (1 - distance[[1, 3]]).clamp_min(0)
    expected = ((distance[[0, 2]] ** 2).sum() + (apart**2).sum()) / 2 / 4
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)
    assert float(terms["similar"]) == pytest.approx(float(distance[[0, 2]].mean()), rel=1e-5)
    assert float(terms["dissimilar"]) == pytest.approx(float(distance[[1, 3]].mean()), rel=1e-5)


def test_a_short_training_places_images_by_their_variation(
    digits: TrainingSet, mnist: RealSample
) -> None:
    images = mnist.images[-400:]
    variations = random_variations(400, seed=1)
    seen = varied(images, variations)

    def correlation(*settings: str) -> float:
        trained = trained_embedding(digits, *settings)
        codes = np.asarray(trained.encode(seen).numpy())
        assert codes.shape == (400, 3)
        return float(linear_correlations(codes, variations).min())

    before, after = correlation("num_steps=1"), correlation("num_steps=400")
    assert after > max(0.6, before + 0.1)


def test_a_run_folder_holds_the_embedding_and_no_pictures(
    digits: TrainingSet, tmp_path: Path
) -> None:
    config = recipe_config("drlim", settings=[*SMALL, "num_steps=16"])
    run = train_run(config, digits, tmp_path / "run")
    codes = load_run(run).encode(digits.images[:5].permute(0, 2, 3, 1).numpy())
    expected = trained_embedding(digits, "num_steps=16").encode(
        digits.images[:5].permute(0, 2, 3, 1).numpy()
    )
    torch.testing.assert_close(codes, expected)
    assert not list(run.glob("grids/*"))


def test_stacked_runs_are_the_single_runs(digits: TrainingSet) -> None:
    configs = [recipe_config("drlim", seed=s, settings=[*SMALL, "num_steps=3"]) for s in (0, 1)]
    together = Engine([build_for(c, digits) for c in configs], digits, stack=True).run_block()
    for run, config in enumerate(configs):
        alone = Engine(build_for(config, digits), digits).run_block()
        torch.testing.assert_close(together.values[:, run], alone.values, rtol=1e-4, atol=1e-5)


def test_an_embedding_cannot_be_sampled(digits: TrainingSet, tmp_path: Path) -> None:
    trained = trained_embedding(digits, "num_steps=1")
    with pytest.raises(UsageError, match="latentbench latent RUN"):
        Sampler(trained, SamplingOptions())
    with pytest.raises(UsageError, match="cannot be sampled or scored"):
        trained.decode(torch.zeros(1, 3))
    assert "drlim" in RECIPES
    assert "drlim" not in IMAGE_RECIPES
    with pytest.raises(UsageError, match="own objective"):
        recipe_config("drlim", settings=["loss=hinge"])
    with pytest.raises(UsageError, match="tricks are for GANs"):
        recipe_config("drlim", settings=["tricks.ema=on"])


def test_an_embedding_is_a_latent_space_without_a_decoder(
    digits: TrainingSet, mnist: RealSample
) -> None:
    space = checked(space_of_trained(trained_embedding(digits, "num_steps=1"), "drlim"))
    assert not space.has("decode")
    images = mnist.images[:60]
    data = LatentData("mnist", LabelledImages(images), LabelledImages(images))
    values = measure_invariance(Context(space, data))
    assert all(value.value is not None for value in values)


def test_a_recipe_trains_on_drawn_factors() -> None:
    data = load_training_set("factors:50:3")
    assert (data.image_shape, data.num_classes, len(data.images)) == ((1, 28, 28), 10, 50)
    trained = trained_embedding(data, "num_steps=1")
    assert trained.checkpoint.data_digest == data.digest
    assert load_training_set("factors:50:4").digest != data.digest
