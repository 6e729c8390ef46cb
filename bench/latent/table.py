"""The values of several spaces as one table: CSV, and rows for the terminal and the page."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import NamedTuple

from bench.latent.measures import MEASURES
from bench.latent.record import LatentRecord
from bench.latent.values import Group, LatentValue

COLUMNS = (
    "data", "space", "group", "name", "variant", "value", "low", "high", "n", "seed", "definition",
    "reason",
)  # fmt: skip
DASH = "–"


class TableRow(NamedTuple):
    """One measure and variant: a cell for each space, None where a record does not have it.

    `best` are the columns whose value nothing beats; empty where no direction is better.
    """

    group: Group
    name: str
    title: str
    variant: str
    cells: tuple[LatentValue | None, ...]
    best: frozenset[int]


def table_csv(records: Sequence[LatentRecord]) -> str:
    """Return every value of every record as CSV, one a line, in `COLUMNS`."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for record in records:
        for value in record.values:
            shown = {key: item for key, item in value.model_dump().items() if key in COLUMNS}
            writer.writerow({"data": record.data, "space": record.name, **shown})
    return buffer.getvalue()


def table_rows(records: Sequence[LatentRecord]) -> list[TableRow]:
    """Return a row for each measure and variant, in the order of the table of measures.

    Measures that another version has and this one does not are left out.
    """
    cells: dict[tuple[str, str], list[LatentValue | None]] = {}
    for column, record in enumerate(records):
        for value in record.values:
            row = cells.setdefault((value.name, value.variant), [None] * len(records))
            row[column] = value
    order = {name: number for number, name in enumerate(MEASURES)}
    rows = []
    for name, variant in sorted(
        (key for key in cells if key[0] in MEASURES), key=lambda key: order[key[0]]
    ):
        measure = MEASURES[name]
        found = tuple(cells[name, variant])
        rows.append(
            TableRow(measure.group, name, measure.title, variant, found, _best(found, measure.best))
        )
    return rows


def _best(cells: Sequence[LatentValue | None], direction: str | None) -> frozenset[int]:
    known = {
        column: cell.value
        for column, cell in enumerate(cells)
        if cell is not None and cell.value is not None
    }
    if direction is None or len(known) < 2:
        return frozenset()
    extreme = max(known.values()) if direction == "higher" else min(known.values())
    if all(value == extreme for value in known.values()):
        return frozenset()
    return frozenset(column for column, value in known.items() if value == extreme)


def shown(value: LatentValue | None) -> str:
    """Return a value as text, with four significant digits; a dash where there is none.

    >>> shown(None)
    '–'
    """
    if value is None or value.value is None:
        return DASH
    return number(value.value)


def number(x: float) -> str:
    """Return a number with four significant digits, without an exponent where that is short.

    >>> [number(x) for x in (0.123456, 12.3456, 123456.7, 1e-7, 0.0)]
    ['0.1235', '12.35', '123,457', '1e-07', '0']
    """
    if x != 0 and not 1e-4 <= abs(x) < 1e9:
        return f"{x:.3g}"
    return f"{x:,.0f}" if abs(x) >= 1e4 else f"{x:.4g}"


def folder_name(name: str) -> str:
    """Return the folder of a space: its name, without characters that paths may not have.

    >>> folder_name("my_models:MyVae")
    'my_models-MyVae'
    """
    kept = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in name)
    return kept.lstrip(".") or "space"
