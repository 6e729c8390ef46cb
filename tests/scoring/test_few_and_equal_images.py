"""Few images, and images that are all equal: a value, or the reason why there is none."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bench.scoring.scorer import Scorer
from tests.conftest import RealSample


@pytest.mark.parametrize("n", [1, 2, 3, 5, 9])
def test_few_images_give_values_or_reasons(mnist: RealSample, n: int) -> None:
    record = Scorer().score_images(mnist.images[:n], name="few")
    for entry in record.values:
        assert (entry.value is None) != (entry.reason is None)
        assert entry.reason is None or len(entry.reason) > 10
    absent = {entry.metric for entry in record.values if entry.value is None}
    assert ("fid" in absent) == (n < 2)
    assert ("recall_k3" in absent) == (n <= 3)
    assert ("precision_k3" in absent) is False


def test_all_images_equal(mnist: RealSample) -> None:
    images = np.repeat(mnist.images[:1], 200, axis=0)
    record = Scorer().score_images(images, name="collapsed")
    assert record.value("modes_covered") == 1
    assert record.value("vendi_score") == pytest.approx(1, abs=1e-6)
    assert record.value("recall_k3") <= 1e-3
    json.loads(record.model_dump_json())
