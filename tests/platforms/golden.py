"""The golden trees of the platforms: a submission, the bundles without their wheel, the results.

    python -m tests.platforms.golden          # writes tests/platforms/golden/

`submission.zip` is what a student with a Mac hands in: digits in `samples/`, with names that no
generator gives and with what the system left behind. The results were made by this version of the
package; tests compare numbers with a tolerance.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bench.platforms.bundle import Parts, bundle_files
from bench.platforms.platforms import PLATFORMS
from bench.platforms.settings import prepare
from bench.platforms.wheel import archive

GOLDEN = Path(__file__).parent / "golden"
SUBMISSION = GOLDEN / "submission.zip"
NUM_IMAGES = 60
METRICS = ("fid", "precision_k3", "recall_k3")
BINARY = (".zip", ".whl", ".png")
NUMBER = re.compile(r"-?\d[\d,]*\.?\d*(e-?\d+)?")


def parts() -> Parts:
    """What the golden bundles are made of."""
    made = prepare(title='Digits: "<2026>"', reference="mnist", metrics=METRICS)
    return Parts(made.settings, made.files, "latentbench-0-py3-none-any.whl", b"", "you/scoring:1")


def bundle_texts(name: str) -> dict[str, bytes]:
    """The files of a bundle that people read, by path."""
    files = bundle_files(PLATFORMS[name], parts())
    return {path: data for path, data in files.items() if not path.endswith(BINARY)}


def submission_files() -> dict[str, bytes]:
    """The files of the golden submission, by path."""
    from tests.conftest import DATA, write_pngs

    with np.load(DATA / "mnist-test-2000.npz") as arrays:
        images = arrays["images"][:NUM_IMAGES]
    with tempfile.TemporaryDirectory() as folder:
        made = sorted(write_pngs(images, Path(folder) / "made").iterdir())
        files = {f"samples/img ({n + 1}).png": path.read_bytes() for n, path in enumerate(made)}
    return {
        "samples/.DS_Store": b"\0\0\0\1Bud1",
        **files,
        "__MACOSX/samples/._img (1).png": b"\0\5\26\7",
    }


def without_numbers(value: Any) -> Any:
    """The same structure with numbers as 0, also those inside texts: their last digits vary."""
    if isinstance(value, dict):
        return {key: without_numbers(one) for key, one in value.items() if key != "extra_data"}
    if isinstance(value, list):
        return [without_numbers(one) for one in value]
    if isinstance(value, str):
        return NUMBER.sub("0", value)
    return 0 if isinstance(value, float) else value


def result(name: str) -> Any:
    """The golden result of a platform."""
    return json.loads((GOLDEN / "results" / f"{name}.json").read_text())


def main() -> None:
    from tests.platforms import run_bundles

    GOLDEN.mkdir(exist_ok=True)
    SUBMISSION.write_bytes(archive(submission_files()))
    shutil.rmtree(GOLDEN / "bundles", ignore_errors=True)
    for name in PLATFORMS:
        for path, data in bundle_texts(name).items():
            file = GOLDEN / "bundles" / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
    with tempfile.TemporaryDirectory() as folder, _home(Path(folder)):
        for name, run in run_bundles.RUNS.items():
            found = run(run_bundles.bundle(name, Path(folder)), Path(folder) / f"tree-{name}")
            file = GOLDEN / "results" / f"{name}.json"
            file.parent.mkdir(exist_ok=True)
            file.write_text(json.dumps(found, indent=1) + "\n")
            sys.stdout.write(f"{name}: {json.dumps(found)[:200]}\n")


@contextlib.contextmanager
def _home(folder: Path) -> Iterator[None]:
    before = os.environ.get("LATENTBENCH_CACHE")
    os.environ["LATENTBENCH_CACHE"] = str(folder / "cache")
    yield
    os.environ.pop("LATENTBENCH_CACHE")
    if before is not None:
        os.environ["LATENTBENCH_CACHE"] = before


if __name__ == "__main__":
    main()
