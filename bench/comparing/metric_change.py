"""The change of one metric of one submission: its interval, its p-value and the verdict.

The variance of a difference is the sum of the two variances. For intervals that are not symmetric
(Wilson's) the interval of the difference is Newcombe's hybrid. The test is about the shortfall, the
distance of a value from ideal. For a metric with a target that is the distance from the target, on
whichever side the two values lie.
"""

from __future__ import annotations

import math
from typing import Literal

from pydantic import BaseModel, ConfigDict, FiniteFloat

from bench.comparing.comparability import Pair
from bench.comparing.tolerance import Tolerance
from bench.intake import sanitise
from bench.records.score_record import ScoreValue
from bench.statistics.intervals import Uncertainty, difference

ALPHA = 0.05
ROUNDING = 1e-6  # relative change that another library or machine may cause

Verdict = Literal["regression", "improvement", "no change", "not judged"]


class Change(BaseModel):
    """The change of one metric of one submission.

    `change` is new less base, without bias where that is known, and `low` to `high` is its 95 %
    interval. `p_value` is that of the shortfall, after correction. `allowed` is the tolerance in
    the metric's unit. `note` gives the basis of the verdict.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    submission: str
    metric: str
    direction: Literal["lower", "higher", "target"]
    base: FiniteFloat | None
    new: FiniteFloat | None
    change: FiniteFloat | None = None
    low: FiniteFloat | None = None
    high: FiniteFloat | None = None
    p_value: FiniteFloat | None = None
    allowed: FiniteFloat = 0.0
    verdict: Verdict
    note: str = ""


class ChangeTest:
    """The test of one metric of one pair of records.

    Construction computes `p_value`, None where there is none. Once the caller has corrected it for
    the number of tests, `change` returns the verdict.
    """

    def __init__(self, pair: Pair, base: ScoreValue, new: ScoreValue, tolerance: Tolerance) -> None:
        self._pair, self._base, self._new = pair, base, new
        self._allowed = tolerance.amount(base.metric).at(base.value or 0.0)
        self._same = pair.base.submission.sequence_digest == pair.new.submission.sequence_digest
        self.p_value: float | None = None
        self._change = self._worse = self._low = self._high = None
        if base.value is None or new.value is None:
            return
        self._change = new.value - base.value
        shortfalls = _shortfalls(base, _point(base.value), new, _point(new.value))
        if shortfalls is not None:
            self._worse = difference(*shortfalls).estimate
        intervals = interval_around(base), interval_around(new)
        if self._same or intervals[0] is None or intervals[1] is None:
            return
        found = difference(intervals[0], intervals[1])
        self._change, self._low, self._high = found.estimate, found.low, found.high
        shortfalls = _shortfalls(base, intervals[0], new, intervals[1])
        if shortfalls is not None:
            found = difference(*shortfalls)
            self._worse, self.p_value = found.estimate, found.p_value

    def change(self) -> Change:
        """Return the change with its verdict, from the corrected p-value."""
        verdict, note = self._verdict()
        return Change(
            submission=self._pair.label,
            metric=self._base.metric,
            direction=self._new.direction,
            base=self._base.value,
            new=self._new.value,
            change=self._change,
            low=self._low,
            high=self._high,
            p_value=self.p_value,
            allowed=self._allowed,
            verdict=verdict,
            note=note,
        )

    def _verdict(self) -> tuple[Verdict, str]:
        base, new = self._base, self._new
        if base.value is None or new.value is None:
            return self._verdict_without_a_value()
        if self._worse is None:
            return "not judged", "its target is unknown: the records have no expected value"
        if self._same:
            rounding = ROUNDING * max(abs(base.value), abs(new.value))
            return self._beyond(self._worse, max(self._allowed, rounding), "same images, no draw")
        return self._verdict_of_a_draw(self._worse)

    def _verdict_of_a_draw(self, worse: float) -> tuple[Verdict, str]:
        if self.p_value is None and not self._allowed:
            return "not judged", "no interval and no tolerance"
        if self.p_value is None:
            return self._beyond(worse, self._allowed, "no interval: the tolerance alone decides")
        if self.p_value >= ALPHA:
            return "no change", ""
        return self._beyond(worse, self._allowed, "")

    def _verdict_without_a_value(self) -> tuple[Verdict, str]:
        reason = sanitise(self._new.reason or "", 300)
        if self._new.value is not None:
            return "improvement", "has a value now"
        if self._base.value is not None:
            return "regression", f"lost its value: {reason}"
        return "not judged", f"no value in either: {reason}"

    @staticmethod
    def _beyond(worse: float, allowed: float, note: str) -> tuple[Verdict, str]:
        if worse > allowed:
            return "regression", note
        if worse < -allowed:
            return "improvement", note
        return "no change", note or ("within the tolerance" if worse else "")


def interval_around(entry: ScoreValue) -> Uncertainty | None:
    """Return the interval; around the value itself for a target, which has the same bias."""
    found = entry.interval
    if found is None or entry.value is None:
        return None
    shift = entry.value - found.estimate if entry.direction == "target" else 0.0
    return Uncertainty(
        found.estimate + shift,
        found.standard_error,
        found.low + shift,
        found.high + shift,
        found.method,
    )


def side_of_ideal(entry: ScoreValue, value: float) -> float | None:
    """Return 1 where lower is better at `value`, -1 where higher is, None for an unknown target."""
    if entry.direction == "target":
        return None if entry.expected is None else math.copysign(1.0, value - entry.expected)
    return 1.0 if entry.direction == "lower" else -1.0


def _point(value: float) -> Uncertainty:
    return Uncertainty(value, 0.0, value, value, "")


def _shortfalls(
    base: ScoreValue, before: Uncertainty, new: ScoreValue, after: Uncertainty
) -> tuple[Uncertainty, Uncertainty] | None:
    """Return both intervals as distances from ideal, negated where higher is better."""
    shortfalls = []
    for entry, found in ((base, before), (new, after)):
        sign = side_of_ideal(entry, found.estimate)
        if sign is None:
            return None
        target = entry.expected or 0.0 if entry.direction == "target" else 0.0
        ends = sorted((sign * (found.low - target), sign * (found.high - target)))
        shortfalls.append(
            found._replace(estimate=sign * (found.estimate - target), low=ends[0], high=ends[1])
        )
    return shortfalls[0], shortfalls[1]
