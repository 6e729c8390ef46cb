"""`latentbench train`: train a recipe into a run folder."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import options
from bench.cli.options import DataRoot, Device, Download, Quiet, Resize, Settings

if TYPE_CHECKING:
    from baselines.recipes.config import RunConfig


def train(
    recipe: Annotated[
        str,
        typer.Argument(
            metavar="RECIPE", help="Name of a recipe; `latentbench recipes` lists them."
        ),
    ],
    *,
    data: Annotated[
        str,
        options.training_data(),
    ] = "mnist",
    resize: Resize = None,
    data_root: DataRoot = None,
    download: Download = False,
    settings: Settings = None,
    seed: Annotated[
        int, options.seed(help_text="Seed of the initial weights and of all random draws.")
    ] = 0,
    num_seeds: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="N",
            help="Train N runs, with the seeds from --seed on.",
            rich_help_panel=options.INPUT,
        ),
    ] = 1,
    device: Device = None,
    eager: Annotated[
        bool,
        typer.Option(
            "--eager",
            help="Train without CUDA graphs: the same result, slower.",
            rich_help_panel=options.SPEED,
        ),
    ] = False,
    out: Annotated[Path, options.out("Folder for the run folders.")] = Path("runs"),
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Continue interrupted runs from their checkpoints; with more steps than before, "
            "train finished runs longer.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = False,
    tensorboard: Annotated[
        bool,
        typer.Option(
            "--tensorboard",
            help="Also write TensorBoard logs, to OUT/tensorboard.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Print the full configuration, with every key that --set accepts, and exit.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Train a generative model from a recipe.

    Examples:
      latentbench train dcgan --data mnist --seed 0
      latentbench train course-gan --num-seeds 5
      latentbench train course-gan --set tricks.ema=on --set learning_rate=1e-4
      latentbench train dcgan --set num_steps=40000 --resume
      latentbench train vae --data my-images/ --resize 32x32 --set num_steps=5000
      latentbench train conditional-dcgan --data my-classes/ --dry-run

    Every run gets a folder with its configuration, log and checkpoint. On a GPU, several seeds
    train together as one program; on a CPU, one after the other.
    """
    from baselines.runs.configs import run_configs, run_name

    seeds = range(seed, seed + num_seeds)
    settings = [*(settings or ()), *([] if resize is None else [f"resize={resize}"])]
    configs = run_configs(recipe, seeds, data=data, settings=settings)
    if dry_run:
        sys.stdout.writelines(f"{config.model_dump_json(indent=2)}\n" for config in configs)
        return
    from baselines.runs.api import train_seeds
    from baselines.runs.run_folder import RunFolder

    folders = [out / run_name(config) for config in configs]
    if resume:
        for config, folder in zip(configs, folders, strict=True):
            sys.stderr.write(f"latentbench: {_resumed(out, folder, config)}\n")
    with _training_report(quiet=quiet) as report:
        folders = train_seeds(
            recipe,
            seeds,
            data=data,
            settings=settings,
            out=out,
            device=device,
            data_root=data_root,
            download=download,
            resume=resume,
            tensorboard=tensorboard,
            eager=eager,
            report=report,
        )
    first = folders[0]
    for folder in folders:
        sys.stdout.write(f"{folder}\n")
        sys.stdout.writelines(f"warning: {text}\n" for text in RunFolder(folder).troubles())
    advice = f"latentbench sample {first} -n 10000 --out {first / 'samples'}"
    if not configs[0].model_row.makes_images:
        advice = f"latentbench latent {first} --data {data}"
    sys.stdout.write(f"next: {advice}\n")


def _resumed(out: Path, folder: Path, config: RunConfig) -> str:
    """Return from where a run continues, in words."""
    from baselines.runs.longer import find_shorter_run
    from baselines.runs.run_folder import CHECKPOINT
    from baselines.training.checkpoint import read_checkpoint

    shorter = None
    if not (folder / CHECKPOINT).is_file():
        shorter = find_shorter_run(out, config)
        if shorter is None:
            return f"{folder}: no checkpoint to resume from; training starts anew"
    step = read_checkpoint((shorter or folder) / CHECKPOINT).step
    if shorter is not None:
        return f"{folder}: goes on from {shorter} after {step:,} steps"
    if step >= config.num_steps:
        return (
            f"{folder}: has finished its {step:,} steps; to train it longer, give more with "
            "--set num_steps=N"
        )
    return f"{folder}: goes on after {step:,} of {config.num_steps:,} steps"


@contextmanager
def _training_report(*, quiet: bool) -> Iterator[Callable[[int, int, dict[str, float]], None]]:
    """Yield a function that shows the step and the losses."""
    from bench.runtime.progress import progress_report

    with progress_report(quiet=quiet) as progress:
        yield lambda step, total, terms: progress("train", step, total, _terms_text(terms))


def _terms_text(terms: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.3f}" for name, value in terms.items())
