"""A trick of another package: listed, trained, resumed and sampled; refused when it is missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

import baselines.tricks
from baselines.training.checkpoint import read_checkpoint
from bench.errors import EXIT_OK, EXIT_USAGE, UsageError
from tests.extending.conftest import ROOT, Install, Package, examples

MODULE, PYPROJECT = examples(baselines.tricks.__doc__)
ENTRIES = tomllib.loads(PYPROJECT)["project"]["entry-points"]
GROUP = "latentbench.tricks"
TRAIN = (
    *("train", "course-gan", "--data", "images.npy", "--quiet", "--device", "cpu"),
    *("--set", "model.generator_widths=[16]", "--set", "model.discriminator_widths=[16]"),
    *("--set", "batch_size=8", "--set", "num_steps=32"),
)


@pytest.fixture
def package(install: Install) -> Package:
    """The example of the documentation, installed, and a few images to train on."""
    package = install({"drift_penalty.py": MODULE}, ENTRIES)
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1), dtype=np.uint8)
    np.save(package.folder / "images.npy", images)
    return package


def run_folder(package: Package, *settings: str) -> Path:
    """Train by a new process; return the run's folder."""
    options = [word for setting in settings for word in ("--set", setting)]
    done = package.run(*TRAIN, *options)
    assert done.returncode == EXIT_OK, done.stderr
    return package.folder / done.stdout.splitlines()[0]


def test_the_example_has_at_most_30_lines() -> None:
    assert len((MODULE + PYPROJECT).splitlines()) <= 30


def test_a_trick_of_another_package(package: Package) -> None:
    listed = package.run("recipes")
    assert "drift-penalty" in listed.stdout
    shown = package.run(*TRAIN, "--set", "tricks.drift-penalty=on", "--dry-run")
    assert json.loads(shown.stdout)["tricks"] == {"drift-penalty": {"weight": 0.001}}

    plain = run_folder(package)
    folder = run_folder(package, "tricks.drift-penalty.weight=10", "tricks.ema=on")
    saved = json.loads((folder / "config.json").read_text())
    assert saved["tricks"] == {"ema": {"decay": 0.999}, "drift-penalty": {"weight": 10}}
    terms = [
        [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
        for run in (plain, folder)
    ]
    values = [[event["d_real"] for event in run if event["event"] == "terms"] for run in terms]
    assert abs(values[1][-1]) < abs(values[0][-1])  # the penalty pulls the outputs towards 0

    # half of the training, then the rest of it, gives the same file as the whole
    whole = (folder / "checkpoint.safetensors").read_bytes()
    program = (
        "import sys\n"
        "from baselines.training.engine import Engine\n"
        "from bench.__main__ import run\n"
        "run_block, count = Engine.run_block, [0]\n"
        "def once(engine):\n"
        "    count[0] += 1\n"
        "    if count[0] == 2: raise KeyboardInterrupt\n"
        "    return run_block(engine)\n"
        "Engine.run_block = once\n"
        "run(sys.argv[1:])\n"
    )
    options = ("--set", "tricks.drift-penalty.weight=10", "--set", "tricks.ema=on", "--out", "cut")
    subprocess.run(
        [sys.executable, "-c", program, *TRAIN, *options],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(package.folder), str(ROOT)])},
        cwd=package.folder,
        capture_output=True,
        check=False,
    )
    cut = package.folder / "cut" / folder.name / "checkpoint.safetensors"
    half = cut.read_bytes()
    resumed = package.run(*TRAIN, *options, "--resume")
    assert resumed.returncode == EXIT_OK, resumed.stderr
    assert cut.read_bytes() == whole != half

    sampled = package.run("sample", str(folder), "--out", "samples", "-n", "4", "--device", "cpu")
    assert sampled.returncode == EXIT_OK, sampled.stderr
    assert len(list((package.folder / "samples").iterdir())) == 4

    # this process does not have the package
    with pytest.raises(UsageError, match=r"trick 'drift-penalty', which is not installed; install"):
        read_checkpoint(folder / "checkpoint.safetensors")
    assert read_checkpoint(plain / "checkpoint.safetensors").step == 32


def test_a_broken_package_leaves_the_others_usable(install: Install) -> None:
    misnamed = MODULE.replace('name="drift-penalty"', 'name="drift/penalty"')
    package = install(
        {"drift_penalty.py": MODULE, "misnamed.py": misnamed},
        {
            GROUP: ENTRIES[GROUP]
            | {"ema": "drift_penalty:DRIFT_PENALTY", "bad": "misnamed:DRIFT_PENALTY"}
        },
    )
    listed = package.run("recipes")
    assert listed.returncode == EXIT_OK
    assert "drift-penalty" in listed.stdout
    assert "trick 'ema' of drift_penalty:DRIFT_PENALTY: the name is taken" in listed.stderr
    assert "trick 'bad': misnamed:DRIFT_PENALTY cannot be loaded" in listed.stderr
    shown = package.run("train", "course-gan", "--set", "tricks.ema=on", "--dry-run")
    assert json.loads(shown.stdout)["tricks"] == {"ema": {"decay": 0.999}}
    refused = package.run("train", "course-gan", "--set", "tricks.bad=on", "--dry-run")
    assert "lower-case words joined by hyphens" in refused.stderr
    assert "Traceback" not in refused.stderr
    unknown = package.run("train", "course-gan", "--set", "tricks.drift-penality=on", "--dry-run")
    assert unknown.returncode == EXIT_USAGE
    assert "Did you mean 'drift-penalty'" in unknown.stderr
