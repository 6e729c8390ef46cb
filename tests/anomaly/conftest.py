"""Committed digits as the benchmark's data set, and as folders of normal and anomalous images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.anomaly.benchmark import jobs as one_class
from bench.anomaly.benchmark import plan as benchmark
from bench.data.datasets import Dataset
from tests.conftest import RealSample, write_pngs


def use_digits(
    monkeypatch: pytest.MonkeyPatch,
    mnist: RealSample,
    *,
    below: int,
    num_train: int,
    num_test: int | None = None,
) -> dict[str, Dataset]:
    """The benchmark's splits from now on: classes 0 to `below` - 1, the first `num_train` images to
    train on and the next `num_test`, or all others, to judge.
    """
    rows = np.flatnonzero(mnist.labels < below)
    end = None if num_test is None else num_train + num_test
    splits = {
        name: Dataset("mnist", name, mnist.images[part], mnist.labels[part])
        for name, part in (("train", rows[:num_train]), ("test", rows[num_train:end]))
    }
    for module in (one_class, benchmark):
        monkeypatch.setattr(module, "split", lambda _data, name, _root: splits[name])
    return splits


def write_threes(
    place: Path, mnist: RealSample, *, num_train: int, num_normal: int, num_anomalous: int
) -> Path:
    """`train/` of threes, and `test/` with `normal/` of the threes after these and `anomalous/` of
    other digits.
    """
    threes, others = mnist.images[mnist.labels == 3], mnist.images[mnist.labels != 3]
    write_pngs(threes[:num_train], place / "train")
    write_pngs(threes[num_train : num_train + num_normal], place / "test" / "normal")
    write_pngs(others[:num_anomalous], place / "test" / "anomalous")
    return place
