"""Codabench: a competition whose scoring program runs `python3 score.py /app/input /app/output`.

The platform puts the submission into `input/res` and the reference data into `input/ref`. It reads
`scores.json`, one flat object of numbers, and shows `detailed_results.html`. An exit code other
than 0 marks the submission as failed; the page is shown all the same. Source: the compute worker
and the YAML guide of codalab/codabench, 2026.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from bench.errors import EXIT_INTERNAL, EXIT_USAGE, reason_of
from bench.platforms.bundle import Archive, Parts, Platform, dockerfile, logo
from bench.platforms.outcome import Outcome, score_submission
from bench.platforms.settings import SETTINGS
from bench.reporting.templating import CSS, asset, environment, policy
from bench.runtime.provenance import version
from bench.runtime.whole_files import write_atomically

SCORES, PAGE = "scores.json", "detailed_results.html"
PAGES = ("overview", "evaluation", "terms")


def files(parts: Parts) -> dict[str, bytes]:
    """Return the files of the bundle by path."""
    competition = {
        "competition.yaml": parts.text("codabench/competition.yaml"),
        "logo.png": logo(),
        **{f"pages/{name}.md": parts.text(f"codabench/{name}.md") for name in PAGES},
        "scoring_program/metadata.yaml": parts.text("codabench/metadata.yaml"),
        "scoring_program/score.py": parts.text("codabench/score.py"),
        **{f"reference_data/{name}": data for name, data in parts.data.items()},
    }
    return {
        **{f"competition/{name}": data for name, data in competition.items()},
        "image/Dockerfile": dockerfile(parts),
        f"image/{parts.wheel_name}": parts.wheel,
    }


def main(arguments: Sequence[str]) -> int:
    """Score `INPUT/res` by `INPUT/ref/settings.json` into `OUTPUT`, and return the exit code."""
    if len(arguments) != 2:
        sys.stderr.write("score.py: expected the folders INPUT and OUTPUT\n")
        return EXIT_USAGE
    source, out = map(Path, arguments)
    outcome = score_submission(source / "res", source / "ref" / SETTINGS, page=True)
    sys.stdout.write(f"{outcome.text}\n")
    sys.stdout.flush()
    try:
        page = outcome.page or failure_page(outcome)
        write_atomically(out / PAGE, page.encode("utf-8", "replace"))
        if not outcome.error:
            scores = json.dumps(outcome.scores, allow_nan=False)
            write_atomically(out / SCORES, scores.encode())
    except OSError as error:
        sys.stderr.write(f"score.py: {out}: cannot be written: {reason_of(error)}\n")
        return EXIT_INTERNAL
    return outcome.exit_code


def failure_page(outcome: Outcome) -> str:
    """Return a page that says why there is no score, and what to do."""
    css = asset(CSS)
    template = environment("bench.platforms").get_template("failure.html.j2")
    return template.render(
        policy=policy(css, ""),
        css=Markup(css),  # noqa: S704  (a file of this package)
        version=version(),
        reason=outcome.error,
        fixes=outcome.fixes,
    )


CODABENCH = Platform(
    "codabench",
    "Codabench",
    files,
    (Archive("competition.zip", "competition/"),),
    "Build and push the image in image/, then upload competition.zip: README.md has the commands.",
)
