"""The verbs of `baselines`, registered through the entry-point group `latentbench.verbs`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from bench.verbs.options import Quiet

if TYPE_CHECKING:
    from baselines.priors import Prior

MARKER = ".latentbench-demo"


def demo(
    *,
    out: Annotated[Path, typer.Option(help="Folder for samples and records.")] = Path(
        "latentbench-demo"
    ),
    num_images: Annotated[int, typer.Option("--num-images", "-n", min=1)] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the generator.")] = 0,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Neither read nor write the cache.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Generate digits, write them as PNG, audit and score them: the main job, nothing to prepare.

    \b
    latentbench demo
    latentbench demo -n 2000 --out /tmp/demo
    """
    from baselines.demo import generate_digits
    from baselines.samples_folder import write_samples
    from bench.console import print_findings
    from bench.intake import audit, load_spec
    from bench.progress import progress_report
    from bench.scoring import Scorer
    from bench.verbs.score import deliver, keep_exhibits

    samples, marker = out / "samples", out / MARKER
    replace = marker.is_file()  # an earlier demo's folder, and no hand-in of the same shape
    say = sys.stdout.write
    say(f"1. generating {num_images:,} digits with the bundled generator (seed {seed})\n")
    with progress_report(quiet=quiet) as progress:
        images = generate_digits(num_images, seed)
        write_samples(images, samples, replace=replace, progress=progress)
    marker.write_text("samples/ was written by latentbench demo, which may replace it\n")
    say(f"2. auditing {samples}\n")
    spec = load_spec("mnist-10k").model_copy(update={"count": num_images})
    report = audit(samples, spec=spec)
    print_findings(report.findings)
    say(f"   {'valid' if report.valid else 'invalid'}: {report.num_files:,} files\n")
    say("3. scoring against the embedded MNIST reference\n\n")
    scorer = Scorer(reference="mnist", spec=spec, use_cache=not no_cache)
    with progress_report(quiet=quiet) as progress:
        records = scorer.score_all(samples, progress=progress)
    deliver(records, out, json_lines=False)
    keep_exhibits(scorer, records, out)
    say(
        f"\nA page of it, with pictures and in words:\n  latentbench report {out}\n"
        "\nNext, with a folder, zip or npz of your own:\n"
        "  latentbench audit YOUR_FOLDER --spec mnist-10k\n"
        "  latentbench score YOUR_FOLDER --reference mnist\n"
        "and in Python:\n"
        "  import bench; bench.table(bench.score('YOUR_FOLDER', reference='mnist'))\n"
    )


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
    from baselines.run_folder import CHECKPOINT
    from baselines.verbs import configs_of, run_name, train_seeds

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
    from baselines import verbs
    from baselines.samples_folder import manifest_path
    from baselines.sampling import SamplingOptions
    from bench.progress import progress_report

    options = SamplingOptions(
        truncation=truncation,
        rejection_gamma=rejection_gamma,
        budget=budget,
        latent_share=latent_share,
        prior=cast("Prior", prior),  # which looks at it
    )
    with progress_report(quiet=quiet) as progress:
        samples = verbs.sample(
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


def recipes() -> None:
    """List the recipes, tricks and losses: what each is and where it comes from."""
    from baselines.losses import LOSSES
    from baselines.recipes import RECIPES
    from baselines.tricks import TRICKS
    from bench.console import print_rows

    for kind, rows in (
        ("recipe", RECIPES.values()),
        ("trick (--set tricks.NAME=on)", TRICKS.values()),
        ("loss (--set loss=NAME)", LOSSES.values()),
    ):
        print_rows(
            [kind, "what it is", "source"], [[row.name, row.title, row.source] for row in rows]
        )
        sys.stdout.write("\n")


def _acceptance(rate: float, num_forced: int) -> str:
    if rate == 1.0:
        return ""
    forced = f", {num_forced} not accepted in time" if num_forced else ""
    return f"; acceptance rate {rate:.3f}{forced}"


@contextmanager
def _training_report(*, quiet: bool) -> Iterator[Callable[[int, int, dict[str, float]], None]]:
    """Steps and losses."""
    from bench.progress import progress_report

    with progress_report(quiet=quiet) as progress:
        yield lambda step, total, terms: progress("train", step, total, _terms_text(terms))


def _terms_text(terms: dict[str, float]) -> str:
    return "  ".join(f"{name} {value:.3f}" for name, value in terms.items())
