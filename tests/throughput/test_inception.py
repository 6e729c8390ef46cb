"""`inception` against torch-fidelity 0.4 with the same weights, images, device and threads.

    tox -e throughput -- -k inception
    LATENTBENCH_BENCH_DEVICE=cuda python -m pytest tests/throughput/test_inception.py -s

Features alone; a whole run of FID, Inception Score, KID, precision and recall over a folder of PNG
files against a stored reference (torch-fidelity's cache is warm as well); and where the time goes:
decoding, resizing, forward pass, metrics. Features are told with the share that they reach of the
device's rate of matrix products in the same number format (11.4 GFLOP an image).

`exact` is compared with torch-fidelity in strict float32, the faster precisions with torch-fidelity
as PyTorch runs it, TF32 in convolutions. On a GPU each precision is measured compiled as well; what
compiling cost is paid before the clock starts, and told. Weights are random
(`tests.inception_weights`); speed does not depend on them. Ours and the peer take turns, medians
are compared. `LATENTBENCH_BENCH_SCALE` multiplies the number of images (at 1: 320 on a CPU, 10,000
on a GPU).
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import torch_fidelity
from numpy.typing import NDArray
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from baselines.runs.demo import generate_digits
from baselines.sampling.samples_folder import write_samples
from bench.extractors import extractor_row
from bench.extractors.base import Extractor, ExtractorChoice
from bench.extractors.compiling import CompiledOncePaid
from bench.extractors.inception import CUDA_BATCH
from bench.extractors.resampling import network_input
from bench.intake import ImageStream
from bench.references.build import build_references
from bench.references.real_images import RealImages
from bench.runtime.devices import strict_float32, tf32_allowed
from bench.scoring.scorer import Scorer
from tests.inception_weights import save_random_weights
from tests.throughput.conftest import WriteRow

SCALE = float(os.environ.get("LATENTBENCH_BENCH_SCALE", "1"))
DEVICE = os.environ.get("LATENTBENCH_BENCH_DEVICE", "cpu")
ON_GPU = DEVICE.startswith("cuda")
NUM_IMAGES = max(32, round((10_000 if ON_GPU else 320) * SCALE))
ROUNDS = 3 if SCALE >= 1 else 1
PEER_BATCH = 64  # torch-fidelity's default
GFLOP_AN_IMAGE = 11.4
METRICS = ("fid", "inception_score", "kid_poly3", "precision_k3", "recall_k3")

# torch-fidelity's loaders fork; Python 3.12 warns where torch has threads
pytestmark = pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)


class Form(NamedTuple):
    """How the network is run."""

    precision: str
    compiled: bool = False

    def __str__(self) -> str:
        return f"{self.precision}, compiled" if self.compiled else self.precision


PRECISIONS = ("exact", "tf32x3", "tf32", "fp16") if ON_GPU else ("exact",)
FORMS = [
    Form(precision, compiled)
    for compiled in (False, True)[: 1 + ON_GPU]
    for precision in PRECISIONS
]
every_form = pytest.mark.parametrize("form", FORMS, ids=lambda form: str(form).replace(", ", "-"))


class Products(NamedTuple):
    """The matrix products that a precision is made of."""

    title: str
    dtype: torch.dtype
    matmul_precision: str
    num: int = 1  # for each one in float32


PRODUCTS = {
    "exact": Products("float32", torch.float32, "highest"),
    "tf32x3": Products("TF32", torch.float32, "high", num=3),
    "tf32": Products("TF32", torch.float32, "high"),
    "fp16": Products("float16", torch.float16, "highest"),
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random_weights(tmp_path_factory.mktemp("weights") / "random.pth")


@pytest.fixture(scope="module")
def images() -> NDArray[np.uint8]:
    return generate_digits(NUM_IMAGES, seed=0)


@pytest.fixture(autouse=True)
def compiled_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the second batch on, for the forms that are compiled."""
    at_once = functools.partial(CompiledOncePaid, cost_s=0.0)
    monkeypatch.setattr("bench.extractors.inception.CompiledOncePaid", at_once)


