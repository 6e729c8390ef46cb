"""`latentbench ablate`: run ablations, print their state, write their reports."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from bench.cli import options
from bench.cli.options import DataRoot, Device, Download, Executor, Quiet, Settings

if TYPE_CHECKING:
    from baselines.ablation.design.plan import AblationPlan
    from baselines.ablation.report.folder import About
    from baselines.ablation.run.training_jobs import Surroundings
    from bench.execution.ledger.ledger import Ledger
    from bench.execution.ledger.work import Job
    from bench.execution.scheduling import Event

FOLDER = "latentbench-ablation"
STATUS, REPORT = "status", "report"
PLAN_PANEL = "Changes to the plan"
OPTION_NAMES = {"seeds": "--num-seeds", "settings": "--set"}  # keys of a plan with other options


def ablate(
    plan: Annotated[
        str | None,
        typer.Argument(
            metavar="PLAN",
            help="A TOML file, one of the presets tricks, course, vae-beta, latent, or one of the "
            "words status and report.",
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="DIR", help="After status or report: the folder of an ablation."),
    ] = None,
    *,
    data: Annotated[
        str | None,
        options.training_data("the plan's", PLAN_PANEL),
    ] = None,
    data_root: DataRoot = None,
    download: Download = False,
    settings: Settings = None,
    num_seeds: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Train every cell with the seeds 0 to N-1.",
            show_default="the plan's",
            rich_help_panel=PLAN_PANEL,
        ),
    ] = None,
    num_steps: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Steps of each training.",
            show_default="the plan's",
            rich_help_panel=PLAN_PANEL,
        ),
    ] = None,
    share: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Or: this share of the recipe's steps, up to 1.",
            rich_help_panel=PLAN_PANEL,
        ),
    ] = None,
    num_images: Annotated[
        int | None,
        options.num_images(2, "Images to sample and score at each evaluation.", PLAN_PANEL),
    ] = None,
    cpu_sized: Annotated[
        bool,
        typer.Option(
            "--cpu-sized",
            help="Narrow the networks and shorten the training to what a CPU can do; the report "
            "says so.",
            rich_help_panel=PLAN_PANEL,
        ),
    ] = False,
    executor: Executor = None,
    device: Device = None,
    stack: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Runs that train together as one program.",
            show_default="on a GPU as many as fit, else 1",
            rich_help_panel=options.SPEED,
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="Stop a run that takes longer.",
            show_default="none",
            rich_help_panel=options.SPEED,
        ),
    ] = None,
    max_attempts: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="N",
            help="Times to try a failing run.",
            rich_help_panel=options.SPEED,
        ),
    ] = 3,
    emit_slurm: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Run nothing; write a Slurm job array into this folder.",
            rich_help_panel=options.SPEED,
        ),
    ] = None,
    slurm_option: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TEXT",
            help="With --emit-slurm: an #SBATCH line, as --partition=gpu; may be repeated.",
            rich_help_panel=options.SPEED,
        ),
    ] = None,
    out: Annotated[
        Path | None, options.out("Folder for the report.", "DIR", f"{FOLDER}/PLAN")
    ] = None,
    ledger: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of finished runs; plans may share one.",
            show_default="OUT/ledger",
            rich_help_panel=options.OUTPUT,
        ),
    ] = None,
    keep: Annotated[
        bool,
        typer.Option(
            "--keep",
            help="Keep checkpoints and samples of finished runs.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = False,
    note: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="A remark for the top of the report; with report, replaces the earlier one.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = None,
    tables: Annotated[
        Literal["csv", "parquet"],
        typer.Option(
            metavar="csv|parquet",
            help="Format of the tables.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = "csv",
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Print cells, costs and finished runs; write nothing.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = False,
    show_status: Annotated[
        bool,
        typer.Option(
            "--status",
            help="Print the state of the plan's runs; run nothing.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = False,
    example: Annotated[
        bool,
        typer.Option(
            "--example",
            help="Print a complete plan file with every key explained, and exit.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Measure which training tricks help, by how much and how surely.

    Examples:
      latentbench ablate --example > plan.toml            a plan to edit
      latentbench ablate plan.toml --dry-run              cells, costs, finished runs
      latentbench ablate plan.toml --download             fetch MNIST first if it is missing
      latentbench ablate plan.toml --executor local:4
      latentbench ablate course --cpu-sized               four tricks of the course, shortened
      latentbench ablate tricks --executor slurm:gpu,gpus=1,hours=4
      latentbench ablate status latentbench-ablation/course
      latentbench ablate report latentbench-ablation/course
      latentbench ablate report latentbench-ablation      all reports in it, and an index

    Trains every cell of a plan with several seeds, scores samples of each run, and writes a report
    with effects and intervals. After an interruption the same command continues; finished runs are
    not repeated. Exit code 1 if a run failed.
    """
    from bench.errors import UsageError

    if example:
        from baselines.ablation.design.plan import example_plan

        sys.stdout.write(example_plan())
        return
    if plan in (STATUS, REPORT):
        if folder is None:
            raise UsageError(f"ablate {plan}: give the folder of an ablation, or its ledger")
        if plan == STATUS:
            _print_status(folder)
        else:
            _render(folder, tables, note)
        return
    if folder is not None:
        raise UsageError(f"{plan} {folder}: a folder goes with status and report only")
    changes = {
        "seeds": num_seeds,
        "num_steps": num_steps,
        "share": share,
        "data": data,
        "num_images": num_images,
        "settings": settings or None,
    }
    chosen = _plan_of(plan, changes, cpu_sized=cpu_sized)
    if download:
        from bench.data.datasets import load_dataset

        load_dataset(chosen.data, "train", data_root=data_root, download=True)
    from baselines.ablation.report.folder import about, write_about
    from baselines.ablation.run.console import print_preview, print_status
    from baselines.ablation.run.plan_jobs import jobs_of
    from baselines.ablation.run.training_jobs import Surroundings
    from bench.execution.ledger.ledger import Ledger

    report_folder = out or Path(FOLDER) / chosen.name
    runs = Ledger(ledger or report_folder / "ledger")
    around = Surroundings(data_root=data_root, device=device, keep=keep)
    places = {"data_root": data_root, "device": device, "out": out, "ledger": ledger}
    command = _command(plan or "", changes | places, cpu_sized=cpu_sized)
    described = about(
        chosen, report_folder, runs.root, command=command, cpu_sized=cpu_sized, note=note
    )
    if show_status:
        print_status(runs, chosen)
    elif dry_run or emit_slurm is not None:
        from baselines.ablation.run.checks import require_all_runnable

        jobs = jobs_of(chosen, around)
        require_all_runnable(jobs)
        if emit_slurm is None or dry_run:
            print_preview(chosen, runs)
        else:
            write_about(report_folder, described)
            _emit(jobs, runs, emit_slurm, options=slurm_option or [], timeout_s=timeout)
    else:
        how: dict[str, Any] = {
            "executor": executor,
            "stack": stack,
            "timeout_s": timeout,
            "max_attempts": max_attempts,
        }
        _run(
            chosen,
            runs,
            around=around,
            described=described,
            out=report_folder,
            how=how,
            tables=tables,
            quiet=quiet,
        )


