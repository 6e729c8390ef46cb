"""The published study: the 2^4 factorial of the students' four improvements, with 5 seeds, on the
course generator and on DCGAN, MNIST.

    python -m baselines.ablation.run.published --out reports/ablation  at full length
    python -m baselines.ablation.run.published --out reports/ablation --cpu-sized  short
    python -m baselines.ablation.run.published --presets course --executor local:4
    python -m baselines.ablation.run.published --render  the pages alone

One command that resumes. A page for each preset, and README.md with what each says in words.

What a run costs at full size, in seconds of one core of a Zen 5 CPU that other work shared
(`getrusage`, a run each, one thread), at the batch sizes of the recipes and with the default
metrics:

    recipe        a step, no trick    all four tricks    sampling and scoring 2,000 images once
    course-gan        .030 to .036              0.075                                       2.5
    dcgan                     0.23               0.46                                       3.5

At full length, five evaluations of 10,000 images included, 80 runs take about 60 (course-gan) and
180 core-hours (dcgan). The recipes as they are make no digits in the steps that a CPU has time for:
the course generator with the non-saturating loss has a FID of 2,984 after 480 steps and of 301,
with 7 of 10 digits, after 2,400; of 17 runs of 1,200 steps all had collapsed. So `--cpu-sized`
narrows the networks, halves the batches and raises the rate (`baselines.ablation.design.budgets`).

2,000 images are enough for that: the standard error of a FID from so many is 0.23 at a FID of 2.3
and 5.9 at one of 815, that of a precision of .7 is .010, and the bias of the FID is the same in all
cells; the spread between seeds is larger so early. What real images score with
1,000, 2,000, 5,000 and 10,000 is stored with the reference, other numbers cost as much again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from baselines.ablation.design.budgets import changed_plan
from baselines.ablation.design.presets import PRESETS, preset_plan
from baselines.ablation.report.records import PLAN, about, read_about, write_about
from baselines.ablation.report.report import PAGE, README, conclusion, render_again, write_report
from baselines.ablation.run.jobs import Surroundings
from baselines.ablation.run.running import run_ablation
from bench.errors import EXIT_INVALID, LatentbenchError
from bench.execution.ledger.ledger import Ledger
from bench.reporting.sentence import MARKS
from bench.runtime.command_parser import CommandParser
from bench.runtime.progress import progress_report
from bench.runtime.whole_files import write_atomically
from bench.tables.escaping import markdown_text

STUDIED = ("course", "tricks")
HEADER = """# Which of four tricks helps

Label noise, a replay buffer, minibatch discrimination and the non-saturating loss: the four \
improvements of the course, every combination of them, with several seeds, on the course generator \
and on DCGAN. Made by one command, which resumes:

    {command}
"""


def run_preset(name: str, options: argparse.Namespace) -> int:
    """Run and report one preset; gives the number of runs that failed."""
    plan = changed_plan(
        preset_plan(name), {"seeds": options.seeds, "num_steps": options.num_steps,
                            "num_images": options.num_images}, cpu_sized=options.cpu_sized
    )  # fmt: skip
    ledger = Ledger(options.work / name)
    out = options.out / name
    around = Surroundings(data_root=options.data_root, device=options.device)
    described = about(
        plan,
        out,
        ledger.root,
        command=_command(options),
        cpu_sized=options.cpu_sized,
        note=options.note,
    )
    with progress_report() as progress:
        ablation = run_ablation(
            plan,
            ledger.root,
            executor=options.executor,
            stack=options.stack,
            around=around,
            on_begin=lambda: write_about(out, described),
            on_event=lambda event: progress(name, event.finished, event.total),
        )
    if ablation.analysis is not None:
        write_report(out, described, ledger, analysis=ablation.analysis)
    return len(ablation.failed)


def _command(options: argparse.Namespace) -> str:
    words = [f"python -m baselines.ablation.run.published --out {options.out}"]
    if tuple(options.presets) != STUDIED:
        words.append(f"--presets {' '.join(options.presets)}")
    words += [
        f"--{key.replace('_', '-')} {value}"
        for key in ("seeds", "num_steps", "num_images")
        if (value := getattr(options, key)) is not None
    ]
    return " ".join([*words, *(["--cpu-sized"] if options.cpu_sized else [])])


def render_index(out: Path, command: str) -> None:
    """README.md over the pages that are there."""
    lines = [HEADER.format(command=command)]
    for name in PRESETS:
        folder = out / name
        if not (folder / PLAN).is_file():
            continue
        lines += [
            f"## [{name}]({name}/{README})",
            "",
            f"With pictures: [{PAGE}]({name}/{PAGE}).",
            "",
        ]
        lines += [
            f"- {MARKS[said.tone]} {markdown_text(said.text)}"
            for said in conclusion(folder, read_about(folder))
        ]
        lines.append("")
    write_atomically(out / README, "\n".join(lines).encode())


def main(arguments: Sequence[str] | None = None) -> None:
    parser = CommandParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("reports/ablation"))
    parser.add_argument("--work", type=Path, default=Path("runs/ablation"), help="the ledgers")
    parser.add_argument("--presets", nargs="+", choices=list(PRESETS), default=list(STUDIED))
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--num-steps", type=int)
    parser.add_argument("--num-images", type=int)
    parser.add_argument("--cpu-sized", action="store_true", help="budgets that a CPU can train")
    parser.add_argument("--executor", help="as for latentbench ablate")
    parser.add_argument("--stack", type=int, help="runs in one program")
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--device")
    parser.add_argument("--note", help="a remark to show first in the reports")
    parser.add_argument("--render", action="store_true", help="only render the pages again")
    options = parser.parse_args(arguments)
    failed = 0
    try:
        for name in options.presets:
            if options.render:
                render_again(options.out / name)
            else:
                failed += run_preset(name, options)
        render_index(options.out, _command(options))
    except LatentbenchError as error:
        sys.stderr.write(f"study: {error}\n")
        sys.exit(error.exit_code)
    if failed:
        sys.stderr.write(f"study: {failed} runs failed; the same command tries them again\n")
        sys.exit(EXIT_INVALID)


if __name__ == "__main__":
    main()
