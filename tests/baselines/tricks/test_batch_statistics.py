"""Tricks that look at a whole batch."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from baselines.models.minibatch_layers import MinibatchDiscrimination, MinibatchStandardDeviation
from baselines.training.objectives import judge_both
from baselines.training.training_images import TrainingSet
from tests.baselines.conftest import small_game
from tests.baselines.tricks.contexts import active, context, judged


def test_minibatch_statistic_by_hand() -> None:
    layer = MinibatchDiscrimination(2, num_kernels=1, kernel_dim=2)
    with torch.no_grad():
        layer.kernels.copy_(torch.eye(2))  # M = f
    f = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 2.0]])
    # L1 distances: 1 between the first two, 3 between first and last, 2 between the last two
    e1, e2, e3 = (math.exp(-d) for d in (1, 2, 3))
    expected = torch.tensor([[e1 + e3], [e1 + e2], [e3 + e2]]) / 2
    torch.testing.assert_close(layer.statistic(f), expected)
    assert layer(f).shape == (3, 3)
    assert layer.statistic(f[:1]).item() == 0  # alone


def test_the_minibatch_statistic_and_its_derivatives_in_float64() -> None:
    """The formula written out with broadcasting gives the same values, gradient, and gradient of
    the gradient's square, which R1 and the gradient penalty need.
    """
    torch.manual_seed(0)
    layer = MinibatchDiscrimination(6, num_kernels=5, kernel_dim=3).double()
    f = torch.randn(7, 6, dtype=torch.float64, requires_grad=True)

    def written_out(f: torch.Tensor) -> torch.Tensor:
        m = (f @ layer.kernels).view(7, 5, 3)
        closeness = torch.exp(-(m[:, None] - m[None]).abs().sum(-1))
        return (closeness.sum(1) - 1) / 6

    found = []
    for statistic in (layer.statistic, written_out):
        value = statistic(f)
        (first,) = torch.autograd.grad(value.square().sum(), [f], create_graph=True)
        (second,) = torch.autograd.grad(first.square().sum(), [f])
        found.append((value, first, second))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)
        assert one.abs().max() > 1e-3


def test_the_minibatch_statistic_falls_when_a_batch_is_diverse() -> None:
    torch.manual_seed(0)
    layer = MinibatchDiscrimination(32, num_kernels=10, kernel_dim=5)
    one = torch.randn(1, 32)
    spread = torch.randn(16, 32)
    levels = [layer.statistic(one + scale * spread).mean().item() for scale in (0, 0.3, 1, 3, 10)]
    assert levels[0] == pytest.approx(1), "identical images are at distance 0 from all others"
    assert levels == sorted(levels, reverse=True)
    assert levels[-1] < 0.5 * levels[0]


def test_kernels_are_learned() -> None:
    torch.manual_seed(0)
    layer = MinibatchDiscrimination(4, num_kernels=3, kernel_dim=2)
    layer(torch.randn(6, 4)).sum().backward()
    assert layer.kernels.grad is not None
    assert layer.kernels.shape == (4, 6)
    assert (layer.kernels.grad != 0).all()


def test_batch_deviation_by_hand() -> None:
    layer = MinibatchStandardDeviation(2)
    f = torch.tensor([[0.0, 5.0], [2.0, 5.0], [4.0, 5.0]])
    # divisor 3: deviation of 0, 2, 4 is the root of 8/3; of 5, 5, 5 it is 0 (1e-4 with epsilon)
    assert layer.statistic(f).item() == pytest.approx((math.sqrt(8 / 3) + 1e-4) / 2, rel=1e-5)
    assert layer.statistic(f[:1].expand(4, 2)).item() == pytest.approx(1e-4)
    torch.testing.assert_close(layer(f)[:, :2], f)


@pytest.mark.parametrize("trick", ["minibatch-discrimination", "minibatch-standard-deviation"])
@pytest.mark.parametrize("recipe", ["course-gan", "dcgan"])
def test_the_discriminator_sees_collapse(trick: str, recipe: str, digits: TrainingSet) -> None:
    """An image's logit depends on its batch with the layer, and only then."""
    plain_norm = () if recipe == "course-gan" else ("model.batch_norm_discriminator=false",)
    x = digits.batch(torch.arange(8), "signed")
    collapsed = x[:1].expand(8, -1, -1, -1)
    logits = {}
    for on in (True, False):
        switch = (f"tricks.{trick}=on",) if on else ()
        network = small_game(recipe, digits, *plain_norm, *switch).networks["discriminator"]
        with torch.no_grad():
            logits[on] = [network(batch).logits[0].item() for batch in (x, collapsed)]
    assert logits[False][0] == pytest.approx(logits[False][1], abs=1e-5)
    assert abs(logits[True][0] - logits[True][1]) > 1e-5


def test_feature_matching_by_hand() -> None:
    class Features(nn.Module):
        def forward(self, x: torch.Tensor) -> object:
            from baselines.models.base import DiscriminatorOutput

            return DiscriminatorOutput(x.flatten(1)[:, 0], x.flatten(1))

    trick, options = active("feature-matching")
    assert trick.g_objective is not None
    real = torch.tensor([[1.0, 2.0], [3.0, 2.0]]).view(2, 1, 1, 2)
    fake = torch.tensor([[0.0, 0.0], [0.0, 2.0]]).view(2, 1, 1, 2).requires_grad_()
    module = Features()
    loss = trick.g_objective(
        judged(real, module), judged(fake, module), context("generator"), options
    )
    # means (2, 2) and (0, 1): 4 + 1; images of equal means cost nothing, however they are paired
    assert loss.item() == 5
    same = trick.g_objective(
        judged(real, module), judged(real.flip(0), module), context("generator"), options
    )
    assert same.item() == 0


def test_separate_batches_keep_batch_norm_apart(digits: TrainingSet) -> None:
    """A real image's logit depends on the fakes in one batch, but not in separate batches."""
    x = digits.batch(torch.arange(8), "signed")
    fakes = (torch.zeros_like(x), torch.randn(x.shape, generator=torch.Generator().manual_seed(0)))
    for separate in ("on", "off"):
        game = small_game("dcgan", digits, f"tricks.separate-batches={separate}")
        at = context(discriminator=game.networks["discriminator"])
        with torch.no_grad():
            first, second = (judge_both(game, at, x, fake)[0].output.logits for fake in fakes)
        assert torch.equal(first, second) == (separate == "on")


def test_separate_batches_change_nothing_without_batch_norm(digits: TrainingSet) -> None:
    x = digits.batch(torch.arange(8), "signed")
    found = []
    for switch in ("on", "off"):
        game = small_game("course-gan", digits, f"tricks.separate-batches={switch}")
        at = context(discriminator=game.networks["discriminator"])
        with torch.no_grad():
            found.append([part.output.logits for part in judge_both(game, at, x, -x)])
    torch.testing.assert_close(found[0], found[1])
