"""Tricks that change the discriminator's targets."""

from __future__ import annotations

import pytest
import torch

from baselines.models.losses import LOSSES, Targets
from baselines.models.random_draws import uniform
from baselines.recipes.config import make_config
from bench.errors import UsageError
from tests.baselines.tricks.contexts import active, context

N = 20_000


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"real_low": 0.9, "real_high": 1.2}, "real targets are 1.05 on average; expected at most"),
        ({"fake_low": -0.4, "fake_high": 0.2}, "fake targets are -0.1 on average; expected at le"),
        ({"real_low": 0.1, "real_high": 0.3, "fake_low": 0.2}, "0.2 on average and fake ones 0.25"),
    ],
)
def test_label_noise_with_averages_out_of_order_is_refused(
    options: dict[str, float], reason: str
) -> None:
    with pytest.raises(UsageError, match=reason):
        active("label-noise", **options)
    assert active("label-noise", real_low=0.8, real_high=1.2, fake_low=-0.3)  # averages 1 and 0


def test_above_1_the_cross_entropy_has_no_minimum() -> None:
    """At target t the cross entropy of a logit v, softplus(v) - t v, has a slope towards 1 - t."""
    loss = LOSSES["non-saturating"].d_loss
    fake = torch.zeros(1)

    def falls(target: float) -> bool:
        at = [
            loss(torch.tensor([v]), fake, Targets(torch.tensor([target]), torch.zeros(1))).item()
            for v in (50.0, 100.0)
        ]
        return at[1] < at[0] - 1

    assert falls(1.05)
    assert not falls(1.0)
    assert not falls(0.95)


def test_a_run_of_an_earlier_version_can_still_be_read() -> None:
    noise = {"label-noise": {"real_low": 1.0, "real_high": 1.2}}
    raw = {"recipe": "test", "model": "dense-gan", "tricks": noise}
    with pytest.raises(UsageError, match="on average"):
        make_config(raw)
    assert "label-noise" in make_config(raw, trained=True).tricks


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
