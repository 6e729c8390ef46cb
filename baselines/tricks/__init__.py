"""The table of tricks, in the order in which their hooks are called.

A new trick is one file in this folder and one line in the table below. Another package adds a trick
through the entry-point group `latentbench.tricks`, for example with this module `drift_penalty.py`:

    from pydantic import Field

    from baselines.models.base import Options
    from baselines.tricks.base import Trick


    class DriftPenaltyOptions(Options):
        weight: float = Field(0.001, gt=0)


    def penalty(real, fake, context, options):
        return options.weight * real.output.logits.square().mean()


    DRIFT_PENALTY = Trick(
        name="drift-penalty",
        title="outputs of the discriminator kept near 0",
        source="Karras et al. 2018 (progressive GAN), appendix A.1",
        options=DriftPenaltyOptions,
        d_penalty=penalty,
    )

and these lines in its `pyproject.toml`:

    [project.entry-points."latentbench.tricks"]
    drift-penalty = "drift_penalty:DRIFT_PENALTY"

Once the package is installed, `--set tricks.drift-penalty=on` works as for any other trick.
`baselines.tricks.base` explains the hooks. Tricks of other packages follow those of the table,
sorted by name. A run records the name and options of a trick, not its code: the package must be
installed to resume or sample the run.
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
