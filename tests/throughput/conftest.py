"""Rows of the table of speed: what each benchmark measured beside its peer.

    python -m pytest tests/throughput --rows reports/speed/rows.jsonl

writes a line for each row, which `tests.documents` turns into the published table.
"""

from __future__ import annotations

import datetime
import json
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

Row = dict[str, Any]
WriteRow = Callable[..., None]
ROWS: pytest.StashKey[list[Row]] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rows", type=Path, help="write the rows of the table of speed to this file")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[ROWS] = []


@pytest.fixture
def write_row(request: pytest.FixtureRequest, benchmark: BenchmarkFixture) -> WriteRow:
    """Return a function that adds a row to the table and prints it.

    `ours` and `theirs` are the figures of the rounds in `unit`. The ratio is the median over the
    rounds, above 1 where Latentbench is better.
    """

    def write(
        job: str,
        ours: Sequence[float],
        peer: str = "",
        theirs: Sequence[float] = (),
        *,
        unit: str = "s",
        more_is_better: bool = False,
        **details: float | str,
    ) -> None:
        row: Row = {"job": job, "unit": unit, "ours": float(np.median(ours)), "rounds": len(ours)}
        line = f"\n{job}: {row['ours']:.3g} {unit}"
        if len(theirs):
            a, b = np.asarray(ours, float), np.asarray(theirs[-len(ours) :], float)
            ratios = a / b if more_is_better else b / a
            row |= {
                "peer": peer,
                "theirs": float(np.median(b)),
                "ratio": float(np.median(ratios)),
                "ratio_low": float(ratios.min()),
                "ratio_high": float(ratios.max()),
            }
            line += (
                f"; {peer} {row['theirs']:.3g} {unit}; ratio {row['ratio']:.2f} "
                f"({row['ratio_low']:.2f} to {row['ratio_high']:.2f})"
            )
        row |= details
        benchmark.extra_info.setdefault("rows", []).append(row)
        request.config.stash[ROWS].append(row)
        print(line + "".join(f"; {name} {value}" for name, value in details.items()))

    return write


def pytest_sessionfinish(session: pytest.Session) -> None:
    path: Path | None = session.config.getoption("--rows")
    rows = session.config.stash[ROWS]
    if path is None or not rows:
        return
    machine = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": _processor(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row | machine) + "\n" for row in rows))


def _processor() -> str:
    """The model of the processor, where the system says it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
