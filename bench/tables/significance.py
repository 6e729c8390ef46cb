"""Which submission is best in a metric, and whether that is more than the luck of a draw.

Submissions are independent draws against one fixed reference, so the difference of two estimates
has the variance of the one plus that of the other. The best is marked only when it differs from
every other one, each comparison tested two-sided and the p-values corrected by Holm. Towards a
target, what is compared is the distance from it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from bench.records.score_record import ScoreRecord, ScoreValue
from bench.statistics.intervals import Uncertainty, difference, holm

ALPHA = 0.05
Protocol = tuple[object, ...]


def protocol(record: ScoreRecord) -> Protocol:
    """What two records must share for their values to be compared."""
    return (
        record.reference,
        record.extractor.name,
        record.extractor.digest,
        tuple(sorted(record.extractor.settings.items())),
        record.code,
        record.seed,
        record.subset,
        record.submission.resize,
        record.device.split()[0],
    )


def comparable(records: Iterable[ScoreRecord]) -> list[list[ScoreRecord]]:
    """Groups of records of one protocol, in order of appearance."""
    groups: dict[Protocol, list[ScoreRecord]] = {}
    for record in records:
        groups.setdefault(protocol(record), []).append(record)
    return list(groups.values())


def shortfall(entry: ScoreValue) -> Uncertainty | None:
    """How far from ideal, lower is better, with its interval; None for a metric without a value or
    an interval, and for one whose target is not known.

    Bias is removed, but towards a target, which holds the same bias, the value itself counts.
    """
    found = entry.interval
    if entry.value is None or found is None:
        return None
    target, shift, sign = 0.0, 0.0, -1.0 if entry.direction == "higher" else 1.0
    if entry.direction == "target":
        if entry.expected is None:
            return None
        target, shift = entry.expected, entry.value - found.estimate
        sign = math.copysign(1.0, entry.value - target)
    low, high = sorted(sign * (end + shift - target) for end in (found.low, found.high))
    estimate = sign * (found.estimate + shift - target)
    return Uncertainty(estimate, found.standard_error, low, high, found.method)


def significantly_best(entries: Sequence[ScoreValue | None]) -> int | None:
    """Position of the one entry that is better than every other; None when there is none, when
    fewer than two have a value, or when one that has a value has no interval.
    """
    valued = [
        (place, e) for place, e in enumerate(entries) if e is not None and e.value is not None
    ]
    found = [(place, shortfall(entry)) for place, entry in valued]
    known = [(place, distance) for place, distance in found if distance is not None]
    if len(known) < 2 or len(known) < len(valued):
        return None
    best, own = min(known, key=lambda row: row[1].estimate)
    others = [difference(own, other).p_value for place, other in known if place != best]
    return best if max(holm(others)) < ALPHA else None
