"""The command of the study of all recipes.

    python -m baselines.ablation.recipe_study --out reports/baselines
    python -m baselines.ablation.recipe_study --cpu-sized --executor local:2
    python -m baselines.ablation.recipe_study --narrowed --recipes dcgan --out OUT
    python -m baselines.ablation.recipe_study --recipes dcgan course-gan --data mnist --share 0.05

The command resumes: runs whose rows exist are not repeated, even if their ledger is gone. A run
that diverges is a row of the report. records.jsonl holds one line for each (data, recipe, seed,
sampling); README.md and the grids are rendered from it, and `--render` does only that.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from baselines.ablation.recipe_study.recipes import DATA, NUM_IMAGES, NUM_SEEDS, Study
from baselines.ablation.recipe_study.rows import RECORDS, read_rows
from baselines.ablation.recipe_study.run_recipes import COMMAND, render_study, run_study
from baselines.ablation.run.training_jobs import Surroundings
from baselines.recipes.table import IMAGE_RECIPES
from bench.errors import EXIT_INTERRUPTED, EXIT_INVALID, EXIT_USAGE, LatentbenchError, reason_of
from bench.runtime.progress import progress_report
from bench.runtime.terminal import CommandParser


def main(arguments: Sequence[str] | None = None) -> None:
    parser = CommandParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("reports/baselines"))
    parser.add_argument("--ledger", type=Path, default=Path("runs/study"), help="finished jobs")
    parser.add_argument("--recipes", nargs="+", choices=IMAGE_RECIPES, default=list(IMAGE_RECIPES))
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--num-seeds", type=int, default=NUM_SEEDS)
    parser.add_argument("--share", type=float, default=1.0, help="of each recipe's steps")
    parser.add_argument("--cpu-sized", action="store_true", help="budgets that a CPU can train")
    parser.add_argument(
        "--narrowed", action="store_true", help="the networks of --cpu-sized, with all the steps"
    )
    parser.add_argument("--num-images", type=int, default=NUM_IMAGES)
    parser.add_argument("--executor", help="as for latentbench ablate")
    parser.add_argument("--device")
    parser.add_argument("--keep-samples", action="store_true")
    parser.add_argument("--render", action="store_true", help="only render the report again")
    options = parser.parse_args(arguments)
    failed = 0
    try:
        if options.render:
            render_study(options.out, _command(options))
        else:
            failed = _run(options)
    except LatentbenchError as error:
        sys.stderr.write(f"study: {error}\n")
        sys.exit(error.exit_code)
    except OSError as error:
        sys.stderr.write(f"study: {reason_of(error)}; fix this and run the same command again\n")
        sys.exit(EXIT_USAGE)
    except KeyboardInterrupt:
        sys.stderr.write("study: interrupted; run the same command again to resume\n")
        sys.exit(EXIT_INTERRUPTED)
    if failed:
        sys.stderr.write(f"study: {failed} runs failed; run the same command again to retry them\n")
        sys.exit(EXIT_INVALID)


def _command(options: argparse.Namespace) -> str:
    """Return the command that makes the whole report, whichever part of it this one makes."""
    words = [f"{COMMAND} --out {options.out}"]
    rows = read_rows(options.out / RECORDS).values()
    for name, every, present in (
        ("recipes", IMAGE_RECIPES, {row.recipe for row in rows}),
        ("data", DATA, {row.data for row in rows}),
    ):
        made = present.union(getattr(options, name))
        if not made.issuperset(every):
            words.append(f"--{name} {' '.join(one for one in every if one in made)}")
    words += [
        f"--{name.replace('_', '-')} {value}"
        for name, value, usual in (
            ("num_seeds", options.num_seeds, NUM_SEEDS),
            ("share", options.share, 1.0),
            ("num_images", options.num_images, NUM_IMAGES),
        )
        if value != usual
    ]
    switches = ("cpu_sized", "narrowed")
    words += [f"--{name.replace('_', '-')}" for name in switches if getattr(options, name)]
    return " ".join(words)


def _run(options: argparse.Namespace) -> int:
    """Run the study and return the number of runs that failed."""
    study = Study(
        recipes=tuple(options.recipes),
        data=tuple(options.data),
        num_seeds=options.num_seeds,
        share=options.share,
        cpu_sized=options.cpu_sized,
        narrowed=options.narrowed,
        num_images=options.num_images,
    )
    around = Surroundings(
        data_root=options.data_root, device=options.device, keep=options.keep_samples
    )
    with progress_report() as progress:
        failed = run_study(
            study,
            options.out,
            options.ledger,
            executor=options.executor,
            around=around,
            command=_command(options),
            on_event=lambda event: progress("runs", event.finished, event.total, event.label),
        )
    for one in failed:
        sys.stderr.write(f"{one.label}: {one.message}\n")
    return len(failed)


if __name__ == "__main__":
    main()
