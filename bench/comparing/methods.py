"""Is one method better than another? Several training runs of each, compared metric by metric.

A folder of samples is one draw from one trained model. Training the same recipe again moves FID
about three times as much as drawing other images does (FID Lottery, arXiv 2606.20536), so that two
folders say little about two methods. Here each record stands for one training run. With m runs a
side, of variance s^2 between their values,

    t = (mean of NEW - mean of BASE) / sqrt(s_new^2 / m_new + s_base^2 / m_base)

has about a t distribution with Satterthwaite's degrees of freedom (Welch, Biometrika 1947). The
variance between values is that between runs plus that of the draw of images, which the intervals of
the records give. Where a few runs happen to agree better than their images allow, the variance of
the images is taken instead.

Runs are assumed to be independent. Two methods trained with the same seeds are positively
correlated at most; the test is then conservative.

Shape legend: M runs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, FiniteFloat
from scipy.special import stdtr, stdtrit

from bench.comparing.comparability import (
    Pair,
    metrics_of,
    named_metrics,
    require_comparable,
    warnings_of,
)
from bench.comparing.metric_change import ALPHA, Verdict, interval_around, side_of_ideal
from bench.comparing.tolerance import Given, Tolerance
from bench.errors import UsageError
from bench.intake import sanitise
from bench.records.score_record import ScoreRecord, ScoreValue
from bench.statistics.intervals import LEVEL, holm
from bench.statistics.power import seeds_needed

MIN_RUNS = 2
BASE, NEW = "BASE", "NEW"


class MethodChange(BaseModel):
    """The difference of two methods in one metric.

    `base` and `new` are means over runs, `base_sd` and `new_sd` the standard deviations over runs,
    and `image_share` the share of the variance of a run that the draw of its images explains, None
    if the records have no intervals. `change` is new less base, `low` to `high` its 95 % interval,
    `df` the degrees of freedom. `p_value` is that of the shortfall, after correction. `runs_needed`
    is the number of runs a side with which a difference of this size would be found with
    probability 0.8; None if more than 10,000.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    metric: str
    direction: Literal["lower", "higher", "target"]
    base: FiniteFloat | None
    new: FiniteFloat | None
    base_sd: FiniteFloat | None = None
    new_sd: FiniteFloat | None = None
    image_share: FiniteFloat | None = None
    change: FiniteFloat | None = None
    low: FiniteFloat | None = None
    high: FiniteFloat | None = None
    df: FiniteFloat | None = None
    p_value: FiniteFloat | None = None
    runs_needed: int | None = None
    allowed: FiniteFloat = 0.0
    verdict: Verdict
    note: str = ""


