"""`python -m bench.execution LEDGER KEY`: do one job of a ledger here, as any worker would.

Slurm's SIGTERM (a node taken back, a time limit) is passed to the work as Ctrl-C, so that it saves;
the job goes on when it runs again. Exit codes: 0 a result is there, 1 it failed or is being done
elsewhere, 2 interrupted, 4 no such job or no room on the disk.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from bench.errors import EXIT_INTERRUPTED, EXIT_INVALID, EXIT_OK, EXIT_USAGE
from bench.execution.ledger.attempts import may_run
from bench.execution.ledger.ledger import Ledger
from bench.execution.performing import Order, Reply, perform
from bench.runtime.terminal import CommandParser

_CODES = {"disk": EXIT_USAGE, "interrupted": EXIT_INTERRUPTED, "preempted": EXIT_INTERRUPTED}


def main(arguments: Sequence[str] | None = None) -> int:
    """Do the job; says in one line what became of it."""
    options = _parser().parse_args(arguments)
    ledger = Ledger(options.ledger)
    entry = ledger.entry(options.key)
    if entry.work is None:
        sys.stderr.write(
            f"{ledger.folder(options.key)}: expected a job here, with a readable job.json; "
            "the command that plans the jobs writes it\n"
        )
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
    signal.signal(signal.SIGTERM, _as_interrupt)
    reply = _until_settled(ledger, order, before)
    told = f": {reply.cause}: {reply.message}" if reply.cause else ""
    sys.stdout.write(f"{options.key} {reply.outcome}{told}\n")
    if reply.outcome in ("done", "diverged"):
        return EXIT_OK
    return _CODES.get(reply.cause or "", EXIT_INVALID)


def _until_settled(ledger: Ledger, order: Order, before: int) -> Reply:
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


def _as_interrupt(_number: int, _frame: FrameType | None) -> None:
    signal.raise_signal(signal.SIGINT)


def _where() -> str:
    job = os.environ.get("SLURM_JOB_ID")
    return f"slurm job {job}" if job else "by hand"


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog="python -m bench.execution", description="Do one job of a ledger.")
    parser.add_argument("ledger", metavar="LEDGER", help="the folder of the ledger")
    parser.add_argument("key", metavar="KEY", help="the job's key: a folder in LEDGER/jobs")
    parser.add_argument("--timeout-s", type=float, default=None, help="stop the work after this")
    parser.add_argument("--max-attempts", type=int, default=3, help="default: 3")
    return parser


if __name__ == "__main__":
    sys.exit(main())
