"""Train the generator of `latentbench demo` on the MNIST train split.

    python -m baselines.train_demo_generator --out baselines/weights/demo-generator.safetensors

Non-saturating loss (Goodfellow et al. 2014), projection discriminator (Miyato & Koyama 2018) with
spectral norm (Miyato et al. 2018), Adam with beta1 = 0.5, exponential average of the generator's
weights. Seeded. Batch-norm statistics of the average are measured over fresh latents at the end
and folded into the weights.

Shape legend: N images, Z latent, C channels, H W pixels.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
import time
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from baselines.demo_generator import (
    BASE_PX,
    NOISE_DIM,
    NUM_CLASSES,
    WIDTH,
    DemoGenerator,
    latent,
)
from bench.datasets import load_dataset
from bench.stats import write_atomically

BATCH_SIZE = 128
LEARNING_RATE_G = 2e-4
LEARNING_RATE_D = 4e-4
BETAS = (0.5, 0.99)
EMA_DECAY = 0.999
NUM_CALIBRATION = 20_000  # latents over which the batch-norm statistics are measured


class TrainingGenerator(nn.Module):
    """`DemoGenerator` with a batch norm before each ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(NOISE_DIM + NUM_CLASSES, WIDTH * BASE_PX * BASE_PX, bias=False)
        self.stem_norm = nn.BatchNorm2d(WIDTH)
        self.up = nn.ConvTranspose2d(WIDTH, WIDTH // 2, 4, stride=2, padding=1, bias=False)
        self.up_norm = nn.BatchNorm2d(WIDTH // 2)
        self.out = nn.ConvTranspose2d(WIDTH // 2, 1, 4, stride=2, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        x = F.relu(self.stem_norm(self.stem(z).view(-1, WIDTH, BASE_PX, BASE_PX)))
        x = F.relu(self.up_norm(self.up(x)))
        return torch.tanh(self.out(x))


class Discriminator(nn.Module):
    """Two strided convolutions, then a logit of realness given the class."""

    def __init__(self) -> None:
        super().__init__()
        self.first = spectral_norm(nn.Conv2d(1, 32, 4, stride=2, padding=1))
        self.second = spectral_norm(nn.Conv2d(32, 64, 4, stride=2, padding=1))
        num_features = 64 * BASE_PX * BASE_PX
        self.score = spectral_norm(nn.Linear(num_features, 1))
        self.classes = spectral_norm(nn.Embedding(NUM_CLASSES, num_features))

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        h = F.leaky_relu(self.first(x), 0.2)
        h = F.leaky_relu(self.second(h), 0.2).flatten(1)
        logit: Tensor = self.score(h)[:, 0] + (self.classes(labels) * h).sum(1)
        return logit


@torch.no_grad()
def fold(trained: TrainingGenerator, generator: torch.Generator) -> DemoGenerator:
    """The inference form, with batch-norm statistics measured over fresh latents."""
    norms = (trained.stem_norm, trained.up_norm)
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative average
    trained.train()
    for start in range(0, NUM_CALIBRATION, 500):
        trained(latent((torch.arange(500) + start) % NUM_CLASSES, generator))
    model = DemoGenerator()
    area = BASE_PX * BASE_PX
    for norm, source, target, repeats in (
        (trained.stem_norm, trained.stem, model.stem, area),
        (trained.up_norm, trained.up, model.up, 1),
    ):
        mean, variance = torch.as_tensor(norm.running_mean), torch.as_tensor(norm.running_var)
        gain = norm.weight / (variance + norm.eps).sqrt()
        shift = norm.bias - mean * gain
        if isinstance(source, nn.Linear):
            target.weight.copy_(source.weight * gain.repeat_interleave(repeats)[:, None])
        else:
            target.weight.copy_(source.weight * gain[None, :, None, None])
        assert target.bias is not None  # noqa: S101  (our own layers have one)
        target.bias.copy_(shift.repeat_interleave(repeats))
    model.out.load_state_dict(trained.out.state_dict())
    return model.eval()


def train(data_root: Path | None, num_epochs: int, seed: int) -> DemoGenerator:
    """The trained generator in inference form."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    data = load_dataset("mnist", "train", data_root=data_root)
    images = torch.from_numpy(data.images).permute(0, 3, 1, 2).float() / 127.5 - 1
    labels = torch.from_numpy(data.labels)
    model, critic = TrainingGenerator(), Discriminator()
    average = copy.deepcopy(model)
    optimiser_g = torch.optim.Adam(model.parameters(), LEARNING_RATE_G, BETAS)
    optimiser_d = torch.optim.Adam(critic.parameters(), LEARNING_RATE_D, BETAS)
    num_batches = len(images) // BATCH_SIZE
    num_steps = num_epochs * num_batches
    decay = torch.optim.lr_scheduler.LambdaLR
    schedules = [
        decay(o, lambda step: min(1.0, 2 * (1 - step / num_steps)))
        for o in (optimiser_g, optimiser_d)
    ]
    start = time.perf_counter()
    for epoch in range(num_epochs):
        order = torch.randperm(len(images), generator=generator)
        sums = torch.zeros(2)
        for step in range(num_batches):
            index = order[step * BATCH_SIZE : (step + 1) * BATCH_SIZE]
            y = labels[index]
            fake = model(latent(y, generator))
            loss_d = (
                F.softplus(-critic(images[index], y)).mean()
                + F.softplus(critic(fake.detach(), y)).mean()
            )
            optimiser_d.zero_grad(set_to_none=True)
            loss_d.backward()  # type: ignore[no-untyped-call]
            optimiser_d.step()
            loss_g = F.softplus(-critic(fake, y)).mean()
            optimiser_g.zero_grad(set_to_none=True)
            loss_g.backward()  # type: ignore[no-untyped-call]
            optimiser_g.step()
            for schedule in schedules:
                schedule.step()
            with torch.no_grad():
                for shadow, value in zip(average.parameters(), model.parameters(), strict=True):
                    shadow.lerp_(value, 1 - EMA_DECAY)
            sums += torch.tensor([float(loss_d.detach()), float(loss_g.detach())])
        d, g = (sums / num_batches).tolist()
        elapsed_s = time.perf_counter() - start
        print(
            f"epoch {epoch + 1}/{num_epochs}  D {d:.3f}  G {g:.3f}  {elapsed_s:.0f} s", flush=True
        )
    return fold(average, generator)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    model = train(options.data_root, options.epochs, options.seed)
    data = save({name: value.contiguous() for name, value in model.state_dict().items()})
    write_atomically(options.out, data)
    print(json.dumps({"sha256": hashlib.sha256(data).hexdigest(), "num_bytes": len(data)}))


if __name__ == "__main__":
    main()
