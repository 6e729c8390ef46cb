"""Feature matching: the generator matches the mean features of real images.

Its loss becomes |E f(x) - E f(G(z))|^2, where f is the discriminator's last hidden layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from baselines.tricks.base import JudgedBatch, StepContext, Trick

if TYPE_CHECKING:
    from torch import Tensor


def _objective(
    real: JudgedBatch, fake: JudgedBatch, _moment: StepContext, _options: object
) -> Tensor:
    difference = real.output.features.mean(0).detach() - fake.output.features.mean(0)
    return difference.square().sum()


FEATURE_MATCHING = Trick(
    name="feature-matching",
    title="the generator matches mean features instead of fooling the discriminator",
    source="Salimans et al. 2016, section 3.1",
    g_objective=_objective,
)
