"""Time and memory of all neighbour metrics against torch-fidelity's and prdc's own.

Ours: precision, recall, density, coverage, realism and the stored nearest neighbours, from the
features on. torch-fidelity 0.4: precision and recall alone. prdc 0.2: precision, recall, density
and coverage. The three run in turn in every round, on the same arrays and threads; a ratio is the
median over rounds, since a machine's load moves all three. Nothing here asserts a time.

    pytest tests/throughput/test_neighbours.py -s

LATENTBENCH_BENCH_SCALE (default 1) scales the 10,000 images a side, LATENTBENCH_BENCH_ROUNDS
(default 3) sets the rounds.
"""

import contextlib
import io
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from prdc import compute_prdc
from torch_fidelity.metric_prc import calculate_precision_recall_full

from bench.metrics.density_coverage import coverage, density
from bench.metrics.precision_recall import precision, realism, recall
from bench.statistics.neighbours.search import neighbour_pass

NUM = max(200, int(10_000 * float(os.environ.get("LATENTBENCH_BENCH_SCALE", "1"))))
ROUNDS = int(os.environ.get("LATENTBENCH_BENCH_ROUNDS", "3"))


def inception_like(num, dim, seed):
    """Ten classes, a power-law spectrum of 64 shared directions, some noise, rectified: float32.

    At 10,000 x 2,048: precision .74, recall .74, density 1.0, like a good generator's.
    """
    shared, rng = np.random.default_rng(7), np.random.default_rng(seed)
    centres = 0.6 * shared.normal(size=(10, dim))
    spectrum = 3 * (1 + np.arange(64)) ** -0.5
    directions = spectrum[:, None] * shared.normal(size=(64, dim)) / 8
    out = np.empty((num, dim), np.float32)
    for at in range(0, num, 1000):
        n = min(1000, num - at)
        x = centres[rng.integers(0, 10, n)] + rng.normal(size=(n, 64)) @ directions
        out[at : at + n] = np.maximum(x + 0.3 * rng.normal(size=(n, dim)), 0)
    return out


def ours(real, fake):
    found = neighbour_pass(real, fake)
    realism(found)
    return precision(found), recall(found), density(found), coverage(found)


def torch_fidelity(real, fake):
    return calculate_precision_recall_full(torch.from_numpy(fake), torch.from_numpy(real))


def prdc(real, fake):
    with contextlib.redirect_stdout(io.StringIO()):
        found = compute_prdc(real, fake, nearest_k=5)
    return found["density"], found["coverage"]


def timed(function, *arguments):
    start = time.perf_counter()
    return function(*arguments), time.perf_counter() - start


PEER_METRICS = {
    "torch-fidelity": "torch-fidelity (precision, recall)",
    "prdc": "prdc",
}


@pytest.mark.parametrize("dim", [2048, 128])
def test_time(benchmark, write_row, dim):
    real, fake = inception_like(NUM, dim, 1), inception_like(NUM, dim, 2)
    for function in (ours, torch_fidelity, prdc):
        function(real[:200], fake[:200])
    times = {"ours": [], "torch-fidelity": [], "prdc": []}
    results = {}

    def peers():
        for name, function in (("torch-fidelity", torch_fidelity), ("prdc", prdc)):
            results[name], seconds = timed(function, real, fake)
            times[name].append(seconds)

    def run():
        results["ours"], seconds = timed(ours, real, fake)
        times["ours"].append(seconds)

    benchmark.pedantic(run, setup=peers, rounds=ROUNDS)
    p, r, d, c = results["ours"]
    np.testing.assert_allclose((p, r), results["torch-fidelity"], atol=2.5 / NUM)
    np.testing.assert_allclose((d, c), results["prdc"], atol=2.5 / NUM)
    mine = times["ours"][-ROUNDS:]
    for name in ("torch-fidelity", "prdc"):
        title = f"all neighbour metrics, {NUM} x {dim}"
        write_row(title, mine, PEER_METRICS[name], times[name])


CHILD = """
import re, sys
from pathlib import Path
import numpy as np
sys.path[:0] = [sys.argv[2], str(Path(sys.argv[2]).parents[1])]
import test_neighbours as peers

def peak():  # of this process alone; ru_maxrss starts from the peak of the parent
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])

real, fake = np.load("real.npy"), np.load("fake.npy")
function = getattr(peers, sys.argv[1])
function(real[:200], fake[:200])
before = peak()
function(real, fake)
print((peak() - before) / 1024)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("dim", [2048, 128])
def test_memory(benchmark, write_row, dim, tmp_path):
    """Peak resident memory beyond imports, data and a small warm-up, each in a fresh process."""
    for name, seed in (("real", 1), ("fake", 2)):
        np.save(tmp_path / f"{name}.npy", inception_like(NUM, dim, seed))

    def peak_mib(function):
        here = str(Path(__file__).resolve().parent)
        done = subprocess.run(
            [sys.executable, "-c", CHILD, function, here],
            capture_output=True, text=True, check=True, cwd=tmp_path,
        )  # fmt: skip
        return float(done.stdout.split()[-1])

    mine = benchmark.pedantic(peak_mib, args=("ours",), rounds=1)
    for function in ("torch_fidelity", "prdc"):
        peer = peak_mib(function)
        title = f"peak memory of all neighbour metrics, {NUM} x {dim}"
        write_row(title, [mine], function.replace("_", "-"), [peer], unit="MiB")
