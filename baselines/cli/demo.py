"""`latentbench demo`: generate digits, audit them and score them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import Quiet

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
    from baselines.runs.demo import generate_digits
    from baselines.sampling.samples_folder import write_samples
    from bench.cli.score import deliver, keep_exhibits
    from bench.intake import audit, load_spec
    from bench.runtime.progress import progress_report
    from bench.scoring.scorer import Scorer
    from bench.tables.console import print_findings

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
