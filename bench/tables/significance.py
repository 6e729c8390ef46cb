"""Which submission is significantly the best in a metric.

Submissions are independent draws that are scored against one fixed reference, so the variance of
the difference of two estimates is the sum of their variances. The best submission is marked only
when it differs from every other one: each comparison is a two-sided test, and the p-values are
corrected with Holm's method. For a metric with a target, distances from the target are compared.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from bench.records.score_record import ScoreRecord, ScoreValue
from bench.statistics.intervals import Uncertainty, difference, holm

ALPHA = 0.05
Protocol = tuple[object, ...]


def protocol(record: ScoreRecord) -> Protocol:
    """Return everything that two records must share before their values may be compared."""
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
    """Return the records grouped by protocol, in order of appearance."""
    groups: dict[Protocol, list[ScoreRecord]] = {}
    for record in records:
        groups.setdefault(protocol(record), []).append(record)
    return list(groups.values())


def shortfall(entry: ScoreValue) -> Uncertainty | None:
    """Return how far a value is from ideal, where lower is better, with its interval.

    None when the metric has no value or no interval, or when its target is unknown. Bias is
    removed, except for a metric with a target: the target contains the same bias.
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


def distance(entry: ScoreValue) -> Uncertainty:
    """Return how far a value is from ideal, where lower is better; a point without an interval.

    `entry` has a value.
    """
    found = shortfall(entry)
    if found is not None:
        return found
    value = float(entry.value or 0.0)
    if entry.direction == "target":
        value = abs(value - (entry.expected or 0.0))
    else:
        value = -value if entry.direction == "higher" else value
    return Uncertainty(value, 0.0, value, value, "none")


def best_first(records: Sequence[ScoreRecord]) -> list[int]:
    """Return the positions of N records, the best in the first metric first.

    Protocols stay together, in order of appearance; records without a value come last in theirs.
    """
    position = {id(record): place for place, record in enumerate(records)}
    found = []
    for group in comparable(records):
        first = group[0].values[0].metric if group[0].values else ""
        ranked = []
        for record in group:
            entry = next((e for e in record.values if e.metric == first), None)
            known = entry is not None and entry.value is not None
            far = distance(entry).estimate if entry is not None and known else math.inf
            ranked.append((far, position[id(record)]))
        found += [place for _, place in sorted(ranked)]
    return found


def significantly_best(entries: Sequence[ScoreValue | None]) -> int | None:
    """Return the position of the one entry that is significantly better than every other entry.

    None when there is no such entry, when fewer than two entries have a value, or when any entry
    with a value has no interval.
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
