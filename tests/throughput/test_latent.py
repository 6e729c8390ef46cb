"""Time of measures of codes against scikit-learn's or the papers' own computation, in turn.

The papers' computations are written here as they are in their code: disentanglement_lib bins and
calls scikit-learn's `mutual_info_score` for every pair, and boosts a classifier for every factor;
alignment and uniformity use all pairs (`torch.pdist`). Nothing here asserts a time.

    pytest tests/throughput/test_latent.py -s

LATENTBENCH_BENCH_SCALE (default 1) scales the 10,000 images, LATENTBENCH_BENCH_ROUNDS (default 3,
or 1 at a smaller scale) sets the rounds.
"""

import os
import time

import numpy as np
import pytest
import torch
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.manifold import trustworthiness as sklearn_trustworthiness
from sklearn.metrics import mutual_info_score
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from bench.data.factors import CATEGORICAL, FACTOR_NAMES, draw_levels
from bench.latent.disentanglement import Factors, dci_boosting, mig, mutual_information
from bench.latent.maps import trustworthiness
from bench.latent.representation import (
    Split,
    alignment,
    knn_accuracy,
    neighbourhood,
    retrieval_precision,
    uniformity,
)

SCALE = float(os.environ.get("LATENTBENCH_BENCH_SCALE", "1"))
NUM = max(1000, int(10_000 * SCALE))
NUM_BOOSTED = NUM // 10  # images that are learned from; as many are judged
ROUNDS = int(os.environ.get("LATENTBENCH_BENCH_ROUNDS", "3" if SCALE >= 1 else "1"))
DIM = 32


@pytest.fixture(scope="module")
def data():
    """Codes that mix the factors with noise, and the factors."""
    levels = draw_levels(NUM)
    ordered = tuple(name not in CATEGORICAL for name in FACTOR_NAMES)
    rng = np.random.default_rng(0)
    z = (levels - levels.mean(axis=0)) / levels.std(axis=0)
    codes = z @ rng.normal(size=(6, DIM)) + rng.normal(size=(NUM, DIM))
    return codes.astype(np.float32), Factors(levels, FACTOR_NAMES, ordered)


def split_of(data):
    codes, factors = data
    labels, half = factors.levels[:, 0], NUM // 2
    return Split(codes[:half], labels[:half], codes[half:], labels[half:])


def our_mig(data):
    return mig(mutual_information(*data))


def their_mig(data):
    codes, factors = data
    binned = [np.digitize(c, np.histogram(c, 20)[1][:-1]) for c in codes.T]
    shared = np.array([[mutual_info_score(v, b) for v in factors.levels.T] for b in binned])
    entropies = np.array([mutual_info_score(v, v) for v in factors.levels.T])
    best = np.sort(shared, axis=0)
    return ((best[-1] - best[-2]) / entropies).mean()


def our_boosting(data):
    codes, factors = data
    return dci_boosting(
        codes[: 2 * NUM_BOOSTED], factors._replace(levels=factors.levels[: 2 * NUM_BOOSTED])
    ).informativeness


def their_boosting(data):
    """A classifier with scikit-learn's defaults (100 stages) for every factor."""
    codes, factors = data
    for levels in factors.levels[:NUM_BOOSTED].T:
        GradientBoostingClassifier(random_state=0).fit(codes[:NUM_BOOSTED], levels)


def our_neighbours(data):
    near = neighbourhood(split_of(data))
    precise = [retrieval_precision(near, k).estimate for k in (1, 10, 100)]
    return np.array([knn_accuracy(near).estimate, *precise])


def their_neighbours(data):
    split = split_of(data)
    model = KNeighborsClassifier(5, algorithm="brute").fit(split.train, split.train_labels)
    accuracy = (model.predict(split.test) == split.test_labels).mean()
    search = NearestNeighbors(n_neighbors=100, algorithm="brute").fit(split.train)
    near = split.train_labels[search.kneighbors(split.test, return_distance=False)]
    same = near == split.test_labels[:, None]
    return np.array([accuracy, *(same[:, :k].mean() for k in (1, 10, 100))])


def our_trust(data):
    codes, _ = data
    return trustworthiness(codes[:1000], codes[:1000, :2])


def their_trust(data):
    codes, _ = data
    return sklearn_trustworthiness(codes[:1000], codes[:1000, :2], n_neighbors=10)


def our_sphere(data):
    codes, factors = data
    return np.array([alignment(codes, factors.levels[:, 0]), uniformity(codes)])


def their_sphere(data):
    """Wang & Isola's code; alignment by all pairs of a class."""
    codes, factors = data
    unit = torch.nn.functional.normalize(torch.from_numpy(codes), dim=1)
    labels = torch.from_numpy(factors.levels[:, 0])
    squared = [torch.pdist(unit[labels == k]).pow(2) for k in range(10)]
    uniform = torch.pdist(unit).pow(2).mul(-2).exp().mean().log()
    return np.array([torch.cat(squared).mean().item(), uniform.item()])


JOBS = {
    f"MIG, {NUM} x {DIM}": (our_mig, "scikit-learn in a loop", their_mig, 2e-3),
    f"k-NN and retrieval, {NUM} x {DIM}": (our_neighbours, "scikit-learn", their_neighbours, 1e-3),
    f"trustworthiness, 1000 x {DIM}": (our_trust, "scikit-learn", their_trust, 1e-6),
    f"alignment and uniformity, {NUM} x {DIM}": (our_sphere, "torch.pdist", their_sphere, 1e-4),
    f"DCI by boosting, {NUM_BOOSTED} x {DIM}": (
        our_boosting, "a classifier a factor", their_boosting, None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("job", JOBS)
def test_time(benchmark, write_row, data, job):
    ours, peer, theirs, tolerance = JOBS[job]
    times = {"ours": [], "theirs": []}
    results = {}

    def timed(name, function):
        start = time.perf_counter()
        results[name] = function(data)
        times[name].append(time.perf_counter() - start)

    benchmark.pedantic(
        lambda: timed("ours", ours), setup=lambda: timed("theirs", theirs), rounds=ROUNDS
    )
    if tolerance is not None:
        np.testing.assert_allclose(results["ours"], results["theirs"], atol=tolerance)
    write_row(job, times["ours"][-ROUNDS:], peer, times["theirs"])
