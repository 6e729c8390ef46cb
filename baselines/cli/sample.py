"""`latentbench sample`: write samples of a trained run as PNG files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from bench.cli.options import Quiet

if TYPE_CHECKING:
    from baselines.models.code_priors import Prior


def sample(
    run: Annotated[Path, typer.Argument(help="Folder of a trained run.")],
    *,
    out: Annotated[Path, typer.Option(help="New folder for the PNG files.")],
    num_images: Annotated[int, typer.Option("--num-images", "-n", min=1)] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the latents.")] = 0,
    truncation: Annotated[
        float | None, typer.Option(help="Cut the Gaussian latent off at +- this.")
    ] = None,
    rejection_gamma: Annotated[
        float | None,
        typer.Option(help="Discriminator rejection sampling; a percentile, 0 to 100."),
    ] = None,
    budget: Annotated[
        float | None, typer.Option(help="Optimal budgeted rejection: candidates an image.")
    ] = None,
    latent_share: Annotated[
        float | None, typer.Option(help="Latent rejection: keep this share, by Jacobian.")
    ] = None,
    prior: Annotated[
        str, typer.Option(help="Codes of an autoencoder: gaussian or mixture.")
    ] = "mixture",
    label: Annotated[
        int | None, typer.Option(min=0, help="Of a conditional model, this class alone.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu or cuda; default: cuda when there is one.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Write samples of a trained run as PNG files, with a manifest beside the folder.

    \b
    latentbench sample runs/dcgan-mnist-0 -n 10000 --out samples/
    latentbench sample runs/course-gan-mnist-0 --truncation 1.0 --out truncated/
    latentbench sample runs/course-gan-mnist-0 --rejection-gamma 80 --out rejected/
    """
    from baselines.runs import api
    from baselines.sampling.sampler import SamplingOptions
    from baselines.sampling.samples_folder import manifest_path
    from bench.runtime.progress import progress_report

    options = SamplingOptions(
        truncation=truncation,
        rejection_gamma=rejection_gamma,
        budget=budget,
        latent_share=latent_share,
        prior=cast("Prior", prior),  # which looks at it
    )
    with progress_report(quiet=quiet) as progress:
        samples = api.sample(
            run,
            out,
            num_images=num_images,
            seed=seed,
            labels=label,
            options=options,
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
    forced = f", {num_forced} not accepted in time" if num_forced else ""
    return f"; acceptance rate {rate:.3f}{forced}"
