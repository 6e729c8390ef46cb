"""Grids: maps of convolutions for images of any size."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from baselines.models.grid import Grid, grid_of
from baselines.recipes.table import recipe_config
from baselines.training.build import build
from bench.errors import UsageError

DIM_OF = {"ae-conv": "code_dim", "vae-conv": "latent_dim"}
SIDES = st.integers(4, 64)


@pytest.mark.parametrize(
    ("size", "num_halvings", "base"),
    [  # by hand: how often both sides halve evenly with 4 px or more left
        ((28, 28), 2, (7, 7)),
        ((32, 32), 3, (4, 4)),
        ((64, 64), 4, (4, 4)),
        ((16, 24), 2, (4, 6)),
        ((30, 30), 2, (8, 8)),  # 30 halves once only: worked on as 32
        ((25, 28), 2, (7, 7)),
        ((9, 30), 1, (5, 15)),
        ((4, 4), 1, (2, 2)),
    ],
)
def test_by_hand(size: tuple[int, int], num_halvings: int, base: tuple[int, int]) -> None:
    assert grid_of((1, *size)) == Grid(num_halvings, base, size)


@given(SIDES, SIDES)
def test_the_padded_size_is_the_next_that_fits(height: int, width: int) -> None:
    grid = grid_of((3, height, width))
    step = 2**grid.num_halvings
    for side, padded in zip((height, width), grid.padded, strict=True):
        assert side <= padded < side + step
        assert padded % step == 0
    if height % 4 == width % 4 == 0 and min(height, width) >= 16:
        assert grid.is_exact
    x = torch.arange(2 * 3 * height * width).view(2, 3, height, width)
    fitted = grid.fit(x)
    assert fitted.shape == (2, 3, *grid.padded)
    assert torch.equal(grid.cut(fitted), x)
    rows = torch.arange(grid.padded[0]).clamp(max=height - 1)
    columns = torch.arange(grid.padded[1]).clamp(max=width - 1)
    assert torch.equal(fitted, x[:, :, rows][..., columns])  # the last row and column repeated


def test_sides_that_halve_are_untouched() -> None:
    x = torch.zeros(2, 1, 28, 28)
    grid = grid_of((1, 28, 28))
    assert grid.fit(x) is x
    assert grid.cut(x) is x


def test_too_small_is_refused() -> None:
    with pytest.raises(UsageError, match="3x28 px: .* 4 px or more; choose a dense model"):
        grid_of((1, 28, 3))


@pytest.mark.parametrize("recipe", ["dcgan", "ae-conv", "vae-conv"])
def test_images_come_out_as_large_as_they_went_in(recipe: str) -> None:
    settings = [] if recipe == "dcgan" else [f"model.{DIM_OF[recipe]}=8"]
    game = build(recipe_config(recipe, settings=settings), (1, 25, 30), 10)
    x = torch.rand(3, 1, 25, 30)
    if recipe == "dcgan":
        assert game.networks["generator"](torch.randn(3, 100)).shape == x.shape
        assert game.networks["discriminator"](x).logits.shape == (3,)
    else:
        z = torch.randn(3, 8)
        assert game.networks["autoencoder"].decode(z).shape == x.shape
