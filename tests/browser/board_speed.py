"""How fast a board of 500 teams opens, sorts and searches in Chromium.

    python -m tests.browser.board_speed --out reports/rank

Medians of five rounds, the first of which fills the caches of the browser and is not counted.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from pathlib import Path

from bench.runtime.whole_files import write_atomically
from tests.browser.devtools import Browser
from tests.browser.test_board import board, seconds_of_use, teams

NUM_TEAMS = 500
ROUNDS = 5


def measure(folder: Path) -> dict[str, float]:
    """Return median seconds of each action."""
    page = board(folder, tuple(f"team {number}" for number in range(NUM_TEAMS + 2)))
    found: dict[str, list[float]] = {"open": [], "sort": [], "search": []}
    (folder / "profile").mkdir()
    with Browser(folder / "profile") as browser:
        for _ in range(ROUNDS + 1):
            start = time.perf_counter()
            browser.open(page)
            if len(teams(browser)) != NUM_TEAMS:
                raise RuntimeError("the board does not show all teams")
            found["open"].append(time.perf_counter() - start)
            for name, seconds in seconds_of_use(browser).items():
                found[name].append(seconds)
    return {name: round(statistics.median(times[1:]), 3) for name, times in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as folder:
        seconds = measure(Path(folder))
    row = {"teams": NUM_TEAMS, "rounds": ROUNDS, "median_s": seconds, "machine": platform.machine()}
    write_atomically(out / "board.json", (json.dumps(row, indent=2) + "\n").encode())
    print(row["median_s"])


if __name__ == "__main__":
    main()
