"""`latentbench check`: what a student runs before handing a folder in."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.cli import options
from bench.cli.options import Device, NoCache, Quiet, Spec
from bench.cli.score import print_failure


def check(
    submission: Annotated[
        str,
        typer.Argument(metavar="SUBMISSION", help="A folder, zip, npz, npy or idx file of images."),
    ],
    *,
    reference: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE|DIR",
            help="Reference by name (`latentbench reference list`), its manifest file, or a "
            "folder of real images.",
            rich_help_panel=options.INPUT,
        ),
    ] = "mnist",
    spec: Spec = None,
    device: Device = None,
    no_cache: NoCache = False,
    out: Annotated[Path, options.out("Folder for the record and the page report.html.")] = Path(
        "latentbench-check"
    ),
    quiet: Quiet = False,
) -> None:
    """Check one submission: is it valid, how good is it, and what to fix first.

    Examples:
      latentbench check samples/
      latentbench check submission.zip --spec mnist-10k

    Audits and scores the images as `latentbench score` does, so that the record has the very values
    that the same command has elsewhere on a device of the same kind. Prints the verdict and the
    three findings that matter most, and writes a page. Exit code 1 for an invalid submission.
    """
    from bench.reporting.opening import opening
    from bench.reporting.writing import report
    from bench.runtime.progress import progress_report
    from bench.runtime.terminal import require_writable
    from bench.scoring.results_folder import write_results
    from bench.scoring.scorer import Failure, Scorer

    require_writable(out, "the check")
    with progress_report(quiet=quiet) as progress:
        scorer = Scorer(
            reference=reference,
            spec=spec,
            device=device,
            use_cache=not no_cache,
            progress=progress,
        )
        result = scorer.attempt(submission, progress=progress)
    if isinstance(result, Failure):
        print_failure(result)
        raise typer.Exit(result.error.exit_code)
    files = write_results(scorer, result, out)
    page = report(files[0], out / "report.html", use_cache=not no_cache)
    found = opening(result[0])
    lines = found.lines
    if found.num_more:
        lines.append(f"and {found.num_more} more on the page")
    sys.stdout.writelines(f"{line}\n" for line in [*lines, f"written: {page}"])
    sys.stdout.flush()
