"""The detectors of this package by name, with budgets of a second or two."""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.anomaly.detectors.base import Detector, DetectorRow, DetectorSettings
from tests.conftest import RealSample

Value = float | int | str
PYPROJECT = Path(__file__).parents[3] / "pyproject.toml"
AE: dict[str, Value] = {"epochs": 1, "learning_rate": 3e-3}
GAN: dict[str, Value] = {"epochs": 0.5, "width": 4, "latent_dim": 8, "batch_size": 32}
SVDD: dict[str, Value] = {
    "epochs": 0.3,
    "pretrain_epochs": 0.3,
    "learning_rate": 1e-3,
    "batch_size": 32,
}
TINY: dict[str, dict[str, Value]] = {
    "ae-dense": AE,
    "ae-conv": {**AE, "width": 4},
    "ae-denoising": AE,
    "vae-reconstruction": AE,
    "vae-elbo": AE,
    "ae-oc-svm": {**AE, "width": 4},
    "deep-svdd": SVDD,
    "deep-svdd-soft": {**SVDD, "warm_up_epochs": 0.1},
    "gan-discriminator": GAN,
    "anogan": {**GAN, "num_steps": 20, "search_rate": 0.2},
    "geotrans": {"epochs": 0.015, "width": 0.5, "learning_rate": 4e-3, "fit_images": 40},
}
SHORTEST: dict[str, dict[str, Value]] = {
    name: {
        **options,
        "epochs": 0.002 if name == "geotrans" else 0.05,
        **({"pretrain_epochs": 0.05} if "pretrain_epochs" in options else {}),
        **({"num_steps": 3} if "num_steps" in options else {}),
        **({"width": 0.25, "fit_images": 10} if name == "geotrans" else {}),
    }
    for name, options in TINY.items()
}


def entry_points() -> dict[str, str]:
    """Those of this checkout's pyproject.toml, whatever is installed."""
    text = PYPROJECT.read_text()
    found: dict[str, str] = tomllib.loads(text)["project"]["entry-points"]["latentbench.detectors"]
    return {name: value for name, value in found.items() if value.startswith("baselines.")}


def row_of(name: str) -> DetectorRow:
    module, _, attribute = entry_points()[name].partition(":")
    row: DetectorRow = getattr(importlib.import_module(module), attribute)
    return row


def made(name: str, *, seed: int = 0, **options: Value) -> Detector:
    """A detector with its tiny budget, changed by options."""
    return row_of(name).make(DetectorSettings(seed=seed, options={**TINY[name], **options}))


def shortest(name: str, *, seed: int = 0, **options: Value) -> Detector:
    """One that hardly trains."""
    return row_of(name).make(DetectorSettings(seed=seed, options={**SHORTEST[name], **options}))


@pytest.fixture(scope="session")
def ones(mnist: RealSample) -> NDArray[np.uint8]:
    """150 real ones to train on."""
    return mnist.images[mnist.labels == 1][:150]


@pytest.fixture(scope="session")
def judged(mnist: RealSample) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """60 other ones and 120 other digits; True for the anomalous."""
    normal = mnist.images[mnist.labels == 1][150:210]
    others = mnist.images[mnist.labels != 1][:120]
    return np.concatenate([normal, others]), np.arange(180) >= 60
