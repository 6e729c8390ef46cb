"""The steps without tricks equal plain loops written by hand, bit for bit."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from baselines.models.random_draws import BLOCK_STEPS, draw_block
from baselines.training.build import draws_of
from baselines.training.engine import Engine, train_through
from baselines.training.training_images import TrainingSet
from tests.baselines.conftest import small_game

NUM_STEPS = 20  # more than one block of draws


def adam(parameters: list[Tensor], rate: float, betas: tuple[float, float]) -> torch.optim.Adam:
    return torch.optim.Adam(parameters, lr=rate, betas=betas, fused=True)


@pytest.mark.parametrize("recipe", ["course-gan", "dcgan"])
def test_no_trick_is_bitwise_the_plain_loop(recipe: str, digits: TrainingSet) -> None:
    off = ("tricks.separate-batches=off",) if recipe == "dcgan" else ()
    engine = Engine(small_game(recipe, digits, *off, num_steps=NUM_STEPS), digits)
    losses = []
    train_through(engine, lambda block: losses.extend(block.values[:, [0, 3]].tolist()))

    game = small_game(recipe, digits, *off, num_steps=NUM_STEPS)
    generator, discriminator = game.networks["generator"], game.networks["discriminator"]
    for network in game.networks.values():  # the engine's layout; no part of the loop
        network.to(memory_format=torch.channels_last)
    opt_g = adam(list(generator.parameters()), 2e-4, (0.5, 0.999))
    opt_d = adam(list(discriminator.parameters()), 2e-4, (0.5, 0.999))
    expected = []
    for step in range(NUM_STEPS):
        block = draw_block(draws_of(game, 500), game.config.seed, step // BLOCK_STEPS)
        draw = {name: value[step % BLOCK_STEPS] for name, value in block.items()}
        real = digits.images[draw["discriminator/index"][0]].float() / 127.5 - 1
        fake = generator(draw["discriminator/z"][0]).detach()
        logits = discriminator(torch.cat([real, fake])).logits
        loss_d = F.softplus(-logits[:16]).mean() + F.softplus(logits[16:]).mean()
        opt_d.zero_grad()
        loss_d.backward()
        opt_d.step()
        loss_g = F.softplus(-discriminator(generator(draw["generator/z"])).logits).mean()
        opt_g.zero_grad()
        loss_g.backward()
        opt_g.step()
        expected.append([loss_d.item(), loss_g.item()])
    assert losses == expected
    trained = engine.tensors()
    for name, network in game.networks.items():
        for key, value in network.state_dict().items():
            assert torch.equal(trained[f"networks/{name}/{key}"], value), key


def test_the_autoencoder_loop_is_bitwise_the_plain_loop(digits: TrainingSet) -> None:
    engine = Engine(small_game("ae-dense", digits, num_steps=NUM_STEPS), digits)
    train_through(engine)
    game = small_game("ae-dense", digits, num_steps=NUM_STEPS)
    network = game.networks["autoencoder"]
    optimiser = adam(list(network.parameters()), 1e-3, (0.9, 0.999))
    for step in range(NUM_STEPS):
        block = draw_block(draws_of(game, 500), game.config.seed, step // BLOCK_STEPS)
        x = digits.images[block["autoencoder/index"][step % BLOCK_STEPS]].float() / 255
        loss = (network(x)[0] - x).flatten(1).square().sum(1).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    trained = engine.tensors()
    for key, value in network.state_dict().items():
        assert torch.equal(trained[f"networks/autoencoder/{key}"], value), key


def test_every_image_and_latent_is_fresh(digits: TrainingSet) -> None:
    """The two players' latents, the k steps of the discriminator, and the steps all differ."""
    game = small_game("course-gan", digits, "tricks.discriminator-steps.num_steps=3")
    block = draw_block(draws_of(game, 500), 0, 0)
    assert block["discriminator/z"].shape == (BLOCK_STEPS, 3, 16, 8)
    z = torch.cat([block["discriminator/z"].flatten(0, 2), block["generator/z"].flatten(0, 1)])
    assert len(torch.unique(z, dim=0)) == len(z)


def test_a_trick_leaves_the_other_draws_alone(digits: TrainingSet) -> None:
    plain = draw_block(draws_of(small_game("course-gan", digits), 500), 0, 3)
    noisy = draw_block(
        draws_of(small_game("course-gan", digits, "tricks.instance-noise=on"), 500), 0, 3
    )
    assert set(noisy) > set(plain)
    for name, value in plain.items():
        assert torch.equal(noisy[name], value)
