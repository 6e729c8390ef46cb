"""Records of one protocol as a table of text, which every format for people is made from.

A row is a submission, a column a metric: "27.7 [26.9, 28.4]" under a heading with an arrow. The
last rows say what perfect submissions score. A value counts as the best only when it is
significantly better than all others (see `bench.tables.significance`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from bench.errors import NothingFoundError
from bench.records.score_record import ScoreRecord, ScoreValue
from bench.tables.directions import DIRECTIONS, LEGEND
from bench.tables.frame import best_marks
from bench.tables.numbers import fixed, number, places_in_column, value_with_interval
from bench.tables.significance import comparable

NOTE = (
    f"{LEGEND}. [low, high]: 95 % interval for another draw of the images, centred on the value "
    "after correction for bias; (in brackets): the corrected value, where the value lies outside "
    "its interval. Bold: significantly better than every other row. Perfect: what real images "
    "score."
)


@dataclass(frozen=True)
class Presentation:
    """The records of one protocol as text.

    `cells` has one row for each of `records`, followed by `num_perfect` rows with the values of
    perfect submissions of the same sizes. `best` has the same shape and marks the cells that are
    significantly the best.
    """

    title: str
    records: tuple[ScoreRecord, ...]
    metrics: tuple[str, ...]
    cells: pd.DataFrame
    best: pd.DataFrame
    num_perfect: int


def heading(entry: ScoreValue) -> str:
    """Return the name of a metric with the arrow of its direction."""
    return f"{entry.metric} {DIRECTIONS[entry.direction].arrow}"


def labels(records: Sequence[ScoreRecord]) -> list[str]:
    """Return the names of the submissions; equal names get the digest of their images."""
    names = [record.submission.name for record in records]
    return [
        name if names.count(name) == 1 else f"{name} ({record.submission.sequence_digest[:8]})"
        for name, record in zip(names, records, strict=True)
    ]


def protocol_title(record: ScoreRecord) -> str:
    """Return reference, extractor and subset, as in "against mnist, extractor digits"."""
    subset = "" if record.subset is None else f", subset of {record.subset:,}"
    return f"against {record.reference.name}, extractor {record.extractor.label}{subset}"


def first_entries(records: Iterable[ScoreRecord]) -> dict[str, ScoreValue]:
    """Return every metric of the records, in order of appearance, with its first entry."""
    first: dict[str, ScoreValue] = {}
    for record in records:
        for entry in record.values:
            first.setdefault(entry.metric, entry)
    return first


def present(records: Iterable[ScoreRecord]) -> list[Presentation]:
    """Return one presentation for each protocol among the records, in order of appearance.

    Metrics need not be known to this version. Raises `NothingFoundError` without records.
    """
    records = list(records)
    if not records:
        raise NothingFoundError("no records to make a table of")
    marks = best_marks(records)
    return [_present(group, marks) for group in comparable(records)]


def column_places(records: Sequence[ScoreRecord]) -> dict[str, int | None]:
    """Return the decimals of each metric's column, see `bench.tables.numbers.places_in_column`."""
    columns: dict[str, list[ScoreValue]] = {}
    for record in records:
        for entry in record.values:
            columns.setdefault(entry.metric, []).append(entry)
    return {name: places_in_column(entries) for name, entries in columns.items()}


def _perfect(value: float | None, places: int | None) -> str:
    if value is None or places is None or value == int(value):
        return number(value)
    return fixed(value, places)


def _present(group: list[ScoreRecord], marks: set[tuple[int, str]]) -> Presentation:
    first = first_entries(group)
    places = column_places(group)
    rows, best = [], []
    for record in group:
        entries = {entry.metric: entry for entry in record.values}
        rows.append(
            [
                value_with_interval(entries[name], places[name]) if name in entries else "-"
                for name in first
            ]
        )
        best.append([(id(record), name) in marks for name in first])
    perfect: dict[int, list[str]] = {}
    for record in group:
        expected = {entry.metric: entry.expected for entry in record.values}
        cells = [_perfect(expected.get(name), places[name]) for name in first]
        perfect.setdefault(record.submission.num_images, cells)
    index = [*labels(group), *(f"perfect ({n:,} images)" for n in perfect)]
    columns = [heading(entry) for entry in first.values()]
    best += [[False] * len(first) for _ in perfect]
    return Presentation(
        title=protocol_title(group[0]),
        records=tuple(group),
        metrics=tuple(first),
        cells=pd.DataFrame([*rows, *perfect.values()], index=index, columns=columns),
        best=pd.DataFrame(best, index=index, columns=columns),
        num_perfect=len(perfect),
    )
