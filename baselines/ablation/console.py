"""What `latentbench ablate` shows: a plan beside its ledger, how far it is, what it says."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from baselines.ablation.describing import budget, title_of
from baselines.ablation.jobs import Preview, jobs_of, preview
from baselines.ablation.plan import AblationPlan
from baselines.ablation.records import read_about
from baselines.ablation.report import PAGE, README, conclusion
from bench.console import print_rows
from bench.execution.ledger import Ledger
from bench.execution.scheduling import JobResult
from bench.execution.status import status
from bench.progress import duration
from bench.reporting.markdown import MARKS

MAX_TOLD = 10  # failed runs, corrupt files


def print_preview(plan: AblationPlan, ledger: Ledger) -> None:
    """The cells with what is done and what the rest will cost; nothing is written."""
    shown = preview(plan, ledger)
    num_seeds = len(plan.seeds)
    sys.stdout.write(
        f"{title_of(plan)}\n{plan.design}, {len(plan.made_design.cells)} cells, {num_seeds} seeds, "
        f"{budget(plan, shown.runs)}, {plan.num_images:,} images scored after "
        f"{' '.join(f'{step:,}' for step in shown.runs[0].evaluations)} steps\n\n"
    )
    rows = []
    for cell in range(len(plan.made_design.cells)):
        own = [run for run in shown.runs if run.cell == cell]
        done = sum(run.key in shown.done for run in own)
        left = [shown.estimates[run.key] for run in own if run.key not in shown.done]
        cost = duration(sum(one.seconds for one in left)) if left else ""
        rows.append(
            [own[0].label, f"{done} of {len(own)}", cost, left[0].basis if left else "",
             own[0].config.digest[:8]]
        )  # fmt: skip
    print_rows(["cell", "done", "training left", "estimated by", "configuration"], rows)
    left_s = sum(
        shown.estimates[run.key].seconds for run in shown.runs if run.key not in shown.done
    )
    sys.stdout.write(
        f"\n{len(shown.runs) - len(shown.done)} of {len(shown.runs)} runs to do: about "
        f"{duration(left_s)} of training on one core, sampling and scoring not counted\n"
    )
    print_edits(shown)


def print_edits(shown: Preview) -> None:
    """How a plan differs from what its ledger has."""
    if shown.num_changed:
        told = "; ".join(f"{what} ({count} runs)" for what, count in shown.changed.items())
        sys.stdout.write(
            f"changed: {shown.num_changed} runs of the ledger have another configuration in this "
            f"plan and are done anew: {told}\n"
        )
    if shown.orphans:
        sys.stdout.write(
            f"orphans: {len(shown.orphans)} runs of the ledger are not in this plan; they are kept "
            "and left out\n"
        )


def print_status(ledger: Ledger, plan: AblationPlan | None) -> None:
    """Counts, running and failed runs, times."""
    found = status(ledger, None if plan is None else [job.key for job in jobs_of(plan)])
    told = ", ".join(f"{count} {state}" for state, count in found.counts.items() if count)
    sys.stdout.write(f"{ledger.root}: {found.total} runs: {told or 'none'}\n")
    if found.worked_s:
        left = "" if found.remaining_s is None else f", about {duration(found.remaining_s)} left"
        sys.stdout.write(
            f"{duration(found.elapsed_s)} since the first began, {duration(found.worked_s)} of "
            f"work{left if found.counts['todo'] or found.counts['running'] else ''}\n"
        )
    if found.running:
        print_rows(
            ["running", "for", "where", "by"],
            [[one.label, duration(one.seconds), f"{one.host}, process {one.pid}", one.executor]
             for one in found.running],
        )  # fmt: skip
    if found.failed:
        print_rows(
            ["failed", "why", "message", "attempts"],
            [[one.label, one.cause, one.message, str(one.attempts)]
             for one in found.failed[:MAX_TOLD]],
        )  # fmt: skip
        if len(found.failed) > MAX_TOLD:
            sys.stdout.write(f"and {len(found.failed) - MAX_TOLD} more failed\n")
    for path in found.corrupt[:MAX_TOLD]:
        sys.stdout.write(f"not readable, done again by the next command: {path}\n")


def print_conclusion(out: Path) -> None:
    """What a report in `out` says, and where it is."""
    for said in conclusion(out, read_about(out)):
        sys.stdout.write(f"{MARKS[said.tone]} {said.text}\n")
    sys.stdout.write(f"\nreport: {out / PAGE}, {out / README}\n")


def print_failed(failed: Sequence[JobResult]) -> None:
    """Runs without a result, with their reasons, on stderr."""
    sys.stderr.write(f"latentbench: {len(failed)} runs failed:\n")
    for one in failed[:MAX_TOLD]:
        sys.stderr.write(f"  {one.label}: {one.cause}: {one.message}\n")
    if len(failed) > MAX_TOLD:
        sys.stderr.write(f"  and {len(failed) - MAX_TOLD} more\n")
    sys.stderr.write("the same command tries them again\n")
