"""Tricks that change networks, latents, learning rates or saved weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from baselines.models.conv import up_convolution
from baselines.models.latents import shape_noise
from baselines.models.random_draws import draw_block
from baselines.runs.run_folder import checkpoint_of
from baselines.sampling.checkerboard import checkerboard_ratio
from baselines.sampling.trained import trained_from
from baselines.training.build import draws_of
from baselines.training.engine import train_through
from baselines.training.objectives import generator_objective
from baselines.training.training_images import TrainingSet
from tests.baselines.conftest import small_engine, small_game
from tests.baselines.tricks.contexts import active, context


def test_instance_noise_fades_out() -> None:
    trick, options = active("instance-noise", sigma=0.4, until=0.5)
    assert trick.images is not None
    draws = {
        "instance-noise/real": torch.randn(100_000, generator=torch.Generator().manual_seed(0))
    }
    x = torch.zeros(100_000)
    spread = [
        trick.images(x, "real", context(draws=draws, progress=p), options).std().item()
        for p in (0.0, 0.25, 0.5, 1.0)
    ]
    assert spread == pytest.approx([0.4, 0.2, 0, 0], abs=0.005)


def test_both_players_see_noise_of_their_own(digits: TrainingSet) -> None:
    draws = draws_of(small_game("course-gan", digits, "tricks.instance-noise=on"), 500)
    assert {n for n in draws if "noise" in n} == {
        "discriminator/instance-noise/real",
        "discriminator/instance-noise/fake",
        "generator/instance-noise/fake",
    }


def test_feature_matching_sees_both_kinds_under_one_noise_and_one_dropout(
    digits: TrainingSet,
) -> None:
    """Real images that equal the fakes cost nothing, for any noise and dropout."""
    switches = ("tricks.feature-matching=on", "tricks.instance-noise=on", "tricks.dropout=on")
    game = small_game("course-gan", digits, *switches)
    generator, discriminator = game.networks["generator"], game.networks["discriminator"]
    draws = {
        name.removeprefix("generator/"): value[0]
        for name, value in draw_block(draws_of(game, 500), 0, 0).items()
        if name.startswith("generator/")
    }
    draws["real"] = generator(draws["z"]).detach()
    at = context("generator", draws=draws, generator=generator, discriminator=discriminator)
    _, terms = generator_objective(game, at)
    assert terms["g_loss"].item() == 0


def test_the_discriminator_makes_k_steps(digits: TrainingSet) -> None:
    engine = small_engine("course-gan", digits, "tricks.discriminator-steps.num_steps=3")
    engine.run_block()
    tensors = engine.tensors()
    assert tensors["optimisers/discriminator/out.weight/step"] == 48
    assert tensors["optimisers/generator/out.weight/step"] == 16


def test_two_time_scales_are_the_first_step_sizes(digits: TrainingSet) -> None:
    """Adam's first step moves every parameter that has a gradient by the learning rate."""
    settings = ("generator=1e-4", "discriminator=4e-4")
    switches = [f"tricks.two-time-scales.{s}" for s in settings]
    engine = small_engine("course-gan", digits, *switches, num_steps=1)
    before = engine.tensors()
    engine.run_block()
    after = engine.tensors()
    for player, rate in (("generator", 1e-4), ("discriminator", 4e-4)):
        key = f"networks/{player}/out.weight"
        moved = (after[key] - before[key]).abs().max().item()
        assert moved == pytest.approx(rate, rel=0.01)


def test_ema_is_the_average_and_leaves_training_alone(digits: TrainingSet) -> None:
    plain = small_engine("dcgan", digits, num_steps=16)
    averaged = small_engine("dcgan", digits, "tricks.ema.decay=0.5", num_steps=16)
    name = "stem.weight"
    weights = [plain.tensors()[f"networks/generator/{name}"]]
    plain.lanes[0].optimisers["generator"].register_step_post_hook(
        lambda *_: weights.append(plain.lanes[0].parameters["generator"][name].detach().clone())
    )
    plain.run_block()
    averaged.run_block()
    expected = weights[0]
    for step, value in enumerate(weights[1:], start=1):
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    found = averaged.tensors()
    torch.testing.assert_close(found[f"tricks/ema/generator.{name}"], expected)
    for key, value in plain.tensors().items():
        assert torch.equal(found[key], value), key
    sampled = trained_from(checkpoint_of(averaged)).networks["generator"].state_dict()
    torch.testing.assert_close(sampled[name], expected)
    statistic = "norms.0.running_mean"
    torch.testing.assert_close(sampled[statistic], found[f"tricks/ema/generator.{statistic}"])
    assert (sampled[statistic] != found[f"networks/generator/{statistic}"]).any()


