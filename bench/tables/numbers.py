"""Numbers, shares, counts and lists of names as text: the same in tables, pages and cards."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.records.score_record import IntervalEntry, ScoreValue

NO_VALUE = "none"  # shown for a metric without a value
MAX_DECIMALS = 8


def number(value: float | None, *, sign: bool = False) -> str:
    """Return four significant digits, whole numbers and values from 10,000 without decimals, and
    "-" for None. With `sign`, positive values carry a plus.

    >>> number(0.000193), number(10.0), number(12345.6), number(2.5, sign=True), number(None)
    ('0.000193', '10', '12346', '+2.5', '-')
    """
    if value is None:
        return "-"
    plus = "+" if sign and value > 0 else ""
    if abs(value) < 1e7 and (value == int(value) or abs(value) >= 1e4):
        return f"{plus}{value:.0f}"
    return f"{plus}{value:.4g}"


def decimals(interval: IntervalEntry) -> int:
    """Return the number of decimals that an interval justifies.

    Half of its width is shown with two digits, or with one digit from 4 upwards; at most 8
    decimals.
    """
    return decimals_for((interval.high - interval.low) / 2)


def decimals_for(half: float) -> int:
    """Return the number of decimals that show half the width of an interval as `decimals` says.

    >>> decimals_for(0.06), decimals_for(0.02), decimals_for(300.0)
    (2, 3, 0)
    """
    if half <= 0:
        return 4
    return min(max(-math.floor(math.log10(half / 4)), 0), MAX_DECIMALS)


def places_in_column(entries: Iterable[ScoreValue | None]) -> int | None:
    """Return the decimals of a column of values of one metric, as many as the narrowest interval
    justifies; None without intervals, and for whole numbers.
    """
    known = [entry for entry in entries if entry is not None and entry.value is not None]
    if all(entry.value == int(entry.value or 0) for entry in known):
        return None
    return max((decimals(e.interval) for e in known if e.interval is not None), default=None)


def ends(interval: IntervalEntry, places: int | None = None) -> tuple[str, str]:
    """Return the two ends of an interval with the decimals that it justifies, or with `places`."""
    if interval.low == interval.high and places is None:
        return number(interval.low), number(interval.high)
    places = decimals(interval) if places is None else places
    return fixed(interval.low, places), fixed(interval.high, places)


def bounds(interval: IntervalEntry, places: int | None = None) -> str:
    """Return an interval in brackets, as in "[26.9, 28.4]"; `places` is that of `ends`."""
    return f"[{', '.join(ends(interval, places))}]"


def fixed(value: float, places: int, *, sign: bool = False) -> str:
    """Return a value with `places` decimals and without a minus sign in front of zero.

    >>> fixed(-0.0004, 2), fixed(1.25, 1, sign=True)
    ('0.00', '+1.2')
    """
    return f"{round(value, places) + 0.0:{'+' if sign else ''}.{places}f}"


def value_text(entry: ScoreValue, places: int | None = None) -> str:
    """Return the value of a metric with the decimals that its interval justifies, or with
    `places`.
    """
    if entry.value is None:
        return NO_VALUE
    if places is not None:
        return fixed(entry.value, places)
    if entry.interval is None or entry.value == int(entry.value):
        return number(entry.value)
    return fixed(entry.value, decimals(entry.interval))


def expected_text(entry: ScoreValue) -> str:
    """Return what a perfect submission scores, with the decimals of the value beside it, and with
    two significant digits at least: beside a large value, 0.25 must not read 0.
    """
    if entry.expected is None or entry.interval is None or entry.expected == int(entry.expected):
        return number(entry.expected)
    least = min(1 - math.floor(math.log10(abs(entry.expected))), MAX_DECIMALS)
    return fixed(entry.expected, max(decimals(entry.interval), least))


def centre_text(entry: ScoreValue) -> str:
    """Return the centre of an interval that was corrected for bias; "" if it is the value."""
    found = entry.interval
    if found is None or entry.value is None:
        return ""
    if math.isclose(found.estimate, entry.value, rel_tol=1e-6, abs_tol=1e-12):
        return ""
    return fixed(found.estimate, decimals(found))


def corrected_text(entry: ScoreValue) -> str:
    """Return the value less its bias if the value lies outside its own interval, else "".

    That happens with few images, whose bias is larger than the random error.
    """
    found = entry.interval
    if found is None or entry.value is None or found.low <= entry.value <= found.high:
        return ""
    return centre_text(entry)


def value_with_interval(entry: ScoreValue, places: int | None = None) -> str:
    """Return value and interval, as in "27.7 [26.9, 28.4]"; the value alone without an interval.

    A value outside its interval is followed by the corrected one: "27.7 (26.1) [25.6, 26.6]".
    `places` is the number of decimals, that of the interval for None.
    """
    text = value_text(entry, places)
    if corrected := corrected_text(entry):
        text = f"{text} ({corrected})"
    return text if entry.interval is None else f"{text} {bounds(entry.interval, places)}"


def percent(share: float) -> str:
    """Return a share in percent, with one decimal below 10 %. Only exact shares read 0 or 100.

    >>> percent(0.4), percent(0.069), percent(0.9999), percent(0.0004)
    ('40 %', '6.9 %', 'nearly 100 %', 'less than 0.1 %')
    """
    if 0 < share < 0.001:
        return "less than 0.1 %"
    if 0.9995 <= share < 1:
        return "nearly 100 %"
    places = 0 if share >= 0.1 or share == 0 else 1
    text = f"{100 * share:.{places}f}"
    if text == "100" and share < 1:
        text = f"{100 * share:.1f}"
    return f"{text} %"


def percent_in_column(share: float) -> str:
    """Return a share in percent with one decimal, so that a column of shares is aligned.

    >>> [percent_in_column(share) for share in (0.4, 0.069, 0.0004, 0.9999, 1.0)]
    ['40.0 %', '6.9 %', '< 0.1 %', '> 99.9 %', '100.0 %']
    """
    if 0 < share < 0.0005:
        return "< 0.1 %"
    return "> 99.9 %" if 0.9995 <= share < 1 else f"{100 * share:.1f} %"


def counted(count: int, noun: str) -> str:
    """Return a count with its noun in the singular or plural.

    >>> counted(1, "image"), counted(2500, "image")
    ('1 image', '2,500 images')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def listed(names: Sequence[str], *, most: int | None = None) -> str:
    """Return names joined by commas and "and"; beyond `most` names, the rest is counted.

    >>> listed(["ones"]), listed(["ones", "twos", "fours"]), listed("abcdefg", most=5)
    ('ones', 'ones, twos and fours', 'a, b, c, d and 3 more')
    """
    if most is not None and len(names) > most:
        names = [*names[: most - 1], f"{len(names) - most + 1} more"]
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
