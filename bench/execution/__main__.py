"""`python -m bench.execution LEDGER KEY`: run one job of a ledger here, as any worker would.

Slurm's SIGTERM (a node taken back, a time limit) interrupts the work like Ctrl-C, so that it saves
its state; the next run of the job resumes it. Exit codes: 0 the job has a result, 1 it failed or
runs elsewhere, 2 interrupted, 4 there is no such job, its work cannot be imported, or the disk is
full.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from bench.errors import EXIT_INTERRUPTED, EXIT_INVALID, EXIT_OK, EXIT_USAGE, UsageError
from bench.execution.ledger.attempts import may_run
from bench.execution.ledger.ledger import Ledger
from bench.execution.ledger.work import work_named
from bench.execution.performing import Order, Reply, perform
from bench.runtime.terminal import CommandParser

_CODES = {"disk": EXIT_USAGE, "interrupted": EXIT_INTERRUPTED, "preempted": EXIT_INTERRUPTED}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job, print its outcome on one line, and return the exit code."""
    options = _parser().parse_args(arguments)
    ledger = Ledger(options.ledger)
    entry = ledger.entry(options.key)
    if entry.work is None:
        sys.stderr.write(
            f"{ledger.folder(options.key)}: expected a job here, with a readable job.json; run the "
            "command that plans the jobs to write it\n"
        )
        return EXIT_USAGE
    if entry.result is None:
        try:
            work_named(entry.work)  # before an attempt is recorded
        except UsageError as error:
            sys.stderr.write(f"job {options.key}: {error}\n")
            return EXIT_USAGE
    before = entry.attempts[-1].number if entry.attempts else 0
    order = Order(
        root=str(ledger.root),
        keys=(options.key,),
        work=entry.work,
        timeout_s=options.timeout_s,
        max_attempts=options.max_attempts,
        before=(before,),
        executor=_where(),
    )
    signal.signal(signal.SIGTERM, _interrupt)
    reply = _run(ledger, order, before)
    reason = f": {reply.cause}: {reply.message}" if reply.cause else ""
    sys.stdout.write(f"{options.key} {reply.outcome}{reason}\n")
    if reply.outcome in ("done", "diverged"):
        return EXIT_OK
    return _CODES.get(reply.cause or "", EXIT_INVALID)


def _run(ledger: Ledger, order: Order, before: int) -> Reply:
    """Try the job until it has a result or may not be tried again."""
    while True:
        try:
            (reply,) = perform(order)
        except KeyboardInterrupt:
            return Reply(order.keys[0], "failed", "interrupted", "interrupted", ())
        if reply.outcome != "failed" or reply.cause in _CODES:
            return reply
        fresh = [a for a in ledger.entry(reply.key).attempts if a.number > before]
        if not fresh or reply.cause == "device" or not may_run(fresh, order.max_attempts):
            return reply


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    signal.raise_signal(signal.SIGINT)


def _where() -> str:
    job = os.environ.get("SLURM_JOB_ID")
    return f"slurm job {job}" if job else "by hand"


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog="python -m bench.execution", description="Run one job of a ledger.")
    parser.add_argument("ledger", metavar="LEDGER", help="folder of the ledger")
    parser.add_argument("key", metavar="KEY", help="key of the job: a folder in LEDGER/jobs")
    parser.add_argument(
        "--timeout-s",
        metavar="SECONDS",
        type=float,
        default=None,
        help="stop the work after this time (default: never)",
    )
    parser.add_argument(
        "--max-attempts", metavar="N", type=int, default=3, help="try at most N times (default: 3)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
