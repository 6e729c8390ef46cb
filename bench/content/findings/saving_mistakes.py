"""Common mistakes in scaling values before they are saved, told apart by the grey levels.

For each mistake there is a map of grey levels. If the folder's histogram is much nearer to that of
the real images after such a map than to their own, the mistake is named. Histograms are compared in
two parts, because thick strokes have more ink but ink of the same levels: the share of the
background (the levels that black became), and the levels of all other pixels (Wasserstein distance
in grey levels).

Shape legend: 256 grey levels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bench.content.evidence import Evidence
from bench.content.finding import ContentFinding, Found, percent
from bench.content.statistics import BLACK

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

LEVELS = np.arange(256)
BACKGROUND = 16  # levels from black that count as background; generators seldom reach 0 itself
MARGIN = 4  # levels around those that the background is mapped to
BACKGROUND_ENDS = (20, 40)  # of an unmapped background; raising it a little is no mistake
MIN_DISTANCE = 10.0  # grey levels between the histograms, before a mistake is named
NOISE_FACTOR = 4.0  # standard errors of mean level and background in a folder of this size
EXPLAINS = 0.3  # a map explains a difference if it leaves less than this share of it
SHARE_WEIGHT = 100.0  # grey levels that a difference of the whole background counts as


def _tanh(level: I64) -> I64:
    """Return x * 255 of x in -1..1, clipped."""
    return np.maximum(2 * level - 255, 0)


def _wrapped(level: I64) -> I64:
    """Return x * 255 of x in -1..1, cut to an integer and taken modulo 256 by a cast to uint8."""
    return (2 * level - 255) % 256


def _twice(level: I64) -> I64:
    """Return (x + 1) * 127.5 of x in 0..1."""
    return (level + 255) // 2


def _inverted(level: I64) -> I64:
    return 255 - level


MAPS: dict[str, Callable[[I64], I64]] = {
    "value-range-tanh": _tanh,
    "value-range-wrapped": _wrapped,
    "value-range-twice": _twice,
    "inverted-polarity": _inverted,
}


def mapped(shares: F64, code: str) -> F64:
    """Return the histogram (float64 256) of the same pixels after one of `MAPS`."""
    return np.asarray(np.bincount(MAPS[code](LEVELS), shares, 256), np.float64)


def distance(own: F64, real: F64, background: I64) -> float:
    """Return the distance of two histograms of shares, in grey levels.

    `background` lists the levels of the background in both.
    """
    ink_own, ink_real = own.copy(), real.copy()
    ink_own[background] = ink_real[background] = 0
    sums = ink_own.sum(), ink_real.sum()
    apart = SHARE_WEIGHT * abs(float(sums[0] - sums[1]))
    if min(sums) <= 0:
        return apart
    return apart + float(np.abs(np.cumsum(ink_own / sums[0] - ink_real / sums[1])).sum())


def _background(code: str) -> I64:
    """Return the levels that the background has after one of `MAPS`."""
    levels = MAPS[code](LEVELS[:BACKGROUND])
    return LEVELS[max(0, int(levels.min()) - MARGIN) : int(levels.max()) + MARGIN + 1]


def _check(code: str, evidence: Evidence) -> Found | None:
    """Return the finding if the map `code` explains the difference, and better than the others."""
    facts, reference = evidence.facts, evidence.level_reference
    if reference is None:
        return None
    own, real = facts.grey_shares, reference.grey_shares
    apart = min(distance(own, real, LEVELS[:end]) for end in BACKGROUND_ENDS)
    noise = reference.statistic("mean")[1] + SHARE_WEIGHT * reference.statistic("black")[1]
    error = reference.standard_error(noise, facts.num_images)
    if apart < max(MIN_DISTANCE, NOISE_FACTOR * error):
        return None
    left = {name: distance(own, mapped(real, name), _background(name)) for name in MAPS}
    if code != min(left, key=lambda name: left[name]) or left[code] > EXPLAINS * apart:
        return None
    after = mapped(real, code)
    black, expected, then = (float(x[: BLACK + 1].sum()) for x in (own, real, after))
    level = float(LEVELS @ own)
    return Found(
        facts.num_images,
        f"{percent(black)} of the pixels are black, expected {percent(expected)}, and the mean "
        f"grey level is {level:.0f}, expected {LEVELS @ real:.0f}; real images saved this way "
        f"would have {percent(then)} and {LEVELS @ after:.0f}",
        {
            "black_share": black,
            "reference_black_share": expected,
            "mean_level": level,
            "reference_mean_level": float(LEVELS @ real),
            "distance": apart,
            "distance_explained": left[code],
        },
    )


def _row(name: str, message: str, fix: str) -> ContentFinding:
    return ContentFinding(
        name=name,
        severity="warning",
        message=message,
        fix=fix,
        check=lambda evidence: _check(name, evidence),
        group="levels",
        unless=("levels",),
    )


TANH = _row(
    "value-range-tanh",
    "the values look like a tanh output (-1 to 1) saved without rescaling, so the lower half of "
    "the range became black",
    "Every score compares these wrong grey levels with real ones. Save (x + 1) * 127.5 instead of "
    "x * 255 (torchvision: save_image(..., normalize=True, value_range=(-1, 1))).",
)
WRAPPED = _row(
    "value-range-wrapped",
    "the values look like negative ones converted to uint8 without clipping, so they wrapped "
    "around to bright levels",
    "Every score compares these wrong grey levels with real ones. Bring the output to 0..255 "
    "before saving: (x + 1) * 127.5 for tanh, x * 255 for a sigmoid; then round, clip and convert "
    "to uint8.",
)
TWICE = _row(
    "value-range-twice",
    "the values look like 0 to 1 rescaled as if they were -1 to 1, so black became grey",
    "Every score compares these wrong grey levels with real ones. Save x * 255 instead of "
    "(x + 1) * 127.5.",
)
INVERTED = _row(
    "inverted-polarity",
    "the images look inverted: dark where the data is bright",
    "Every score compares negatives with real images. Save 255 - x, or invert the images in the "
    "same way as the training data.",
)
