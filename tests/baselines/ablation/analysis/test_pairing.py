"""Runs of one seed are paired: what a trick or a setting leaves in shape starts the same, and every
draw that two runs share is the same number.
"""

from __future__ import annotations

import pytest
import torch

from baselines.models.base import Layers
from baselines.models.random_draws import derive_seed, draw_block
from baselines.recipes.config import RunConfig
from baselines.recipes.table import RECIPES, recipe_config
from baselines.training.build import build, draws_of

SHAPE = (1, 28, 28)
FOUR = (
    "tricks.label-noise=on",
    "tricks.replay-buffer=on",
    "tricks.minibatch-discrimination=on",
    "loss=minimax",
)


def weights(config: RunConfig) -> dict[str, torch.Tensor]:
    game = build(config, SHAPE, 10)
    return {
        f"{player}.{name}": tensor
        for player, network in game.networks.items()
        for name, tensor in network.state_dict().items()
    }


def unequal(recipe: str, *settings: str, base: tuple[str, ...] = ()) -> set[str]:
    """Names of the tensors that differ between a recipe and the same with settings. A bias beside
    a weight that differs is not named: it may differ too, or be 0 in both.
    """
    plain = weights(recipe_config(recipe, seed=3, settings=base))
    changed = weights(recipe_config(recipe, seed=3, settings=(*base, *settings)))
    found = {
        name
        for name in plain | changed
        if name not in plain
        or name not in changed
        or plain[name].shape != changed[name].shape
        or not torch.equal(plain[name], changed[name])
    }
    return {
        name
        for name in found
        if not name.endswith(".bias") or f"{name.removesuffix('.bias')}.weight" not in found
    }


@pytest.mark.parametrize("recipe", ["dcgan", "course-gan"])
@pytest.mark.parametrize("settings", [FOUR, FOUR[2:3], FOUR[:2], FOUR[3:]], ids=str)
def test_the_four_tricks_leave_the_initial_weights(recipe: str, settings: tuple[str, ...]) -> None:
    head = {"discriminator.head.kernels", "discriminator.out.weight"}
    expected = head if FOUR[2] in settings else set()
    assert unequal(recipe, *settings) == expected


@pytest.mark.parametrize(
    ("recipe", "setting", "expected"),
    [
        ("course-gan", "model.latent_dim=16", {"generator.hidden.0.weight"}),
        ("dcgan", "model.latent_dim=16", {"generator.stem.weight"}),
        ("dcgan", "tricks.downsampling=on", {f"discriminator.downs.{n}.weight" for n in range(2)}),
        ("dcgan", "tricks.latent=on", set()),
        ("dcgan", "tricks.activation=on", set()),
        ("vae", "model.beta=4", set()),
    ],
)  # fmt: skip
def test_other_changes_touch_their_own_layers_only(
    recipe: str, setting: str, expected: set[str]
) -> None:
    assert unequal(recipe, setting) == expected


def test_spectral_vectors_do_not_depend_on_other_tricks() -> None:
    """A power iteration starts from the same draw, with a minibatch layer or without."""
    normed = ("tricks.spectral-norm=on", "model.batch_norm_discriminator=false")
    found = unequal("dcgan", FOUR[2], base=normed)
    assert found == {
        "discriminator.head.kernels",
        "discriminator.out.parametrizations.weight.original",
    }


@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_with_nothing_changed_the_weights_are_the_plain_draw(recipe: str) -> None:
    """One manual_seed, one build, then the tricks: as before pairing, bit for bit."""
    config = recipe_config(recipe, seed=5)
    model, options = config.model_row, config.parsed_model_options
    classes = 10 if model.conditional(options) else 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(5, "weights"))
        networks = model.build(options, SHAPE, classes, Layers())
        for trick, chosen in config.active:
            if trick.networks is not None:
                trick.networks(networks, chosen)
    found = weights(config)
    plain = {
        f"{player}.{name}": tensor
        for player, network in networks.items()
        for name, tensor in network.state_dict().items()
    }
    assert found.keys() == plain.keys()
    assert all(torch.equal(found[name], plain[name]) for name in plain)


@pytest.mark.parametrize("settings", [FOUR, *((one,) for one in FOUR)], ids=str)
def test_shared_draws_are_the_same_numbers(settings: tuple[str, ...]) -> None:
    """Images, latents and every draw of another trick, by name."""
    plain = build(recipe_config("course-gan", seed=4), SHAPE)
    changed = build(recipe_config("course-gan", seed=4, settings=settings), SHAPE)
    before = draw_block(draws_of(plain, 500), 4, block=7)
    after = draw_block(draws_of(changed, 500), 4, block=7)
    assert {"discriminator/index", "discriminator/z", "generator/z"} <= before.keys()
    assert before.keys() <= after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_seeds_differ() -> None:
    one, two = (weights(recipe_config("course-gan", seed=seed)) for seed in (0, 1))
    assert not any(torch.equal(one[name], two[name]) for name in one)
