"""`latentbench sample`: write samples of a trained model as PNG files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from bench.cli import options
from bench.cli.options import Device, Quiet

if TYPE_CHECKING:
    from baselines.models.code_priors import Prior

TRICKS = "Sampling tricks"


def sample(
    run: Annotated[
        Path,
        typer.Argument(metavar="RUN", help="Folder of a trained run, from `latentbench train`."),
    ],
    *,
    num_images: Annotated[int, options.num_images(1)] = 10_000,
    seed: Annotated[int, options.seed(help_text="Seed of the latents.")] = 0,
    label: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="CLASS",
            help="Of a conditional model, sample only this class.",
            show_default="all classes",
            rich_help_panel=options.INPUT,
        ),
    ] = None,
    prior: Annotated[
        str,
        typer.Option(
            metavar="gaussian|mixture",
            help="Of an autoencoder, the distribution that codes are drawn from.",
            rich_help_panel=options.INPUT,
        ),
    ] = "mixture",
    truncation: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            help="Truncate the Gaussian latent at +-X.",
            rich_help_panel=TRICKS,
        ),
    ] = None,
    rejection_gamma: Annotated[
        float | None,
        typer.Option(
            metavar="PERCENTILE",
            help="Discriminator rejection sampling with this percentile for gamma, 0 to 100.",
            rich_help_panel=TRICKS,
        ),
    ] = None,
    rejection_budget: Annotated[
        float | None,
        typer.Option(
            metavar="K",
            help="Optimal budgeted rejection sampling: K candidates for each image.",
            rich_help_panel=TRICKS,
        ),
    ] = None,
    latent_share: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Latent rejection: keep this share of the latents, by the generator's Jacobian.",
            rich_help_panel=TRICKS,
        ),
    ] = None,
    device: Device = None,
    out: Annotated[Path, options.out("New folder for the PNG files.")],
    quiet: Quiet = False,
) -> None:
    """Write samples of a trained model as PNG files.

    Examples:
      latentbench sample runs/dcgan-mnist-0 -n 10000 --out samples/
      latentbench sample runs/course-gan-mnist-0 --truncation 1.0 --out truncated/
      latentbench sample runs/course-gan-mnist-0 --rejection-gamma 80 --out rejected/

    A manifest beside the folder records the run, the seed and the tricks. Afterwards:
    latentbench score samples/ --reference mnist.
    """
    from baselines.runs import api
    from baselines.sampling.sampler import SamplingOptions
    from baselines.sampling.samples_folder import manifest_path
    from bench.runtime.progress import progress_report

    tricks = SamplingOptions(
        truncation=truncation,
        rejection_gamma=rejection_gamma,
        budget=rejection_budget,
        latent_share=latent_share,
        prior=cast("Prior", prior),  # checked by SamplingOptions
    )
    with progress_report(quiet=quiet) as progress:
        samples = api.sample(
            run,
            out,
            num_images=num_images,
            seed=seed,
            labels=label,
            options=tricks,
            device=device,
            progress=progress,
        )
    sys.stdout.write(
        f"{len(samples.images):,} images in {out}, manifest {manifest_path(out)}"
        f"{_acceptance(samples.acceptance_rate, samples.num_forced)}\n"
    )


def _acceptance(rate: float, num_forced: int) -> str:
    if rate == 1.0:
        return ""
    forced = f", {num_forced} kept without acceptance" if num_forced else ""
    return f"; acceptance rate {rate:.3f}{forced}"
