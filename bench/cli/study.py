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
    from bench.studies import inception_report as study_report

    folder = out or Path(f"study-{what}")
    if what == "uncertainty":
        from bench.studies import coverage as uncertainty_study
        from bench.studies import coverage_report as uncertainty_report

        if not render:
            with progress_report(quiet=quiet) as progress:
                uncertainty_study.run_study(folder, draws=draws, seed=seed, progress=progress)
        uncertainty_report.render_study(folder)
    elif not render:
        sets = study_report.image_sets(
            num_images, data_root, photo_sizes=4 if what == "protocols" else 2
        )
        run = study_report.run_protocols if what == "protocols" else study_report.run_precisions
        with tempfile.TemporaryDirectory() as temporary, progress_report(quiet=quiet) as progress:
            label = "as published"
            if random_weights:
                weights = study_report.random_weights_file(Path(temporary))
                label = "random, untrained (seed 0): read ratios and orders of magnitude only"
            choice = ExtractorChoice(weights=weights, unverified_weights=random_weights)
            command = f"latentbench study {what} -n {num_images}"
            command += " --random-weights" if random_weights else ""
            run(folder, sets, choice, weights=label, command=command, progress=progress)
    elif what == "protocols":
        study_report.render_protocols(folder)
    else:
        study_report.render_precisions(folder)
    sys.stdout.write(f"report: {folder / 'README.md'}\n")
