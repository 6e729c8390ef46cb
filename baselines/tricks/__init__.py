"""The table of tricks, in the order in which their hooks are called.

A new trick is one file in this folder and one line in the table below. Another package adds tricks
through the entry-point group `latentbench.tricks`; they follow those of the table, sorted by name.
A complete package of two files, which makes `--set tricks.drift-penalty=on` work once installed:

    # pyproject.toml
    [project]
    name = "my-tricks"
    version = "0.1"
    dependencies = ["latentbench"]

    [project.entry-points."latentbench.tricks"]
    drift-penalty = "my_tricks:DRIFT_PENALTY"

    # my_tricks.py
    from pydantic import Field

    from baselines.models.base import Options
    from baselines.tricks.base import Trick

    class DriftPenaltyOptions(Options):
        weight: float = Field(0.001, gt=0)

    def drift(real, fake, context, options):
        return options.weight * real.output.logits.square().mean()

    DRIFT_PENALTY = Trick(
        name="drift-penalty",
        title="outputs of the discriminator kept near 0",
        source="Karras et al. 2018 (progressive GAN), appendix A.1",
        options=DriftPenaltyOptions,
        d_penalty=drift,
    )

`baselines.tricks.base` lists the hooks. A run records the trick's name and options, not its code;
resuming or sampling the run needs the package installed.
"""

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
from bench.runtime.registry import Registry

_ROWS = (
    LABEL_SMOOTHING,
    LABEL_NOISE,
    LABEL_FLIPS,
    REPLAY_BUFFER,
    INSTANCE_NOISE,
    MINIBATCH_DISCRIMINATION,
    MINIBATCH_STANDARD_DEVIATION,
    FEATURE_MATCHING,
    WEIGHT_CLIPPING,  # before the trick that averages parameters
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

TRICKS = Registry("trick", "latentbench.tricks", Trick, _ROWS)
