"""Tricks that change the discriminator's targets."""

from __future__ import annotations

import pytest
import torch

from baselines.models.losses import Targets
from baselines.models.random_draws import uniform
from tests.baselines.tricks.contexts import active, context

N = 20_000


def plain() -> Targets:
    return Targets(torch.ones(N), torch.zeros(N))


def uniforms(trick: str) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {f"{trick}/{role}": uniform(generator, (N,)) for role in ("real", "fake")}


def test_one_sided_smoothing_leaves_fake_targets_at_exactly_zero() -> None:
    trick, options = active("label-smoothing")
    assert trick.targets is not None
    found = trick.targets(plain(), context(), options)
    assert (found.fake == 0).all()
    assert (found.real == torch.tensor(0.9)).all()


def test_label_noise_is_uniform_in_its_bounds() -> None:
    trick, options = active("label-noise")
    assert trick.targets is not None
    found = trick.targets(plain(), context(draws=uniforms("label-noise")), options)
    for values, low, high in ((found.real, 0.7, 1.2), (found.fake, 0.0, 0.3)):
        assert low <= values.min() < low + 0.001
        assert high - 0.001 < values.max() <= high
        # the deviation of a uniform is its width over the root of 12
        assert values.std().item() == pytest.approx((high - low) / 12**0.5, rel=0.02)
        assert values.mean().item() == pytest.approx((low + high) / 2, rel=0.02)


def test_flips_swap_the_given_share_and_touch_nothing_else() -> None:
    trick, options = active("label-flips", probability=0.2)
    assert trick.targets is not None
    given = Targets(torch.full((N,), 0.9), torch.full((N,), 0.1))
    found = trick.targets(given, context(draws=uniforms("label-flips")), options)
    for values, other in ((found.real, 0.1), (found.fake, 0.9)):
        assert set(values.unique().tolist()) == {torch.tensor(x).item() for x in (0.1, 0.9)}
        assert (values == torch.tensor(other)).float().mean().item() == pytest.approx(0.2, abs=0.01)
    both = ((found.real == torch.tensor(0.1)) & (found.fake == torch.tensor(0.9))).float().mean()
    assert both.item() == pytest.approx(0.04, abs=0.006), "real and fake flip independently"


def test_smoothed_labels_flip_to_the_targets_of_the_other_kind() -> None:
    """Hooks follow the order of the table: flips swap the smoothed targets."""
    smooth, flip = active("label-smoothing"), active("label-flips", probability=0.5)
    assert smooth.trick.targets is not None
    assert flip.trick.targets is not None
    targets = smooth.trick.targets(plain(), context(), smooth.options)
    found = flip.trick.targets(targets, context(draws=uniforms("label-flips")), flip.options)
    assert set(found.fake.unique().tolist()) == {0.0, torch.tensor(0.9).item()}
