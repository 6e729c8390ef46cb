"""What `latentbench ablate` prints: previews, progress, conclusions and failures."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from baselines.ablation.design.plan import AblationPlan
from baselines.ablation.report.facts import budget, title_of
from baselines.ablation.report.page import PAGE, README
from baselines.ablation.run.plan_jobs import Preview, jobs_of, preview
from bench.execution.ledger.ledger import Ledger
from bench.execution.scheduling import JobResult
from bench.execution.status import status
from bench.reporting.sentence import MARKS, Sentence
from bench.runtime.amounts import duration
from bench.tables.console import print_rows
from bench.tables.numbers import counted

MAX_LISTED = 10  # failed runs, corrupt files


def print_preview(plan: AblationPlan, ledger: Ledger) -> None:
    """Print the cells of a plan, what is done, and what the rest will cost."""
    shown = preview(plan, ledger)
    cells, seeds = len(plan.made_design.cells), len(plan.seeds)
    sys.stdout.write(
        f"{title_of(plan)}\n{plan.design}, {counted(cells, 'cell')}, {counted(seeds, 'seed')}, "
        f"{budget(plan, shown.runs)}, {plan.num_images:,} images scored after "
        f"{' '.join(f'{step:,}' for step in shown.runs[0].evaluations)} steps\n\n"
    )
    rows = []
    for cell in range(cells):
        own = [run for run in shown.runs if run.cell == cell]
        left = [run.key for run in own if run.key not in shown.done]
        rows.append(
            [
                own[0].label,
                f"{len(own) - len(left)} of {len(own)}",
                duration(_training_s(shown, left)) if left else "",
                duration(_scoring_s(shown, left)) if left else "",
                shown.estimates[left[0]].basis if left else "",
                own[0].config.digest[:8],
            ]
        )
    print_rows(["cell", "done", "training", "scoring", "estimated by", "configuration"], rows)
    left = [run.key for run in shown.runs if run.key not in shown.done]
    sys.stdout.write(f"\n{len(left)} of {counted(len(shown.runs), 'run')} to do")
    if left:
        sys.stdout.write(
            f": about {duration(_training_s(shown, left))} of training and "
            f"{duration(_scoring_s(shown, left))} of sampling and scoring, one run at a time, "
            f"{_basis(shown, left)}"
        )
    sys.stdout.write("\n")
    print_edits(shown)


def _training_s(shown: Preview, keys: Sequence[str]) -> float:
    return sum(shown.estimates[key].seconds for key in keys)


def _scoring_s(shown: Preview, keys: Sequence[str]) -> float:
    return sum(shown.scoring[key] for key in keys)


def _basis(shown: Preview, keys: Sequence[str]) -> str:
    """Return what the estimates of runs are based on."""
    if all(shown.estimates[key].basis == "table" for key in keys):
        return (
            "estimated from a table measured on one core of a CPU: another or a busy machine may "
            "take several times as long, a GPU much less; finished runs correct the estimate"
        )
    if any(shown.estimates[key].basis == "other plans" for key in keys):
        return "estimated from finished runs of other plans in this ledger"
    return "estimated from finished runs"


def print_edits(shown: Preview) -> None:
    """Print how a plan differs from its ledger."""
    if shown.num_changed:
        changes = "; ".join(
            f"{what} ({counted(count, 'run')})" for what, count in shown.changed.items()
        )
        have = "has" if shown.num_changed == 1 else "have"
        sys.stdout.write(
            f"changed: {counted(shown.num_changed, 'run')} of the ledger {have} another "
            f"configuration in this plan and will be trained again: {changes}\n"
        )
    if shown.orphans:
        sys.stdout.write(_orphans(len(shown.orphans)))


def _orphans(num: int) -> str:
    are, they = ("is", "it is") if num == 1 else ("are", "they are")
    return (
        f"orphans: {counted(num, 'run')} of the ledger {are} not in this plan; {they} kept but "
        "not reported\n"
    )


def print_status(ledger: Ledger, plan: AblationPlan | None) -> None:
    """Print counts, times, running and failed runs of a ledger, or of a plan's runs in it."""
    jobs = None if plan is None else jobs_of(plan)
    found = status(ledger, None if jobs is None else [job.key for job in jobs])
    states = ", ".join(f"{count} {state}" for state, count in found.counts.items() if count)
    sys.stdout.write(f"{ledger.root}: {counted(found.total, 'run')}: {states or 'none'}\n")
    if jobs is not None:
        compared = ledger.compare(jobs)
        if compared.changed:
            runs = counted(len(compared.changed), "run")
            sys.stdout.write(f"changed: {runs} with other settings under the same names\n")
        if compared.orphans:
            sys.stdout.write(_orphans(len(compared.orphans)))
    if found.worked_s:
        left = "" if found.remaining_s is None else f", about {duration(found.remaining_s)} left"
        sys.stdout.write(
            f"{duration(found.elapsed_s)} since the first run began, {duration(found.worked_s)} of "
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
             for one in found.failed[:MAX_LISTED]],
        )  # fmt: skip
        if len(found.failed) > MAX_LISTED:
            sys.stdout.write(f"and {len(found.failed) - MAX_LISTED} more failed\n")
    for path in found.corrupt[:MAX_LISTED]:
        sys.stdout.write(f"not readable, will be repeated by the next command: {path}\n")


def print_conclusion(out: Path, sentences: Sequence[Sentence]) -> None:
    """Print the conclusions of a report in `out`, and where it is."""
    for sentence in sentences:
        sys.stdout.write(f"{MARKS[sentence.tone]} {sentence.text}\n")
    sys.stdout.write(f"\nreport: {out / PAGE}, {out / README}\n")


def print_failed(failed: Sequence[JobResult]) -> None:
    """Print the runs without a result and their reasons, on stderr."""
    sys.stderr.write(f"latentbench: {counted(len(failed), 'run')} failed:\n")
    for one in failed[:MAX_LISTED]:
        sys.stderr.write(f"  {one.label}: {one.cause}: {one.message}\n")
    if len(failed) > MAX_LISTED:
        sys.stderr.write(f"  and {len(failed) - MAX_LISTED} more\n")
    sys.stderr.write("run the same command again to retry them\n")
