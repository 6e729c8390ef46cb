"""`run_study`: run the study of all recipes, and render its page as the runs finish.

from baselines.ablation.recipe_study.recipes import Study
from baselines.ablation.recipe_study.run_recipes import run_study

run_study(Study(cpu_sized=True), Path("reports/baselines"), Path("runs/study"),
executor="local:2")
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from baselines.ablation.recipe_study.recipes import Study, recipe_jobs
from baselines.ablation.recipe_study.recipes_page import picture_name, render
from baselines.ablation.recipe_study.rows import RECORDS, Row, publish, read_rows
from baselines.ablation.recipe_study.sampled_runs import sheet_of
from baselines.ablation.run.checks import require_loadable
from baselines.ablation.run.run_ablation import default_executor, default_stack
from baselines.ablation.run.training_jobs import Surroundings
from bench.errors import NothingFoundError
from bench.execution.executors.executors import executor_for
from bench.execution.ledger.ledger import Ledger
from bench.execution.scheduling import Event, JobResult, run_jobs
from bench.runtime.devices import select_device
from bench.runtime.terminal import require_writable
from bench.runtime.whole_files import write_atomically

WORK = "baselines.ablation.recipe_study.sampled_runs:do_run"
STACKED_WORK = "baselines.ablation.recipe_study.sampled_runs:do_stack"
COMMAND = "python -m baselines.ablation.recipe_study"
GRIDS = "grids"
SHOWN_SEED = 0


def run_study(
    study: Study,
    out: Path,
    ledger: Path,
    *,
    executor: str | None = None,
    around: Surroundings | None = None,
    command: str = COMMAND,
    on_event: Callable[[Event], None] | None = None,
) -> list[JobResult]:
    """Run what has no rows in `out` yet, and return the jobs that failed.

    `executor` is described in `bench.execution.executors.executors`; the default is one process
    for each core, or one on a GPU, where the seeds of a recipe train as one program. `command` is
    printed in the page. Raises what loading data and references raises, before anything runs, and
    what `run_jobs` raises.
    """
    around = around or Surroundings()
    rows = read_rows(out / RECORDS)
    done = [run for run in study.runs() if run.is_in(rows)]
    jobs = recipe_jobs([run for run in study.runs() if not run.is_in(rows)], around)
    device = select_device(around.device)
    workers = executor_for(executor or default_executor(device), folder=ledger / "logs")
    require_writable(out, "the report")
    require_loadable(jobs)
    book = Ledger(ledger)
    for run in done:
        for way in run.ways:
            row = rows.get((run.config.data, run.config.recipe, run.config.seed, way))
            if row is not None and not (out / GRIDS / picture_name(row)).is_file():
                _copy_picture(book, run.key, row, out)

    def publish_finished(event: Event) -> None:
        if event.kind in ("cached", "done", "diverged"):
            _publish(book, event.key, out, command)
        if on_event is not None:
            on_event(event)

    with workers:
        outcomes = run_jobs(
            jobs,
            WORK,
            book,
            workers,
            work_many=STACKED_WORK,
            stack=default_stack(jobs, device, executor),
            on_event=publish_finished,
        )
    if read_rows(out / RECORDS):
        render_study(out, command)
    return [outcome for outcome in outcomes if outcome.state == "failed"]


def render_study(out: Path, command: str = COMMAND) -> None:
    """Write README.md from the rows and pictures in `out`; `command` is printed in it.

    Raises `NothingFoundError` if there are no rows.
    """
    rows = list(read_rows(out / RECORDS).values())
    if not rows:
        raise NothingFoundError(f"{out / RECORDS}: no rows of the study to render")
    write_atomically(out / "README.md", render(rows, out / GRIDS, command).encode())


def _publish(ledger: Ledger, key: str, out: Path, command: str) -> None:
    """Copy the rows and pictures of a finished run to `out`, and render the page."""
    result = ledger.entry(key).result
    if result is None:
        return
    rows = [Row(**row) for row in result.values["rows"]]
    publish(out / RECORDS, rows)
    for row in rows:
        _copy_picture(ledger, key, row, out)
    render_study(out, command)


def _copy_picture(ledger: Ledger, key: str, row: Row, out: Path) -> None:
    """Copy the picture of the shown seed's samples, if the ledger has it."""
    sheet = sheet_of(ledger.work_folder(key), row.sampling)
    if row.seed == SHOWN_SEED and sheet.is_file():
        (out / GRIDS).mkdir(parents=True, exist_ok=True)
        write_atomically(out / GRIDS / picture_name(row), sheet.read_bytes())
