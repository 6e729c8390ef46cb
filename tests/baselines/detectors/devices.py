"""The devices that there are: every test of a detector runs on each of them."""

from __future__ import annotations

import pytest
import torch

from bench.anomaly.detectors.base import Detector, DetectorSettings
from tests.baselines.detectors.conftest import SHORTEST, TINY, Value, row_of

DEVICES = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)
on_every_device = pytest.mark.parametrize("device", DEVICES)


def made_on(device: str, name: str, *, seed: int = 0, **options: Value) -> Detector:
    """A detector with its tiny budget, changed by options."""
    given = {**TINY[name], **options}
    return row_of(name).make(DetectorSettings(seed=seed, device=device, options=given))


def shortest_on(device: str, name: str, *, seed: int = 0, **options: Value) -> Detector:
    """One that hardly trains."""
    given = {**SHORTEST[name], **options}
    return row_of(name).make(DetectorSettings(seed=seed, device=device, options=given))
