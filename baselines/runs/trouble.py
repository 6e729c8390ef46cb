"""What went wrong in a training that ended, read from its logged terms.

    discriminator-won   at the end the discriminator tells real from generated images almost
                        perfectly, and has done so for a tenth of the training
    generator-exploded  the generator's loss, or a critic's gap between real and generated images,
                        is far outside the range of trainings that work
    kl-near-zero        the code of a VAE carries almost no information (posterior collapse)

How far a discriminator is ahead is measured in log odds, the difference of its mean output for real
and for generated images: its density ratio where the loss has one. A perfect discriminator would
reach infinity, or the difference of the logits of the targets where a trick softens them. Trainings
that worked ended at 0.1 to 4, and those that collapsed at 10 and more: tests/baselines/runs has the
logs of both. The loss of a critic (Wasserstein) is a distance, and a large one is no victory.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch

from baselines.recipes.config import RunConfig

WON = 10.0  # log odds
SHARE_OF_LIMIT = 0.9  # of the log odds that the targets allow
LEAST_SQUARES_WON = 0.95  # of the difference of the targets
HINGE_WON = 0.05  # discriminator's loss, which is 2 for one that knows nothing
EXPLODED = 100.0
NO_KL = 0.5  # nats per image
TAIL = 0.1  # share of the training over which a state must last, up to its end
MIN_LINES = 3
CRITICS = ("wasserstein", "wgan-gp")
QUARTER = 4.0

Terms = Mapping[str, Any]  # one line of the log: step, and terms by name


class Trouble(NamedTuple):
    """What went wrong: `code` as above, the step `since` which it lasts, and what to change."""

    code: str
    since: int
    message: str


def find_troubles(config: RunConfig, lines: Sequence[Terms]) -> list[Trouble]:
    """Return what went wrong in a training, from all `terms` lines of its log."""
    if config.loss is None:
        since = _since(lines, [line.get("kl", math.inf) < NO_KL for line in lines])
        return [] if since is None else [_no_kl(config, lines, since)]
    found = []
    since = _since(lines, [advantage(config, line) >= 1 for line in lines])
    if since is not None:
        text = (
            f"the discriminator has won since step {since:,}: it tells real from generated images "
            f"almost perfectly; {_against_discriminator(config)}"
        )
        found.append(Trouble("discriminator-won", since, text))
    since = _since(lines, [_size(config, line) > EXPLODED for line in lines])
    if since is not None:
        what = "the critic's gap" if config.loss in CRITICS else "the generator's loss"
        size = _size(config, lines[-1])
        text = f"{what} has exploded since step {since:,} (now {size:.3g}); {_slower(config)}"
        found.append(Trouble("generator-exploded", since, text))
    return found


def advantage(config: RunConfig, line: Terms) -> float:
    """Return how far the discriminator is ahead: 1 or more where it has won, 0 for a critic."""
    real, fake = float(line["d_real"]), float(line["d_fake"])
    low, high = mean_targets(config)
    if config.loss == "hinge":
        return HINGE_WON / max(float(line["d_loss"]), 1e-9)
    if config.loss == "least-squares":
        return (real - fake) / (LEAST_SQUARES_WON * (high - low))
    ratio = config.loss_row.log_ratio
    if ratio is None:
        return 0.0
    odds = float(ratio(torch.tensor(real)) - ratio(torch.tensor(fake)))
    limit = _logit(high) - _logit(low)
    return odds / min(WON, SHARE_OF_LIMIT * limit)


def mean_targets(config: RunConfig) -> tuple[float, float]:
    """Return the discriminator's average targets of generated and real images, after all tricks.

    >>> from baselines.recipes.table import recipe_config
    >>> mean_targets(recipe_config("course-gan", settings=["tricks.label-noise=on"]))
    (0.15, 0.95)
    """
    fake, real = 0.0, 1.0
    tricks = config.tricks
    if "label-smoothing" in tricks:
        real = tricks["label-smoothing"]["real_target"]
    if "label-noise" in tricks:
        noise = tricks["label-noise"]
        real = (noise["real_low"] + noise["real_high"]) / 2
        fake = (noise["fake_low"] + noise["fake_high"]) / 2
    if "label-flips" in tricks:
        chance = tricks["label-flips"]["probability"]
        fake, real = fake + chance * (real - fake), real - chance * (real - fake)
    return fake, real


def _logit(share: float) -> float:
    if not 0 < share < 1:
        return math.inf if share >= 1 else -math.inf
    return math.log(share / (1 - share))


def _size(config: RunConfig, line: Terms) -> float:
    if config.loss in CRITICS:
        return abs(float(line["d_real"]) - float(line["d_fake"]))
    return abs(float(line["g_loss"]))


def _since(lines: Sequence[Terms], bad: Sequence[bool]) -> int | None:
    """Return the step since which every line is bad, or None unless they are a tenth of the lines
    and at least three. A single good line between bad ones does not count.
    """
    start = len(bad)
    for place in reversed(range(len(bad))):
        if bad[place]:
            start = place
        elif not (start == place + 1 and place > 0 and bad[place - 1]) or place == len(bad) - 1:
            break
    if len(bad) - start < max(MIN_LINES, TAIL * len(bad)):
        return None
    return int(lines[start]["step"])


def _no_kl(config: RunConfig, lines: Sequence[Terms], since: int) -> Trouble:
    beta = config.parsed_model_options.beta
    if beta > 1:
        remedy = f"lower model.beta from {beta:g} to {max(beta / QUARTER, 1):g}"
    else:
        remedy = f"train longer than num_steps={config.num_steps}"
    text = (
        f"the KL divergence is near zero since step {since:,} ({float(lines[-1]['kl']):.2g} nats): "
        f"the code says nothing about the image; {remedy}"
    )
    return Trouble("kl-near-zero", since, text)


def _against_discriminator(config: RunConfig) -> str:
    """Return the one setting to change first against a discriminator that is too strong."""
    rates = config.tricks.get("two-time-scales")
    if rates is not None and rates["discriminator"] > rates["generator"]:
        return (
            f"lower tricks.two-time-scales.discriminator from {rates['discriminator']:g} to "
            f"{rates['generator']:g}"
        )
    if config.loss == "minimax":
        return "set loss=non-saturating, whose gradient does not vanish then"
    if config.tricks.get("discriminator-steps", {}).get("num_steps", 1) > 1:
        return "set tricks.discriminator-steps=off"
    return (
        f"slow it down: tricks.two-time-scales.generator={config.learning_rate:g} and "
        f"tricks.two-time-scales.discriminator={config.learning_rate / QUARTER:g}"
    )


def _slower(config: RunConfig) -> str:
    rates = config.tricks.get("two-time-scales")
    if rates is not None:
        return (
            f"lower tricks.two-time-scales.generator from {rates['generator']:g} to "
            f"{rates['generator'] / QUARTER:g}"
        )
    rate = config.learning_rate
    return f"lower learning_rate from {rate:g} to {rate / QUARTER:g}"
