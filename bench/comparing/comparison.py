"""Did a model get worse? Two records of it, compared metric by metric.

The images of BASE and of NEW are independent draws against one fixed reference, so the variance of
the difference of two values is the sum of their variances. For intervals that are not symmetric
(Wilson's) the interval of the difference is Newcombe's hybrid (Newcombe, Statistics in Medicine
1998, method 10; Zou and Donner 2008 for intervals in general), which is the same for symmetric
ones. The p-value is two-sided, of a normal distribution with the width of the interval on the side
of zero. P-values are corrected by Holm's method over all metrics and submissions compared.

A regression is worse in the metric's direction (farther from the expected value for a metric with
a target), significant at 0.05 after the correction, and larger than the tolerance. When either
value has no interval, the tolerance alone decides, if one is given. When both records are of the
same images there is no random draw, and every change beyond rounding is significant.

Two models that draw from the same latents are positively correlated. The test is then
conservative, but valid.
"""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict

from bench.comparing.comparability import (
    Pair,
    entries_of_both,
    metrics_of,
    named_metrics,
    pair_up,
    require_comparable,
    warnings_of,
)
from bench.comparing.metric_change import ALPHA, Change, ChangeTest
from bench.comparing.tolerance import Given, Tolerance
from bench.errors import UsageError
from bench.records.score_record import ScoreRecord
from bench.statistics.intervals import holm


class Comparison(BaseModel):
    """The change of every metric, warnings, and the submissions of one side only."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    changes: tuple[Change, ...]
    warnings: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()  # in BASE but not in NEW, which is a failure like a regression
    added: tuple[str, ...] = ()  # in NEW only
    signatures: tuple[tuple[str, str], ...] = ()  # of base and new, by submission
    alpha: float = ALPHA

    @property
    def regressions(self) -> list[Change]:
        """Changes with the verdict "regression"."""
        return [change for change in self.changes if change.verdict == "regression"]

    @property
    def ok(self) -> bool:
        """Whether nothing got worse and nothing is missing."""
        return not self.regressions and not self.missing


def compare(
    base: ScoreRecord | Iterable[ScoreRecord],
    new: ScoreRecord | Iterable[ScoreRecord],
    metrics: str | Iterable[str] | None = None,
    *,
    tolerance: Given = None,
    submission: str | None = None,
    allow_other_size: bool = False,
) -> Comparison:
    """Compare the last record of each submission of `base` with that of `new`.

    `metrics` are names, by default all that both sides have; they may be metrics whose package is
    not installed. `tolerance` is how much worse a value may be, in a form that `Tolerance.of`
    accepts. `submission` selects one name. Raises `UsageError` when the protocols of the records
    differ, or their numbers of images without `allow_other_size`, and as `pair_up`.
    """
    pairs, missing, added = pair_up(_listed(base), _listed(new), submission)
    names = _chosen(pairs, metrics)
    allowed = Tolerance.of(tolerance)
    allowed.check(names)
    for pair in pairs:
        require_comparable(pair, names, other_size=allow_other_size)
    tests = [
        ChangeTest(pair, old, other, allowed)
        for pair in pairs
        for old, other in entries_of_both(pair, names)
    ]
    tested = [each for each in tests if each.p_value is not None]
    for each, p_value in zip(tested, holm([each.p_value or 0.0 for each in tested]), strict=True):
        each.p_value = p_value
    warnings = [
        warning if len(pairs) == 1 else f"{pair.label}: {warning}"
        for pair in pairs
        for warning in warnings_of(pair, names)
    ]
    return Comparison(
        changes=tuple(each.change() for each in tests),
        warnings=tuple(warnings),
        missing=tuple(missing),
        added=tuple(added),
        signatures=tuple((pair.base.signature, pair.new.signature) for pair in pairs),
    )


def _listed(records: ScoreRecord | Iterable[ScoreRecord]) -> list[ScoreRecord]:
    return [records] if isinstance(records, ScoreRecord) else list(records)


def _chosen(pairs: list[Pair], metrics: str | Iterable[str] | None) -> list[str]:
    """Return the names of the metrics to compare. Raises `UsageError` for one a record lacks."""
    if metrics is None:
        pairwise = [metrics_of(pair.base) & metrics_of(pair.new) for pair in pairs]
        names = sorted(set().union(*pairwise))
        if not names:
            raise UsageError("BASE and NEW have no metric in common")
        return names
    return named_metrics([each for pair in pairs for each in (pair.base, pair.new)], metrics)
