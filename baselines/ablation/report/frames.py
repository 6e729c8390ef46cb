"""All tables of an analysis, as DataFrames and as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import pandas as pd

from baselines.ablation.analysis.analyse import Analysis
from baselines.ablation.analysis.paired import paired_frame
from baselines.ablation.analysis.simple import simple_frame
from baselines.ablation.analysis.tradeoff import arrows_frame
from baselines.ablation.report.folder import remove_others
from bench.errors import UsageError
from bench.runtime.whole_files import write_atomically
from bench.tables.escaping import csv_cell

TableFormat = Literal["csv", "parquet"]
NAMES = ("runs", "curve", "effects", "simple", "ranks", "variance", "differences", "outcomes",
         "factors", "arrows", "learning", "efficiency", "times")  # fmt: skip


def frames(analysis: Analysis) -> dict[str, pd.DataFrame]:
    """Return the tables by name; empty ones are omitted."""
    found = {
        "runs": analysis.final,
        "curve": analysis.curve,
        "effects": _joined([one.to_frame() for one in analysis.effects if one.effects]),
        "simple": simple_frame(analysis.simple),
        "ranks": _joined([one.to_frame() for one in analysis.ranks if one.effects]),
        "variance": _joined([one.shares_frame() for one in analysis.effects if one.shares]),
        "differences": paired_frame(analysis.differences),
        "outcomes": pd.DataFrame(analysis.cells),
        "factors": _factors(analysis),
        "arrows": arrows_frame(analysis.arrows),
        "learning": pd.DataFrame(
            [{"metric": metric, **point._asdict()}
             for metric, points in analysis.curves.items() for point in points]
        ),
        "efficiency": pd.DataFrame(analysis.efficiencies),
        "times": pd.DataFrame([*analysis.times, *analysis.cell_times]),
    }  # fmt: skip
    return {name: frame for name, frame in found.items() if len(frame)}


def _joined(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Concatenate tables; columns that are empty in one part keep the type of the others."""
    rows: list[dict[Any, Any]] = [row for part in parts for row in part.to_dict("records")]
    return pd.DataFrame(rows)


def _factors(analysis: Analysis) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"factor": test.factor, "p_value": test.p_value, "p_holm": test.p_holm,
             **share._asdict()}
            for test in analysis.factors
            for share in test.shares
        ]
    )  # fmt: skip


def write_tables(analysis: Analysis, folder: Path, kind: TableFormat = "csv") -> None:
    """Write a file for each table, and remove other tables of an earlier report.

    Raises `UsageError` for Parquet without pyarrow.
    """
    found = frames(analysis)
    for name, frame in found.items():
        data = _csv(frame) if kind == "csv" else _parquet(frame)
        write_atomically(folder / f"{name}.{kind}", data)
    patterns = [f"{name}.{ending}" for name in NAMES for ending in get_args(TableFormat)]
    remove_others(folder, patterns, {f"{name}.{kind}" for name in found})


def _csv(frame: pd.DataFrame) -> bytes:
    safe = frame.copy()
    for name in safe.columns:
        if not pd.api.types.is_numeric_dtype(safe[name]):
            safe[name] = [
                csv_cell(value) if isinstance(value, str) else value for value in safe[name]
            ]
    return safe.to_csv(index=False, lineterminator="\n").encode()


def _parquet(frame: pd.DataFrame) -> bytes:
    try:
        return frame.to_parquet(index=False)
    except ImportError as error:
        raise UsageError("Parquet needs pyarrow: pip install pyarrow, or choose csv") from error
