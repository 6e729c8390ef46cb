"""Several submissions on one page: the table of each protocol, and each metric as bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.records.score_record import ScoreValue
from bench.reporting.figures import comparison_pictures
from bench.reporting.picture import Picture
from bench.tables.directions import DIRECTIONS
from bench.tables.numbers import bounds, corrected_text, value_text
from bench.tables.presentation import Presentation, column_places, first_entries


def overview(shown: Presentation, anchors: dict[int, str]) -> dict[str, Any]:
    """Return the table of one protocol for the template, with submissions as rows.

    `anchors` maps `id(record)` to the anchor of its submission on the page.
    """
    columns = [
        {
            "name": name,
            "arrow": DIRECTIONS[entry.direction].arrow,
            "words": DIRECTIONS[entry.direction].phrase,
            "first": "descending" if entry.direction == "higher" else "ascending",
        }
        for name, entry in first_entries(shown.records).items()
    ]
    places = column_places(shown.records)
    rows = []
    for position, record in enumerate(shown.records):
        entries = {entry.metric: entry for entry in record.values}
        cells = [
            _cell(entries.get(name), bool(shown.best.iat[position, place]), places[name])
            for place, name in enumerate(shown.metrics)
        ]
        name = shown.cells.index[position]
        rows.append({"name": name, "anchor": anchors.get(id(record)), "cells": cells})
    perfect = [
        {"name": name, "cells": list(cells)}
        for name, cells in shown.cells.iloc[len(rows) :].iterrows()
    ]
    return {"title": shown.title, "columns": columns, "rows": rows, "perfect": perfect}


def _cell(entry: ScoreValue | None, best: bool, places: int | None) -> dict[str, Any]:
    if entry is None:
        return {
            "value": "-",
            "corrected": "",
            "bounds": "",
            "best": False,
            "sort": "",
            "reason": None,
        }
    return {
        "value": value_text(entry, places),
        "corrected": corrected_text(entry),
        "bounds": "" if entry.interval is None else bounds(entry.interval, places),
        "best": best,
        "sort": "" if entry.value is None else repr(entry.value),
        "reason": entry.reason,
    }


def comparisons_of(presentations: Sequence[Presentation]) -> list[tuple[str, list[Picture]]]:
    """Return title and pictures of each protocol that at least two submissions share."""
    found = []
    for shown in presentations:
        if len(shown.records) > 1:
            best = {
                metric: next((i for i, mark in enumerate(shown.best.iloc[:, place]) if mark), None)
                for place, metric in enumerate(shown.metrics)
            }
            marked = {metric: place for metric, place in best.items() if place is not None}
            names = [str(name) for name in shown.cells.index[: len(shown.records)]]
            found.append((shown.title, comparison_pictures(names, shown.records, marked)))
    return found
