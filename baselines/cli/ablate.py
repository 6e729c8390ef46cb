"""`latentbench ablate`: run, watch and report ablations."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bench.cli.options import Quiet

if TYPE_CHECKING:
    from baselines.ablation.design.plan import AblationPlan
    from baselines.ablation.report.records import About
    from baselines.ablation.run.jobs import Surroundings
    from bench.execution.ledger.ledger import Ledger
    from bench.execution.ledger.work import Job
    from bench.execution.scheduling import Event

FOLDER = "latentbench-ablation"
STATUS, REPORT = "status", "report"


def ablate(
    plan: Annotated[
        str | None,
        typer.Argument(help="A preset, a TOML file, or one of the words status and report."),
    ] = None,
    place: Annotated[
        Path | None, typer.Argument(help="For status and report: the folder of an ablation.")
    ] = None,
    *,
    seeds: Annotated[int | None, typer.Option(min=1, help="So many seeds, from 0 on.")] = None,
    num_steps: Annotated[
        int | None, typer.Option("--num-steps", "--steps", min=1, help="Steps of each training.")
    ] = None,
    share: Annotated[
        float | None, typer.Option(help="Or a share of the recipe's steps, up to 1.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="key=value in every cell, as for train. Repeatable."),
    ] = None,
    cpu_sized: Annotated[
        bool, typer.Option("--cpu-sized", help="Budgets that a CPU can train, labelled as such.")
    ] = False,
    num_images: Annotated[
        int | None, typer.Option("--num-images", "-n", min=2, help="Images to score each time.")
    ] = None,
    data: Annotated[str | None, typer.Option(help="As for train.")] = None,
    data_root: Annotated[Path | None, typer.Option(help="Where the data set lies.")] = None,
    executor: Annotated[
        str | None,
        typer.Option(
            help="inline, local[:N], dask:ADDRESS, slurm[:PARTITION][,gpus=,cpus=,mem_gb=,hours=]"
        ),
    ] = None,
    stack: Annotated[
        int | None, typer.Option(min=1, help="Runs in one program; default: all that can on a GPU.")
    ] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds that a run may take.")] = None,
    max_attempts: Annotated[int, typer.Option(min=1, help="At each run, by this command.")] = 3,
    device: Annotated[
        str | None, typer.Option(help="cpu or cuda; default: cuda when there is one.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help=f"Folder of the report; default: {FOLDER}/PLAN.")
    ] = None,
    ledger: Annotated[
        Path | None, typer.Option(help="Folder of the runs; default: OUT/ledger.")
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep checkpoints and samples of finished runs.")
    ] = False,
    note: Annotated[
        str | None,
        typer.Option(help="A remark to show first in the report, as on what ran beside."),
    ] = None,
    tables: Annotated[Literal["csv", "parquet"], typer.Option(help="Form of the tables.")] = "csv",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show cells, costs and what is done; write nothing.")
    ] = False,
    show_status: Annotated[
        bool, typer.Option("--status", help="How far the plan's runs are; run nothing.")
    ] = False,
    emit_slurm: Annotated[
        Path | None, typer.Option(help="Write a plain job array into this folder; run nothing.")
    ] = None,
    slurm_option: Annotated[
        list[str] | None, typer.Option(help="A line for #SBATCH, as --partition=gpu. Repeatable.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Which trick helps, by how much, and how sure are we: run a plan and analyse it.

    The same command goes on after any interruption, and runs nothing twice.

    \b
    latentbench ablate course --dry-run                 cells, costs, what is done
    latentbench ablate course --cpu-sized               the four tricks, cut short
    latentbench ablate plan.toml --executor local:4
    latentbench ablate tricks --executor slurm:gpu,gpus=1,hours=4
    latentbench ablate status latentbench-ablation/course
    latentbench ablate report latentbench-ablation/course
    """
    from bench.errors import UsageError

    if plan in (STATUS, REPORT):
        if place is None:
            raise UsageError(f"ablate {plan}: give the folder of an ablation, or its ledger")
        if plan == STATUS:
            _print_status(place)
        else:
            _render(place, tables)
        return
    if place is not None:
        raise UsageError(f"{plan} {place}: a folder goes with status and report only")
    changes = {
        "seeds": seeds,
        "num_steps": num_steps,
        "share": share,
        "data": data,
        "num_images": num_images,
        "settings": settings or None,
    }
    chosen = _plan_of(plan, changes, cpu_sized=cpu_sized)
    from baselines.ablation.report.records import about, write_about
    from baselines.ablation.run.console import print_preview, print_status
    from baselines.ablation.run.jobs import Surroundings, jobs_of
    from bench.execution.ledger.ledger import Ledger

    folder = out or Path(FOLDER) / chosen.name
    book = Ledger(ledger or folder / "ledger")
    around = Surroundings(data_root=data_root, device=device, keep=keep)
    places = {"data_root": data_root, "device": device, "out": out, "ledger": ledger}
    command = _command(plan or "", changes | places, cpu_sized=cpu_sized)
    described = about(chosen, folder, book.root, command=command, cpu_sized=cpu_sized, note=note)
    if show_status:
        print_status(book, chosen)
    elif dry_run or emit_slurm is not None:
        from baselines.ablation.run.checks import require_all_runnable

        jobs = jobs_of(chosen, around)
        require_all_runnable(jobs)
        if emit_slurm is None or dry_run:
            print_preview(chosen, book)
        else:
            write_about(folder, described)
            _emit(jobs, book, emit_slurm, options=slurm_option or [], timeout_s=timeout)
    else:
        options: dict[str, Any] = {
            "executor": executor,
            "stack": stack,
            "timeout_s": timeout,
            "max_attempts": max_attempts,
        }
        _run(
            chosen,
            book,
            around=around,
            described=described,
            out=folder,
            options=options,
            tables=tables,
            quiet=quiet,
        )


