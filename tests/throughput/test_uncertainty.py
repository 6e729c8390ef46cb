"""What all intervals together cost: scoring a folder of digits with and without them.

Both run in turn in every round, on the same images, from reading the files to the record. Nothing
here asserts a time; the goal is less than half of the scoring time on top.

    tox -e throughput -- -k uncertainty
"""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from baselines.runs.demo import generate_digits
from baselines.sampling.samples_folder import write_samples
from bench.metrics import METRICS
from bench.records.score_record import ScoreRecord
from bench.scoring.scorer import Scorer
from tests.throughput.conftest import WriteRow

SCALE = float(os.environ.get("LATENTBENCH_BENCH_SCALE", "1"))
NUM_IMAGES = max(1_000, round(10_000 * SCALE))
ROUNDS = 5 if SCALE >= 1 else 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("uncertainty") / "samples"
    write_samples(generate_digits(NUM_IMAGES, seed=0), path)
    return path


@pytest.fixture
def scorers() -> tuple[Scorer, Scorer]:
    """Without intervals, and with them."""
    plain, full = (Scorer(reference="mnist", use_cache=False) for _ in range(2))
    plain.metrics = [dataclasses.replace(metric, uncertainty=None) for metric in METRICS.values()]
    return plain, full


def test_cost_of_intervals(
    benchmark: BenchmarkFixture,
    folder: Path,
    scorers: tuple[Scorer, Scorer],
    write_row: WriteRow,
) -> None:
    plain, full = scorers
    plain_s: list[float] = []
    full.score(folder)  # libraries are loaded
    without: list[ScoreRecord] = []

    def setup() -> tuple[tuple[Path], dict[str, object]]:
        start = time.perf_counter()
        without.append(plain.score(folder))
        plain_s.append(time.perf_counter() - start)
        return (folder,), {}

    record: ScoreRecord = benchmark.pedantic(full.score, setup=setup, rounds=ROUNDS)
    assert all(entry.interval is None for entry in without[-1].values)
    assert all(entry.interval is not None for entry in record.values)
    assert [e.value for e in record.values] == [e.value for e in without[-1].values]
    title = f"score of {NUM_IMAGES} digits with all intervals"
    write_row(title, benchmark.stats.stats.data, "the same without intervals", plain_s)
