"""`latentbench train`: train a recipe into a run folder."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import Quiet


def train(
    recipe: Annotated[str, typer.Argument(help="A recipe; `latentbench recipes` lists them.")],
    *,
    data: Annotated[
        str, typer.Option(help="mnist, fashion-mnist, torchvision:CLASS, or a folder, zip, npz.")
    ] = "mnist",
    seed: Annotated[int, typer.Option(min=0, help="Seed of weights and draws.")] = 0,
    num_seeds: Annotated[
        int, typer.Option(min=1, help="Train so many seeds, from --seed on, as one program.")
    ] = 1,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="KEY=VALUE; see --dry-run. Repeatable.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu or cuda; default: cuda when there is one.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for runs.")] = Path("runs"),
    data_root: Annotated[Path | None, typer.Option(help="Where the data set lies.")] = None,
    download: Annotated[bool, typer.Option("--download", help="Fetch it if need be.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the full configuration and stop.")
    ] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also log for TensorBoard.")
    ] = False,
    eager: Annotated[
        bool, typer.Option("--eager", help="Without CUDA graphs; the same result, slower.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Train a reference model: a recipe, changed by --set, into a folder of its own.

    Several seeds are stacked on a GPU and take turns on a CPU; each has its folder.

    \b
    latentbench train dcgan --data mnist --seed 0
    latentbench train course-gan --num-seeds 5
    latentbench train course-gan --set tricks.ema=on --set learning_rate=1e-4
    latentbench train vae --data my-images/ --set num_steps=5000 --dry-run
    """
    from baselines.runs.api import configs_of, run_name, train_seeds
    from baselines.runs.run_folder import CHECKPOINT

    seeds = range(seed, seed + num_seeds)
    configs = configs_of(recipe, seeds, data=data, settings=settings or ())
    if dry_run:
        sys.stdout.writelines(f"{config.model_dump_json(indent=2)}\n" for config in configs)
        return
    folders = [out / run_name(config) for config in configs]
    if resume and not any((folder / CHECKPOINT).is_file() for folder in folders):
        sys.stderr.write(f"{folders[0]}: no checkpoint to go on from; the run begins anew\n")
    with _training_report(quiet=quiet) as report:
        folders = train_seeds(
            recipe,
            seeds,
            data=data,
            settings=settings or (),
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
    sys.stdout.writelines(f"{folder}\n" for folder in folders)
    sys.stdout.write(f"next: latentbench sample {first} -n 10000 --out {first / 'samples'}\n")


@contextmanager
def _training_report(*, quiet: bool) -> Iterator[Callable[[int, int, dict[str, float]], None]]:
    """Steps and losses."""
    from bench.runtime.progress import progress_report

    with progress_report(quiet=quiet) as progress:
        yield lambda step, total, terms: progress("train", step, total, _terms_text(terms))


def _terms_text(terms: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.3f}" for name, value in terms.items())
