"""Build a run from its configuration: networks, plan, hooks and draws, before any step.

Initial weights depend on the seed only: they are drawn on the CPU inside a forked random state, so
that neither the caller's random numbers nor the device matter. They are paired: a layer whose shape
a trick does not change starts as it would without the trick, and a run that differs from its recipe
only in the size of the latent starts as the recipe does. So two runs of one seed differ by what was
changed and by nothing else.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from baselines.models.base import ImageShape, LatentSpec, Layers, Model
from baselines.models.latents import latent_sampler
from baselines.models.options import AutoencoderOptions
from baselines.models.random_draws import Draw, derive_seed, integers, normal, uniform
from baselines.recipes.config import ActiveTrick, RunConfig
from baselines.recipes.table import RECIPES
from baselines.training.training_images import TrainingSet
from baselines.tricks.base import Plan, Player, Sizes
from bench.errors import UsageError

PLAYERS: tuple[Player, ...] = ("discriminator", "generator")


@dataclass(frozen=True, kw_only=True)
class Game:
    """A built run: networks on the CPU in training mode, and everything the loops need to know."""

    config: RunConfig
    model: Model
    options: Any
    plan: Plan
    active: tuple[ActiveTrick, ...]
    networks: dict[str, nn.Module]
    state: dict[str, Tensor]  # tensors of the tricks, by trick/key
    sizes: Sizes
    num_classes: int  # 0 for an unconditional model

    @property
    def latent(self) -> LatentSpec | None:
        """The parts of the latent vector; None for an autoencoder."""
        return None if self.model.latent is None else self.model.latent(self.options)

    def hooks(self, point: str) -> list[Callable[..., Any]]:
        """Return the hooks of a point, in the order of the table, with their options bound."""
        found: list[Callable[..., Any]] = []
        for trick, options in self.active:
            function = getattr(trick, point)
            if function is not None:
                found.append(functools.partial(_with_options, function, options))
        return found


def _with_options(function: Callable[..., Any], options: Any, *arguments: Any) -> Any:
    return function(*arguments, options)


def build(config: RunConfig, image_shape: ImageShape, num_classes: int = 0) -> Game:
    """Build a run for images of C,H,W; `num_classes` is that of the data.

    Raises `UsageError` for a conditional model on data without labels, and for images whose sides
    do not fit the model.
    """
    model, options = config.model_row, config.parsed_model_options
    conditional = model.conditional(options)
    if conditional and not num_classes:
        raise UsageError(
            f"model {model.name!r} is conditional, and {config.data} has no labels; sort the "
            "images into one folder for each class, or choose an unconditional model"
        )
    classes = num_classes if conditional else 0
    plan = Plan(learning_rate_g=config.learning_rate, learning_rate_d=config.learning_rate)
    for trick, chosen in config.active:
        if trick.plan is not None:
            plan = trick.plan(plan, chosen)
    state: dict[str, Tensor] = {}
    with torch.random.fork_rng(devices=[]):
        networks = _drawn_networks(config, image_shape, classes, plan.layers)
        for trick, chosen in config.active:
            if trick.networks is not None:
                trick.networks(networks, chosen)
    units = getattr(networks.get("discriminator"), "num_units", 0)
    sizes = Sizes(config.batch_size, image_shape, units)
    for trick, chosen in config.active:
        if trick.state is not None:
            found = trick.state(networks, sizes, chosen)
            state |= {f"{trick.name}/{key}": value for key, value in found.items()}
    return Game(
        config=config,
        model=model,
        options=options,
        plan=plan,
        active=config.active,
        networks=networks,
        state=state,
        sizes=sizes,
        num_classes=classes,
    )


def _drawn_networks(
    config: RunConfig, image_shape: ImageShape, num_classes: int, layers: Layers
) -> dict[str, nn.Module]:
    """Draw networks that share every layer with the same run without tricks and with the recipe's
    latent, where name and shapes agree. The other layers are drawn in the run's own order. Leaves
    torch's default generator as the draw without tricks does.
    """
    model, options = config.model_row, config.parsed_model_options
    original = _with_recipe_latent(config)

    def drawn(chosen: Any, with_layers: Layers) -> dict[str, nn.Module]:
        torch.manual_seed(derive_seed(config.seed, "weights"))
        return model.build(chosen, image_shape, num_classes, with_layers)

    plain = drawn(original, Layers())
    if (options, layers) == (original, Layers()):
        return plain
    after = torch.get_rng_state()
    networks = drawn(options, layers)
    for name, network in networks.items():
        _copy_equal_layers(network, plain[name])
    torch.set_rng_state(after)  # what the tricks draw next does not depend on the layers
    return networks


def _with_recipe_latent(config: RunConfig) -> Any:
    """Return the recipe's model options if the run differs from them in the latent's size only, or
    else the run's own.
    """
    options, row = config.parsed_model_options, RECIPES.get(config.recipe)
    if row is None or row.settings["model"] != config.model or not hasattr(options, "latent_dim"):
        return options
    original = config.model_row.options(**row.settings.get("model_options", {}))
    alike = original.model_copy(update={"latent_dim": options.latent_dim}) == options
    return original if alike else options


@torch.no_grad()
def _copy_equal_layers(network: nn.Module, plain: nn.Module) -> None:
    """Copy the tensors of every layer that both networks have, with equal name and shapes.

    Whole layers are compared because the scale of a bias depends on the shape of its weight.
    """
    others = dict(plain.named_modules())
    for name, layer in network.named_modules():
        mine, theirs = _own_tensors(layer), _own_tensors(others.get(name))
        if {k: t.shape for k, t in mine.items()} == {k: t.shape for k, t in theirs.items()}:
            for key, tensor in mine.items():
                tensor.copy_(theirs[key])


def _own_tensors(layer: nn.Module | None) -> dict[str, Tensor]:
    """Return parameters and buffers of a layer without those of its children."""
    if layer is None:
        return {}
    return {
        **dict(layer.named_parameters(recurse=False)),
        **dict(layer.named_buffers(recurse=False)),
    }


def build_for(config: RunConfig, data: TrainingSet) -> Game:
    """Build a run for the image shape and classes of a training set; see `build`."""
    return build(config, data.image_shape, data.num_classes)


def draws_of(game: Game, num_images: int) -> dict[str, Draw]:
    """Return the draws of one step: image indices, latents, classes, and those of the tricks.

    Names are `player/key`; the discriminator's shapes start with its number of steps.
    """
    if game.model.kind == "likelihood":
        return _likelihood_draws(game, num_images)
    if game.model.kind == "embedding":
        return _embedding_draws(game.config.batch_size, num_images)
    found: dict[str, Draw] = {}
    latent = game.latent
    assert latent is not None  # noqa: S101  (every adversarial model has a latent)
    batch = game.config.batch_size
    for player in PLAYERS:
        wanted = {"z": Draw((batch, latent.dim), latent_sampler(latent, game.plan.latent))}
        if player == "discriminator" or game.hooks("g_objective"):
            wanted["index"] = Draw((batch,), integers(num_images))
        if game.num_classes:
            wanted["class"] = Draw((batch,), integers(game.num_classes))
        for trick, options in game.active:
            if trick.draws is not None:
                own = trick.draws(player, game.sizes, options)
                wanted |= {f"{trick.name}/{key}": draw for key, draw in own.items()}
        steps = (game.plan.d_steps,) if player == "discriminator" else ()
        found |= {
            f"{player}/{key}": Draw((*steps, *draw.shape), draw.sampler)
            for key, draw in wanted.items()
        }
    return found


def _likelihood_draws(game: Game, num_images: int) -> dict[str, Draw]:
    batch = game.config.batch_size
    found = {"index": Draw((batch,), integers(num_images))}
    if game.latent is not None:
        found["noise"] = Draw((batch, game.latent.dim), normal)
    if isinstance(game.options, AutoencoderOptions) and game.options.corruption != "none":
        kind = uniform if game.options.corruption == "masking" else normal
        found["corruption"] = Draw((batch, *game.sizes.image_shape), kind)
    return {f"autoencoder/{key}": draw for key, draw in found.items()}


def _embedding_draws(num_pairs: int, num_images: int) -> dict[str, Draw]:
    return {
        "encoder/index": Draw((2 * num_pairs,), integers(num_images)),
        "encoder/first": Draw((num_pairs, 2), uniform),
        "encoder/second": Draw((num_pairs, 2), uniform),
        "encoder/near": Draw((num_pairs,), uniform),
    }
