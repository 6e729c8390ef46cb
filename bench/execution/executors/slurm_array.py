"""A plain job array for Slurm, which needs only sbatch and runs no Python on the head node.

The list of jobs has one command per line, so `xargs`, GNU parallel or a person can also run it.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench.errors import NothingFoundError
from bench.execution.ledger.ledger import Ledger
from bench.execution.ledger.work import Job
from bench.runtime.whole_files import write_atomically

ARRAY_SIZE = 1000  # Slurm's MaxArraySize is 1001 unless a site raises it


class ArrayFiles(NamedTuple):
    """The files of a job array; submit each script with `sbatch`."""

    job_list: Path  # one command per line
    scripts: tuple[Path, ...]  # one per thousand lines
    jobs: int


def emit_slurm(
    jobs: Sequence[Job],
    work: str,
    ledger: Ledger,
    out: Path,
    *,
    options: Sequence[str] = (),
    python: str = sys.executable,
    timeout_s: float | None = None,
) -> ArrayFiles:
    """Register the jobs, and write scripts for those without a result into the folder `out`.

    `options` are added as #SBATCH lines, for example "--partition=gpu". Raises
    `NothingFoundError` if all jobs are done.
    """
    ledger.register(jobs, work)
    keys = ledger.compare(jobs).to_run
    if not keys:
        raise NothingFoundError(f"{ledger.root}: every job has a result; no array is needed")
    out.mkdir(parents=True, exist_ok=True)
    root = str(ledger.root.resolve())
    limit = [] if timeout_s is None else ["--timeout-s", f"{timeout_s:g}"]
    job_list = out / "jobs.txt"
    commands = [shlex.join([python, "-m", "bench.execution", root, key, *limit]) for key in keys]
    write_atomically(job_list, ("\n".join(commands) + "\n").encode())
    scripts = []
    for first in range(0, len(keys), ARRAY_SIZE):
        script = out / f"array-{first // ARRAY_SIZE + 1}.sbatch"
        count = min(ARRAY_SIZE, len(keys) - first)
        write_atomically(script, _script(job_list.resolve(), first, count, options).encode())
        scripts.append(script)
    return ArrayFiles(job_list, tuple(scripts), len(keys))


def _script(job_list: Path, first: int, count: int, options: Sequence[str]) -> str:
    logs = job_list.parent / "%A_%a.log"
    lines = [
        "#!/bin/bash",
        "#SBATCH --job-name=latentbench",
        f"#SBATCH --array=1-{count}",
        f"#SBATCH --output={logs}",
        "#SBATCH --requeue",
        *(f"#SBATCH {option}" for option in options),
        "# A finished job ends at once; an interrupted one resumes.",
        f"line=$(({first} + SLURM_ARRAY_TASK_ID))",
        f'command=$(sed -n "${{line}}p" {shlex.quote(str(job_list))})',
        'eval "exec $command"',
    ]
    return "\n".join(lines) + "\n"