def test_latents_have_the_distribution_asked_for(digits: TrainingSet) -> None:
    z = {}
    for kind in ("gaussian", "uniform", "spherical"):
        game = small_game("course-gan", digits, f"tricks.latent.distribution={kind}")
        z[kind] = draw_block(draws_of(game, 500), 0, 0)["generator/z"].flatten(0, 1)
    assert stats.kstest(z["gaussian"].flatten().numpy(), "norm").pvalue > 0.01
    assert stats.kstest(z["uniform"].flatten().numpy(), stats.uniform(-1, 2).cdf).pvalue > 0.01
    torch.testing.assert_close(z["spherical"].norm(dim=1), torch.full((256,), 8**0.5))
    # directions without preference
    assert z["spherical"].mean(0).norm() < 0.5
    assert torch.equal(shape_noise(z["gaussian"], "gaussian"), z["gaussian"])


def test_activations(digits: TrainingSet) -> None:
    x = digits.batch(torch.arange(20), "signed")
    for recipe in ("course-gan", "dcgan"):
        lows = {}
        for kind in ("relu", "leaky"):
            network = small_game(
                recipe, digits, f"tricks.activation.discriminator={kind}"
            ).networks["discriminator"]
            with torch.no_grad():
                lows[kind] = network(x).features.min().item()
        assert lows["relu"] == 0
        assert lows["leaky"] < 0


def test_pooling_takes_the_place_of_strides(digits: TrainingSet) -> None:
    x = digits.batch(torch.arange(4), "signed")
    strides, shapes = {}, set()
    for by in ("pool", "stride"):
        network = small_game("dcgan", digits, f"tricks.downsampling.by={by}").networks[
            "discriminator"
        ]
        convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
        strides[by] = {m.stride for m in convolutions}
        with torch.no_grad():
            shapes.add(network(x).features.shape)
    assert strides == {"pool": {(1, 1)}, "stride": {(2, 2)}}
    assert len(shapes) == 1


def test_a_kernel_that_the_stride_divides_leaves_no_checkerboard() -> None:
    """With equal weights, only uneven coverage has power at the highest frequency."""
    x = torch.rand(16, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    ratios = {}
    for kernel in (2, 3, 4, 5, 6):
        layer = up_convolution(1, 1, kernel, bias=False)
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.fill_(1.0)
            images = layer(x)
        assert images.shape == (16, 1, 32, 32)
        inside = images[:, :, 4:-4, 4:-4].permute(0, 2, 3, 1).numpy()
        ratios[kernel] = checkerboard_ratio(inside)
    assert max(ratios[k] for k in (2, 4, 6)) < 1
    assert min(ratios[k] for k in (3, 5)) > 5


def test_real_digits_have_no_checkerboard(digits: TrainingSet) -> None:
    images = digits.images.permute(0, 2, 3, 1).numpy()
    assert checkerboard_ratio(images) < 1.1
    pattern = (np.indices((28, 28)).sum(0) % 2 * 20).astype(np.uint8)[None, :, :, None]
    board = np.minimum(images, 200) + pattern
    stripes = np.minimum(images, 200) + (np.arange(28) % 2 * 20).astype(np.uint8)[:, None, None]
    assert checkerboard_ratio(board) > 10
    assert checkerboard_ratio(stripes) > 3


def test_dropout_drops_the_share_and_keeps_the_mean(digits: TrainingSet) -> None:
    trick, options = active("dropout", probability=0.3)
    assert trick.keep is not None
    u = torch.rand(2000, 50, generator=torch.Generator().manual_seed(0))
    keep = trick.keep("real", context(draws={"dropout/real": u}), options)
    assert keep.unique().tolist() == pytest.approx([0, 1 / 0.7])
    assert keep.mean().item() == pytest.approx(1, abs=0.01)
    for recipe in ("course-gan", "dcgan"):
        network = small_game(recipe, digits, "tricks.dropout=on").networks["discriminator"]
        x = digits.batch(torch.arange(4), "signed")
        units = torch.ones(4, network.num_units)
        with torch.no_grad():
            plain, same = network(x).logits, network(x, None, units).logits
            assert torch.equal(plain, same)
            silent = network(x, None, torch.zeros_like(units))
        assert (silent.features == 0).all()


def test_sampling_uses_no_dropout_and_eval_mode(digits: TrainingSet) -> None:
    engine = small_engine("dcgan", digits, "tricks.dropout=on", num_steps=16)
    train_through(engine)
    trained = trained_from(checkpoint_of(engine))
    assert not any(m.training for n in trained.networks.values() for m in n.modules())
