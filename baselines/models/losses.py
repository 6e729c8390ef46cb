"""The table of adversarial losses: pure functions of the discriminator's outputs.

Every function takes raw outputs v (float N, no sigmoid) and returns a scalar to be minimised. The
f-divergences follow Nowozin et al. 2016: the discriminator maximises E_real[T] - E_fake[f*(T)] with
T = g(v), whose supremum is the divergence itself, and the generator maximises E_fake[T] (their
section 3.2). For the rejection samplers, `log_ratio` reads log p_real(x) / p_fake(x) off the output
of an optimal discriminator; it is None where the optimum does not determine the ratio.

Importing this module loads no torch.

Shape legend: N images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from bench.errors import UnknownNameError

if TYPE_CHECKING:
    from torch import Tensor

LOG_2 = math.log(2)
TINY = 1e-6


class Targets(NamedTuple):
    """The discriminator's target labels, float N each: 1 for real and 0 for fake without tricks."""

    real: Tensor
    fake: Tensor


DLoss: TypeAlias = "Callable[[Tensor, Tensor, Targets | None], Tensor]"
GLoss: TypeAlias = "Callable[[Tensor], Tensor]"


@dataclass(frozen=True, kw_only=True)
class Loss:
    """One row of the table: `d_loss(v_real, v_fake, targets)` and `g_loss(v_fake)`.

    `takes_targets` says whether the loss has target labels that a trick can change. `implies`
    names the tricks, with their options, that the loss switches on.
    """

    name: str
    title: str
    source: str
    d_loss: DLoss
    g_loss: GLoss
    takes_targets: bool = False
    log_ratio: Callable[[Tensor], Tensor] | None = None
    implies: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def _softplus(v: Tensor) -> Tensor:
    from torch.nn import functional as F

    return F.softplus(v)


def _cross_entropy(real: Tensor, fake: Tensor, targets: Targets | None) -> Tensor:
    if targets is None:
        return _softplus(-real).mean() + _softplus(fake).mean()
    from torch.nn import functional as F

    return F.binary_cross_entropy_with_logits(
        real, targets.real
    ) + F.binary_cross_entropy_with_logits(fake, targets.fake)


def _saturating(fake: Tensor) -> Tensor:
    return -_softplus(fake).mean()  # log(1 - D)


def _non_saturating(fake: Tensor) -> Tensor:
    return _softplus(-fake).mean()  # -log D


def _least_squares_d(real: Tensor, fake: Tensor, targets: Targets | None) -> Tensor:
    if targets is None:
        return 0.5 * (real - 1).square().mean() + 0.5 * fake.square().mean()
    return 0.5 * (real - targets.real).square().mean() + 0.5 * (fake - targets.fake).square().mean()


def _least_squares_g(fake: Tensor) -> Tensor:
    return 0.5 * (fake - 1).square().mean()


def _least_squares_ratio(v: Tensor) -> Tensor:
    share = v.clamp(TINY, 1 - TINY)  # the optimum is p_real / (p_real + p_fake)
    return share.log() - (-share).log1p()


def _hinge_d(real: Tensor, fake: Tensor, _targets: Targets | None) -> Tensor:
    return (1 - real).relu().mean() + (1 + fake).relu().mean()


def _wasserstein_d(real: Tensor, fake: Tensor, _targets: Targets | None) -> Tensor:
    return fake.mean() - real.mean()


def _critic_g(fake: Tensor) -> Tensor:
    return -fake.mean()


def _f_divergence(
    activation: Callable[[Tensor], Tensor], conjugate: Callable[[Tensor], Tensor]
) -> DLoss:
    """Return the negative of Nowozin's variational bound; `conjugate` is f*(g(v)) in terms of v."""

    def d_loss(real: Tensor, fake: Tensor, _targets: Targets | None) -> Tensor:
        return conjugate(fake).mean() - activation(real).mean()

    return d_loss


def _f_generator(activation: Callable[[Tensor], Tensor]) -> GLoss:
    def g_loss(fake: Tensor) -> Tensor:
        return -activation(fake).mean()

    return g_loss


def _identity(v: Tensor) -> Tensor:
    return v


def _reverse_kl(v: Tensor) -> Tensor:
    return -(-v).exp()


def _hellinger(v: Tensor) -> Tensor:
    return 1 - (-v).exp()


