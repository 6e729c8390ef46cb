"""Common mistakes in scaling values before they are saved, told apart by the ink.

Images on a black background are judged by quantities that depend neither on the classes of a folder
nor on the width of its strokes (see `bench.content.ink`); each mistake leaves a mark of its own:

    twice     nothing is darker than the middle, where the background now is
    inverted  the background is white
    wrapped   the background is at level 1, because -255 modulo 256 is 1, and strokes have dark rims
    tanh      the shoulder of nearly black levels is cut off

Other images, and those with too much noise for the shoulder, are compared as a whole. For each
mistake there is a map of grey levels; if the folder's histogram is much nearer to that of the real
images after such a map than to their own, the mistake is named.

No check looks at predicted classes, so an audit and a score find the same.

Shape legend: 256 grey levels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bench.content.evidence import Evidence
from bench.content.facts import ContentFacts
from bench.content.finding import ContentFinding, Cost, Found, percent
from bench.content.ink import INK, MIN_BACKGROUND, Shoulder
from bench.content.reference import ReferenceContent
from bench.content.statistics import BLACK

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

LEVELS = np.arange(256)
MIDDLE = 128
BELOW_MIDDLE = 104  # nothing is darker than this if black became the middle, up to noise of sd 6
NOTHING = 0.005  # share of the pixels
WHITE_BACKGROUND = 0.5  # of the reference's excess of black over white, as an excess of white
LIGHT = 255 - INK
BACKGROUND_MOVED = -2.0  # standard errors below one half of the zeros in the darkest parts
MIN_DIPS = 0.007  # 0.0 to 0.003 in images saved rightly, 0.010 or more in wrapped ones
SHOULDERS = (Shoulder(16, 24, 40, 48, 0.72), Shoulder(8, 8, 8, 16, 0.4))
MIN_SEPARATION = 0.25  # between the shoulders of real images and of the same ones cut off
MAX_START = 40  # noise above this hides the shoulder
SHOULDER_ERRORS = 3.0  # standard errors below the shoulder of the data
LESS_BLACK = 0.12  # share of black that wide strokes may cover
REACHES = 0.85  # of the highest level of the data, which most cut-off images reach
LOW_REACHES, MAX_TOP = 0.5, 0.15  # a blurred one may end below; a dimmed one has much ink there
MAX_PILE = 0.5  # of the ink at 255 exactly; a raised contrast cuts off at white as well
TAIL = 0.002  # of the pixels at either end of the levels are ignored

# Of whole histograms:
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


def has_black_background(reference: ReferenceContent) -> bool:
    """Return whether real images are bright on black."""
    return float(reference.grey_shares[:INK].sum()) >= MIN_BACKGROUND


def highest_level(shares: F64) -> int:
    """Return the level that all but the brightest 0.2 % of the pixels stay at or below."""
    return int((np.cumsum(shares) >= 1 - TAIL).argmax())


def is_cut_off(evidence: Evidence) -> bool | None:
    """Return whether the shoulder of nearly black levels is missing; None if it cannot be told."""
    facts, reference, ink = evidence.facts, evidence.level_reference, evidence.ink
    if reference is None or not has_black_background(reference) or ink.start > MAX_START:
        return None
    counts = reference.histogram.astype(np.float64)
    after = np.asarray(np.bincount(_tanh(LEVELS), counts, 256), np.float64)
    for shoulder in SHOULDERS:
        real, cut = (shoulder.measure(x, ink.start)[0] for x in (counts, after))
        if real - cut < MIN_SEPARATION:
            continue
        own, error = shoulder.measure(facts.histogram.astype(np.float64), ink.start)
        return own < cut + shoulder.share * (real - cut) and own + SHOULDER_ERRORS * error < real
    return None


def _is_twice(facts: ContentFacts, reference: ReferenceContent) -> bool:
    own, real = facts.grey_shares, reference.grey_shares
    middle = own[BELOW_MIDDLE : 2 * MIDDLE - BELOW_MIDDLE].sum()
    is_empty = own[:BELOW_MIDDLE].sum() < NOTHING <= real[:BELOW_MIDDLE].sum()
    return bool(is_empty and middle >= MIN_BACKGROUND / 2)


def _is_inverted(facts: ContentFacts, reference: ReferenceContent) -> bool:
    own, real = (
        float(x[LIGHT + 1 :].sum() - x[:INK].sum())
        for x in (facts.grey_shares, reference.grey_shares)
    )
    return own >= -WHITE_BACKGROUND * real > 0


def _is_wrapped(evidence: Evidence) -> bool:
    ink = evidence.ink
    if not ink.num_dark:
        return False
    error = 0.5 / ink.num_dark**0.5
    return ink.zeros < 0.5 + BACKGROUND_MOVED * error and ink.dips >= MIN_DIPS


def _is_tanh(evidence: Evidence, reference: ReferenceContent) -> bool | None:
    cut_off = is_cut_off(evidence)
    if not cut_off:
        return cut_off
    own, real = evidence.facts.grey_shares, reference.grey_shares
    return (
        own[:INK].sum() >= real[:INK].sum() - LESS_BLACK
        and _is_bright(own, highest_level(real))
        and evidence.ink.pile <= MAX_PILE
    )


def _is_bright(shares: F64, expected: int) -> bool:
    """Return whether the ink ends near the level `expected`, or thins out before it.

    Dimmed images have the white strokes of the data at a lower level: their ink ends abruptly.
    """
    top = highest_level(shares)
    at_top = shares[int(0.9 * top) :].sum() / max(shares[INK:].sum(), 1e-9)
    return top >= REACHES * expected or (top >= LOW_REACHES * expected and at_top <= MAX_TOP)


def _by_ink(evidence: Evidence, reference: ReferenceContent) -> str | None:
    """Return the code of the mistake, "" if there is none, None if the ink cannot tell."""
    facts = evidence.facts
    if _is_twice(facts, reference):
        return "value-range-twice"
    if _is_inverted(facts, reference):
        return "inverted-polarity"
    if _is_wrapped(evidence):
        return "value-range-wrapped"
    is_tanh = _is_tanh(evidence, reference)
    return None if is_tanh is None else "value-range-tanh" if is_tanh else ""


def _by_histogram(evidence: Evidence, reference: ReferenceContent) -> str:
    """Return the code of the map that explains the difference, "" if none does."""
    facts = evidence.facts
    own, real = facts.grey_shares, reference.grey_shares
    apart = min(distance(own, real, LEVELS[:end]) for end in BACKGROUND_ENDS)
    noise = reference.statistic("mean")[1] + SHARE_WEIGHT * reference.statistic("black")[1]
    error = reference.standard_error(noise, facts.num_images)
    if apart < max(MIN_DISTANCE, NOISE_FACTOR * error):
        return ""
    left = {name: distance(own, mapped(real, name), _background(name)) for name in MAPS}
    nearest = min(left, key=lambda name: left[name])
    return nearest if left[nearest] <= EXPLAINS * apart else ""


def saving_mistake(evidence: Evidence) -> str:
    """Return the code of the mistake in saving that the grey levels show, or ""."""
    reference = evidence.level_reference
    if reference is None:
        return ""
    if has_black_background(reference):
        code = _by_ink(evidence, reference)
        if code is not None:
            return code
    return _by_histogram(evidence, reference)


def _check(code: str, evidence: Evidence) -> Found | None:
    reference = evidence.level_reference
    if reference is None or saving_mistake(evidence) != code:
        return None
    facts = evidence.facts
    own, real = facts.grey_shares, reference.grey_shares
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
        },
    )


def _row(name: str, fid_cost: float, message: str, fix: str) -> ContentFinding:
    return ContentFinding(
        name=name,
        severity="warning",
        message=message,
        fix=fix,
        check=lambda evidence: _check(name, evidence),
        cost=Cost(((0.0, fid_cost),)),
        group="levels",
        unless=("levels",),
    )


TANH = _row(
    "value-range-tanh",
    13.0,
    "the values look like a tanh output (-1 to 1) saved without rescaling, so the lower half of "
    "the range became black",
    "Every score compares these wrong grey levels with real ones. Save (x + 1) * 127.5 instead of "
    "x * 255 (torchvision: save_image(..., normalize=True, value_range=(-1, 1))).",
)
WRAPPED = _row(
    "value-range-wrapped",
    7.6,
    "the values look like negative ones converted to uint8 without clipping, so they wrapped "
    "around to bright levels",
    "Every score compares these wrong grey levels with real ones. Bring the output to 0..255 "
    "before saving: (x + 1) * 127.5 for tanh, x * 255 for a sigmoid; then round, clip and convert "
    "to uint8.",
)
TWICE = _row(
    "value-range-twice",
    2400.0,
    "the values look like 0 to 1 rescaled as if they were -1 to 1, so black became grey",
    "Every score compares these wrong grey levels with real ones. Save x * 255 instead of "
    "(x + 1) * 127.5.",
)
INVERTED = _row(
    "inverted-polarity",
    2800.0,
    "the images look inverted: dark where the data is bright",
    "Every score compares negatives with real images. Save 255 - x, or invert the images in the "
    "same way as the training data.",
)
