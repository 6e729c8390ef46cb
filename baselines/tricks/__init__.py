"""The table of tricks, in the order in which their hooks are called."""

from __future__ import annotations

from baselines.tricks.activation import ACTIVATION
from baselines.tricks.base import Trick
from baselines.tricks.discriminator_steps import DISCRIMINATOR_STEPS
from baselines.tricks.downsampling import DOWNSAMPLING
from baselines.tricks.dropout import DROPOUT
from baselines.tricks.ema import EMA
from baselines.tricks.feature_matching import FEATURE_MATCHING
from baselines.tricks.gradient_penalty import GRADIENT_PENALTY
from baselines.tricks.historical_averaging import HISTORICAL_AVERAGING
from baselines.tricks.instance_noise import INSTANCE_NOISE
from baselines.tricks.label_flips import LABEL_FLIPS
from baselines.tricks.label_noise import LABEL_NOISE
from baselines.tricks.label_smoothing import LABEL_SMOOTHING
from baselines.tricks.latent_distribution import LATENT_DISTRIBUTION
from baselines.tricks.minibatch_discrimination import MINIBATCH_DISCRIMINATION
from baselines.tricks.minibatch_standard_deviation import MINIBATCH_STANDARD_DEVIATION
from baselines.tricks.r1 import R1
from baselines.tricks.replay_buffer import REPLAY_BUFFER
from baselines.tricks.separate_batches import SEPARATE_BATCHES
from baselines.tricks.spectral_norm import SPECTRAL_NORM
from baselines.tricks.two_time_scales import TWO_TIME_SCALES
from baselines.tricks.up_kernel import UP_KERNEL
from baselines.tricks.weight_clipping import WEIGHT_CLIPPING
from bench.errors import UnknownNameError

_ROWS = (
    LABEL_SMOOTHING,
    LABEL_NOISE,
    LABEL_FLIPS,
    REPLAY_BUFFER,
    INSTANCE_NOISE,
    MINIBATCH_DISCRIMINATION,
    MINIBATCH_STANDARD_DEVIATION,
    FEATURE_MATCHING,
    WEIGHT_CLIPPING,  # before what averages parameters
    HISTORICAL_AVERAGING,
    DISCRIMINATOR_STEPS,
    TWO_TIME_SCALES,
    SPECTRAL_NORM,
    R1,
    GRADIENT_PENALTY,
    DROPOUT,
    EMA,
    LATENT_DISTRIBUTION,
    ACTIVATION,
    DOWNSAMPLING,
    UP_KERNEL,
    SEPARATE_BATCHES,
)

TRICKS: dict[str, Trick] = {row.name: row for row in _ROWS}
if len(TRICKS) != len(_ROWS):
    raise ValueError("two tricks of one name")


def trick_row(name: str) -> Trick:
    """The row of that name. Raises `UnknownNameError` listing the valid names."""
    if name not in TRICKS:
        raise UnknownNameError("trick", name, TRICKS)
    return TRICKS[name]
