"""Training speed against the plain PyTorch loop at the same batch size and networks.

The plain loop is what tutorials teach: a `Dataset` of PIL images with a transform behind a
`DataLoader` with 4 workers, eager steps, `zero_grad(); backward(); step()`, gradients of both
networks in the generator's step, `.item()` on the losses in every step; for autoencoders and VAEs
the same with one network, for WGAN-GP with five steps of the critic. Both sides run in turn in
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

from baselines.recipes.table import recipe_config
from baselines.training.build import Game, build_for
from baselines.training.engine import Engine
from baselines.training.training_images import TrainingSet, training_set
from tests.throughput.conftest import WriteRow

# the 4 workers are the peer's setting, on machines of fewer cores too
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create 4 worker")

SCALE = float(os.environ.get("LATENTBENCH_BENCH_SCALE", "1"))
ROUNDS = int(os.environ.get("LATENTBENCH_BENCH_ROUNDS", "3" if SCALE >= 1 else "1"))
BLOCKS = {
    recipe: max(1, round(blocks * SCALE))
    for recipe, blocks in {
        "course-gan": 12, "wgan-gp": 3, "dcgan": 2, "ae-dense": 24, "ae-conv": 8, "vae": 24,
    }.items()
}  # fmt: skip
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


def loader_of(images: np.ndarray, batch_size: int) -> DataLoader[Tensor]:
    return DataLoader(
        Pictures(images), batch_size, shuffle=True, num_workers=NUM_WORKERS, drop_last=True,
        persistent_workers=True,
    )  # fmt: skip


def plain_steps(game: Game, images: np.ndarray, device: str) -> Iterator[tuple[float, ...]]:
    """The plain loop of the game's kind, one step at a time."""
    if game.model.kind == "likelihood":
        return plain_likelihood_steps(game, images, device)
    if game.config.loss == "wgan-gp":
        return plain_critic_steps(game, images, device)
    return plain_gan_steps(game, images, device)


def players_of(game: Game, device: str) -> tuple[nn.Module, ...]:
    return tuple(game.networks[name].to(device) for name in ("generator", "discriminator"))


def plain_gan_steps(game: Game, images: np.ndarray, device: str) -> Iterator[tuple[float, ...]]:
    generator, discriminator = players_of(game, device)
    opt_g = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    opt_d = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    size, latent = game.config.batch_size, game.options.latent_dim
    loader = loader_of(images, size)
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


def plain_critic_steps(game: Game, images: np.ndarray, device: str) -> Iterator[tuple[float, ...]]:
    """WGAN-GP (Gulrajani et al. 2017, algorithm 1)."""
    generator, critic = players_of(game, device)
    opt_g = torch.optim.Adam(generator.parameters(), lr=1e-4, betas=(0.0, 0.9))
    opt_c = torch.optim.Adam(critic.parameters(), lr=1e-4, betas=(0.0, 0.9))
    size, latent = game.config.batch_size, game.options.latent_dim
    loader, batches = loader_of(images, size), iter(())
    while True:
        for _ in range(5):
            batch = next(batches, None)
            if batch is None:
                batches = iter(loader)
                batch = next(batches)
            real = batch.to(device)
            fake = generator(torch.randn(size, latent, device=device)).detach()
            share = torch.rand(size, 1, 1, 1, device=device)
            mixed = (share * real + (1 - share) * fake).requires_grad_()
            (slope,) = torch.autograd.grad(critic(mixed).logits.sum(), mixed, create_graph=True)
            penalty = (slope.flatten(1).norm(2, dim=1) - 1).square().mean()
            loss_c = critic(fake).logits.mean() - critic(real).logits.mean() + 10 * penalty
            opt_c.zero_grad()
            loss_c.backward()
            opt_c.step()
        opt_g.zero_grad()
        loss_g = -critic(generator(torch.randn(size, latent, device=device))).logits.mean()
        loss_g.backward()
        opt_g.step()
        yield loss_c.item(), loss_g.item()


def plain_likelihood_steps(
    game: Game, images: np.ndarray, device: str
) -> Iterator[tuple[float, ...]]:
    network = game.networks["autoencoder"].to(device)
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    loader = loader_of(images, game.config.batch_size)
    while True:
        for batch in loader:
            x = (batch.to(device) + 1) / 2
            if game.latent is not None:
                out, mean, log_variance = network(
                    x, torch.randn(len(x), game.options.latent_dim, device=device)
                )
                error = F.binary_cross_entropy_with_logits(out, x, reduction="sum")
                kl = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum()
                loss = (error + kl) / len(x)
            else:
                loss = F.mse_loss(network(x)[0], x, reduction="sum") / len(x)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            yield (loss.item(),)


def timed(function: Callable[[], object], device: str) -> float:
    start = time.perf_counter()
    function()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def compare(
    benchmark: BenchmarkFixture,
    engine: Engine,
    peer: Iterator[tuple[float, ...]],
    num_blocks: int,
    label: str,
    write_row: WriteRow,
) -> None:
    """Run rounds of the peer and of ours in turn."""
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
    assert np.isfinite(losses).all()
    images = num_steps * batch
    write_row(
        f"train {label}, batches of {batch}, {device}",
        [engine.num_runs * images / seconds for seconds in benchmark.stats.stats.data],
        "plain PyTorch loop",
        [images / seconds for seconds in peer_s],
        unit="images/s",
        more_is_better=True,
    )


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("recipe", BLOCKS)
def test_single_run(
    benchmark: BenchmarkFixture,
    recipe: str,
    device: str,
    images: np.ndarray,
    write_row: WriteRow,
) -> None:
    data = training_set(images, None, name="digits", device=device)
    engine = Engine(game_of(recipe, data), data, device=device)
    peer = plain_steps(game_of(recipe, data), images, device)
    blocks = BLOCKS[recipe] * (GPU_FACTOR if device == "cuda" else 1)
    compare(benchmark, engine, peer, blocks, recipe, write_row)


@pytest.mark.parametrize("device", DEVICES)
def test_stacked_runs(
    benchmark: BenchmarkFixture, device: str, images: np.ndarray, write_row: WriteRow
) -> None:
    """Total images per second of K course GANs, stacked on a GPU, against one plain run."""
    data = training_set(images, None, name="digits", device=device)
    num = STACKED[device]
    engine = Engine([game_of("course-gan", data, seed) for seed in range(num)], data, device=device)
    peer = plain_steps(game_of("course-gan", data), images, device)
    blocks = max(1, BLOCKS["course-gan"] // 4) * (GPU_FACTOR if device == "cuda" else 1)
    label = f"{num} runs of course-gan, in total"
    compare(benchmark, engine, peer, blocks, label, write_row)


def test_the_same_networks_on_both_sides(images: np.ndarray) -> None:
    """The peer starts from the very weights that ours starts from."""
    data = training_set(images, None, name="digits")
    for recipe in BLOCKS:
        first, second = (game_of(recipe, data).networks for _ in range(2))
        for name, network in first.items():
            for a, b in zip(network.parameters(), second[name].parameters(), strict=True):
                assert torch.equal(a, b)
