"""A few random kills of whole commands; `python -m tests.faults.kill_and_resume` does hundreds."""

from __future__ import annotations

import os
import re
import subprocess
import sys

NUM_POINTS = 20
CHEAP = ("score", "train", "reference")


def test_killed_commands_are_resumed_to_the_same_result() -> None:
    command = [sys.executable, "-m", "tests.faults.kill_and_resume", f"--points={NUM_POINTS}"]
    done = subprocess.run(
        [*command, "--commands", *CHEAP],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    kills = {
        name: int(number) for name, number in re.findall(r"(\w+): .* (\d+) kills", done.stdout)
    }
    assert set(kills) == set(CHEAP)
    assert sum(kills.values()) >= NUM_POINTS / 2, done.stdout  # the others came too late