def _plan_of(name: str | None, changes: dict[str, Any], *, cpu_sized: bool) -> AblationPlan:
    """Return the plan of a preset or file with the changes applied."""
    from baselines.ablation.design.plan import read_plan
    from baselines.ablation.design.presets import PRESETS, changed_plan, preset_plan
    from bench.errors import UnknownNameError, UsageError

    if name is None:
        raise UsageError(
            f"give a plan: a TOML file (`latentbench ablate --example` prints one), or one of the "
            f"presets {', '.join(PRESETS)}"
        )
    if name in PRESETS:
        plan = preset_plan(name)
    elif name.endswith(".toml") or Path(name).is_file():
        plan = read_plan(Path(name))
    else:
        raise UnknownNameError("plan (a preset, or a TOML file)", name, PRESETS)
    return changed_plan(plan, changes, cpu_sized=cpu_sized)


def _command(plan: str, values: dict[str, Any], *, cpu_sized: bool) -> str:
    """Return the command that gives the same results."""
    words = ["latentbench", "ablate", plan]
    for key, value in values.items():
        option = OPTION_NAMES.get(key) or f"--{key.replace('_', '-')}"
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
    how: dict[str, Any],
    tables: Literal["csv", "parquet"],
    quiet: bool,
) -> None:
    """Run the plan, write the report, print what failed. Exits with code 1 if a run failed."""
    from baselines.ablation.report.folder import write_about
    from baselines.ablation.report.page import write_report
    from baselines.ablation.run.console import print_conclusion, print_edits, print_failed
    from baselines.ablation.run.plan_jobs import preview
    from baselines.ablation.run.run_ablation import run_ablation
    from bench.errors import EXIT_INVALID
    from bench.runtime.terminal import require_writable

    print_edits(preview(plan, ledger))
    require_writable(out)
    with _events(quiet=quiet) as on_event:
        ablation = run_ablation(
            plan,
            ledger.root,
            around=around,
            on_begin=lambda: write_about(out, described),
            on_event=on_event,
            **how,
        )
    if ablation.analysis is not None:
        written = write_report(out, described, ledger, tables=tables, analysis=ablation.analysis)
        print_conclusion(out, written.sentences)
    if ablation.failed:
        print_failed(ablation.failed)
        raise typer.Exit(EXIT_INVALID)


