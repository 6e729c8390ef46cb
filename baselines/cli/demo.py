"""`latentbench demo`: generate digits, audit them and score them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from bench.cli import options
from bench.cli.options import NoCache, Quiet

MARKER = ".latentbench-demo"


def demo(
    *,
    num_images: Annotated[int, options.num_images(1)] = 10_000,
    seed: Annotated[int, options.seed(help_text="Seed of the generator.")] = 0,
    no_cache: NoCache = False,
    out: Annotated[Path, options.out("Folder for the samples and the record.")] = Path(
        "latentbench-demo"
    ),
    quiet: Quiet = False,
) -> None:
    """Generate digits, audit them and score them.

    Examples:
      latentbench demo
      latentbench demo -n 2000 --out my-demo/

    The generator and the reference are part of the package: nothing is downloaded.
    """
    from baselines.runs.demo import generate_digits
    from baselines.sampling.samples_folder import write_samples
    from bench.cli.score import print_results
    from bench.intake import audit, load_spec
    from bench.runtime.progress import progress_report
    from bench.scoring.results_folder import write_results
    from bench.scoring.scorer import Scorer
    from bench.tables.console import print_findings

    samples, marker = out / "samples", out / MARKER
    replace = marker.is_file()  # samples/ is an earlier demo's, not somebody's own folder
    write = sys.stdout.write
    write(f"1. generating {num_images:,} digits with the bundled generator (seed {seed})\n")
    with progress_report(quiet=quiet) as progress:
        images = generate_digits(num_images, seed)
        write_samples(images, samples, replace=replace, progress=progress)
    marker.write_text("samples/ was written by latentbench demo, which may replace it\n")
    write(f"2. auditing {samples}\n")
    spec = load_spec("mnist-10k").model_copy(update={"count": num_images})
    report = audit(samples, spec=spec)
    print_findings(report.findings)
    write(f"   {'valid' if report.valid else 'invalid'}: {report.num_files:,} files\n")
    write("3. scoring against the bundled MNIST reference\n\n")
    scorer = Scorer(reference="mnist", spec=spec, use_cache=not no_cache)
    with progress_report(quiet=quiet) as progress:
        records = scorer.score_all(samples, progress=progress)
    print_results(records, write_results(scorer, records, out))
    write(
        f"\nA page with pictures and explanations:\n  latentbench report {out}\n"
        "\nNext, with a folder, zip or npz of your own:\n"
        "  latentbench audit YOUR_FOLDER --spec mnist-10k\n"
        "  latentbench score YOUR_FOLDER --reference mnist\n"
        "and in Python:\n"
        "  import bench; bench.table(bench.score('YOUR_FOLDER', reference='mnist'))\n"
    )
