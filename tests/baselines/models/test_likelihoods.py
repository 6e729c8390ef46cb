"""The terms of autoencoders and VAEs against torch.distributions and by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import distributions as D

from baselines.models.likelihoods import (
    bernoulli_log_likelihood,
    corrupt,
    gaussian_log_likelihood,
    kl_to_standard_normal,
    sparsity_penalty,
)


def test_log_likelihoods_in_nats() -> None:
    generator = torch.Generator().manual_seed(0)
    out = torch.randn(5, 12, generator=generator)
    x = (torch.rand(5, 12, generator=generator) < 0.5).float()
    torch.testing.assert_close(
        bernoulli_log_likelihood(out, x), D.Bernoulli(logits=out).log_prob(x).sum(1)
    )
    torch.testing.assert_close(
        gaussian_log_likelihood(out, x, 0.3), D.Normal(out, 0.3).log_prob(x).sum(1)
    )


def test_kl_in_nats() -> None:
    generator = torch.Generator().manual_seed(0)
    mean, log_variance = torch.randn(2, 5, 3, generator=generator)
    q = D.Normal(mean, (log_variance / 2).exp())
    expected = D.kl_divergence(q, D.Normal(0, 1)).sum(1)
    torch.testing.assert_close(kl_to_standard_normal(mean, log_variance), expected)
    assert (kl_to_standard_normal(torch.zeros(2, 3), torch.zeros(2, 3)) == 0).all()


def test_sparsity_penalties_by_hand() -> None:
    code = torch.tensor([[0.0, 1.0], [0.5, 0.0]])
    assert sparsity_penalty(code, "none", 0.1).item() == 0
    assert sparsity_penalty(code, "l1", 0.1).item() == pytest.approx((1 + 0.5) / 2)

    def kl(p: float, q: float) -> float:
        return p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q))

    # mean activities 0.25 and 0.5
    expected = kl(0.1, 0.25) + kl(0.1, 0.5)
    assert sparsity_penalty(code, "kl", 0.1).item() == pytest.approx(expected, rel=1e-5)
    at_target = torch.full((4, 3), 0.1)
    assert sparsity_penalty(at_target, "kl", 0.1).item() == pytest.approx(0, abs=1e-6)
    silent = torch.zeros(4, 3)
    assert math.isfinite(sparsity_penalty(silent, "kl", 0.1).item())


def test_masking_zeroes_the_share_nu_and_nothing_else() -> None:
    x = torch.rand(200, 1, 20, 20, generator=torch.Generator().manual_seed(0)) + 0.1
    noise = torch.rand(x.shape, generator=torch.Generator().manual_seed(1))
    seen = corrupt(x, noise, "masking", 0.25)
    gone = seen == 0
    assert gone.float().mean().item() == pytest.approx(0.25, abs=0.01)
    assert torch.equal(seen[~gone], x[~gone])


def test_gaussian_corruption_has_its_deviation() -> None:
    x = torch.full((100, 1, 20, 20), 0.5)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    seen = corrupt(x, noise, "gaussian", 0.3)
    assert (seen - x).std().item() == pytest.approx(0.3, rel=0.02)
    assert corrupt(x, noise, "none", 0.3) is x
