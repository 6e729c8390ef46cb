"""`latentbench study`: the published measurements, made again."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Annotated, Literal

import typer

from bench.cli.options import Quiet


def study(
    what: Annotated[
        Literal["protocols", "precisions", "uncertainty"], typer.Argument(help="What is measured.")
    ],
    *,
    out: Annotated[Path | None, typer.Option(help="Folder of the study.")] = None,
    num_images: Annotated[int, typer.Option("--num-images", "-n", min=10)] = 100,
    weights: Annotated[Path | None, typer.Option(help="Weights file, or its folder.")] = None,
    random_weights: Annotated[
        bool, typer.Option("--random-weights", help="Untrained weights, where none can be had.")
    ] = False,
    data_root: Annotated[Path | None, typer.Option(help="Where MNIST lies.")] = None,
    draws: Annotated[int, typer.Option(min=20, help="Draws of each population and size.")] = 400,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draws.")] = 0,
    render: Annotated[
        bool, typer.Option("--render", help="Rebuild the page from the records in --out.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """How far named protocols, or precisions, of `inception` are apart on real images; or how
    often the intervals of all metrics hold the true value (`uncertainty`; resumes).

    \b
    latentbench study protocols --data-root data/ --out protocols/
    latentbench study precisions --data-root data/ --random-weights
    latentbench study uncertainty --draws 400 --out uncertainty/
    """
    from bench.extractors.base import ExtractorChoice
    from bench.runtime.progress import progress_report
    from bench.studies import coverage, coverage_report, precisions, protocols
    from bench.studies.image_sets import image_sets
    from bench.studies.inception_study import UNTRAINED, random_weights_file

    folder = out or Path(f"study-{what}")
    chosen = protocols if what == "protocols" else precisions
    if what == "uncertainty":
        if not render:
            with progress_report(quiet=quiet) as progress:
                coverage.run_study(folder, draws=draws, seed=seed, progress=progress)
        coverage_report.write_report(folder)
    elif render:
        chosen.write_report(folder)
    else:
        sets = image_sets(num_images, data_root, photo_sizes=4 if what == "protocols" else 2)
        with tempfile.TemporaryDirectory() as temporary, progress_report(quiet=quiet) as progress:
            label = "as published"
            if random_weights:
                weights = random_weights_file(Path(temporary))
                label = UNTRAINED
            choice = ExtractorChoice(weights=weights, unverified_weights=random_weights)
            command = f"latentbench study {what} -n {num_images}"
            command += " --random-weights" if random_weights else ""
            chosen.run_study(
                folder, sets, choice, weights=label, command=command, progress=progress
            )
    sys.stdout.write(f"report: {folder / 'README.md'}\n")
