"""`latentbench ladder`: damage real images at rising levels and score them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.cli import options
from bench.cli.options import DataRoot, Download, Quiet, Render
from bench.errors import EXIT_INVALID


def ladder(
    *,
    data: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Data set whose test images are damaged.",
            rich_help_panel=options.INPUT,
        ),
    ] = "mnist",
    other: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Data set whose images are mixed in, as one kind of damage.",
            rich_help_panel=options.INPUT,
        ),
    ] = "fashion-mnist",
    data_root: DataRoot = None,
    download: Download = False,
    num_images: Annotated[int, options.num_images(100)] = 5_000,
    seed: Annotated[int, options.seed(help_text="Seed of all random draws.")] = 0,
    out: Annotated[Path, options.out("Folder for the records and the report.")] = Path("ladder"),
    render: Render = False,
    quiet: Quiet = False,
) -> None:
    """Damage real images step by step and see which metrics respond.

    Examples:
      latentbench ladder --data mnist --other fashion-mnist --out ladder-mnist
      latentbench ladder --out ladder-mnist --render

    Exit code 1 if FID does not rise with every step of every kind of damage.
    """
    from bench.runtime.progress import progress_report
    from bench.studies.ladder import run_study
    from bench.studies.ladder_report import write_report

    if not render:
        with progress_report(quiet=quiet) as progress:
            run_study(
                out,
                data=data,
                other=other,
                data_root=data_root,
                download=download,
                num_images=num_images,
                seed=seed,
                progress=progress,
            )
    failed = write_report(out)
    sys.stdout.write(f"report: {out / 'README.md'}\n")
    if failed:
        sys.stderr.write(f"latentbench: FID does not rise strictly along {', '.join(failed)}\n")
        raise typer.Exit(EXIT_INVALID)
