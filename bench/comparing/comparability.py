"""Pairing of records, and the check that two records are comparable."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bench.errors import NothingFoundError, UnknownNameError, UsageError
from bench.intake import sanitise
from bench.metrics import METRICS, known_metric
from bench.records.score_record import SHORT_DIGEST, Identity, ScoreRecord, ScoreValue


class Pair(NamedTuple):
    """Two records of one submission, and its label."""

    label: str
    base: ScoreRecord
    new: ScoreRecord


class Pairs(NamedTuple):
    """Pairs of records, and the submissions that only one side has."""

    pairs: list[Pair]
    missing: list[str]  # in BASE only
    added: list[str]  # in NEW only


def pair_up(
    base: Iterable[ScoreRecord], new: Iterable[ScoreRecord], submission: str | None = None
) -> Pairs:
    """Pair the last record of each submission in `base` with that in `new`, by name.

    Where a name was scored by several extractors or protocols, they are matched as well. When each
    side has one submission, the two are paired whatever their names. `submission` selects one
    name. Raises `UnknownNameError` for a name that no record has, `NothingFoundError` for no
    records, and `UsageError` when the two sides share no name.
    """
    sides = [_last_of_each(records, submission) for records in (base, new)]
    before, after = sides
    if len(before) == len(after) == 1:
        (old,), (other,) = before.values(), after.values()
        names = dict.fromkeys(sanitise(each.submission.name) for each in (old, other))
        return Pairs([Pair(" -> ".join(names), old, other)], [], [])
    ambiguous = {name for side in sides for name, n in _extractors(side).items() if n > 1}
    keyed = [
        {
            sanitise(f"{name} ({extractor})" if name in ambiguous else name): record
            for (name, extractor), record in side.items()
        }
        for side in sides
    ]
    shared = [key for key in keyed[0] if key in keyed[1]]
    if not shared:
        raise UsageError(
            f"no submission is in both: BASE holds {', '.join(keyed[0])}; NEW holds "
            f"{', '.join(keyed[1])}"
        )
    return Pairs(
        [Pair(key, keyed[0][key], keyed[1][key]) for key in shared],
        [key for key in keyed[0] if key not in keyed[1]],
        [key for key in keyed[1] if key not in keyed[0]],
    )


def _last_of_each(
    records: Iterable[ScoreRecord], submission: str | None
) -> dict[tuple[str, str], ScoreRecord]:
    """Return the last record by name and extractor, of all submissions or of the named one."""
    records = list(records)
    if not records:
        raise NothingFoundError("no records to compare")
    names = {record.submission.name for record in records}
    if submission is not None and submission not in names:
        raise UnknownNameError("submission", submission, map(sanitise, names))
    return {
        (record.submission.name, record.extractor.label): record
        for record in records
        if submission in (None, record.submission.name)
    }


def _extractors(side: Iterable[tuple[str, str]]) -> dict[str, int]:
    """Return the number of extractors that scored each name."""
    counts: dict[str, int] = {}
    for name, _ in side:
        counts[name] = counts.get(name, 0) + 1
    return counts


def metrics_of(record: ScoreRecord) -> set[str]:
    """Return the names of the metrics that a record holds."""
    return {entry.metric for entry in record.values}


def named_metrics(records: Iterable[ScoreRecord], metrics: str | Iterable[str]) -> list[str]:
    """Return the given names once each. Raises `UsageError` for none, and `UnknownNameError` for
    one that a record lacks.
    """
    names = [metrics] if isinstance(metrics, str) else list(dict.fromkeys(metrics))
    if not names:
        raise UsageError("no metric is named")
    for record in records:
        for name in names:
            if name not in metrics_of(record):
                raise UnknownNameError("metric of these records", name, metrics_of(record))
    return names


def require_comparable(pair: Pair, metrics: Sequence[str], *, other_size: bool = False) -> None:
    """Raise `UsageError` when two records cannot be compared.

    The message names every field of the protocol in which they differ, and the metrics whose
    constants differ. Unless `other_size`, metrics that depend on the number of images must have
    the same number on both sides.
    """
    base, new = pair.base, pair.new
    kinds = sorted(base.extractor.settings.keys() | new.extractor.settings.keys())
    fields: list[tuple[str, object, object]] = [
        ("reference", _short(base.reference), _short(new.reference)),
        ("extractor", _short(base.extractor), _short(new.extractor)),
        *(
            (kind, base.extractor.settings.get(kind), new.extractor.settings.get(kind))
            for kind in kinds
        ),
        ("seed", base.seed, new.seed),
        ("resize", base.submission.resize, new.submission.resize),
        ("official", base.official, new.official),
    ]
    if not other_size:
        fields.append(("subset", base.subset, new.subset))
    differing = [
        f"{name} ({old} in BASE, {other} in NEW)" for name, old, other in fields if old != other
    ]
    for old, other in entries_of_both(pair, metrics):
        if old.constants != other.constants:
            differing.append(f"the definition of {old.metric} ({old.constants}, {other.constants})")
    if differing:
        raise UsageError(
            f"{pair.label}: the two records cannot be compared, they differ in "
            f"{'; '.join(differing)}. Score both in the same way."
        )
    sized = _size_dependent(pair, metrics)
    if sized and not other_size:
        free = [row.name for row in METRICS.loadable().rows if not row.depends_on_count]
        raise UsageError(
            f"{pair.label}: {base.submission.num_images:,} images in BASE and "
            f"{new.submission.num_images:,} in NEW, and {', '.join(sized)} depend on their number. "
            f"Score the same number of images, choose among {', '.join(free)} with --metrics, or "
            "give --allow-other-size"
        )


def warnings_of(pair: Pair, metrics: Sequence[str]) -> list[str]:
    """Return warnings about two records that may be compared."""
    base, new = pair.base, pair.new
    warnings = []
    if base.code.digest != new.code.digest:
        warnings.append(f"different code: {_short(base.code)} and {_short(new.code)}")
    libraries = sorted(base.libraries.keys() | new.libraries.keys())
    changed = [
        f"{name} {base.libraries.get(name, '-')} and {new.libraries.get(name, '-')}"
        for name in libraries
        if base.libraries.get(name) != new.libraries.get(name)
    ]
    if changed:
        warnings.append(f"different libraries: {', '.join(changed)}")
    if base.device != new.device:
        warnings.append(f"different devices: {base.device} and {new.device}")
    sized = _size_dependent(pair, metrics)
    if sized:
        warnings.append(
            f"{base.submission.num_images:,} and {new.submission.num_images:,} images: "
            f"{', '.join(sized)} depend on their number"
        )
    only = [
        sorted({entry.metric for entry in side.values} - {entry.metric for entry in other.values})
        for side, other in ((base, new), (new, base))
    ]
    for names, side in zip(only, ("BASE", "NEW"), strict=True):
        if names:
            warnings.append(f"in {side} only, not compared: {', '.join(names)}")
    return [sanitise(warning, 500) for warning in warnings]


def entries_of_both(pair: Pair, metrics: Sequence[str]) -> list[tuple[ScoreValue, ScoreValue]]:
    """Return the values of the metrics that both records have, in the order of the new record."""
    before = {entry.metric: entry for entry in pair.base.values}
    return [
        (before[entry.metric], entry)
        for entry in pair.new.values
        if entry.metric in before and entry.metric in metrics
    ]


def _size_dependent(pair: Pair, metrics: Sequence[str]) -> list[str]:
    """Return the metrics with different numbers of images that depend on that number."""
    return [
        old.metric
        for old, other in entries_of_both(pair, metrics)
        if old.n_fake != other.n_fake and _depends_on_count(old.metric)
    ]


def _depends_on_count(name: str) -> bool:
    """Return whether a metric depends on the number of images; True for one that is unknown."""
    metric = known_metric(name)
    return metric is None or metric.depends_on_count


def _short(identity: Identity) -> str:
    return sanitise(f"{identity.name}:{identity.digest[:SHORT_DIGEST]}")
