"""Shallow detectors: time against the machine's matmul floor, peak memory, and PyOD's own.

k-NN and Mahalanobis fit N real-sized normal images and score a sixth as many. The floor is the
bare product that each must do, in its own precision and in blocks, measured in turn with it in
every round: N x M x 784 in float32 for k-NN, N x 784 x 784 and M x 784 x 784 in float64 for
Mahalanobis. The second part runs detectors side by side with PyOD's of the same definition, one
class after the other. Times are CPU seconds of one thread, which other work on the machine changes
little. Ratios are medians over rounds; nothing asserts a time. Peak memory is held to a bound.

    pytest tests/throughput/test_detectors.py -s

LATENTBENCH_BENCH_SCALE (default 1) scales 60,000 normal images against 10,000 and ten classes of
6,000; LATENTBENCH_BENCH_ROUNDS (default 3) sets the rounds. Images are the committed digits, moved
and mixed with noise, so that no two are equal.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits

from bench.anomaly.detectors import DETECTORS, DetectorSettings
from tests.conftest import _sample

SCALE = float(os.environ.get("LATENTBENCH_BENCH_SCALE", "1"))
ROUNDS = int(os.environ.get("LATENTBENCH_BENCH_ROUNDS", "3"))
NUM_NORMAL, NUM_SCORED = max(600, round(60_000 * SCALE)), max(100, round(10_000 * SCALE))
NUM_OF_CLASS = max(60, round(6_000 * SCALE))
CLASSES = range(10) if SCALE >= 1 else range(2)
FLOOR_ROWS = 512


def digits(num, seed, of_class=None):
    """`num` digits uint8 N,28,28,1, each moved by up to 2 px with noise of its own."""
    images, labels = _sample("mnist")
    images = images if of_class is None else images[labels == of_class]
    rng = np.random.default_rng(seed)
    found = np.empty((num, 28, 28, 1), np.uint8)
    for at in range(0, num, 1000):
        n = min(1000, num - at)
        block = images[rng.integers(0, len(images), n)].astype(np.int16)
        down, right = rng.integers(-2, 3, 2)
        block = np.roll(block, (down, right), (1, 2))
        found[at : at + n] = (block + rng.integers(-20, 21, block.shape)).clip(0, 255)
    return found


def run(name, normal, scored):
    one = DETECTORS.find(name).make(DetectorSettings())
    one.fit(normal)
    return one.scores(scored)


def knn_floor(normal, scored):
    x, y = (torch.from_numpy(i.reshape(len(i), -1)).float() for i in (normal, scored))
    for start in range(0, len(y), FLOOR_ROWS):
        torch.mm(y[start : start + FLOOR_ROWS], x.T)


def mahalanobis_floor(normal, scored):
    x, y = (i.reshape(len(i), -1).astype(np.float64) for i in (normal, scored))
    x.T @ x
    y @ x[:784, :784]


FLOORS = {"knn-pixels": knn_floor, "mahalanobis-pixels": mahalanobis_floor}


# of peak memory, in float32 vectors of all images: what a detector keeps of them, and of k-NN the
# distinct ones beside them. Measured 2.2 and 1.0 at 60,000 x 10,000 (460 and 215 MiB); distances of
# all pairs would be 11 more there, the vectors in float64 2 more
VECTORS = {"knn-pixels": 2.5, "mahalanobis-pixels": 1.25}
SPARE_MIB = 32  # blocks, and matrices of 784 x 784


def timed(function, *arguments):
    start = time.process_time()
    function(*arguments)
    return time.process_time() - start


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield
    torch.set_num_threads(before)


@pytest.mark.benchmark(timer=time.process_time)
@pytest.mark.parametrize("name", sorted(FLOORS))
def test_against_the_floor(benchmark, write_row, name):
    normal, scored = digits(NUM_NORMAL, 1), digits(NUM_SCORED, 2)
    floor_s = []
    run(name, normal[:500], scored[:100])
    benchmark.pedantic(
        run,
        args=(name, normal, scored),
        setup=lambda: floor_s.append(timed(FLOORS[name], normal, scored)),
        rounds=ROUNDS,
    )
    title = f"{name}, {NUM_NORMAL} x {NUM_SCORED} digits, one thread"
    write_row(title, benchmark.stats.stats.data, "its matrix products alone", floor_s)


CHILD = """
import re, sys
from pathlib import Path
sys.path[:0] = [sys.argv[2]]
from tests.throughput import test_detectors as here

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])

