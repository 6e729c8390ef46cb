"""Measures of a representation against scikit-learn and brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from sklearn.neighbors import KNeighborsClassifier

from bench.latent.representation import (
    Split,
    adjusted_rand_index,
    alignment,
    cluster,
    effective_rank,
    knn_accuracy,
    labelled_rows,
    linear_probe,
    neighbourhood,
    normalised_mutual_information,
    retrieval_precision,
    separability,
    uniformity,
)
from bench.latent.values import Absent


@pytest.fixture(scope="module")
def split() -> Split:
    """Four overlapping Gaussian classes in 6 dimensions."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(4, 6)) * 1.2
    labels = rng.integers(0, 4, 900)
    codes = (centres[labels] + rng.normal(size=(900, 6))).astype(np.float32)
    return Split(codes[:600], labels[:600], codes[600:], labels[600:])


def test_the_probe_is_logistic_regression(split: Split) -> None:
    scaled = split.scaled()
    model = LogisticRegression(tol=1e-8, max_iter=5000).fit(scaled.train, split.train_labels)
    expected = (model.predict(scaled.test) == split.test_labels).mean()
    assert linear_probe(split).estimate == pytest.approx(expected, abs=1.5 / 300)
    assert 0.5 < expected < 0.99


def test_the_scale_is_one_number(split: Split) -> None:
    scaled = split.scaled()
    assert (scaled.train**2).mean() == pytest.approx(1, abs=1e-5)
    ratio = np.ptp(scaled.train, axis=0) / np.ptp(split.train, axis=0)
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-5)
    moved = split._replace(train=split.train * 7 + 3, test=split.test * 7 + 3)
    assert linear_probe(moved).estimate == pytest.approx(linear_probe(split).estimate, abs=0.01)


def test_labels_are_drawn_class_by_class() -> None:
    labels = np.repeat(np.arange(5), [1000, 500, 100, 30, 1])
    rows = labelled_rows(labels, 0.01, seed=3)
    assert np.bincount(labels[rows]).tolist() == [10, 5, 1, 1, 1]
    assert labelled_rows(labels, 1.0, seed=3).tolist() == list(range(1631))


def test_fewer_labels_are_worse(split: Split) -> None:
    accuracies = [linear_probe(split, share).estimate for share in (0.01, 0.1, 1.0)]
    assert accuracies[0] < accuracies[2]


def test_knn_against_scikit_learn(split: Split) -> None:
    model = KNeighborsClassifier(5, algorithm="brute").fit(split.train, split.train_labels)
    expected = (model.predict(split.test) == split.test_labels).mean()
    assert knn_accuracy(neighbourhood(split)).estimate == expected


@pytest.mark.parametrize("k", [1, 10, 100])
def test_retrieval_by_brute_force(split: Split, k: int) -> None:
    precise = []
    for code, label in zip(split.test.astype(float), split.test_labels, strict=True):
        nearest = np.argsort(((split.train - code) ** 2).sum(axis=1), kind="stable")[:k]
        precise.append((split.train_labels[nearest] == label).mean())
    found = retrieval_precision(neighbourhood(split), k)
    assert found.estimate == pytest.approx(np.mean(precise), abs=1e-12)
    assert found.low < found.estimate < found.high


def test_separability_counts_pairs() -> None:
    """Classes 0, 1 and 2 lie far apart, 3 lies on 2: of six pairs, five are separated."""
    rng = np.random.default_rng(0)
    centres = np.array([[0, 0], [30, 0], [0, 30], [0, 30]])
    labels = np.arange(800) % 4
    codes = (centres[labels] + rng.normal(size=(800, 2))).astype(np.float32)
    split = Split(codes[:400], labels[:400], codes[400:], labels[400:])
    assert separability(split).estimate == pytest.approx(5 / 6)


