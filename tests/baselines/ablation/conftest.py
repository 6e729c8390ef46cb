"""A plan that runs in seconds: a small course GAN on a file of real digits, scored by FID alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from baselines.ablation.design.plan import AblationPlan, parse_plan
from bench.execution.ledger.ledger import Ledger
from tests.baselines.conftest import SMALL
from tests.conftest import RealSample

ROOT = Path(__file__).parents[3]
MakePlan = Callable[..., AblationPlan]


@pytest.fixture(scope="session")
def digits_file(mnist: RealSample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 real digits."""
    path = tmp_path_factory.mktemp("digits") / "digits.npz"
    np.savez(path, images=mnist.images[:300])
    return path


def tiny(digits_file: Path, **changes: Any) -> dict[str, Any]:
    """Keys of a plan."""
    return {
        "name": "tiny",
        "recipe": "course-gan",
        "settings": list(SMALL["dense-gan"]),
        "factors": ["label-noise"],
        "seeds": 2,
        "num_steps": 40,
        "num_evaluations": 2,
        "data": str(digits_file),
        "reference": "mnist",
        "num_images": 40,
        "metrics": ["fid"],
    } | changes


@pytest.fixture
def make_plan(digits_file: Path) -> MakePlan:
    return lambda **changes: parse_plan(tiny(digits_file, **changes))


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger")


@pytest.fixture(autouse=True)
def _found_by_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # sums in one order, in this process and in workers


def toml_of(plan: Mapping[str, Any]) -> str:
    """A plan without tables as TOML: strings, numbers and lists are written as JSON has them."""
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in plan.items())