@contextmanager
def _events(*, quiet: bool) -> Iterator[Callable[[Event], None]]:
    """Yield the listener that shows progress and prints failures as they happen."""
    from bench.runtime.progress import progress_report

    with progress_report(quiet=quiet) as progress:

        def report(event: Event) -> None:
            if event.kind in ("diverged", "failed", "retried", "corrupt", "stopping"):
                sys.stderr.write(f"{event.label}: {event.kind}: {event.message}\n")
            note = event.label if event.kind == "started" else ""
            progress("runs", event.finished, event.total, note)

        yield report


def _ledger_in(place: Path) -> Ledger:
    """Return the ledger at `place`, or that of the ablation whose folder it is.

    Raises `NothingFoundError`.
    """
    from baselines.ablation.report.folder import LEDGER, PLAN, read_about
    from bench.errors import NothingFoundError
    from bench.execution.ledger.ledger import Ledger

    own = [(place / read_about(place).ledger).resolve()] if (place / PLAN).is_file() else []
    for candidate in [place, *own, place / LEDGER]:
        if (candidate / "jobs").is_dir():
            return Ledger(candidate)
    raise NothingFoundError(f"{place}: no ledger of an ablation here; give the folder of one")


def _print_status(place: Path) -> None:
    """Print the state of a ledger's runs, with the plan of its folder if that has one."""
    from baselines.ablation.report.folder import PLAN, read_about
    from baselines.ablation.run.console import print_status

    ledger = _ledger_in(place)
    for out in (place, place.parent):
        if (out / PLAN).is_file():
            described = read_about(out)
            if (out / described.ledger).resolve() == ledger.root.resolve():
                print_status(ledger, described.parsed_plan)
                return
    print_status(ledger, None)


def _render(place: Path, tables: Literal["csv", "parquet"], note: str | None) -> None:
    """Render a report again, or all reports inside a folder and the index over them."""
    from baselines.ablation.report.index import render_index, reports_in
    from baselines.ablation.report.page import render_again
    from baselines.ablation.run.console import print_conclusion

    folders = reports_in(place)
    for out in folders:
        print_conclusion(out, render_again(out, tables=tables, note=note).sentences)
    if folders[0].parent == place:
        render_index(place)


def _emit(
    jobs: list[Job], ledger: Ledger, out: Path, *, options: list[str], timeout_s: float | None
) -> None:
    from baselines.ablation.run.plan_jobs import WORK
    from bench.execution.executors.slurm_array import emit_slurm

    files = emit_slurm(jobs, WORK, ledger, out, options=options, timeout_s=timeout_s)
    sys.stdout.write(f"{files.jobs} runs in {files.job_list}; submit them with\n")
    sys.stdout.writelines(f"  sbatch {script}\n" for script in files.scripts)
    sys.stdout.write("When they have finished, the same command without --emit-slurm reports.\n")
