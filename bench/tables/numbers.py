"""Numbers as people read them, the same in tables, pages and cards."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.records.score_record import IntervalEntry, ScoreValue

NONE = "none"  # a metric without a value


def number(value: float | None) -> str:
    """Four significant digits; counts and zeros as they are; "-" for no value."""
    if value is None:
        return "-"
    if abs(value) < 1e7 and (value == int(value) or abs(value) >= 1e4):
        return f"{value:.0f}"
    return f"{value:.4g}"


def decimals(interval: IntervalEntry) -> int:
    """Decimals that show half the interval with two digits, from 4 on with one; 8 at most."""
    half = (interval.high - interval.low) / 2
    if half <= 0:
        return 4
    return min(max(-math.floor(math.log10(half / 4)), 0), 8)


def bounds(interval: IntervalEntry) -> str:
    """The two ends, "[26.9, 28.4]"."""
    if interval.low == interval.high:
        return f"[{number(interval.low)}, {number(interval.high)}]"
    places = decimals(interval)
    return f"[{_fixed(interval.low, places)}, {_fixed(interval.high, places)}]"


def _fixed(value: float, places: int) -> str:
    """So many decimals, and no minus before nothing."""
    return f"{round(value, places) + 0.0:.{places}f}"


def value_alone(entry: ScoreValue) -> str:
    """The value, with as many decimals as its interval has."""
    if entry.value is None:
        return NONE
    if entry.interval is None or entry.value == int(entry.value):
        return number(entry.value)
    return _fixed(entry.value, decimals(entry.interval))


def value_with_interval(entry: ScoreValue) -> str:
    """As "27.7 [26.9, 28.4]", the value alone when it has no interval."""
    text = value_alone(entry)
    return text if entry.interval is None else f"{text} {bounds(entry.interval)}"


def percent(share: float) -> str:
    """A share in percent: whole ones, more digits below 10 %, never a false 0 or 100."""
    if 0 < share < 0.001:
        return "less than 0.1 %"
    if 0.9995 <= share < 1:
        return "nearly 100 %"
    places = 0 if share >= 0.1 or share == 0 else 1
    text = f"{100 * share:.{places}f}"
    if text == "100" and share < 1:
        text = f"{100 * share:.1f}"
    return f"{text} %"
