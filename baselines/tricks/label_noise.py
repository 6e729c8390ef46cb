"""Label noise: a random target for every image, U(0.7, 1.2) for real and U(0, 0.3) for fake.

Single targets may lie outside 0..1, their averages may not. The cross entropy of an average target
above 1 has no minimum: the discriminator lowers it without end by raising its logits.
"""

from __future__ import annotations

from pydantic import Field, model_validator

from baselines.models.base import Options
from baselines.models.losses import Targets
from baselines.models.random_draws import Draw, uniform
from baselines.tricks.base import Player, RunFacts, Sizes, StepContext, Trick, needs_targets


class LabelNoiseOptions(Options):
    """Bounds of the uniform targets. Their averages must fulfil 0 <= fake < real <= 1."""

    real_low: float = Field(0.7, ge=-1, le=2)
    real_high: float = Field(1.2, ge=-1, le=2)
    fake_low: float = Field(0.0, ge=-1, le=2)
    fake_high: float = Field(0.3, ge=-1, le=2)

    @model_validator(mode="after")
    def _ordered(self) -> LabelNoiseOptions:
        if self.real_low > self.real_high or self.fake_low > self.fake_high:
            raise ValueError("a lower bound is above its upper bound")
        return self


def _draws(player: Player, sizes: Sizes, _options: LabelNoiseOptions) -> dict[str, Draw]:
    if player == "generator":
        return {}
    return {role: Draw((sizes.batch_size,), uniform) for role in ("real", "fake")}


def _targets(_targets: Targets, context: StepContext, options: LabelNoiseOptions) -> Targets:
    u, v = context.draws["label-noise/real"], context.draws["label-noise/fake"]
    return Targets(
        options.real_low + (options.real_high - options.real_low) * u,
        options.fake_low + (options.fake_high - options.fake_low) * v,
    )


def _refuse(facts: RunFacts, options: LabelNoiseOptions) -> str | None:
    real = (options.real_low + options.real_high) / 2
    fake = (options.fake_low + options.fake_high) / 2
    if real > 1:
        return (
            f"real targets are {real:.4g} on average; expected at most 1, beyond which the cross "
            "entropy falls without end; lower real_low or real_high"
        )
    if fake < 0:
        return (
            f"fake targets are {fake:.4g} on average; expected at least 0, below which the cross "
            "entropy falls without end; raise fake_low or fake_high"
        )
    if real <= fake:
        return (
            f"real targets are {real:.4g} on average and fake ones {fake:.4g}; real images need "
            "the higher target"
        )
    return needs_targets(facts, options)


LABEL_NOISE = Trick(
    name="label-noise",
    title="noisy labels: real U(0.7, 1.2), fake U(0, 0.3)",
    source="Chintala et al. 2016 (ganhacks), item 6",
    options=LabelNoiseOptions,
    refuse=_refuse,
    draws=_draws,
    targets=_targets,
)