def _plan_of(name: str | None, changes: dict[str, Any], *, cpu_sized: bool) -> AblationPlan:
    """The plan of a preset or file, changed by the options that were given."""
    from baselines.ablation.design.budgets import changed_plan
    from baselines.ablation.design.plan import read_plan
    from baselines.ablation.design.presets import PRESETS, preset_plan
    from bench.errors import UnknownNameError, UsageError

    if name is None:
        raise UsageError(f"give a plan: a TOML file, or one of the presets {', '.join(PRESETS)}")
    if name in PRESETS:
        plan = preset_plan(name)
    elif name.endswith(".toml") or Path(name).is_file():
        plan = read_plan(Path(name))
    else:
        raise UnknownNameError("plan (a preset, or a TOML file)", name, PRESETS)
    return changed_plan(plan, changes, cpu_sized=cpu_sized)


def _command(plan: str, options: dict[str, Any], *, cpu_sized: bool) -> str:
    """What to type for the same results."""
    words = ["latentbench", "ablate", plan]
    for key, value in options.items():
        option = "--set" if key == "settings" else f"--{key.replace('_', '-')}"
        for one in value if isinstance(value, list) else [value]:
            words += [] if one is None else [option, str(one)]
    return shlex.join([*words, *(["--cpu-sized"] if cpu_sized else [])])


def _run(
    plan: AblationPlan,
    ledger: Ledger,
    *,
    around: Surroundings,
    described: About,
    out: Path,
    options: dict[str, Any],
    tables: Literal["csv", "parquet"],
    quiet: bool,
) -> None:
    """Run, report, and tell what failed."""
    from baselines.ablation.report.records import write_about
    from baselines.ablation.report.report import write_report
    from baselines.ablation.run.console import print_conclusion, print_edits, print_failed
    from baselines.ablation.run.jobs import preview
    from baselines.ablation.run.running import run_ablation
    from bench.errors import EXIT_INVALID
    from bench.runtime.destinations import require_writable

    print_edits(preview(plan, ledger))
    require_writable(out)
    with _events(quiet=quiet) as on_event:
        ablation = run_ablation(
            plan,
            ledger.root,
            around=around,
            on_begin=lambda: write_about(out, described),
            on_event=on_event,
            **options,
        )
    if ablation.analysis is not None:
        written = write_report(out, described, ledger, tables=tables, analysis=ablation.analysis)
        print_conclusion(out, written.sentences)
    if ablation.failed:
        print_failed(ablation.failed)
        raise typer.Exit(EXIT_INVALID)


@contextmanager
def _events(*, quiet: bool) -> Iterator[Callable[[Event], None]]:
    """How far the runs are, and a line for what needs to be known at once."""
    from bench.runtime.progress import progress_report

    with progress_report(quiet=quiet) as progress:

        def tell(event: Event) -> None:
            if event.kind in ("diverged", "failed", "again", "corrupt", "stopping"):
                sys.stderr.write(f"{event.label}: {event.kind}: {event.message}\n")
            note = event.label if event.kind == "begun" else ""
            progress("runs", event.finished, event.total, note)

        yield tell


def _ledger_in(place: Path) -> Ledger:
    """A ledger, or that of an ablation's folder. Raises `NothingFoundError`."""
    from baselines.ablation.report.records import LEDGER, PLAN, read_about
    from bench.errors import NothingFoundError
    from bench.execution.ledger.ledger import Ledger

    own = [(place / read_about(place).ledger).resolve()] if (place / PLAN).is_file() else []
    for candidate in [place, *own, place / LEDGER]:
        if (candidate / "jobs").is_dir():
            return Ledger(candidate)
    raise NothingFoundError(f"{place}: no ledger of an ablation here; give the folder of one")


def _print_status(place: Path) -> None:
    """Of a ledger, by the plan beside it where there is one."""
    from baselines.ablation.report.records import PLAN, read_about
    from baselines.ablation.run.console import print_status

    ledger = _ledger_in(place)
    for out in (place, place.parent):
        if (out / PLAN).is_file():
            described = read_about(out)
            if (out / described.ledger).resolve() == ledger.root.resolve():
                print_status(ledger, described.parsed_plan)
                return
    print_status(ledger, None)


def _render(place: Path, tables: Literal["csv", "parquet"]) -> None:
    from baselines.ablation.report.records import PLAN
    from baselines.ablation.report.report import render_again
    from baselines.ablation.run.console import print_conclusion

    out = place if (place / PLAN).is_file() else place.parent
    out = out if (out / PLAN).is_file() else place
    print_conclusion(out, render_again(out, tables=tables).sentences)


def _emit(
    jobs: list[Job], ledger: Ledger, out: Path, *, options: list[str], timeout_s: float | None
) -> None:
    from baselines.ablation.run.jobs import WORK
    from bench.execution.executors.slurm_array import emit_slurm

    files = emit_slurm(jobs, WORK, ledger, out, options=options, timeout_s=timeout_s)
    sys.stdout.write(f"{files.jobs} runs in {files.job_list}; submit with\n")
    sys.stdout.writelines(f"  sbatch {script}\n" for script in files.scripts)
    sys.stdout.write("and when they are done, the same command without --emit-slurm reports\n")
