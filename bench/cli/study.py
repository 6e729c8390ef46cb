"""`latentbench study`: repeat the published studies of the metrics."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Annotated, Literal

import typer

from bench.cli import options
from bench.cli.options import DataRoot, Quiet, Render, Weights
from bench.errors import UsageError

Study = Literal["protocols", "precisions", "uncertainty", "scaling"]


def study(
    what: Annotated[
        Study,
        typer.Argument(metavar="STUDY", help="One of protocols, precisions, uncertainty, scaling."),
    ],
    samples: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="SAMPLES",
            help="scaling: folders or arrays of generated images, saved rightly.",
        ),
    ] = None,
    *,
    num_images: Annotated[
        int | None,
        options.num_images(
            10,
            "protocols, precisions: images of each kind. scaling: of each folder.",
            show_default="100; scaling: 1000",
        ),
    ] = None,
    data_root: DataRoot = None,
    num_draws: Annotated[
        int,
        typer.Option(
            min=20,
            metavar="N",
            help="uncertainty: samples drawn for each population and size.",
            rich_help_panel=options.INPUT,
        ),
    ] = 600,
    seed: Annotated[
        int, options.seed(help_text="uncertainty, scaling: seed of all random draws.")
    ] = 0,
    weights: Weights = None,
    random_weights: Annotated[
        bool,
        typer.Option(
            "--random-weights",
            help="Use untrained weights if the published ones cannot be downloaded.",
            rich_help_panel=options.PROTOCOL,
        ),
    ] = False,
    out: Annotated[
        Path | None, options.out("Folder for the records and the report.", "DIR", "study-STUDY")
    ] = None,
    render: Render = False,
    quiet: Quiet = False,
) -> None:
    """Repeat a published study of the metrics themselves.

    Examples:
      latentbench study protocols --data-root data/ --out protocols/
      latentbench study precisions --data-root data/ --random-weights
      latentbench study uncertainty --num-draws 600 --out uncertainty/
      latentbench study scaling vae/ dcgan/ --out scaling/

    protocols and precisions measure how far the features of `inception` differ between protocols,
    or between precisions, on real images. uncertainty measures how often the interval of each
    metric holds the true value. scaling saves generated images with wrong scales and measures how
    often audit and score name them. A second run of these two resumes.
    """
    folder = out or Path(f"study-{what}")
    if samples and what not in ("scaling", "uncertainty"):
        raise UsageError(f"study {what} takes no samples; scaling and uncertainty do")
    if what == "scaling":
        _scaling(folder, samples or [], num_images or 1_000, seed, render=render, quiet=quiet)
    elif what == "uncertainty":
        if samples and len(samples) > 1:
            raise UsageError("study uncertainty takes the samples of one generator")
        generated = Path(samples[0]) if samples else None
        _uncertainty(folder, num_draws, seed, generated, render=render, quiet=quiet)
    else:
        _inception(
            what,
            folder,
            num_images or 100,
            data_root,
            weights,
            random_weights=random_weights,
            render=render,
            quiet=quiet,
        )
    sys.stdout.write(f"report: {folder / 'README.md'}\n")


def _uncertainty(
    folder: Path, num_draws: int, seed: int, samples: Path | None, *, render: bool, quiet: bool
) -> None:
    from bench.runtime.progress import progress_report
    from bench.studies import coverage, coverage_report

    if not render:
        with progress_report(quiet=quiet) as progress:
            coverage.run_study(
                folder, draws=num_draws, seed=seed, samples=samples, progress=progress
            )
    coverage_report.write_report(folder)


def _scaling(
    folder: Path, samples: list[Path], num_images: int, seed: int, *, render: bool, quiet: bool
) -> None:
    from bench.runtime.progress import progress_report
    from bench.studies import scaling

    if not render:
        with progress_report(quiet=quiet) as progress:
            scaling.run_study(folder, samples, num_images=num_images, seed=seed, progress=progress)
    scaling.write_report(folder)


def _inception(
    what: Literal["protocols", "precisions"],
    folder: Path,
    num_images: int,
    data_root: Path | None,
    weights: Path | None,
    *,
    random_weights: bool,
    render: bool,
    quiet: bool,
) -> None:
    from bench.extractors.base import ExtractorChoice
    from bench.runtime.progress import progress_report
    from bench.studies import precisions, protocols
    from bench.studies.image_sets import image_sets
    from bench.studies.inception_study import UNTRAINED, random_weights_file

    chosen = protocols if what == "protocols" else precisions
    if render:
        chosen.write_report(folder)
        return
    sets = image_sets(num_images, data_root, photo_sizes=4 if what == "protocols" else 2)
    with tempfile.TemporaryDirectory() as temporary, progress_report(quiet=quiet) as progress:
        label = "as published"
        if random_weights:
            weights = random_weights_file(Path(temporary))
            label = UNTRAINED
        choice = ExtractorChoice(weights=weights, unverified_weights=random_weights)
        command = f"latentbench study {what} -n {num_images}"
        command += " --random-weights" if random_weights else ""
        chosen.run_study(folder, sets, choice, weights=label, command=command, progress=progress)
