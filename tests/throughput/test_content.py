"""A look at the content of a folder beside the whole `score` of it.

The observer sees every image as it goes by; then come the findings, with the search for copies
among the 60,000 train images of the reference.

    tox -e throughput -- -k content
"""

from __future__ import annotations

import os

import numpy as np
import pytest
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

from bench.content import ContentObserver, Evidence, content_facts, content_findings
from bench.references.bundle import Reference, load_reference
from bench.references.lookup import find_manifest
from bench.scoring.scorer import Scorer
from tests.conftest import RealSample
from tests.throughput.conftest import WriteRow

SCALE = float(os.environ.get("LATENTBENCH_BENCH_SCALE", "1"))
NUM_IMAGES = max(1_000, round(10_000 * SCALE))
ROUNDS = 5 if SCALE >= 1 else 1
BLOCK = 512  # as a stream gives them


@pytest.fixture(scope="module")
def images(mnist: RealSample) -> NDArray[np.uint8]:
    """The 2,000 committed digits, in five places each."""
    shifts = ((0, 0), (2, 0), (-2, 0), (0, 2), (0, -2))
    moved = [np.roll(mnist.images, shift, (1, 2)) for shift in shifts]
    return np.concatenate(moved)[:NUM_IMAGES]


@pytest.fixture(scope="module")
def reference() -> Reference:
    return load_reference(find_manifest("mnist"))


def test_observer(
    benchmark: BenchmarkFixture, images: NDArray[np.uint8], write_row: WriteRow
) -> None:
    def observe() -> None:
        observer = ContentObserver(len(images))
        for start in range(0, len(images), BLOCK):
            observer.add(images[start : start + BLOCK])
        observer.facts()

    benchmark.pedantic(observe, rounds=ROUNDS, warmup_rounds=1)
    us = [1e6 * seconds / len(images) for seconds in benchmark.stats.stats.data]
    write_row("the pass over the pixels of an image of 28x28 px", us, unit="us")


def test_content_beside_score(
    benchmark: BenchmarkFixture,
    images: NDArray[np.uint8],
    reference: Reference,
    write_row: WriteRow,
) -> None:
    scorer = Scorer(reference="mnist", use_cache=False)
    scorer.score_images(255 - images[:1_000], name="first")  # loads libraries
    record = scorer.score_images(images, name="digits")
    content = reference.content
    assert content is not None

    def look() -> None:
        content_findings(Evidence(content_facts(images), content))

    benchmark.pedantic(look, rounds=ROUNDS, warmup_rounds=1)
    assert record.timings_s["content"] > 0
    write_row(f"content findings of {len(images)} digits", benchmark.stats.stats.data)
