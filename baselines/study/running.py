"""`run_study`: every run wherever work runs, the report rendered anew as they finish.

from baselines.study.plan import Study
from baselines.study.running import run_study

run_study(Study(cpu_sized=True), Path("reports/baselines"), Path("runs/study"), executor="local:2")
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from baselines.runs.jobs import shared_scorer, shared_training_set
from baselines.study.plan import Study, jobs_of, runs_of
from baselines.study.report import FULL_COMMAND, picture_name, render
from baselines.study.rows import RECORDS, Row, publish, read_rows
from baselines.study.work import METRICS, STACKED_WORK, WORK, sheet_of
from bench.errors import NothingFoundError
from bench.execution.executors.executors import executor_for
from bench.execution.ledger.ledger import Ledger
from bench.execution.scheduling import Event, JobResult, run_jobs
from bench.runtime.destinations import require_writable
from bench.runtime.whole_files import write_atomically

GRIDS = "grids"
SHOWN_SEED = 0


def run_study(
    study: Study,
    out: Path,
    ledger: Path,
    *,
    executor: str | None = None,
    command: str = FULL_COMMAND,
    on_event: Callable[[Event], None] | None = None,
) -> list[JobResult]:
    """Run what has no rows in `out` yet; gives the jobs that failed.

    `executor` as `bench.execution.executors.executors` has it: by default a process for each core,
    one on a
    GPU, where the seeds of a recipe train as one program. `command` stands in the report. Raises
    what loading data and references raises before anything runs, and what `run_jobs` raises.
    """
    rows = read_rows(out / RECORDS)
    done = [run for run in runs_of(study) if run.is_in(rows)]
    runs = [run for run in runs_of(study) if not run.is_in(rows)]
    on_gpu = study.device.startswith("cuda")
    workers = executor_for(executor or ("local:1" if on_gpu else "local"), folder=ledger / "logs")
    require_writable(out, "the report")
    root = None if study.data_root is None else str(study.data_root.resolve())
    for name in sorted({run.config.data for run in runs}):
        shared_training_set(name, root, "cpu")
        shared_scorer(name, None, tuple(sorted(METRICS)), "cpu", 0)
    book = Ledger(ledger)
    for run in done:
        for way in run.ways:
            row = rows.get((run.config.data, run.config.recipe, run.config.seed, way))
            if row is not None and not (out / GRIDS / picture_name(row)).is_file():
                _show(book, run.key, row, out)

    def heed(event: Event) -> None:
        if event.kind in ("kept", "done", "diverged"):
            _collect(book, event.key, out, command)
        if on_event is not None:
            on_event(event)

    with workers:
        outcomes = run_jobs(
            jobs_of(study, runs),
            WORK,
            book,
            workers,
            work_many=STACKED_WORK,
            stack=study.num_seeds if on_gpu else 1,
            on_event=heed,
        )
    if read_rows(out / RECORDS):
        render_study(out, command)
    return [outcome for outcome in outcomes if outcome.state == "failed"]


def _collect(ledger: Ledger, key: str, out: Path, command: str) -> None:
    """Rows and pictures of a finished run to where they are published."""
    result = ledger.entry(key).result
    if result is None:
        return
    rows = [Row(**row) for row in result.values["rows"]]
    publish(out / RECORDS, rows)
    for row in rows:
        _show(ledger, key, row, out)
    render_study(out, command)


def _show(ledger: Ledger, key: str, row: Row, out: Path) -> None:
    """The picture of one seed's samples, where the ledger has it."""
    sheet = sheet_of(ledger.work_folder(key), row.sampling)
    if row.seed == SHOWN_SEED and sheet.is_file():
        (out / GRIDS).mkdir(parents=True, exist_ok=True)
        write_atomically(out / GRIDS / picture_name(row), sheet.read_bytes())


def render_study(out: Path, command: str = FULL_COMMAND) -> None:
    """README.md from the rows and pictures that are there; `command` made them. Raises
    `NothingFoundError` where there are no rows.
    """
    rows = list(read_rows(out / RECORDS).values())
    if not rows:
        raise NothingFoundError(f"{out / RECORDS}: no rows of the study to render")
    write_atomically(out / "README.md", render(rows, out / GRIDS, command).encode())
