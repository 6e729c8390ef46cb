"""Gradescope: an autograder that reads `/autograder/submission` and always writes
`/autograder/results/results.json`.

A provisional file is written first and replaced at the end, so that a run that is stopped for its
memory or time says so. Every outcome has a file, with the reason in words; the exit code is 0.
Source: the autograder specification of gradescope/autograder_samples.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.errors import EXIT_INTERNAL, EXIT_OK, EXIT_USAGE, reason_of
from bench.platforms.bundle import Archive, Parts, Platform, sorting
from bench.platforms.outcome import Outcome, score_submission
from bench.platforms.settings import SETTINGS, PlatformSettings, read_settings
from bench.runtime.whole_files import write_atomically

RESULTS = Path("results", "results.json")
STOPPED = (
    "The scoring was stopped before it finished, usually because it needed too much memory or "
    "time. Submit again; if this happens again, tell the staff."
)
POINTS = 1.0  # for a submission that was scored


def files(parts: Parts) -> dict[str, bytes]:
    """Return the files of the bundle by path."""
    autograder = {
        "setup.sh": parts.text("gradescope/setup.sh"),
        "run_autograder": parts.text("gradescope/run_autograder"),
        "provisional.json": _json(provisional()),
        parts.wheel_name: parts.wheel,
        **parts.data,
    }
    return {f"autograder/{name}": data for name, data in autograder.items()}


def provisional() -> dict[str, Any]:
    """Return what stands in results.json until the scoring has finished."""
    return _results(0.0, STOPPED, [], [])


def results(outcome: Outcome, settings: PlatformSettings | None) -> dict[str, Any]:
    """Return the content of results.json. Without `settings` there is no leaderboard."""
    if outcome.error or settings is None:
        said = "\n".join([f"No score: {outcome.error}", *outcome.fixes])
        tests = [_test("Valid submission", said, 0.0, POINTS)]
        return _results(0.0, said, tests, [])
    tests = [
        _test("Valid submission", outcome.opening[0], POINTS, POINTS),
        _test("How good", "\n".join([*outcome.opening[1:2], *outcome.table])),
        _test("What to fix first", "\n".join(outcome.opening[2:])),
    ]
    leaderboard = [
        {
            "name": metric.name,
            "value": outcome.scores[metric.name],
            **({"order": "asc"} if sorting(metric) == "asc" else {}),
        }
        for metric in settings.columns
    ]
    extra = {"signature": outcome.record.signature if outcome.record else ""}
    return {**_results(POINTS, outcome.text, tests, leaderboard), "extra_data": extra}


def main(arguments: Sequence[str]) -> int:
    """Grade `ROOT/submission` by `ROOT/source/settings.json`; ROOT is /autograder by default."""
    if len(arguments) > 1:
        sys.stderr.write("run_autograder: expected at most one folder\n")
        return EXIT_USAGE
    root = Path(arguments[0] if arguments else "/autograder")
    try:
        write_atomically(root / RESULTS, _json(provisional()))
        file = root / "source" / SETTINGS
        outcome = score_submission(root / "submission", file)
        settings = None if outcome.error else read_settings(file)
        write_atomically(root / RESULTS, _json(results(outcome, settings)))
    except OSError as error:
        sys.stderr.write(f"{root / RESULTS}: cannot be written: {reason_of(error)}\n")
        return EXIT_INTERNAL
    sys.stdout.write(f"{outcome.text}\n")
    return EXIT_OK


def _results(
    score: float, output: str, tests: list[dict[str, Any]], leaderboard: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "score": score,
        "output": output,
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": tests,
        "leaderboard": leaderboard,
    }


def _test(name: str, output: str, score: float = 0.0, max_score: float = 0.0) -> dict[str, Any]:
    return {
        "name": name,
        "score": score,
        "max_score": max_score,
        "output": output,
        "visibility": "visible",
    }


def _json(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=1, allow_nan=False) + "\n").encode()


GRADESCOPE = Platform(
    "gradescope",
    "Gradescope",
    files,
    (Archive("autograder.zip", "autograder/", ("setup.sh", "run_autograder")),),
    "Upload autograder.zip under Configure Autograder; README.md says which settings.",
)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
