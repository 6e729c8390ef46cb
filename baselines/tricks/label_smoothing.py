"""One-sided label smoothing: the target of real images is 0.9, that of fake images stays 0."""

from __future__ import annotations

from pydantic import Field

from baselines.models.base import Options
from baselines.models.losses import Targets
from baselines.tricks.base import StepContext, Trick, needs_targets


class LabelSmoothingOptions(Options):
    """`real_target` is the target of real images."""

    real_target: float = Field(0.9, gt=0.5, le=1)


def _targets(targets: Targets, _moment: StepContext, options: LabelSmoothingOptions) -> Targets:
    return Targets(targets.real * options.real_target, targets.fake)


LABEL_SMOOTHING = Trick(
    name="label-smoothing",
    title="one-sided label smoothing",
    source="Salimans et al. 2016, section 3.4",
    options=LabelSmoothingOptions,
    conflicts={"label-noise": "label noise already draws the real target; choose one"},
    refuse=needs_targets,
    targets=_targets,
)
