"""The estimated costs of findings against the FID that the faults really cost."""

from __future__ import annotations

import numpy as np
import pytest

from bench.content import FINDINGS
from bench.content.finding import Cost
from bench.content.findings import ROWS
from bench.records.finding_order import FID_COST
from bench.scoring.scorer import Scorer
from bench.scoring.settings import ScoreSettings
from tests.conftest import RealSample
from tests.content import faults

NUM_IMAGES = 600


def test_every_row_has_a_cost() -> None:
    assert [row.name for row in ROWS if row.cost is None] == []
    assert all(len(row.message) and len(row.fix) for row in FINDINGS.loadable().rows)


def test_interpolation() -> None:
    """Half way between 4 and 8 lies half the cost between 10 and 30; beyond the ends it stays."""
    cost = Cost(((0.0, 0.0), (4.0, 10.0), (8.0, 30.0)), ("a", "b"))
    assert [cost({"a": x, "b": 1.0}) for x in (1.0, 3.0, 7.0, 100.0)] == [0.0, 5.0, 20.0, 30.0]
    assert Cost(((0.0, 7.5),))({}) == 7.5


def test_costs_are_those_of_the_faults(mnist: RealSample) -> None:
    """Within a factor of 1.6, or 3 in FID, on images other than those that were measured."""
    images = mnist.images[1_000 : 1_000 + NUM_IMAGES]
    scorer = Scorer(ScoreSettings(reference="mnist", metrics="fid", use_cache=False))
    perfect = scorer.score_images(images, name="real").value("fid")
    blank = images.copy()
    blank[:100] = 0
    for faulty, code in (
        (blank, "constant-images"),
        (faults.blur(images, 1.0), "blurred"),
        (faults.noise(images, 12), "noisy"),
        (faults.specks(images, 0.04), "noisy"),
        (faults.dimmed(images, 0.7), "value-range-narrow"),
        (faults.tanh_unscaled(images), "value-range-tanh"),
        (faults.rescaled_twice(images), "value-range-twice"),
        (faults.collapsed(images, 0.6, 10), "collapse"),
        (images[mnist.labels[1_000 : 1_000 + NUM_IMAGES] != 3], "missing-classes"),
    ):
        record = scorer.score_images(faulty, name=code)
        (finding,) = (one for one in record.findings if one.code == code)
        estimate, truth = finding.figures[FID_COST], record.value("fid") - perfect
        assert abs(estimate - truth) < 3 or 1 / 1.6 < estimate / truth < 1.6, (code, truth)


def test_the_costliest_comes_first(mnist: RealSample) -> None:
    images = faults.blur(mnist.images[:NUM_IMAGES], 1.2)
    images[:30] = 0
    scorer = Scorer(ScoreSettings(reference="mnist", metrics="fid", use_cache=False))
    found = scorer.score_images(np.ascontiguousarray(images), name="x").findings
    costs = [finding.figures[FID_COST] for finding in found if finding.severity == "warning"]
    assert found[0].code == "blurred"
    assert costs == sorted(costs, reverse=True)
    assert costs[0] == pytest.approx(216, rel=0.3)
