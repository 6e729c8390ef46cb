"""The conclusions of the benchmark in words: which simple detector beats which network, at what
cost.

A detector beats another when their difference is significant after Holm's correction for all
comparisons of the data set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from bench.anomaly.benchmark.published import best_published
from bench.anomaly.benchmark.rows import Row
from bench.anomaly.choices import variant
from bench.tables.numbers import fixed

LEVEL = 0.05


class Gap(NamedTuple):
    """AUC of a simple detector minus that of a network, with its interval."""

    row: Row
    estimate: float
    low: float
    high: float
    is_shown: bool  # the significance level


def name_of(row: Mapping[str, Any]) -> str:
    """Return the name of a variant in Markdown."""
    name = row["detector"]
    return f"`{name}`{variant(name, row['budget'], row['extractor']).removeprefix(name)}"


def percents(row: Mapping[str, Any]) -> str:
    return f"{100 * row['auc']:.2f} [{100 * row['low']:.2f}, {100 * row['high']:.2f}]"


def cost_s(row: Mapping[str, Any]) -> float:
    """Return the seconds of fit and scores for one class."""
    return float(row["fit_s"] + row["score_s"])


def sentences(data: str, means: Sequence[Row], pairs: Sequence[Row]) -> list[str]:
    """Return the sentences about the means of a data set (the best first) and their comparisons."""
    plain = [row for row in means if row["labels"] == "none"]
    found = [_best(data, plain[0])] if plain else []
    simple = [row for row in plain if not row["trains"]]
    for deep in (row for row in plain if row["trains"]):
        by_name = {name_of(row): _gap(row, deep, pairs) for row in simple}
        gaps = [gap for gap in by_name.values() if gap is not None]
        others = ", ".join(name for name, gap in by_name.items() if gap is None)
        apart = f" It was not compared with {others}: they were not in one run." if others else ""
        if gaps:
            found.append(_sentence(deep, gaps) + apart)
        elif others:
            found.append(f"{name_of(deep)} ({cost_s(deep):.3g} s a class).{apart}")
    return found


def _best(data: str, best: Row) -> str:
    text = f"The best detector without labels is {name_of(best)}: {percents(best)}"
    mark = best_published(data)
    if mark is not None:
        apart = fixed(100 * best["auc"] - mark.auc_percent, 1, sign=True)
        text += f", {apart} points from the best published figure known to us ({mark.method}, "
        text += f"{mark.auc_percent})"
    return f"{text}."


def _gap(row: Row, deep: Row, pairs: Sequence[Row]) -> Gap | None:
    """Return the gap, or None when no run had both detectors."""
    names = [variant(r["detector"], r["budget"], r["extractor"]) for r in (row, deep)]
    for pair in pairs:
        if {pair["first"], pair["second"]} != set(names):
            continue
        values = (pair["estimate"], pair["low"], pair["high"])
        if pair["first"] == names[0]:
            values = (-values[0], -values[2], -values[1])
        return Gap(row, *values, pair["p_adjusted"] < LEVEL)
    return None


def _sentence(deep: Row, gaps: Sequence[Gap]) -> str:
    """Return how the simple detectors compare with a network."""
    better = sorted((g for g in gaps if g.is_shown and g.estimate > 0), key=lambda g: -g.estimate)
    cost = f"{cost_s(deep):.3g} s a class"
    if not better:
        best = max(gaps, key=lambda gap: gap.estimate)
        return (
            f"No detector without training significantly beats {name_of(deep)} ({cost}); the "
            f"closest "
            f"is {name_of(best.row)}, {_points(best)} ({cost_s(best.row):.3g} s)."
        )
    top, cheap = better[0], min(better, key=lambda gap: cost_s(gap.row))
    text = (
        f"{name_of(top.row)} beats {name_of(deep)} by {_points(top)}, at "
        f"{cost_s(top.row):.3g} s a class against {cost_s(deep):.3g} s"
    )
    if cheap is not top:
        text += (
            f"; the cheapest that beats it is {name_of(cheap.row)}, by {_points(cheap)}, at "
            f"{cost_s(cheap.row):.3g} s"
        )
    others = [gap for gap in better if gap is not top and gap is not cheap]
    if others:
        names = ", ".join(name_of(gap.row) for gap in others)
        text += f"; so {'does' if len(others) == 1 else 'do'} {names}"
    return f"{text}."


def _points(gap: Gap) -> str:
    """Return the difference with its interval, in points."""
    low, high = 100 * gap.low, 100 * gap.high
    return f"{100 * gap.estimate:.2f} points [{low:.2f}, {high:.2f}]"
