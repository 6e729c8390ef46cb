"""Means over classes and seeds: DeLong's error where there is one fit, and a simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench.anomaly.benchmark.jobs import Scores
from bench.anomaly.benchmark.mean_auc import (
    FitInfluence,
    MeanDifference,
    difference,
    influence,
    mean_auc,
)
from bench.errors import UsageError
from bench.statistics.roc import auc
from tests.statistics.test_roc import ALBUMIN, KG, PROTEIN

CLASSES = 4
Sides = tuple[NDArray[np.floating], NDArray[np.floating]]

several = st.lists(st.integers(0, 9), min_size=2, max_size=30).map(np.array)


def influences(
    rng: np.random.Generator, labels: NDArray[np.int64]
) -> dict[tuple[int, int], FitInfluence]:
    """A detector for each class as the normal one; an image has a part in all its scores."""
    shared, rows = rng.normal(size=len(labels)), np.arange(len(labels))
    found = {}
    for c in range(CLASSES):
        anomalous = (labels != c).astype(np.int64)
        scores = anomalous + shared + 0.5 * rng.normal(size=len(labels))
        found[c, 0] = influence(Scores(rows, scores), anomalous)
    return found


def test_one_fit_has_delongs_error() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 80)
    first, second = rng.normal(size=80) + labels, rng.normal(size=80) + 0.4 * labels
    rows = np.arange(80)
    means = [mean_auc({(0, 0): influence(Scores(rows, s), labels)}) for s in (first, second)]
    whole = auc(first[labels == 1], first[labels == 0])
    assert means[0].auc == pytest.approx(whole.value, rel=1e-12)
    assert means[0].standard_error == pytest.approx(whole.standard_error, rel=1e-12)
    assert means[0].seed_sd is None


def paired(first: Sides, second: Sides) -> MeanDifference:
    """The difference of two detectors, each given by its scores (anomalous, normal)."""
    labels = np.repeat([1, 0], [len(side) for side in first])
    means = [
        mean_auc({(0, 0): influence(Scores(np.arange(len(labels)), np.concatenate(s)), labels)})
        for s in (first, second)
    ]
    return difference(*means)


@pytest.mark.parametrize(
    ("scores", "estimate", "error", "chi_square", "p"),
    [(ALBUMIN, 0.0108, 0.0953, 0.0127, 0.9102), (PROTEIN, -0.0780, 0.1046, 0.5554, 0.4561)],
)
def test_differences_of_delongs_worked_example(
    scores: Sides, estimate: float, error: float, chi_square: float, p: float
) -> None:
    """Against the K-G score, to the digits that are printed."""
    found = paired(KG, scores)
    assert found.estimate == pytest.approx(estimate, abs=6e-5)
    assert found.standard_error == pytest.approx(error, abs=6e-5)
    assert (found.estimate / found.standard_error) ** 2 == pytest.approx(chi_square, abs=6e-5)
    assert found.p_value == pytest.approx(p, abs=6e-5)
    assert (found.low + found.high) / 2 == pytest.approx(found.estimate)
    assert found.high - found.low == pytest.approx(2 * 1.959964 * found.standard_error, rel=1e-6)


@given(data=st.data(), anomalous=several, normal=several)
def test_the_paired_error_is_the_direct_sum(
    data: st.DataObject, anomalous: NDArray[np.int64], normal: NDArray[np.int64]
) -> None:
    """Covariances from the kernel over all pairs, as DeLong et al. define them."""
    second = tuple(
        data.draw(st.lists(st.integers(0, 9), min_size=len(x), max_size=len(x)).map(np.array))
        for x in (anomalous, normal)
    )
    rows, columns = [], []
    for a, b in ((anomalous, normal), second):
        kernel = (a[:, None] > b[None]) + 0.5 * (a[:, None] == b[None])
        rows.append(kernel.mean(axis=1))
        columns.append(kernel.mean(axis=0))
    covariance = np.cov(rows) / len(anomalous) + np.cov(columns) / len(normal)
    contrast = np.array([-1, 1])
    found = paired((anomalous, normal), second)
    assert found.estimate == pytest.approx(np.mean(rows[1]) - np.mean(rows[0]), abs=1e-12)
    assert found.standard_error**2 == pytest.approx(contrast @ covariance @ contrast, abs=1e-12)


def test_two_equal_detectors_do_not_differ() -> None:
    assert paired(KG, (KG[0] * 3, KG[1] * 3)) == (0, 0, 0, 0, 1)


def test_the_error_is_that_of_drawing_test_images_again() -> None:
    """400 draws of 240 images: the deviation of the means is known to 1 / sqrt(2 * 399) = 3.5 %,
    and the errors told should agree with it to three of those.
    """
    rng = np.random.default_rng(1)
    means, errors = [], []
    for _ in range(400):
        labels = rng.permutation(np.arange(240) % CLASSES)
        fits = influences(rng, labels)
        found = mean_auc(fits)
        means.append(found.auc)
        errors.append(found.standard_error)
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(means, ddof=1), rel=0.11)
    # classes share images, so their errors are not those of independent AUCs
    independent = math.sqrt(sum(np.square(one.phi).sum() for one in fits.values())) / CLASSES
    assert not 0.9 < errors[-1] / independent < 1.1


def test_images_that_were_not_judged_do_nothing() -> None:
    labels = np.array([0, 1, 0, 1, 1, 0])
    found = influence(Scores(np.array([0, 1, 3, 5]), np.array([0.1, 0.9, 0.2, 0.3])), labels)
    assert found.auc == pytest.approx(0.75)  # of 0.9, 0.2 above 0.1, 0.3: three of four
    assert found.phi[[2, 4]].tolist() == [0, 0]
    assert found.phi.sum() == pytest.approx(0)


def test_seeds_by_hand() -> None:
    """Two seeds with means .8 and .9, no error of images: mean .85, sd .0707, error .05 (t with one
    degree of freedom: 12.706).
    """
    flat = np.zeros(5)
    fits = {
        (0, 0): FitInfluence(0.7, flat),
        (1, 0): FitInfluence(0.9, flat),
        (0, 1): FitInfluence(0.85, flat),
        (1, 1): FitInfluence(0.95, flat),
    }
    found = mean_auc(fits)
    assert found.auc == pytest.approx(0.85)
    assert found.seed_sd == pytest.approx(0.1 / math.sqrt(2))
    assert found.standard_error == pytest.approx(0.05)
    assert found.low == pytest.approx(0.85 - 12.7062 * 0.05, abs=1e-5)
    assert found.high == 1.0  # cut off: an AUC
    assert found.by_seed == pytest.approx([0.8, 0.9])
    same = difference(found, found)
    assert (same.estimate, same.standard_error, same.p_value) == (0.0, 0.0, 1.0)
    other = mean_auc({(c, 7): FitInfluence(0.6, flat) for c in range(2)})
    unpaired = difference(other, found)
    assert unpaired.estimate == pytest.approx(0.25)
    assert unpaired.standard_error == pytest.approx(0.05)
    assert unpaired.p_value == pytest.approx(2 * 0.0628329, rel=1e-4)  # t = 5, one degree


def test_what_is_lacking_is_named() -> None:
    fits = {(0, 0): FitInfluence(0.5, np.zeros(2)), (1, 1): FitInfluence(0.5, np.zeros(2))}
    with pytest.raises(UsageError, match=r"lacks \[\(0, 1\), \(1, 0\)\]"):
        mean_auc(fits)
    with pytest.raises(UsageError, match="lacks everything"):
        mean_auc({})
