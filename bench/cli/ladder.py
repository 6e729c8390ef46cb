"""`latentbench ladder`: the perturbation ladder of an extractor."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import Quiet
from bench.errors import EXIT_INVALID


def ladder(
    *,
    data: Annotated[str, typer.Option(help="Data set whose test split is damaged.")] = "mnist",
    other: Annotated[str, typer.Option(help="Data set to mix in.")] = "fashion-mnist",
    data_root: Annotated[Path | None, typer.Option(help="Where both data sets lie.")] = None,
    download: Annotated[bool, typer.Option("--download", help="Fetch them if need be.")] = False,
    num_images: Annotated[int, typer.Option("--num-images", "-n", min=100)] = 5_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of every draw.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for records and report.")] = Path("ladder"),
    render: Annotated[
        bool, typer.Option("--render", help="Rebuild the report from the records in --out.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Damage real images at rising levels and see which metric notices. Exit 1 when FID does not.

    \b
    latentbench ladder --data mnist --other fashion-mnist --out ladder-mnist
    latentbench ladder --out ladder-mnist --render
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
