"""Training speed against the plain PyTorch loop at the same batch size and networks.

The plain loop is what tutorials teach: a `Dataset` of PIL images with a transform behind a
`DataLoader` with 4 workers, eager steps, `zero_grad(); backward(); step()`, gradients of both
networks in the generator's step, `.item()` on both losses in every step. Both sides run in turn in
every round, on the same networks and threads; a ratio is the median over rounds. Nothing here
asserts a time.

    pytest tests/throughput/test_training.py -s

LATENTBENCH_BENCH_SCALE (default 1) scales the steps, LATENTBENCH_BENCH_ROUNDS (default 3) sets
the rounds. With a GPU its figures come too: single runs through CUDA graphs, 64 stacked ones.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from baselines.build import Game, build_for
from baselines.data import TrainingSet, training_set
from baselines.engine import Engine
from baselines.recipes import recipe_config

# the 4 workers are the peer's setting, on machines of fewer cores too
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker")

SCALE = float(os.environ.get("LATENTBENCH_BENCH_SCALE", "1"))
ROUNDS = int(os.environ.get("LATENTBENCH_BENCH_ROUNDS", "3" if SCALE >= 1 else "1"))
BLOCKS = {"course-gan": max(1, round(12 * SCALE)), "dcgan": max(1, round(2 * SCALE))}
GPU_FACTOR = 20  # steps on a GPU, in those of a CPU
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
NUM_WORKERS = 4
STACKED = {"cpu": 4, "cuda": 64}


class Pictures(Dataset[Tensor]):
    """Images as torchvision's MNIST gives them, with ToTensor and Normalize(0.5, 0.5)."""

    def __init__(self, images: np.ndarray) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        picture = Image.fromarray(self.images[index, ..., 0])
        x = torch.from_numpy(np.array(picture, np.uint8)).float().div(255)[None]
        return (x - 0.5) / 0.5


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """20,000 images: the committed 2,000 ten times over."""
    path = Path(__file__).parents[1] / "data" / "mnist-test-2000.npz"
    with np.load(path) as archive:
        return np.tile(archive["images"], (10, 1, 1, 1))


def game_of(recipe: str, data: TrainingSet, seed: int = 0) -> Game:
    return build_for(recipe_config(recipe, seed=seed), data)


def plain_steps(game: Game, images: np.ndarray, device: str) -> Iterator[tuple[float, float]]:
    """The plain loop, one step at a time."""
    generator, discriminator = (
        game.networks[name].to(device) for name in ("generator", "discriminator")
    )
    opt_g = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    opt_d = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    size = game.config.batch_size
    loader = DataLoader(
        Pictures(images), size, shuffle=True, num_workers=NUM_WORKERS, drop_last=True,
        persistent_workers=True,
    )  # fmt: skip
    latent = game.options.latent_dim
    while True:
        for batch in loader:
            real = batch.to(device)
            fake = generator(torch.randn(size, latent, device=device))
            opt_d.zero_grad()
            loss_d = (
                F.softplus(-discriminator(real).logits).mean()
                + F.softplus(discriminator(fake.detach()).logits).mean()
            )
            loss_d.backward()
            opt_d.step()
            opt_g.zero_grad()
            fake = generator(torch.randn(size, latent, device=device))
            loss_g = F.softplus(-discriminator(fake).logits).mean()
            loss_g.backward()
            opt_g.step()
            yield loss_d.item(), loss_g.item()


def timed(function: Callable[[], object], device: str) -> float:
    start = time.perf_counter()
    function()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def compare(
    benchmark: BenchmarkFixture,
    engine: Engine,
    peer: Iterator[tuple[float, float]],
    num_blocks: int,
    label: str,
) -> None:
    """Rounds of the peer and of ours in turn; prints both rates and the ratio."""
    device, batch = engine.device, engine.games[0].config.batch_size
    peer_s: list[float] = []
    losses: list[float] = []
    num_steps = 16 * num_blocks

    def ours() -> None:
        for _ in range(num_blocks):
            losses.extend(engine.run_block().values.flatten().tolist())
        if device == "cuda":
            torch.cuda.synchronize()

    def theirs() -> None:
        for _ in range(num_steps):
            losses.extend(next(peer))

    theirs()
    ours()  # workers start, kernels are chosen, graphs are captured

    def setup() -> tuple[tuple[()], dict[str, object]]:
        peer_s.append(timed(theirs, device))  # in turn with ours: both see the same machine
        return (), {}

    benchmark.pedantic(ours, setup=setup, rounds=ROUNDS)
    own_s = np.array(benchmark.stats.stats.data)
    images = num_steps * batch
    ratios = engine.num_runs * np.array(peer_s) / own_s
    ratio = float(np.median(ratios))
    assert np.isfinite(losses).all()
    rates = {
        "peer img/s": images / float(np.median(peer_s)),
        "img/s": engine.num_runs * images / float(np.median(own_s)),
    }
    benchmark.extra_info.update(ratio=ratio, **rates)
    print(
        f"\n{label} on {device}, {torch.get_num_threads()} threads, batch {batch}: "
        f"{rates['img/s']:,.0f} img/s; plain loop {rates['peer img/s']:,.0f} img/s; "
        f"ratio {ratio:.2f} ({ratios.min():.2f} to {ratios.max():.2f})"
    )


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("recipe", ["course-gan", "dcgan"])
def test_single_run(
    benchmark: BenchmarkFixture, recipe: str, device: str, images: np.ndarray
) -> None:
    data = training_set(images, None, name="digits", device=device)
    engine = Engine(game_of(recipe, data), data, device=device)
    peer = plain_steps(game_of(recipe, data), images, device)
    blocks = BLOCKS[recipe] * (GPU_FACTOR if device == "cuda" else 1)
    compare(benchmark, engine, peer, blocks, recipe)


@pytest.mark.parametrize("device", DEVICES)
def test_stacked_runs(benchmark: BenchmarkFixture, device: str, images: np.ndarray) -> None:
    """Total images per second of K course GANs, stacked on a GPU, against one plain run."""
    data = training_set(images, None, name="digits", device=device)
    num = STACKED[device]
    engine = Engine([game_of("course-gan", data, seed) for seed in range(num)], data, device=device)
    peer = plain_steps(game_of("course-gan", data), images, device)
    blocks = max(1, BLOCKS["course-gan"] // 4) * (GPU_FACTOR if device == "cuda" else 1)
    compare(benchmark, engine, peer, blocks, f"{num} runs of course-gan, total")


def test_the_same_networks_on_both_sides(images: np.ndarray) -> None:
    """The peer starts from the very weights that ours starts from."""
    data = training_set(images, None, name="digits")
    for recipe in ("course-gan", "dcgan"):
        first, second = (game_of(recipe, data).networks["generator"] for _ in range(2))
        for a, b in zip(first.parameters(), second.parameters(), strict=True):
            assert torch.equal(a, b)
        assert isinstance(first, nn.Module)
