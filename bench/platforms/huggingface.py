"""Hugging Face competitions: a private repository with `metric.py`, whose `compute(params)` returns
the public and the private score.

The image of the platform has an older Python than this package needs, so `metric.py` calls the
interpreter that `LATENTBENCH_PYTHON` names; the bundle's Dockerfile adds one to that image. Source:
huggingface/competitions, 2026.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.errors import EXIT_INTERNAL, EXIT_USAGE, reason_of
from bench.platforms.bundle import Parts, Platform
from bench.platforms.outcome import score_submission
from bench.runtime.whole_files import write_atomically

PAGES = ("COMPETITION_DESC", "DATASET_DESC", "SUBMISSION_DESC", "RULES")


def files(parts: Parts) -> dict[str, bytes]:
    """Return the files of the bundle by path."""
    repository = {
        "conf.json": parts.text("huggingface/conf.json"),
        "metric.py": parts.text("huggingface/metric.py"),
        "solution.csv": b"id,pred,split\n0,0,public\n1,0,private\n",  # required, and never read
        "teams.json": b"{}\n",
        "user_team.json": b"{}\n",
        **{f"{name}.md": parts.text("huggingface/page.md", page=name) for name in PAGES},
        **parts.data,
    }
    return {
        **{f"repository/{name}": data for name, data in repository.items()},
        "space/Dockerfile": parts.text("huggingface/Dockerfile"),
        "space/README.md": parts.text("huggingface/space.md"),
        f"space/{parts.wheel_name}": parts.wheel,
    }


def main(arguments: Sequence[str]) -> int:
    """Score SUBMISSION by SETTINGS and write `{"scores": ..., "text": ...}` to RESULT.

    The exit code is that of the outcome; without scores, "text" is the reason.
    """
    if len(arguments) != 3:
        sys.stderr.write("expected SETTINGS, SUBMISSION and RESULT\n")
        return EXIT_USAGE
    settings, submission, result = map(Path, arguments)
    outcome = score_submission(submission, settings)
    content = json.dumps({"scores": outcome.scores, "text": outcome.text}, allow_nan=False)
    try:
        write_atomically(result, content.encode())
    except OSError as error:
        sys.stderr.write(f"{result}: cannot be written: {reason_of(error)}\n")
        return EXIT_INTERNAL
    return outcome.exit_code


HUGGINGFACE = Platform(
    "huggingface",
    "Hugging Face competitions",
    files,
    (),
    "Push repository/ to the private competition repository and space/ to its Space: README.md.",
)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