normal, scored = here.digits(here.NUM_NORMAL, 1), here.digits(here.NUM_SCORED, 2)
here.run(sys.argv[1], normal[:500], scored[:100])
before = peak()
here.run(sys.argv[1], normal, scored)
print((peak() - before) / 1024, (normal.nbytes + scored.nbytes) / 2**20)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("name", sorted(FLOORS))
def test_memory(benchmark, write_row, name):
    """Peak resident memory beyond imports, images and a small warm-up, in a fresh process: a
    multiple of the float32 vectors, and no matrix of all pairs.
    """

    def peak_mib():
        done = subprocess.run(
            [sys.executable, "-c", CHILD, name, str(Path(__file__).parents[2])],
            capture_output=True,
            text=True,
            check=True,
        )
        return tuple(map(float, re.findall(r"[\d.]+", done.stdout)[-2:]))

    peak, images = benchmark.pedantic(peak_mib, rounds=1)
    most = VECTORS[name] * 4 * images + SPARE_MIB
    title = f"peak memory of {name} beyond its images, {NUM_NORMAL} x {NUM_SCORED} digits"
    write_row(title, [peak], unit="MiB")
    assert 0 < peak <= most


def pyod_knn():
    from pyod.models.knn import KNN

    return KNN(n_neighbors=5, method="largest")


def pyod_pca():
    from pyod.models.pca import PCA

    return PCA(n_components=0.95, standardization=False)


def pyod_kde():
    from pyod.models.kde import KDE

    return KDE(bandwidth=1.0)


def pyod_forest():
    from pyod.models.iforest import IForest

    return IForest(n_estimators=100, max_samples=min(256, NUM_OF_CLASS), random_state=0)


def pyod_svm():
    from pyod.models.ocsvm import OCSVM

    return OCSVM(nu=0.1, gamma=0.004)


# PyOD's KDE has one bandwidth, ours chooses it among 20; PyOD's PCA scores in another way. PyOD
# scores the normal images as part of its fit, which is part of its time.
PEERS = {
    "knn-pixels": pyod_knn,
    "pca": pyod_pca,
    "kde": pyod_kde,
    "isolation-forest": pyod_forest,
    "oc-svm": pyod_svm,
}
SHALLOW = (
    "knn-pixels",
    "knn-hog",
    "mahalanobis-pixels",
    "mahalanobis-hog",
    "pca",
    "kde",
    "kde-exponential",
    "isolation-forest",
)
SHALLOW = (*SHALLOW, "oc-svm", "oc-svm-oracle")


def run_pyod(name, normal, scored):
    model = PEERS[name]()
    model.fit(normal.reshape(len(normal), -1) / 255.0)
    model.decision_function(scored.reshape(len(scored), -1) / 255.0)


def run_shallow(name, normal, scored):
    labels = np.arange(len(scored)) % 2
    tenth = max(2, len(scored) // 10)
    one = DETECTORS.find(name).make(
        DetectorSettings(oracle_images=scored[:tenth], oracle_labels=labels[:tenth])
    )
    one.fit(normal)
    one.scores(scored)


def test_all_shallow_beside_pyod(benchmark, write_row):
    """Every shallow detector over all classes; PyOD's where it has one, in turn with ours."""
    scored = digits(NUM_SCORED, 2)
    ours: dict[str, float] = dict.fromkeys(SHALLOW, 0.0)
    theirs: dict[str, float] = dict.fromkeys(PEERS, 0.0)

    def every_class():
        for kind in CLASSES:
            normal = digits(NUM_OF_CLASS, kind, kind)
            for name in SHALLOW:
                ours[name] += timed(run_shallow, name, normal, scored)
                if name in PEERS:
                    theirs[name] += timed(run_pyod, name, normal, scored)

    benchmark.pedantic(every_class, rounds=1)
    sizes = f"{len(CLASSES)} classes of {NUM_OF_CLASS}, {NUM_SCORED} scored"
    for name in SHALLOW:
        peer_s = [theirs[name]] if name in theirs else ()
        write_row(f"detector {name}, {sizes}", [ours[name]], "PyOD", peer_s)