class MethodComparison(BaseModel):
    """The change of every metric between two methods, and how many runs each side has."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    num_base: int
    num_new: int
    changes: tuple[MethodChange, ...]
    warnings: tuple[str, ...] = ()
    signatures: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())  # of base and new
    alpha: float = ALPHA

    @property
    def regressions(self) -> list[MethodChange]:
        """Changes with the verdict "regression"."""
        return [change for change in self.changes if change.verdict == "regression"]

    @property
    def ok(self) -> bool:
        """Whether NEW is worse than BASE in no metric."""
        return not self.regressions


class Welch(NamedTuple):
    """The difference of two means (second less first), its standard error, degrees of freedom and
    interval, and the two-sided p-value of no difference.
    """

    estimate: float
    standard_error: float
    df: float
    low: float
    high: float
    p_value: float


def welch(base: Sequence[float], new: Sequence[float], floors: tuple[float, float]) -> Welch:
    """Return the t interval of mean(new) - mean(base) with Satterthwaite's degrees of freedom.

    `floors` are the smallest variances that single values of each side can have.

    >>> found = welch([1, 2, 3], [4, 5, 6], (0, 0))
    >>> found.estimate, round(found.df, 6), round(found.p_value, 4)
    (3.0, 4.0, 0.0213)
    """
    estimate = float(np.mean(new) - np.mean(base))
    parts = [
        max(float(np.var(side, ddof=1)), floor) / len(side)
        for side, floor in zip((base, new), floors, strict=True)
    ]
    variance = sum(parts)
    if variance == 0:
        df = float(len(base) + len(new) - 2)
        return Welch(estimate, 0.0, df, estimate, estimate, 1.0 if estimate == 0 else 0.0)
    sizes = (len(base), len(new))
    df = variance**2 / sum(v**2 / (m - 1) for v, m in zip(parts, sizes, strict=True))
    error = math.sqrt(variance)
    half = float(stdtrit(df, 0.5 + LEVEL / 2)) * error
    p_value = 2 * float(stdtr(df, -abs(estimate) / error))
    return Welch(estimate, error, df, estimate - half, estimate + half, p_value)


def compare_methods(
    base: Iterable[ScoreRecord],
    new: Iterable[ScoreRecord],
    metrics: str | Iterable[str] | None = None,
    *,
    tolerance: Given = None,
    allow_other_size: bool = False,
) -> MethodComparison:
    """Compare two methods from the records of several training runs of each.

    Every record is one run. Records of the same images count once. P-values are corrected by Holm's
    method over the metrics, by default all that every record has. `tolerance` is how much worse the
    mean may be, in a form that `Tolerance.of` accepts.

    Raises `UsageError` for fewer than two runs on a side, for a run on both sides, and for records
    that cannot be compared.
    """
    sides = _runs(base, BASE), _runs(new, NEW)
    every = [*sides[0], *sides[1]]
    shared = {_images(record) for record in sides[0]} & {_images(record) for record in sides[1]}
    if shared:
        name = next(r.submission.source for r in every if _images(r) in shared)
        raise UsageError(f"the images of {sanitise(name)} are on both sides; give each run once")
    names = _chosen(every, metrics)
    pairs = [Pair(sanitise(record.submission.source), every[0], record) for record in every[1:]]
    for pair in pairs:
        require_comparable(pair, names, other_size=allow_other_size)
    allowed = Tolerance.of(tolerance)
    allowed.check(names)
    tests = [_MetricTest(name, *(_values(side, name) for side in sides)) for name in names]
    tested = [test for test in tests if test.p_value is not None]
    for test, p_value in zip(tested, holm([test.p_value or 0.0 for test in tested]), strict=True):
        test.p_value = p_value
    return MethodComparison(
        num_base=len(sides[0]),
        num_new=len(sides[1]),
        changes=tuple(test.change(allowed) for test in tests),
        warnings=tuple(dict.fromkeys(itertools.chain(*(warnings_of(p, names) for p in pairs)))),
        signatures=(
            tuple(record.signature for record in sides[0]),
            tuple(record.signature for record in sides[1]),
        ),
    )


class _MetricTest:
    """The test of one metric. `p_value` is None where there is none; `change` reads it again after
    the caller has corrected it.
    """

    def __init__(self, metric: str, base: list[ScoreValue], new: list[ScoreValue]) -> None:
        self.metric, self.base, self.new = metric, base, new
        self.p_value: float | None = None
        self.found: Welch | None = None
        self.worse: float | None = None
        self.image_share: float | None = None
        self.values: list[list[float]] = []
        self.variances: list[float] = []
        self.without = [entry for entry in (*base, *new) if entry.value is None]
        if not self.without:
            self._test()

    def _test(self) -> None:
        """Compute the difference, and the p-value of the difference of the shortfalls."""
        entries = (self.base, self.new)
        intervals = [[interval_around(entry) for entry in side] for side in entries]
        if any(one is None for side in intervals for one in side):
            self.values = [[entry.value or 0.0 for entry in side] for side in entries]
            images = [0.0, 0.0]
        else:
            known = [[one for one in side if one is not None] for side in intervals]
            self.values = [[one.estimate for one in side] for side in known]
            images = [float(np.mean([one.standard_error**2 for one in side])) for side in known]
        self.variances = [
            max(float(np.var(side, ddof=1)), floor)
            for side, floor in zip(self.values, images, strict=True)
        ]
        if any(images):
            self.image_share = sum(images) / sum(self.variances)
        self.found = _welch_of(self.values, images)
        signs = [
            side_of_ideal(side[0], float(np.mean(values)))
            for side, values in zip(entries, self.values, strict=True)
        ]
        shortfalls = [
            [sign * (x - _target(entry)) for x, entry in zip(values, side, strict=True)]
            for sign, values, side in zip(signs, self.values, entries, strict=True)
            if sign is not None
        ]
        if len(shortfalls) == len(entries):
            found = _welch_of(shortfalls, images)
            self.worse, self.p_value = found.estimate, found.p_value

    def change(self, tolerance: Tolerance) -> MethodChange:
        """Return the change with its verdict, from the corrected p-value."""
        direction = self.new[0].direction
        if self.found is None:
            missing, every = len(self.without), len(self.base) + len(self.new)
            return MethodChange(
                metric=self.metric,
                direction=direction,
                base=None,
                new=None,
                verdict="not judged",
                note=f"{missing} of {every} runs have no value: "
                f"{sanitise(self.without[0].reason or '', 300)}",
            )
        base, new = self.values
        allowed = tolerance.amount(self.metric).at(float(np.mean(base)))
        verdict, note = self._verdict(allowed)
        return MethodChange(
            metric=self.metric,
            direction=direction,
            base=float(np.mean(base)),
            new=float(np.mean(new)),
            base_sd=float(np.std(base, ddof=1)),
            new_sd=float(np.std(new, ddof=1)),
            image_share=self.image_share,
            change=self.found.estimate,
            low=self.found.low,
            high=self.found.high,
            df=self.found.df,
            p_value=self.p_value,
            runs_needed=_runs_needed(self.found.estimate, self.variances),
            allowed=allowed,
            verdict=verdict,
            note=note,
        )

    def _verdict(self, allowed: float) -> tuple[Verdict, str]:
        if self.worse is None or self.p_value is None:
            return "not judged", "its target is unknown: the records have no expected value"
        if self.p_value >= ALPHA:
            return "no change", ""
        if abs(self.worse) <= allowed:
            return "no change", "within the tolerance"
        return ("regression" if self.worse > 0 else "improvement"), ""


def _welch_of(values: Sequence[Sequence[float]], floors: Sequence[float]) -> Welch:
    base, new = values
    return welch(base, new, (floors[0], floors[1]))


def _runs(records: Iterable[ScoreRecord], side: str) -> list[ScoreRecord]:
    """Return the last record of each sequence of images. Raises `UsageError` for fewer than two."""
    found = list({_images(record): record for record in records}.values())
    if len(found) < MIN_RUNS:
        raise UsageError(
            f"{side} has {len(found)} training run{'' if len(found) == 1 else 's'}, and a "
            "comparison of methods needs at least 2 a side. Train more with `latentbench train "
            "RECIPE --num-seeds 5`, or compare two folders with `latentbench compare BASE NEW`"
        )
    return found


def _chosen(records: Sequence[ScoreRecord], metrics: str | Iterable[str] | None) -> list[str]:
    """Return the metrics to compare, by default those that every record has."""
    if metrics is not None:
        return named_metrics(records, metrics)
    shared = set.intersection(*(metrics_of(record) for record in records))
    if not shared:
        raise UsageError("the records have no metric in common")
    return [entry.metric for entry in records[-1].values if entry.metric in shared]


def _images(record: ScoreRecord) -> str:
    return record.submission.sequence_digest


def _values(records: Sequence[ScoreRecord], metric: str) -> list[ScoreValue]:
    return [next(e for e in record.values if e.metric == metric) for record in records]


def _target(entry: ScoreValue) -> float:
    return entry.expected or 0.0 if entry.direction == "target" else 0.0


def _runs_needed(effect: float, variances: Sequence[float]) -> int | None:
    """Return the runs a side with which `effect` is found with probability 0.8, by Welch's test
    with the given variances of single runs.
    """
    total, squares = sum(variances), sum(v**2 for v in variances)
    ratio = total**2 / squares if squares else 2.0  # 2 for equal variances, 1 for a single one
    return seeds_needed(effect, math.sqrt(total), lambda runs: ratio * (runs - 1))
