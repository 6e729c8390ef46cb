"""EvalAI: a challenge whose script has `evaluate(test_annotation_file, user_submission_file, ...)`.

A shared worker of the platform has neither PyTorch nor the time for 10,000 images, so the challenge
asks for remote evaluation: the staff's own worker (`bench.platforms.evalai_worker`) calls
`evaluate`. A submission that cannot be scored raises, and its message is the error that the student
sees. Source: Cloud-CV/EvalAI-Starters, 2026.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.errors import InputError
from bench.platforms.bundle import Archive, Parts, Platform, dockerfile, logo
from bench.platforms.outcome import score_submission

PAGES = ("description", "evaluation_details", "submission_guidelines", "terms_and_conditions")
WORKER = """COPY settings /settings
CMD ["python", "-m", "bench.platforms.evalai_worker", "/settings"]"""
SPLIT = "images"  # codename of the split in challenge_config.yaml


def files(parts: Parts) -> dict[str, bytes]:
    """Return the files of the bundle by path."""
    challenge = {
        "challenge_config.yaml": parts.text("evalai/challenge_config.yaml", split=SPLIT),
        "logo.png": logo(),
        **{f"templates/{name}.html": parts.text("evalai/page.html", page=name) for name in PAGES},
        **{f"annotations/{name}": data for name, data in parts.data.items()},
        "evaluation_script/__init__.py": parts.text("evalai/__init__.py"),
        "evaluation_script/main.py": parts.text("evalai/main.py"),
    }
    return {
        **{f"challenge/{name}": data for name, data in challenge.items()},
        "worker/Dockerfile": dockerfile(parts, WORKER),
        "worker/worker.env": parts.text("evalai/worker.env"),
        f"worker/{parts.wheel_name}": parts.wheel,
        **{f"worker/settings/{name}": data for name, data in parts.data.items()},
    }


def evaluate(
    test_annotation_file: str | Path,
    user_submission_file: str | Path,
    phase_codename: str,
    **_kwargs: Any,
) -> dict[str, Any]:
    """Return the result of a submission, as the platform expects it.

    `test_annotation_file` is settings.json. Raises `InputError` with the reason for a submission
    that cannot be scored.
    """
    outcome = score_submission(Path(user_submission_file), Path(test_annotation_file))
    if outcome.error:
        raise InputError(outcome.text)
    return {
        "result": [{SPLIT: outcome.scores}],
        "submission_result": {
            "phase": phase_codename,
            **outcome.scores,
            "summary": list(outcome.opening),
            "table": list(outcome.table),
        },
    }


EVALAI = Platform(
    "evalai",
    "EvalAI",
    files,
    (
        Archive("challenge/evaluation_script.zip", "challenge/evaluation_script/"),
        Archive("challenge.zip", "challenge/"),
    ),
    "Upload challenge.zip, then run the worker of worker/ with the challenge's keys: README.md.",
)
