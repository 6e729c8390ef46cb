"""Run each bundle as its platform runs it, and return the result that the platform reads."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.platforms.bundle import Parts, write_bundle
from bench.platforms.platforms import PLATFORMS
from bench.platforms.settings import prepare
from tests.platforms.golden import METRICS, SUBMISSION
from tests.platforms.trees import codabench_tree, gradescope_tree, offline, run_offline

# what the platform does with the file that competitors send it
EVALAI = """
import json, sys
sys.path.insert(0, "challenge")
import evaluation_script
found = evaluation_script.evaluate(sys.argv[1], sys.argv[2], "submissions", submission_metadata={})
json.dump(found, open(sys.argv[3], "w"))
"""
HUGGINGFACE = """
import json, sys, types
sys.path.insert(0, "repository")
import metric
params = types.SimpleNamespace(
    competition_id="staff/digits", token="hf_x", team_id="team", submission_id="one"
)
json.dump(metric.compute(params), open(sys.argv[1], "w"))
"""
HUB = '''
"""Stands for the library of the hub: files of the competition repository are in a folder."""

import os


def hf_hub_download(repo_id, filename, token, repo_type):
    assert (repo_id, token, repo_type) == ("staff/digits", "hf_x", "dataset")
    return os.path.join(os.environ["HUB"], filename)
'''


def bundle(name: str, folder: Path, metrics: tuple[str, ...] = METRICS) -> Path:
    """Write the bundle of a platform, with a wheel that nobody installs: tests have the package."""
    made = prepare(title="Digits", reference="mnist", metrics=metrics)
    parts = Parts(made.settings, made.files, "latentbench-0-py3-none-any.whl", b"", "you/scoring:1")
    write_bundle(PLATFORMS[name], parts, folder / f"bundle-{name}")
    return folder / f"bundle-{name}"


def codabench(made: Path, root: Path, submission: Path = SUBMISSION) -> Any:
    """Return scores.json; the exit code must be 0."""
    tree = codabench_tree(made, root, submission)
    words = (tree / "program" / "metadata.yaml").read_text().removeprefix("command: ").split()
    words = [word.replace("/app", str(tree)) for word in words]
    done = run_offline([sys.executable, *words[1:]], cwd=tree / "program")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tree / "output").iterdir()} == {
        "scores.json",
        "detailed_results.html",
    }
    return json.loads((tree / "output" / "scores.json").read_text())


def gradescope(made: Path, root: Path, submission: Path = SUBMISSION) -> Any:
    """Return results.json."""
    tree = gradescope_tree(made, root, submission)
    environment = offline(AUTOGRADER_ROOT=str(tree))
    done = run_offline([tree / "run_autograder"], cwd=tree, environment=environment)
    assert done.returncode == 0, done.stderr
    return json.loads((tree / "results" / "results.json").read_text())


def evalai(made: Path, root: Path, submission: Path = SUBMISSION) -> Any:
    """Return what `evaluate` of the challenge's script returns."""
    root.mkdir()
    annotation = made / "challenge" / "annotations" / "settings.json"
    command = [sys.executable, "-c", EVALAI, annotation, submission, root / "result.json"]
    done = run_offline(command, cwd=made)
    assert done.returncode == 0, done.stderr
    return json.loads((root / "result.json").read_text())


def huggingface(made: Path, root: Path, submission: Path = SUBMISSION) -> Any:
    """Return what `compute` of the competition's metric returns."""
    hub = root / "hub"
    shutil.copytree(made / "repository", hub)
    (hub / "submissions").mkdir()
    shutil.copy(submission, hub / "submissions" / "team-one.zip")
    (made / "repository" / "huggingface_hub.py").write_text(HUB)
    command = [sys.executable, "-c", HUGGINGFACE, root / "result.json"]
    done = run_offline(command, cwd=made, environment=offline(HUB=str(hub)))
    assert done.returncode == 0, done.stderr
    return json.loads((root / "result.json").read_text())


RUNS: dict[str, Callable[..., Any]] = {
    "codabench": codabench,
    "gradescope": gradescope,
    "evalai": evalai,
    "huggingface": huggingface,
}
