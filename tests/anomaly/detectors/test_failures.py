"""What a detector of any package may do wrong, and how it is told."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import numpy as np
import pytest

from bench.anomaly.detectors import DETECTORS, DetectorSettings
from bench.anomaly.detectors.failures import (
    WatchedSettings,
    checked_scores,
    failures_named,
)
from bench.errors import LatentbenchError, UsageError
from bench.runtime.failures import failure_line


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.uint8])
def test_scores_become_float64(dtype: type) -> None:
    found = checked_scores("own", np.array([3, 1, 2], dtype), 3)
    assert found.dtype == np.float64
    assert found.tolist() == [3.0, 1.0, 2.0]


def test_float64_scores_are_not_copied() -> None:
    scores = np.array([0.1, 0.2])
    assert checked_scores("own", scores, 2) is scores


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (np.zeros(3), r"gave scores of shape \(3,\); expected 4 numbers"),
        (np.zeros((4, 1)), r"gave scores of shape \(4, 1\)"),
        (np.float64(1), "gave scores of type float64"),
        (np.array(1.0), r"gave scores of shape \(\)"),
        ([1.0] * 4, "gave scores of type list"),
        (np.zeros(4, bool), "gave scores of type bool"),
        (np.zeros(4, complex), "gave scores of type complex128"),
        (np.array([0, np.inf, -np.inf, np.nan]), "3 of 4 scores are not finite"),
    ],
)
def test_what_are_no_scores(scores: object, message: str) -> None:
    with pytest.raises(LatentbenchError, match=f"^detector 'own'.*{message}"):
        checked_scores("own", scores, 4)


def _raised(error: Exception) -> Exception:
    try:
        raise error
    except type(error) as caught:
        return caught


def test_failures_in_a_line() -> None:
    assert failure_line(_raised(UsageError("too few"))) == "too few"
    found = failure_line(_raised(ValueError("first\n  second")))
    assert found.startswith("ValueError: first second (test_failures.py:")
    assert failure_line(_raised(MemoryError())).startswith("MemoryError (test_failures.py:")
    assert failure_line(ValueError("never raised")) == "ValueError: never raised"


def test_failures_are_named() -> None:
    with (
        pytest.raises(LatentbenchError, match="detector 'own' failed: KeyError: 'x'") as caught,
        failures_named("own"),
    ):
        raise KeyError("x")
    assert isinstance(caught.value.__cause__, KeyError)
    with pytest.raises(UsageError, match="^as it is$"), failures_named("own"):
        raise UsageError("as it is")
    with pytest.raises(KeyboardInterrupt), failures_named("own"):
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    "look",
    [
        lambda settings: settings.options,
        lambda settings: dataclasses.replace(settings, seed=1),
        copy.deepcopy,
        pickle.dumps,
        vars,
    ],
)
def test_options_that_were_looked_at(look: Any) -> None:
    settings = WatchedSettings(seed=0, options={"k": 3, "power": 2})
    with pytest.raises(UsageError, match="'own' takes no options, got k, power; leave them out"):
        settings.require_read("own")
    look(settings)
    settings.require_read("own")


def test_no_options_need_not_be_looked_at() -> None:
    WatchedSettings(seed=0).require_read("own")


def test_watched_settings_give_the_same_detector() -> None:
    options: dict[str, float | int | str] = {"k": "2"}
    images = np.random.default_rng(0).integers(0, 256, (9, 8, 8, 1)).astype(np.uint8)
    found = []
    for kind in (DetectorSettings, WatchedSettings):
        one = DETECTORS.find("knn-pixels").make(kind(options=options))
        one.fit(images[:5])
        found.append(one.scores(images[5:]))
    np.testing.assert_array_equal(found[0], found[1])
