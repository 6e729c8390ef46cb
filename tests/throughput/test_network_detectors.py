"""What the detectors that train a network cost, and a stack of ten against ten single fits.

Cost: images seen per second of training, and images scored per second, each detector with the
networks of its budget "cpu" and a short training. Stacks: one program for ten normal sets of
several sizes against the same ten fits one after the other, in turn in every round; the ratio is
the median of their times. On a CPU the stack is forced for the figure; the detectors themselves
take turns there. Nothing here asserts a time.

    pytest tests/throughput/test_network_detectors.py -s

LATENTBENCH_BENCH_SCALE (default 1) scales the epochs, LATENTBENCH_BENCH_ROUNDS (default 3) sets
the rounds. With a GPU its figures come too, with ten times the epochs.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture

from baselines.detectors import deep_svdd, geotrans, recipe_detector
from baselines.detectors.table import EPOCH_IMAGES, NUM_TRANSFORMS
from bench.anomaly.detectors.base import Detector, DetectorSettings
from tests.baselines.detectors.conftest import entry_points, row_of
from tests.throughput.conftest import WriteRow

Pictures = NDArray[np.uint8]
SCALE = float(os.environ.get("LATENTBENCH_BENCH_SCALE", "1"))
ROUNDS = int(os.environ.get("LATENTBENCH_BENCH_ROUNDS", "3" if SCALE >= 1 else "1"))
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
STACKED = ("ae-dense", "ae-conv", "vae-elbo", "deep-svdd", "gan-discriminator")
STACKS = [(name, device) for device in DEVICES for name in STACKED]
if torch.cuda.is_available():  # grouped convolutions: a CPU takes half a minute for one step of ten
    STACKS.append(("geotrans", "cuda"))
NUM_SETS = 10


@pytest.fixture(scope="module")
def images() -> Pictures:
    path = Path(__file__).parents[1] / "data" / "mnist-test-2000.npz"
    with np.load(path) as archive:
        found: Pictures = archive["images"]
    return found


def short(name: str, device: str, *, epochs: float, seed: int = 0) -> Detector:
    """The networks of budget "cpu", `epochs` of 6,000 images (for GeoTrans: transformed ones)."""
    epochs *= SCALE * (10 if device == "cuda" else 1)
    options: dict[str, float | int | str] = {"budget": "cpu", "epochs": epochs}
    if name == "geotrans":
        options |= {"epochs": epochs / NUM_TRANSFORMS, "fit_images": 50}
    if name.startswith("deep-svdd"):
        options["pretrain_epochs"] = epochs
    return row_of(name).make(DetectorSettings(seed=seed, device=device, options=options))


def timed(function: Callable[[], object], device: str) -> float:
    start = time.perf_counter()
    function()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", sorted(entry_points()))
def test_cost(
    benchmark: BenchmarkFixture, name: str, device: str, images: Pictures, write_row: WriteRow
) -> None:
    epochs = 0.5
    scored = images[: 100 if name in ("geotrans", "anogan") else 1000]
    fit_s: list[float] = []
    found: list[Detector] = []
    short(name, device, epochs=0.02).fit(images[:50])  # kernels are chosen

    def setup() -> tuple[tuple[()], dict[str, object]]:
        found.append(short(name, device, epochs=epochs))
        fit_s.append(timed(lambda: found[-1].fit(images), device))
        return (), {}

    benchmark.pedantic(lambda: found[-1].scores(scored), setup=setup, rounds=ROUNDS)
    seen = epochs * SCALE * EPOCH_IMAGES * (10 if device == "cuda" else 1)
    assert np.isfinite(found[-1].scores(scored[:10])).all()
    write_row(f"fit {name}, {device}", [seen / s for s in fit_s], unit="images/s")
    rates = [len(scored) / s for s in benchmark.stats.stats.data]
    write_row(f"score by {name}, {device}", rates, unit="images/s")


@pytest.mark.parametrize(("name", "device"), STACKS)
def test_a_stack_against_single_fits(
    benchmark: BenchmarkFixture, name: str, device: str, images: Pictures, write_row: WriteRow
) -> None:
    normals = [images[200 * k : 200 * k + 150 + 5 * k] for k in range(NUM_SETS)]
    families = {"deep-svdd": deep_svdd, "geotrans": geotrans}
    fit_together = families.get(name, recipe_detector).fit_together
    single_s: list[float] = []

    def ten() -> list[Detector]:
        return [short(name, device, epochs=0.1, seed=seed) for seed in range(NUM_SETS)]

    def one_by_one() -> None:
        for detector, normal in zip(ten(), normals, strict=True):
            detector.fit(normal)

    def stacked() -> list[Detector]:
        detectors = ten()
        fit_together(detectors, normals, stack=True)
        return detectors

    assert np.isfinite(stacked()[-1].scores(images[:10])).all()  # kernels are chosen

    def setup() -> tuple[tuple[()], dict[str, object]]:
        single_s.append(timed(one_by_one, device))
        return (), {}

    benchmark.pedantic(lambda: timed(stacked, device), setup=setup, rounds=ROUNDS)
    title = f"fit {NUM_SETS} {name} as one program, {device}"
    write_row(title, benchmark.stats.stats.data, "one by one", single_s)
