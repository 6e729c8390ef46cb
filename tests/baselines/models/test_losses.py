"""Adversarial losses against closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from baselines.models.losses import LOSSES, Targets, loss_row
from bench.errors import UnknownNameError

P = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
Q = torch.tensor([0.25, 0.25, 0.5], dtype=torch.float64)


def expectation(weights: Tensor) -> Tensor:
    """1,000 outcomes, each as often as its probability says."""
    counts = (weights * 1000).round().long()
    return torch.repeat_interleave(torch.arange(3), counts)


REAL, FAKE = expectation(P), expectation(Q)

# The divergence of P from Q, straight from its definition.
DIVERGENCES = {
    "kl": float((P * (P / Q).log()).sum()),
    "reverse-kl": float((Q * (Q / P).log()).sum()),
    "pearson": float(((P - Q).square() / Q).sum()),
    "hellinger": float((P.sqrt() - Q.sqrt()).square().sum()),
    "jensen-shannon": float(
        (P * (2 * P / (P + Q)).log()).sum() + (Q * (2 * Q / (P + Q)).log()).sum()
    ),
}


def optimal_outputs(name: str) -> Tensor:
    """Return the outputs v of three outcomes that minimise the discriminator's loss."""
    v = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([v], max_iter=500, tolerance_grad=1e-12, tolerance_change=1e-14)

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = LOSSES[name].d_loss(v[REAL], v[FAKE], None)
        loss.backward()
        return loss

    for _ in range(5):
        optimiser.step(closure)
    return v.detach()


@pytest.mark.parametrize("name", DIVERGENCES)
def test_the_best_discriminator_attains_the_divergence(name: str) -> None:
    v = optimal_outputs(name)
    value = -float(LOSSES[name].d_loss(v[REAL], v[FAKE], None))
    assert value == pytest.approx(DIVERGENCES[name], rel=1e-6)


@pytest.mark.parametrize("name", [n for n, row in LOSSES.items() if row.log_ratio is not None])
def test_the_ratio_is_read_off_the_best_discriminator(name: str) -> None:
    log_ratio = LOSSES[name].log_ratio
    assert log_ratio is not None
    torch.testing.assert_close(
        log_ratio(optimal_outputs(name)), (P / Q).log(), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("name", DIVERGENCES)
def test_no_divergence_between_equals(name: str) -> None:
    """If real and fake have the same distribution, the best value is 0, at log ratio 0."""
    v = torch.linspace(-1, 1, 201, dtype=torch.float64)[:, None].expand(-1, 4)
    losses = torch.stack([LOSSES[name].d_loss(row, row, None) for row in v + 1])
    assert float(losses.min()) == pytest.approx(0, abs=1e-3)
    assert float(losses.min()) >= -1e-12


@pytest.mark.parametrize("name", LOSSES)
def test_players_pull_in_opposite_directions(name: str) -> None:
    row = LOSSES[name]
    v = torch.tensor([-0.7, 0.1, 0.6], requires_grad=True)
    (g,) = torch.autograd.grad(row.g_loss(v), v)
    assert (g < 0).all(), "the generator wants larger outputs on its images"
    real = torch.tensor([-0.2, 0.3, 0.4], requires_grad=True)
    (d_real, d_fake) = torch.autograd.grad(row.d_loss(real, v, None), [real, v])
    assert (d_real < 0).all()
    if name == "least-squares":  # pulls fakes to 0 from both sides
        assert torch.equal(d_fake.sign(), v.detach().sign())
    else:
        assert (d_fake > 0).all()


def test_hand_computed_values() -> None:
    zero, one = torch.zeros(4), torch.ones(4)
    # -log sigmoid(0) - log(1 - sigmoid(0)) = 2 log 2; log(1 - 1/2) = -log 2
    assert float(LOSSES["minimax"].d_loss(zero, zero, None)) == pytest.approx(2 * math.log(2))
    assert float(LOSSES["minimax"].g_loss(zero)) == pytest.approx(-math.log(2))
    assert float(LOSSES["non-saturating"].g_loss(zero)) == pytest.approx(math.log(2))
    # half of the square of 0 - 1, and half of the square of 1
    assert float(LOSSES["least-squares"].d_loss(zero, one, None)) == 1
    assert float(LOSSES["least-squares"].g_loss(3 * one)) == 2
    # 0.5 short of the margin at 1, 2 beyond that at -1
    assert float(LOSSES["hinge"].d_loss(0.5 * one, one, None)) == 2.5
    assert float(LOSSES["wasserstein"].d_loss(3 * one, one, None)) == -2
    assert LOSSES["wgan-gp"].d_loss is LOSSES["wasserstein"].d_loss


def test_only_the_saturating_generator_saturates() -> None:
    """A certain discriminator has output -20 (Goodfellow et al. 2014, section 3)."""
    v = torch.tensor([-20.0], requires_grad=True)
    (saturating,) = torch.autograd.grad(LOSSES["minimax"].g_loss(v), v)
    (strong,) = torch.autograd.grad(LOSSES["non-saturating"].g_loss(v), v)
    assert abs(float(saturating)) < 1e-8
    assert float(strong) == pytest.approx(-1)


@pytest.mark.parametrize("name", [n for n, row in LOSSES.items() if row.takes_targets])
def test_plain_targets_change_nothing(name: str) -> None:
    real, fake = torch.randn(2, 50, generator=torch.Generator().manual_seed(0))
    plain = Targets(torch.ones(50), torch.zeros(50))
    torch.testing.assert_close(
        LOSSES[name].d_loss(real, fake, plain), LOSSES[name].d_loss(real, fake, None)
    )


def test_unknown_loss_lists_the_valid_ones() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown loss 'hinged'.*Did you mean 'hinge'"):
        loss_row("hinged")
