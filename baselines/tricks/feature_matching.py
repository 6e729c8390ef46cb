"""Feature matching: the generator matches the mean features of real images.

Its loss becomes |E f(x) - E f(G(z))|^2, f the discriminator's last hidden layer.
"""

from __future__ import annotations

from torch import Tensor

from baselines.tricks.base import Judged, Moment, Trick


def _objective(real: Judged, fake: Judged, _moment: Moment, _options: object) -> Tensor:
    difference = real.verdict.features.mean(0).detach() - fake.verdict.features.mean(0)
    return difference.square().sum()


FEATURE_MATCHING = Trick(
    name="feature-matching",
    title="the generator matches mean features instead of fooling the discriminator",
    source="Salimans et al. 2016, section 3.1",
    g_objective=_objective,
)