def choice_of(form: Form, weights: Path) -> ExtractorChoice:
    """Only whole batches run compiled: there are two at least, however few the images."""
    return ExtractorChoice(
        weights=weights,
        unverified_weights=True,
        precision=form.precision,
        compiled=form.compiled,
        batch_size=min(CUDA_BATCH, NUM_IMAGES // 2) if form.compiled else None,
    )


def load(weights: Path, form: Form) -> Extractor:
    return extractor_row("inception").resolve(choice_of(form, weights)).load(DEVICE)


def compile_s(network: Any) -> float:
    """What compiling has cost; it must have happened."""
    assert network.compiling.failure is None
    seconds = network.compiling.compile_s
    assert seconds is not None
    return float(seconds)


def peer_precision(form: Form) -> AbstractContextManager[None]:
    return strict_float32() if form.precision == "exact" else tf32_allowed()


def peer_name(form: Form) -> str:
    if not ON_GPU:
        return "torch-fidelity"
    return f"torch-fidelity in {'strict float32' if form.precision == 'exact' else 'TF32'}"


def synchronised() -> float:
    if ON_GPU:
        torch.cuda.synchronize()
    return time.perf_counter()


def matmul_gflop_s(products: Products) -> float:
    """What the device does at best: products of square matrices, in the form's own numbers."""
    n = 8192 if ON_GPU else 2048
    a = torch.randn(n, n, device=DEVICE).to(products.dtype)
    rates = []
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(products.matmul_precision)
    try:
        for _ in range(6):
            start = synchronised()
            a @ a
            rates.append(2 * n**3 / (synchronised() - start) / 1e9)
    finally:
        torch.set_float32_matmul_precision(before)
    return float(np.median(rates))


def in_turn(
    benchmark: Any, ours: Callable[[], Any], peer: Callable[[], Any]
) -> tuple[Any, Any, list[float], list[float]]:
    """Return the results and the seconds of both."""
    peer_s: list[float] = []
    results: list[Any] = []

    def run_peer() -> None:
        start = synchronised()
        results.append(peer())
        peer_s.append(synchronised() - start)

    found = benchmark.pedantic(ours, setup=run_peer, rounds=ROUNDS, warmup_rounds=0)
    return found, results[-1], list(benchmark.stats.stats.data), peer_s


@every_form
def test_features(
    benchmark: Any, form: Form, weights: Path, images: NDArray[np.uint8], write_row: WriteRow
) -> None:
    peer = FeatureExtractorInceptionV3(
        "inception-v3-compat",
        ["2048", "logits_unbiased"],
        feature_extractor_weights_path=str(weights),
    ).to(DEVICE)
    batches = torch.from_numpy(images).permute(0, 3, 1, 2).expand(-1, 3, -1, -1)

    def run_peer(num: int = NUM_IMAGES) -> NDArray[np.float32]:
        with torch.inference_mode(), peer_precision(form):
            found = [
                peer(part.contiguous().to(DEVICE))[0].cpu()
                for part in batches[:num].split(PEER_BATCH)
            ]
        return torch.cat(found).numpy()

    extractor = load(weights, form)
    # the first batches of each side load libraries, and choose kernels for their size
    extractor(images[: 2 * extractor.batch_size])
    run_peer(PEER_BATCH if ON_GPU else 16)
    paid = f", after {compile_s(extractor):.0f} s of compiling" if form.compiled else ""
    found, expected, own_s, peer_s = in_turn(benchmark, lambda: extractor(images).values, run_peer)
    error = np.abs(found - expected).max() / np.abs(expected).max()
    assert error < (1e-2 if form.precision != "exact" else 1e-4 if ON_GPU else 1e-5)
    products = PRODUCTS[form.precision]
    rate = NUM_IMAGES / float(np.median(own_s))
    share = rate * GFLOP_AN_IMAGE * products.num / matmul_gflop_s(products)
    write_row(
        f"Inception features of {NUM_IMAGES} digits, {form}, {DEVICE}{paid}",
        [NUM_IMAGES / s for s in own_s],
        peer_name(form),
        [NUM_IMAGES / s for s in peer_s],
        unit="images/s",
        more_is_better=True,
        largest_difference=float(error),
        share_of_matmul_rate=round(share, 3),
        matmul_rate=products.title,
    )


@every_form
def test_a_whole_run(
    benchmark: Any,
    form: Form,
    weights: Path,
    images: NDArray[np.uint8],
    tmp_path: Path,
    write_row: WriteRow,
) -> None:
    """A compiled scorer is made once and has compiled; the others are made anew each time."""
    fake, real = tmp_path / "fake", tmp_path / "real"
    write_samples(images, fake)
    write_samples(generate_digits(NUM_IMAGES, seed=1), real)
    choice = choice_of(form._replace(compiled=False), weights)
    (manifest,) = build_references(
        "real",
        tmp_path,
        extractors=[extractor_row("inception").resolve(choice)],
        train=RealImages(real),
        test=None,
        command="a benchmark",
        device=DEVICE,
    )

    def new_scorer() -> Scorer:
        chosen = choice_of(form, weights)
        return Scorer(
            reference=str(manifest),
            weights=weights,
            unverified_weights=True,
            batch_size=chosen.batch_size,
            compiled=chosen.compiled,
            metrics=METRICS,
            device=DEVICE,
            use_cache=False,
        )

    paid, make_scorer = "", new_scorer
    if form.compiled:
        scorer = new_scorer()
        scorer.score(fake)
        paid = f", after {compile_s(scorer.targets[0].network):.0f} s of compiling"
        make_scorer = lambda: scorer  # noqa: E731

    def ours() -> dict[str, float]:
        record = make_scorer().score(fake)
        return {metric: record.value(metric) for metric in METRICS}

    def peer() -> dict[str, float]:
        with peer_precision(form):
            found: dict[str, float] = torch_fidelity.calculate_metrics(
                input1=str(fake),
                input2=str(real),
                input2_cache_name="real",  # stored, as our reference is
                cache_root=str(tmp_path / "cache"),
                cuda=ON_GPU,
                isc=True,
                fid=True,
                kid=True,
                prc=True,
                kid_subset_size=min(1000, NUM_IMAGES),
                feature_extractor="inception-v3-compat",
                feature_extractor_weights_path=str(weights),
                verbose=False,
                save_cpu_ram=not ON_GPU,
            )
        return found

    peer()  # fills its cache
    found, expected, own_s, peer_s = in_turn(benchmark, ours, peer)
    tolerance = 1e-3 if form.precision == "exact" and not ON_GPU else 0.1
    fid = expected["frechet_inception_distance"]
    assert found["fid"] == pytest.approx(fid, rel=tolerance)
    assert found["precision_k3"] == pytest.approx(expected["precision"], abs=0.02)
    title = f"FID, IS, KID, P/R of {NUM_IMAGES} PNGs with Inception, {form}, {DEVICE}{paid}"
    write_row(title, own_s, peer_name(form), peer_s)


def test_where_the_time_goes(
    benchmark: Any,
    weights: Path,
    images: NDArray[np.uint8],
    tmp_path: Path,
    write_row: WriteRow,
) -> None:
    """Decoding, resizing, forward pass and metrics, each alone. The forward pass is what a whole
    extraction takes beyond resizing, both warm and in the same batches.
    """
    folder = tmp_path / "fake"
    write_samples(images, folder)
    extractor = load(weights, Form("exact"))
    seconds = {}
    start = time.perf_counter()
    with ImageStream(folder) as stream:
        num_read = sum(map(len, stream))
    seconds["decode and check"] = time.perf_counter() - start
    assert num_read == NUM_IMAGES
    batches = (
        torch.from_numpy(images)
        .permute(0, 3, 1, 2)
        .expand(-1, 3, -1, -1)
        .split(extractor.batch_size)
    )

    def resize() -> None:
        with torch.inference_mode(), strict_float32():
            for batch in batches:
                network_input(batch.to(DEVICE), "torch-fidelity", 299)

    extractor(images[: extractor.batch_size])
    resize()
    start = synchronised()
    resize()
    seconds["resize"] = synchronised() - start
    features = benchmark.pedantic(lambda: extractor(images), rounds=ROUNDS if ON_GPU else 1)
    seconds["forward"] = benchmark.stats.stats.median - seconds["resize"]
    scorer = Scorer(
        reference="mnist", metrics=[m for m in METRICS if m != "inception_score"], device=DEVICE
    )
    start = time.perf_counter()
    scorer.score_images(images, name="x")
    seconds["metrics (with digits features)"] = time.perf_counter() - start
    assert features.values.shape == (NUM_IMAGES, 2048)
    for name, s in seconds.items():
        write_row(f"Inception, {name}, an image, {DEVICE}", [1e3 * s / NUM_IMAGES], unit="ms")
