"""A trick of another package: listed, trained, resumed and sampled; refused when it is missing."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import baselines
import baselines.tricks
from baselines.runs.configs import run_configs
from baselines.training.checkpoint import read_checkpoint
from baselines.training.engine import BlockTerms, Engine
from baselines.tricks import TRICKS
from bench.errors import EXIT_OK, EXIT_USAGE, UsageError
from tests.extending.conftest import Install, Package, examples

MODULE, PYPROJECT = examples(baselines.tricks.__doc__)
ENTRIES = tomllib.loads(PYPROJECT)["project"]["entry-points"]
GROUP = "latentbench.tricks"
SMALL = {
    "model.generator_widths": [16],
    "model.discriminator_widths": [16],
    "batch_size": 8,
    "num_steps": 32,
}
SETTINGS = SMALL | {"tricks.drift-penalty.weight": 10, "tricks.ema": True}


@pytest.fixture
def package(install: Install) -> Package:
    """The example of the documentation."""
    return install({"drift_penalty.py": MODULE}, ENTRIES)


@contextmanager
def installed(package: Package) -> Iterator[None]:
    """Let this process find the package, and forget it at the end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(package.folder)
        patch.delitem(vars(TRICKS), "_entry_points", raising=False)
        patch.setattr(TRICKS, "_loaded", {})
        yield
        vars(TRICKS).pop("_entry_points", None)


def d_real(run: Path) -> float:
    """Return the discriminator's last mean output for real images."""
    events = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [float(event["d_real"]) for event in events if event["event"] == "terms"][-1]


def interrupt_at(step: int, patch: pytest.MonkeyPatch) -> None:
    """Make the engine fail at the block that starts at `step`."""
    run_block = Engine.run_block

    def interrupted(engine: Engine) -> BlockTerms:
        if engine.step == step:
            raise KeyboardInterrupt
        return run_block(engine)

    patch.setattr(Engine, "run_block", interrupted)


def test_the_example_has_at_most_30_lines() -> None:
    assert len((MODULE + PYPROJECT).splitlines()) <= 30


def test_a_trick_of_another_package(
    package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)

    def train(out: str, settings: dict[str, Any], *, resume: bool = False) -> Path:
        data, folder = tmp_path / "images.npy", tmp_path / out
        return baselines.train(
            "course-gan", data=data, settings=settings, out=folder, device="cpu", resume=resume
        )

    plain = train("plain", SMALL)
    with installed(package):
        run = train("whole", SETTINGS)
        saved = json.loads((run / "config.json").read_text())
        assert saved["tricks"] == {"ema": {"decay": 0.999}, "drift-penalty": {"weight": 10}}
        assert abs(d_real(run)) < abs(d_real(plain))  # the penalty pulls the outputs towards 0
        whole = read_checkpoint(run / "checkpoint.safetensors").tensors

        with monkeypatch.context() as patch:
            interrupt_at(16, patch)
            with pytest.raises(KeyboardInterrupt):
                train("cut", SETTINGS)
        cut = tmp_path / "cut" / run.name / "checkpoint.safetensors"
        assert read_checkpoint(cut).step == 16
        train("cut", SETTINGS, resume=True)
        resumed = read_checkpoint(cut).tensors
        assert resumed.keys() == whole.keys()
        assert all(torch.equal(resumed[name], value) for name, value in whole.items())

        samples = baselines.sample(run, tmp_path / "samples", num_images=4, device="cpu")
        assert samples.images.shape == (4, 8, 8, 1)

    with pytest.raises(UsageError, match=r"trick 'drift-penalty', which is not installed; install"):
        baselines.sample(run, tmp_path / "again", num_images=4, device="cpu")
    with pytest.raises(UsageError, match="unknown trick 'drift-penalty'"):
        run_configs("course-gan", [0], settings=SETTINGS)
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
    assert "ema of drift_penalty:DRIFT_PENALTY omitted: the name 'ema' is taken" in listed.stderr
    assert "trick 'bad': misnamed:DRIFT_PENALTY cannot be loaded" in listed.stderr
    on = ("--set", "tricks.ema=on", "--set", "tricks.drift-penalty=on")
    shown = package.run("train", "course-gan", *on, "--dry-run")
    assert json.loads(shown.stdout)["tricks"] == {
        "ema": {"decay": 0.999},
        "drift-penalty": {"weight": 0.001},
    }
    refused = package.run("train", "course-gan", "--set", "tricks.bad=on", "--dry-run")
    assert "lower-case words joined by hyphens" in refused.stderr
    assert "Traceback" not in refused.stderr
    unknown = package.run("train", "course-gan", "--set", "tricks.drift-penality=on", "--dry-run")
    assert unknown.returncode == EXIT_USAGE
    assert "Did you mean 'drift-penalty'" in unknown.stderr
