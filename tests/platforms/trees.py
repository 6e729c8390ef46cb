"""The folders that a platform makes around a bundle, and how it runs the bundle: without a network.

Paths of the platform are relocated by arguments or by `AUTOGRADER_ROOT`, so that no test needs
`/app` or `/autograder`.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
OFFLINE = Path(__file__).parent / "offline"  # its sitecustomize.py refuses every connection


@functools.cache
def namespace() -> tuple[str, ...]:
    """The words that start a program in a network namespace of its own, if the system can."""
    words = ("unshare", "--map-root-user", "--net")
    if shutil.which("unshare") is None:
        return ()
    tried = subprocess.run([*words, "true"], capture_output=True, check=False)
    return words if tried.returncode == 0 else ()


def offline(**more: str) -> dict[str, str]:
    """An environment in which Python opens no connection to another machine."""
    paths = [str(OFFLINE), str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "LATENTBENCH_PYTHON": sys.executable,
        "OMP_NUM_THREADS": "1",
        **more,
    }


def run_offline(
    command: Sequence[str | Path], *, cwd: Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command as a platform does, without a network."""
    return subprocess.run(
        [*namespace(), *map(str, command)],
        cwd=cwd,
        env=dict(environment or offline()),
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def extract(archive: Path, folder: Path) -> Path:
    """Extract an archive with the rights of its files, as platforms do."""
    with zipfile.ZipFile(archive) as source:
        source.extractall(folder)
        for entry in source.infolist():
            if not entry.is_dir():
                (folder / entry.filename).chmod(entry.external_attr >> 16 & 0o777 or 0o644)
    return folder


def codabench_tree(bundle: Path, root: Path, submission: Path) -> Path:
    """`/app` of Codabench: the program, the input with submission and reference, the output."""
    competition = extract(bundle / "competition.zip", root / "competition")
    shutil.copytree(competition / "scoring_program", root / "program")
    shutil.copytree(competition / "reference_data", root / "input" / "ref")
    extract(submission, root / "input" / "res")
    (root / "output").mkdir()
    return root


def gradescope_tree(bundle: Path, root: Path, submission: Path) -> Path:
    """`/autograder` of Gradescope, with the extracted submission."""
    extract(bundle / "autograder.zip", root / "source")
    shutil.copy2(root / "source" / "run_autograder", root / "run_autograder")
    extract(submission, root / "submission")
    (root / "results").mkdir()
    return root
