"""Ticks that say exactly where they are: percent, and plain numbers on logarithmic axes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axis import Axis
from matplotlib.ticker import (
    FixedLocator,
    Formatter,
    FuncFormatter,
    NullLocator,
)

MAX_DECIMALS = 4
LEAST_APART = 5.0  # times the end of the linear part: nearer labels would touch that of zero
MAX_LABELS = 5  # on a logarithmic axis; beyond, only powers of ten are labelled
PLAIN = (1e-3, 1e6)  # sizes of numbers that are written without an exponent


class PercentTicks(Formatter):
    """Shares as percent, all ticks of an axis with the decimals that the finest one needs.

    >>> ticks = PercentTicks()
    >>> ticks.format_ticks([0.15, 0.175, 0.2])
    ['15.0 %', '17.5 %', '20.0 %']
    >>> ticks.format_ticks([0, 0.05, 0.1])
    ['0 %', '5 %', '10 %']
    """

    def __init__(self) -> None:
        self._decimals = 0

    def set_locs(self, locs: Sequence[float]) -> None:
        """Choose the decimals for the ticks at `locs`."""
        self._decimals = next(
            (
                decimals
                for decimals in range(MAX_DECIMALS)
                if all(
                    math.isclose(round(100 * x, decimals), 100 * x, rel_tol=1e-9, abs_tol=1e-9)
                    for x in locs
                )
            ),
            MAX_DECIMALS,
        )

    def __call__(self, x: float, pos: int | None = None) -> str:  # noqa: ARG002
        return f"{100 * x + 0.0:.{self._decimals}f} %"


def plain(value: float) -> str:
    """Return a tick of a logarithmic axis as a plain number; a very large or small one with an
    exponent.

    >>> plain(0.02), plain(500.0), plain(20000.0), plain(-1.0), plain(1e-7)
    ('0.02', '500', '20,000', '-1', '1e-07')
    """
    if value == 0:
        return "0"
    if PLAIN[0] <= abs(value) < PLAIN[1]:
        return f"{value:,.10g}" if abs(value) < 1 else f"{value:,.6g}"
    return f"{value:.0e}"


def log_ticks(axis: Axis, low: float, high: float) -> None:
    """Label a logarithmic axis from `low` to `high` (both above 0) with plain numbers: 1, 2 and 5
    times the powers of ten, or fewer on a long axis.
    """
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        places = [s * 10.0**d for d in decades for s in steps if low <= s * 10.0**d <= high]
        if len(places) <= MAX_LABELS:
            break
    while len(places) > MAX_LABELS:
        places = places[::2]
    if len(places) < 2:  # within less than one step
        places = [float(f"{low:.2g}"), float(f"{math.sqrt(low * high):.2g}"), float(f"{high:.2g}")]
        places = sorted({place for place in places if low <= place <= high})
    axis.set_major_locator(FixedLocator(places))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda x, _place: plain(x)))


def symlog_ticks(axis: Axis, linear: float, low: float, high: float) -> None:
    """Label an axis from `low` to `high` that is linear between -`linear` and `linear` and
    logarithmic beyond: at zero, and at powers of ten that are far enough from it.
    """
    first = math.ceil(math.log10(LEAST_APART * linear))
    places = [0.0]
    for sign, end in ((1, high), (-1, -low)):
        last = math.floor(math.log10(end)) if end > 0 else first - 1
        powers = [sign * 10.0**d for d in range(first, last + 1)]
        while len(powers) > MAX_LABELS - 1:
            powers = powers[1::2]
        places += powers
    axis.set_major_locator(FixedLocator(sorted(places)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda x, _place: plain(x)))
