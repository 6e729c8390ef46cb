"""The tidy table: records as one DataFrame, with a row for each submission and metric."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from bench.errors import InputError, NothingFoundError
from bench.records.score_record import ScoreRecord
from bench.tables.significance import comparable, significantly_best

SETTINGS = ("layer", "protocol", "precision")
COLUMNS: dict[str, str] = {
    "submission": "string",
    "source": "string",
    "metric": "string",
    "value": "Float64",
    "interval_estimate": "Float64",
    "interval_low": "Float64",
    "interval_high": "Float64",
    "interval_level": "Float64",
    "standard_error": "Float64",
    "interval_method": "string",
    "spread": "Float64",
    "expected": "Float64",
    "expected_source": "string",
    "direction": "string",
    "significantly_best": "boolean",
    "unit": "string",
    "extractor": "string",
    "extractor_digest": "string",
    "layer": "string",
    "protocol": "string",
    "precision": "string",
    "reference": "string",
    "reference_digest": "string",
    "n_real": "Int64",
    "n_fake": "Int64",
    "seed": "Int64",
    "official": "boolean",
    "reason": "string",
    "signature": "string",
}


def best_marks(records: Iterable[ScoreRecord]) -> set[tuple[int, str]]:
    """Return `(id(record), metric)` of every significantly best value of a protocol."""
    marks = set()
    for group in comparable(records):
        by_metric = [{entry.metric: entry for entry in record.values} for record in group]
        for metric in dict.fromkeys(name for entries in by_metric for name in entries):
            best = significantly_best([entries.get(metric) for entries in by_metric])
            if best is not None:
                marks.add((id(group[best]), metric))
    return marks


def _rows(record: ScoreRecord, marks: set[tuple[int, str]]) -> Iterable[dict[str, object]]:
    for entry in record.values:
        interval = entry.interval
        yield {
            "submission": record.submission.name,
            "source": record.submission.source,
            "metric": entry.metric,
            "value": entry.value,
            "interval_estimate": None if interval is None else interval.estimate,
            "interval_low": None if interval is None else interval.low,
            "interval_high": None if interval is None else interval.high,
            "interval_level": None if interval is None else interval.level,
            "standard_error": None if interval is None else interval.standard_error,
            "interval_method": None if interval is None else interval.method,
            "spread": entry.spread,
            "expected": entry.expected,
            "expected_source": entry.expected_source,
            "direction": entry.direction,
            "significantly_best": (id(record), entry.metric) in marks,
            "unit": entry.unit,
            "extractor": record.extractor.name,
            "extractor_digest": record.extractor.digest,
            **{kind: record.extractor.settings.get(kind) for kind in SETTINGS},
            "reference": record.reference.name,
            "reference_digest": record.reference.digest,
            "n_real": entry.n_real,
            "n_fake": entry.n_fake,
            "seed": record.seed,
            "official": record.official,
            "reason": entry.reason,
            "signature": record.signature,
        }


def table(records: ScoreRecord | Iterable[ScoreRecord], *, wide: bool = False) -> pd.DataFrame:
    """Return the tidy table with the columns and types of `COLUMNS`.

    With `wide`, rows are submissions and columns are metrics. The index then holds name, source
    and signature, so submissions with equal names stay apart; a submission that was scored twice
    under one signature has one row, with its last values. `significantly_best` marks values that
    beat all others of their protocol by more than chance (see `bench.tables.significance`).

    Raises `NothingFoundError` without records, and `InputError` for anything that is not a record,
    such as a `Failure`.

    >>> from bench.tables.frame import table
    >>> table([])
    Traceback (most recent call last):
        ...
    bench.errors.NothingFoundError: no records to make a table of
    """
    records = [records] if isinstance(records, ScoreRecord) else list(records)
    for record in records:
        if not isinstance(record, ScoreRecord):
            raise InputError(f"not a score record: {record}")
    if not records:
        raise NothingFoundError("no records to make a table of")
    marks = best_marks(records)
    rows = [row for record in records for row in _rows(record, marks)]
    tidy = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    if not wide:
        return tidy
    order = list(dict.fromkeys(tidy["metric"]))
    index = ["submission", "source", "signature"]
    pivot = tidy.drop_duplicates([*index, "metric"], keep="last").pivot(
        index=index, columns="metric", values="value"
    )
    return pivot[order]
