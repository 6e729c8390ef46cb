"""The best is marked only when chance does not explain the difference."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from bench.records.score_record import Identity, ScoreValue
from bench.tables.significance import comparable, significantly_best
from tests.records.test_score_record import record
from tests.reporting.complete import entry, interval


def fids(*pairs: tuple[float, float]) -> list[ScoreValue | None]:
    return [entry("fid", value, error) for value, error in pairs]


def test_by_hand_for_two() -> None:
    # z = (2.0 - 1.0) / sqrt(0.3^2 + 0.4^2) = 2, p = 0.0455; z = 1.9 has p = 0.0574
    assert 2 * norm.sf(2) == pytest.approx(0.0455, abs=1e-4)
    assert significantly_best(fids((1.0, 0.3), (2.0, 0.4))) == 0
    assert significantly_best(fids((2.0, 0.4), (1.0, 0.3))) == 1
    assert significantly_best(fids((1.0, 0.3), (1.95, 0.4))) is None


def test_several_comparisons_are_corrected() -> None:
    # with two others at z = 2 the smallest p must be below 0.025, and 0.0455 is not
    assert significantly_best(fids((1.0, 0.3), (2.0, 0.4), (2.0, 0.4))) is None
    assert significantly_best(fids((1.0, 0.3), (2.0, 0.4), (9.0, 0.4))) == 0  # Holm's second step
    assert significantly_best(fids((1.0, 0.3), (2.2, 0.4), (2.2, 0.4))) == 0  # z = 2.4, p = 0.016


def test_directions() -> None:
    up = [entry("recall_k3", 0.5, 0.01), entry("recall_k3", 0.6, 0.01)]
    assert significantly_best(up) == 1
    # the target of density is 0.25 in these entries: 0.3 is nearer than 0.1
    near = [entry("density_k5", 0.1, 0.01), entry("density_k5", 0.3, 0.01)]
    assert significantly_best(near) == 1
    unknown = [one.model_copy(update={"expected": None}) for one in near]
    assert significantly_best(unknown) is None


def test_towards_a_target_the_value_counts_and_not_the_value_less_its_bias() -> None:
    shifted = interval(0.9, 0.01)
    near = entry("density_k5", 0.25, 0.01).model_copy(update={"interval": shifted})
    assert significantly_best([near, entry("density_k5", 0.4, 0.01)]) == 0


@pytest.mark.parametrize(
    "entries",
    [
        [],
        fids((1.0, 0.1)),
        [None, *fids((1.0, 0.1))],
        [entry("fid", 1.0), *fids((9.0, 0.1))],  # no interval
        fids((1.0, 0.0), (1.0, 0.0)),
    ],
)
def test_nothing_to_mark(entries: list[ScoreValue | None]) -> None:
    assert significantly_best(entries) is None


def test_equal_submissions_are_rarely_marked() -> None:
    """Of 200 tables of 4 draws from one distribution, at most 5 % are marked, within 3 sd."""
    rng = np.random.default_rng(1)
    marks = sum(
        significantly_best(fids(*((x, 1.0) for x in rng.normal(50, 1, 4)))) is not None
        for _ in range(200)
    )
    assert marks <= 200 * 0.05 + 3 * math.sqrt(200 * 0.05 * 0.95)


def test_groups_are_those_of_one_protocol() -> None:
    one, other = record("a"), record("b")
    foreign = record("c").model_copy(update={"reference": Identity(name="mnist", digest="0" * 64)})
    seeded = record("d").model_copy(update={"seed": 1})
    groups = comparable([one, foreign, other, seeded])
    assert [[r.submission.name for r in group] for group in groups] == [["a", "b"], ["c"], ["d"]]