def _jensen_shannon(v: Tensor) -> Tensor:
    return LOG_2 - _softplus(-v)


NOWOZIN = "Nowozin et al. 2016 (f-GAN), tables 1, 2 and 6"

_ROWS = (
    Loss(
        name="minimax",
        title="the game's own value: the generator minimises log(1 - D)",
        source="Goodfellow et al. 2014, equation 1",
        d_loss=_cross_entropy,
        g_loss=_saturating,
        takes_targets=True,
        log_ratio=_identity,
    ),
    Loss(
        name="non-saturating",
        title="the generator maximises log D",
        source="Goodfellow et al. 2014, section 3",
        d_loss=_cross_entropy,
        g_loss=_non_saturating,
        takes_targets=True,
        log_ratio=_identity,
    ),
    Loss(
        name="least-squares",
        title="squared distance to targets 1 and 0",
        source="Mao et al. 2017, equation 9",
        d_loss=_least_squares_d,
        g_loss=_least_squares_g,
        takes_targets=True,
        log_ratio=_least_squares_ratio,
    ),
    Loss(
        name="hinge",
        title="hinge at margins 1 and -1",
        source="Lim & Ye 2017; Miyato et al. 2018, equations 16 and 17",
        d_loss=_hinge_d,
        g_loss=_critic_g,
    ),
    Loss(
        name="wasserstein",
        title="Wasserstein distance, weights clipped",
        source="Arjovsky et al. 2017, algorithm 1",
        d_loss=_wasserstein_d,
        g_loss=_critic_g,
        implies={"weight-clipping": {}, "discriminator-steps": {"num_steps": 5}},
    ),
    Loss(
        name="wgan-gp",
        title="Wasserstein distance with gradient penalty",
        source="Gulrajani et al. 2017, algorithm 1",
        d_loss=_wasserstein_d,
        g_loss=_critic_g,
        implies={"gradient-penalty": {}, "discriminator-steps": {"num_steps": 5}},
    ),
    Loss(
        name="kl",
        title="Kullback-Leibler divergence of real from fake",
        source=NOWOZIN,
        d_loss=_f_divergence(_identity, lambda v: (v - 1).exp()),
        g_loss=_f_generator(_identity),
        log_ratio=lambda v: v - 1,
    ),
    Loss(
        name="reverse-kl",
        title="Kullback-Leibler divergence of fake from real",
        source=NOWOZIN,
        d_loss=_f_divergence(_reverse_kl, lambda v: v - 1),
        g_loss=_f_generator(_reverse_kl),
        log_ratio=_identity,
    ),
    Loss(
        name="pearson",
        title="Pearson's chi-squared divergence",
        source=NOWOZIN,
        d_loss=_f_divergence(_identity, lambda v: v.square() / 4 + v),
        g_loss=_f_generator(_identity),
        log_ratio=lambda v: (v / 2 + 1).clamp_min(TINY).log(),
    ),
    Loss(
        name="jensen-shannon",
        title="Jensen-Shannon divergence (twice, as in f-GAN's table)",
        source=NOWOZIN,
        # f*(t) = -log(2 - exp t); 2 - exp g(v) = 2 / (1 + exp v)
        d_loss=_f_divergence(_jensen_shannon, lambda v: _softplus(v) - LOG_2),
        g_loss=_f_generator(_jensen_shannon),
        log_ratio=_identity,
    ),
    Loss(
        name="hellinger",
        title="squared Hellinger distance",
        source=NOWOZIN,
        # f*(t) = t / (1 - t); at t = 1 - exp(-v) that is exp(v) - 1
        d_loss=_f_divergence(_hellinger, lambda v: v.expm1()),
        g_loss=_f_generator(_hellinger),
        log_ratio=lambda v: 2 * v,
    ),
)

LOSSES: dict[str, Loss] = {row.name: row for row in _ROWS}
if len(LOSSES) != len(_ROWS):
    raise ValueError("two rows of the table of losses have one name")


def loss_row(name: str) -> Loss:
    """Return the row of that name. Raises `UnknownNameError`, which lists the valid names.

    >>> import torch
    >>> loss_row("hinge").g_loss(torch.tensor([1.0, 3.0]))
    tensor(-2.)
    """
    if name not in LOSSES:
        raise UnknownNameError("loss", name, LOSSES)
    return LOSSES[name]
