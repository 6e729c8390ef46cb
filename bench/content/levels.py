"""Grey levels of a folder against those of real images: range, clipping, polarity.

The histograms say what was done to the values. For each common mistake in saving there is a map
of levels; where the folder's histogram lies much nearer to the reference's under such a map than
to the reference's own, the mistake has a name. Histograms are compared in two parts, because thick
strokes have more ink, but ink of the same levels: the share of the background (what black became),
and the levels of all other pixels (Wasserstein distance, in grey levels).

Shape legend: 256 grey levels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bench.content.codes import content_finding
from bench.content.facts import ContentFacts
from bench.content.reference import ReferenceContent
from bench.content.statistics import BLACK, WHITE
from bench.records.score_record import FindingEntry

F64 = NDArray[np.float64]

LEVELS = np.arange(256)
BACKGROUND = 16  # levels from black that count as background; generators seldom reach 0 itself
MARGIN = 4  # and so many levels around what they are mapped to
BACKGROUND_ENDS = (20, 40)  # of a background as it is: also a raised or a noisy one is no mistake
MIN_DISTANCE = 10.0  # between the histograms, before a mistake in saving is named
NOISE_FACTOR = 4.0  # of the standard errors of mean level and background in such a folder
EXPLAINS = 0.3  # a map explains a difference when it leaves less than this share of it
SHARE_WEIGHT = 100.0  # grey levels that a difference of all the background counts
SIGMAS = 5.0  # standard errors of a share in a folder of so many real images
NARROW = 0.85  # of the range of the reference
TAIL = 0.002  # of the pixels at either end of a range
CLIPPED = 0.05  # more pixels at an end than in the reference, as a share of all
SATURATED = 0.5  # of the reference's share of pixels between black and white
MIN_BETWEEN = 0.04  # share of pixels between black and white that a reference must have
ABSOLUTE_BETWEEN = 0.005  # below this share a folder is saturated whatever the reference


def _wrapped(level: NDArray[np.int64]) -> NDArray[np.int64]:
    """x * 255 of x in -1..1, cut to whole numbers and taken modulo 256, as a cast to uint8 does."""
    return (2 * level - 255) % 256


MAPS: dict[str, Callable[[NDArray[np.int64]], NDArray[np.int64]]] = {
    "value-range-tanh": lambda level: np.maximum(2 * level - 255, 0),
    "value-range-wrapped": _wrapped,
    "value-range-twice": lambda level: (level + 255) // 2,
    "inverted-polarity": lambda level: 255 - level,
}


def level_findings(
    facts: ContentFacts, reference: ReferenceContent | None, *, classes_off: bool = False
) -> list[FindingEntry]:
    """At most one finding: about the range of values, or polarity. `classes_off`: the folder has
    other classes than the reference, which have more or less ink, so clipping is not judged.
    """
    found = _unit(facts)
    if found is None and reference is not None:
        found = (
            _mapped(facts, reference)
            or _between(facts, reference)
            or (None if classes_off else _clipped(facts, reference))
            or _narrow(facts, reference)
        )
    if found is None and reference is None:
        found = _only_ends(facts)
    return [] if found is None else [found]


def mapped(shares: F64, code: str) -> F64:
    """The histogram of the same pixels after one of `MAPS`, float64 256."""
    return np.asarray(np.bincount(MAPS[code](LEVELS), shares, 256), np.float64)


def _background(code: str) -> NDArray[np.int64]:
    """The levels that the background has after one of `MAPS`."""
    levels = MAPS[code](LEVELS[:BACKGROUND])
    return LEVELS[max(0, int(levels.min()) - MARGIN) : int(levels.max()) + MARGIN + 1]


def distance(own: F64, real: F64, background: NDArray[np.int64]) -> float:
    """Distance of two histograms of shares whose background has the levels `background`."""
    ink_own, ink_real = own.copy(), real.copy()
    ink_own[background] = ink_real[background] = 0
    sums = ink_own.sum(), ink_real.sum()
    apart = SHARE_WEIGHT * abs(float(sums[0] - sums[1]))
    if min(sums) <= 0:
        return apart
    return apart + float(np.abs(np.cumsum(ink_own / sums[0] - ink_real / sums[1])).sum())


def _range(shares: F64) -> tuple[int, int]:
    """The levels that all but the outermost 0.2 % of the pixels each side lie between."""
    cumulative = np.cumsum(shares)
    return int((cumulative > TAIL).argmax()), int((cumulative >= 1 - TAIL).argmax())


def _unit(facts: ContentFacts) -> FindingEntry | None:
    if int(facts.highs.max()) != 1:
        return None
    return content_finding(
        "value-range-unit",
        facts.num_images,
        "no pixel of any image is above grey level 1 of 255",
        {"highest": 1},
    )


def _mapped(facts: ContentFacts, reference: ReferenceContent) -> FindingEntry | None:
    own, real = facts.grey_shares, reference.grey_shares
    apart = min(distance(own, real, LEVELS[:end]) for end in BACKGROUND_ENDS)
    noise = reference.statistic("mean")[1] + SHARE_WEIGHT * reference.statistic("black")[1]
    error = reference.standard_error(noise, facts.num_images)
    if apart < max(MIN_DISTANCE, NOISE_FACTOR * error):
        return None
    left = {code: distance(own, mapped(real, code), _background(code)) for code in MAPS}
    code = min(left, key=lambda name: left[name])
    if left[code] > EXPLAINS * apart:
        return None
    after = mapped(real, code)
    black, expected, then = (float(x[: BLACK + 1].sum()) for x in (own, real, after))
    level = float(LEVELS @ own)
    figures = {
        "black_share": black,
        "reference_black_share": expected,
        "mean_level": level,
        "reference_mean_level": float(LEVELS @ real),
        "distance": apart,
        "distance_explained": left[code],
    }
    detail = (
        f"{_percent(black)} of the pixels are black where {_percent(expected)} are expected, and "
        f"the mean grey level is {level:.0f} instead of {LEVELS @ real:.0f}; so saved, the real "
        f"images would have {_percent(then)} and {LEVELS @ after:.0f}"
    )
    return content_finding(code, facts.num_images, detail, figures)


def _between(facts: ContentFacts, reference: ReferenceContent) -> FindingEntry | None:
    own, real = (
        float(x[BLACK + 1 : WHITE].sum()) for x in (facts.grey_shares, reference.grey_shares)
    )
    if real < MIN_BETWEEN or own > SATURATED * real:
        return None
    return content_finding(
        "value-range-saturated",
        facts.num_images,
        f"{_percent(own)} of the pixels are neither black nor white where {_percent(real)} are "
        "expected",
        {"between_share": own, "reference_between_share": real},
    )


def _only_ends(facts: ContentFacts) -> FindingEntry | None:
    own = float(facts.grey_shares[BLACK + 1 : WHITE].sum())
    ends = (facts.lows <= BLACK) & (facts.highs >= WHITE)  # not of constant images alone
    if own > ABSOLUTE_BETWEEN or not ends.any():
        return None
    return content_finding(
        "value-range-saturated",
        facts.num_images,
        f"{_percent(own)} of the pixels are neither black nor white",
        {"between_share": own},
    )


def _clipped(facts: ContentFacts, reference: ReferenceContent) -> FindingEntry | None:
    parts = []
    figures: dict[str, float] = {}
    for name, statistic, levels in (
        ("black", "black", slice(0, BLACK + 1)),
        ("white", "white", slice(WHITE, 256)),
    ):
        own, real = (float(x[levels].sum()) for x in (facts.grey_shares, reference.grey_shares))
        sd = reference.statistic(statistic)[1]
        noise = SIGMAS * reference.standard_error(sd, facts.num_images)
        rest = (1 - own) / max(1 - real, 1e-9)
        enough = own - real >= max(CLIPPED, noise)
        if enough and (rest <= 0.75 if name == "black" and real > 0.25 else own >= 2 * real):
            parts.append(f"{_percent(own)} of the pixels are {name} where {_percent(real)} are")
            figures |= {f"{name}_share": own, f"reference_{name}_share": real}
    if not parts:
        return None
    return content_finding(
        "value-range-clipped", facts.num_images, f"{' and '.join(parts)} expected", figures
    )


def _narrow(facts: ContentFacts, reference: ReferenceContent) -> FindingEntry | None:
    (low, high), (real_low, real_high) = _range(facts.grey_shares), _range(reference.grey_shares)
    if high - low > NARROW * (real_high - real_low):
        return None
    return content_finding(
        "value-range-narrow",
        facts.num_images,
        f"grey levels {low} to {high} where {real_low} to {real_high} are expected",
        {"low": low, "high": high, "reference_low": real_low, "reference_high": real_high},
    )


def _percent(share: float) -> str:
    """A share for people: 11 %, 0.4 %."""
    return f"{100 * share:.0f} %" if share >= 0.095 else f"{100 * share:.1f} %"