@pytest.mark.parametrize("seed", range(3))
def test_nmi_and_ari_against_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 5, 300), rng.integers(0, 7, 300)
    b[:150] = a[:150]
    assert normalised_mutual_information(a, b) == pytest.approx(
        normalized_mutual_info_score(a, b), abs=1e-12
    )
    assert adjusted_rand_index(a, b) == pytest.approx(adjusted_rand_score(a, b), abs=1e-12)


def test_clusters_are_found(split: Split) -> None:
    centres = np.eye(4, 6, dtype=np.float32) * 50
    codes = centres[split.train_labels] + split.train
    clusters = cluster(codes, 4)
    assert normalised_mutual_information(clusters, split.train_labels) == pytest.approx(1)
    assert adjusted_rand_index(clusters, split.train_labels) == 1


def test_effective_rank() -> None:
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(200, 5)) * [3, 1, 1, 0.1, 0.1]
    singular = np.linalg.svd(codes - codes.mean(axis=0), compute_uv=False)
    shares = singular / singular.sum()
    expected = np.exp(-(shares * np.log(shares)).sum())
    assert effective_rank(codes.astype("f4")) == pytest.approx(expected, rel=1e-5)
    line = np.outer(rng.normal(size=200), [1, 2, 3])
    assert effective_rank(line.astype("f4")) == pytest.approx(1, abs=1e-3)
    wide = rng.normal(size=(20, 100))  # more codes than images
    singular = np.linalg.svd(wide - wide.mean(axis=0), compute_uv=False)
    shares = singular[singular > 1e-9] / singular.sum()
    expected = np.exp(-(shares * np.log(shares)).sum())
    assert effective_rank(wide.astype("f4")) == pytest.approx(expected, rel=1e-4)


def test_alignment_and_uniformity_over_all_pairs(split: Split) -> None:
    codes, labels = split.test[:80], split.test_labels[:80]
    unit = codes / np.linalg.norm(codes.astype(float), axis=1, keepdims=True)
    pairs = list(itertools.combinations(range(80), 2))
    squared = np.array([((unit[i] - unit[j]) ** 2).sum() for i, j in pairs])
    same = np.array([labels[i] == labels[j] for i, j in pairs])
    assert alignment(codes, labels) == pytest.approx(squared[same].mean(), rel=1e-6)
    assert uniformity(codes) == pytest.approx(np.log(np.exp(-2 * squared).mean()), rel=1e-5)


def test_uniformity_over_several_blocks() -> None:
    codes = np.random.default_rng(0).normal(size=(2300, 3)).astype(np.float32)
    unit = codes / np.linalg.norm(codes, axis=1, keepdims=True)
    potential = np.exp(-2 * (2 - 2 * (unit @ unit.T).astype(float)))
    np.fill_diagonal(potential, 0)
    expected = np.log(potential.sum() / (2300 * 2299))
    assert uniformity(codes) == pytest.approx(expected, abs=1e-5)


def test_what_has_no_value(split: Split) -> None:
    one = split._replace(train_labels=np.zeros(600, np.int64))
    same = split._replace(train=np.ones_like(split.train))
    bad = split._replace(test=np.full_like(split.test, np.inf))
    for measure in (linear_probe, separability):
        with pytest.raises(Absent, match="one class"):
            measure(one)
        with pytest.raises(Absent, match="all codes are equal"):
            measure(same)
        with pytest.raises(Absent, match="NaN or infinite"):
            measure(bad)
    with pytest.raises(Absent, match="NaN or infinite"):
        neighbourhood(bad)
    few = split._replace(train=split.train[:50], train_labels=split.train_labels[:50])
    with pytest.raises(Absent, match="100 neighbours are needed"):
        retrieval_precision(neighbourhood(few), 100)
    with pytest.raises(Absent, match="fewer than 4 different codes"):
        cluster(same.train, 4)
    with pytest.raises(Absent, match="all codes are equal"):
        effective_rank(same.train)
    with pytest.raises(Absent, match="no direction"):
        uniformity(np.zeros((5, 2), np.float32))
    with pytest.raises(Absent, match="no two images"):
        alignment(split.test[:3], np.array([0, 1, 2]))
