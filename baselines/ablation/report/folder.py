"""The folder of an ablation's report. It can be analysed and rendered again without the ledger.

OUT/plan.json        the plan, and how it was run
    records.jsonl    a line for each run that has a result
    grids/           samples of the first seed of each cell
    tables/          every table of the analysis
    *.svg, README.md, report.html
    ledger/          the ledger, unless another one is given
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from baselines.ablation.analysis.results import RunResult
from baselines.ablation.design.cells import Run, make_runs
from baselines.ablation.design.plan import AblationPlan, parse_plan
from baselines.ablation.run.evaluated_runs import GRID
from bench.errors import InputError, NothingFoundError
from bench.execution.ledger.ledger import Ledger
from bench.runtime.whole_files import write_atomically

PLAN, RECORDS, GRIDS, LEDGER = "plan.json", "records.jsonl", "grids", "ledger"
GRID_FILES = ("cell-[0-9]*.png",)


class About(BaseModel):
    """How an ablation was run. `ledger` is a path relative to the report's folder; `cpu_sized`
    means that budgets were cut to what a CPU can train; `note` is a remark shown first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    plan: dict[str, Any]
    command: str
    ledger: str
    cpu_sized: bool = False
    note: str | None = None

    @property
    def parsed_plan(self) -> AblationPlan:
        return parse_plan(self.plan, PLAN)


def about(
    plan: AblationPlan,
    out: Path,
    ledger: Path,
    *,
    command: str,
    cpu_sized: bool = False,
    note: str | None = None,
) -> About:
    """Return the description of a plan that is run now and reported in `out`."""
    return About(
        plan=plan.model_dump(mode="json", exclude_none=True),
        command=command,
        ledger=os.path.relpath(ledger.resolve(), out.resolve()),
        cpu_sized=cpu_sized,
        note=note,
    )


def write_about(out: Path, described: About) -> None:
    """Write plan.json before the first run, so that results can be reported at any time.

    Samples of another plan, whose cells have the same numbers, are removed.
    """
    with suppress(NothingFoundError, InputError):
        if _sampled(read_about(out)) != _sampled(described):
            remove_others(out / GRIDS, GRID_FILES, ())
    write_atomically(out / PLAN, f"{described.model_dump_json(indent=1)}\n".encode())


def _sampled(described: About) -> dict[str, Any]:
    """Return the keys of a plan that samples depend on."""
    other = ("name", "seeds", "metrics", "num_evaluations", "num_images")
    return {key: value for key, value in described.plan.items() if key not in other}


def remove_others(folder: Path, patterns: Iterable[str], current: Collection[str]) -> None:
    """Remove the files of an earlier report: those that match and are not `current`."""
    for pattern in patterns:
        for path in folder.glob(pattern):
            if path.name not in current:
                path.unlink()


def read_about(out: Path) -> About:
    """Read plan.json. Raises `NothingFoundError` if it is missing, `InputError` if damaged."""
    path = out / PLAN
    try:
        return About.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NothingFoundError(
            f"{out}: no ablation here ({PLAN} is missing); give the folder named by --out"
        ) from error
    except ValidationError as error:
        raise InputError(f"{path} cannot be read: {error.errors()[0]['msg']}") from error


def write_records(out: Path, runs: Sequence[Run], results: Mapping[str, RunResult]) -> None:
    """Write a line for each run that has a result, in the order of the plan."""
    lines = [
        json.dumps(
            {
                "cell": run.label,
                "seed": run.seed,
                "levels": dict(run.levels),
                "num_steps": run.config.num_steps,
                "config_digest": run.config.digest,
                "result": results[run.key].model_dump(mode="json"),
            },
            allow_nan=False,
        )
        for run in runs
        if run.key in results
    ]
    write_atomically(out / RECORDS, "".join(f"{line}\n" for line in lines).encode())


def read_records(out: Path) -> dict[str, RunResult]:
    """Read results by key; none if there is no file. Raises `InputError` naming the line."""
    path = out / RECORDS
    if not path.is_file():
        return {}
    found = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        try:
            result = RunResult.model_validate(json.loads(line)["result"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(f"{path}, line {number}: not a record of a run: {error}") from error
        found[result.key] = result
    return found


def keep_grids(out: Path, runs: Sequence[Run], ledger: Ledger) -> None:
    """Copy the samples of the first seed of each cell that has any, and remove others."""
    cells: set[int] = set()
    for run in runs:
        source = ledger.work_folder(run.key) / GRID
        if run.cell not in cells and source.is_file():
            cells.add(run.cell)
            write_atomically(grid_path(out, run.cell), source.read_bytes())
    remove_others(out / GRIDS, GRID_FILES, {grid_path(out, cell).name for cell in cells})


def grid_path(out: Path, cell: int) -> Path:
    """Return the path of the samples of a cell."""
    return out / GRIDS / f"cell-{cell:02d}.png"


def known_runs(described: About) -> tuple[Run, ...]:
    """Return all runs of a described plan."""
    return make_runs(described.parsed_plan)
