"""Train the weights of the embedded extractors `digits` and `fashion`.

    python -m baselines.tools.train_extractor digits --out digits.safetensors

Training is seeded and uses the train split only; the test split is read once, after the last step,
to report the accuracy. The recipe is SGD with Nesterov momentum and a one-cycle learning rate,
cross entropy with light label smoothing, random affine transforms (digits) or flips, shifts and
cutout (fashion), and an exponential moving average of the weights. Then the batch norms are folded
into the convolutions, and the mean and standard deviation of the features are measured over the
clean train split.

Shape legend: N images, C channels, H W pixels.
"""

from __future__ import annotations

import copy
import hashlib
import json
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save
from scipy.optimize import minimize_scalar
from torch import Tensor, nn
from torch.nn import functional as F

from bench.data.datasets import load_dataset
from bench.extractors.compact_cnn import (
    FEATURE_DIM,
    NUM_CLASSES,
    STEM_WIDTH,
    TRUNK_WIDTH,
    CompactCNN,
)
from bench.runtime.terminal import CommandParser
from bench.runtime.whole_files import write_atomically

MIN_DEVIATION = 1e-4


class Recipe(NamedTuple):
    """The training of one extractor: angles in degrees, shifts in pixels, scales as ratios."""

    dataset: str
    num_epochs: int
    peak_lr: float = 0.15
    batch_size: int = 128
    weight_decay: float = 5e-4
    label_smoothing: float = 0.05
    ema_decay: float = 0.998
    max_rotation_deg: float = 0.0
    max_scale: float = 0.0
    max_shear: float = 0.0
    max_shift_px: float = 0.0
    flip: bool = False
    cutout_px: int = 0


RECIPES = {
    "digits": Recipe(
        "mnist",
        num_epochs=16,
        max_rotation_deg=12,
        max_scale=0.12,
        max_shear=0.15,
        max_shift_px=2.5,
    ),
    "fashion": Recipe(
        "fashion-mnist",
        num_epochs=20,
        peak_lr=0.1,
        max_shift_px=2,
        max_scale=0.05,
        flip=True,
        cutout_px=8,
    ),
}


class TrainingCNN(nn.Module):
    """`CompactCNN` with a batch norm after every convolution and before the head."""

    def __init__(self) -> None:
        super().__init__()

        def block(in_channels: int, out_channels: int) -> nn.Sequential:
            return nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
                nn.BatchNorm2d(out_channels),
            )

        self.stem = block(1, STEM_WIDTH)
        self.mid_in = block(STEM_WIDTH, TRUNK_WIDTH)
        self.mid_a, self.mid_b = (block(TRUNK_WIDTH, TRUNK_WIDTH) for _ in range(2))
        self.top_in, self.top_a, self.top_b = (block(TRUNK_WIDTH, TRUNK_WIDTH) for _ in range(3))
        self.norm = nn.BatchNorm1d(FEATURE_DIM, affine=False)
        self.head = nn.Linear(FEATURE_DIM, NUM_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        stem = F.relu(self.stem(x))
        mid = F.relu(self.mid_in(F.max_pool2d(stem, 2)))
        mid = F.relu(mid + self.mid_b(F.relu(self.mid_a(mid))))
        top = F.relu(self.top_in(F.max_pool2d(mid, 2)))
        top = F.relu(top + self.top_b(F.relu(self.top_a(top))))
        pooled = torch.cat([level.mean(dim=(2, 3)) for level in (stem, mid, top)], dim=1)
        logits: Tensor = self.head(F.dropout(self.norm(pooled.float()), 0.1, self.training))
        return logits


def augment(x: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Apply a random affine transform, flip and cutout to a batch N,1,H,W in [0, 1]."""
    n, _, height, _ = x.shape

    def uniform(limit: float) -> Tensor:
        return (torch.rand(n, generator=generator) * 2 - 1) * limit

    angle = uniform(recipe.max_rotation_deg) * torch.pi / 180
    scale_x, scale_y = 1 + uniform(recipe.max_scale), 1 + uniform(recipe.max_scale)
    shear = uniform(recipe.max_shear)
    cos, sin = angle.cos(), angle.sin()
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0], theta[:, 0, 1] = cos * scale_x, (shear * cos - sin) * scale_y
    theta[:, 1, 0], theta[:, 1, 1] = sin * scale_x, (shear * sin + cos) * scale_y
    theta[:, :, 2] = (
        torch.stack([uniform(recipe.max_shift_px), uniform(recipe.max_shift_px)], 1) * 2 / height
    )
    if recipe.flip:
        theta[:, 0] *= torch.where(torch.rand(n, 1, generator=generator) < 0.5, -1.0, 1.0)
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    x = F.grid_sample(x, grid, align_corners=False)
    if recipe.cutout_px:
        rows, columns = torch.arange(height)[None, :, None], torch.arange(height)[None, None, :]
        top = torch.randint(height, (n, 1, 1), generator=generator) - recipe.cutout_px // 2
        left = torch.randint(height, (n, 1, 1), generator=generator) - recipe.cutout_px // 2
        hole = (rows >= top) & (rows < top + recipe.cutout_px)
        hole = hole & (columns >= left) & (columns < left + recipe.cutout_px)
        x = x.masked_fill(hole[:, None], 0)
    return x


def fold(trained: TrainingCNN, pixel_mean: float, pixel_std: float) -> CompactCNN:
    """Return the inference form, with each batch norm folded into the convolution before it."""
    model = CompactCNN()
    for name in ("stem", "mid_in", "mid_a", "mid_b", "top_in", "top_a", "top_b"):
        conv, norm = getattr(trained, name)
        gain = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
        folded = getattr(model, name)
        folded.weight.data = (conv.weight.double() * gain[:, None, None, None]).float()
        folded.bias.data = (norm.bias.double() - norm.running_mean.double() * gain).float()
    model.pixel_mean.fill_(pixel_mean)
    model.pixel_std.fill_(pixel_std)
    model.feature_mean.copy_(torch.as_tensor(trained.norm.running_mean))
    model.feature_std.copy_((torch.as_tensor(trained.norm.running_var) + trained.norm.eps).sqrt())
    model.head.load_state_dict(trained.head.state_dict())
    return model.eval()


@torch.no_grad()
def standardise(model: CompactCNN, images: Tensor) -> None:
    """Set the features' mean and deviation to those over `images`; the logits do not change."""
    pooled = torch.cat([model.pooled(batch) for batch in torch.split(images, 1000)]).double()
    mean, std = pooled.mean(0), pooled.std(0)
    std[std < MIN_DEVIATION] = 1.0  # a unit that never fires stays at 0
    weight = model.head.weight.double()
    shift = (mean - model.feature_mean.double()) / model.feature_std.double()
    model.head.bias.data = (model.head.bias.double() + weight @ shift).float()
    model.head.weight.data = (weight * (std / model.feature_std.double())).float()
    model.feature_mean.copy_(mean)
    model.feature_std.copy_(std)


@torch.no_grad()
def calibrate(model: CompactCNN, images: Tensor, labels: Tensor) -> float:
    """Divide the logits by the temperature of least log loss over `images` and return it.

    This undoes the label smoothing (Guo et al. 2017). Predictions and features do not change.
    """
    logits = torch.cat([model(batch)[1] for batch in torch.split(images, 1000)]).double()

    def log_loss(temperature: float) -> float:
        return float(F.cross_entropy(logits / temperature, labels))

    found = minimize_scalar(log_loss, bounds=(0.05, 5.0), method="bounded")
    temperature = float(found.x)
    model.head.weight.data /= temperature
    model.head.bias.data /= temperature
    return temperature


@torch.no_grad()
def accuracy(model: CompactCNN, images: Tensor, labels: Tensor) -> float:
    """Return the share of images that are classified correctly."""
    hits = 0
    for batch, target in zip(torch.split(images, 1000), torch.split(labels, 1000), strict=True):
        hits += int((model(batch)[1].argmax(1) == target).sum())
    return hits / len(labels)


def train(
    recipe: Recipe, data_root: Path | None, seed: int
) -> tuple[CompactCNN, dict[str, object]]:
    """Train a model; return its inference form and a report of the training."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    data = load_dataset(recipe.dataset, "train", data_root=data_root)
    images = torch.from_numpy(data.images).permute(0, 3, 1, 2).float() / 255
    labels = torch.from_numpy(data.labels)
    pixel_mean, pixel_std = float(images.mean()), float(images.std())
    model = TrainingCNN().to(memory_format=torch.channels_last)
    average = copy.deepcopy(model)
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    groups: list[dict[str, Any]] = [
        {"params": decayed, "weight_decay": recipe.weight_decay},
        {"params": plain},
    ]
    optimiser = torch.optim.SGD(
        groups,
        lr=recipe.peak_lr,
        momentum=0.9,
        nesterov=True,
    )
    num_batches = len(images) // recipe.batch_size
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.peak_lr, total_steps=recipe.num_epochs * num_batches, pct_start=0.2
    )
    start = time.perf_counter()
    for epoch in range(recipe.num_epochs):
        order = torch.randperm(len(images), generator=generator)
        total = 0.0
        for step in range(num_batches):
            index = order[step * recipe.batch_size : (step + 1) * recipe.batch_size]
            x = (augment(images[index], recipe, generator) - pixel_mean) / pixel_std
            loss = F.cross_entropy(
                model(x.contiguous(memory_format=torch.channels_last)),
                labels[index],
                label_smoothing=recipe.label_smoothing,
            )
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            total += float(loss.detach())
            with torch.no_grad():
                for shadow, value in zip(
                    average.state_dict().values(), model.state_dict().values(), strict=True
                ):
                    if value.is_floating_point():
                        shadow.lerp_(value, 1 - recipe.ema_decay)
                    else:
                        shadow.copy_(value)
        print(
            f"epoch {epoch + 1}/{recipe.num_epochs}  loss {total / num_batches:.4f}  "
            f"{time.perf_counter() - start:.0f} s",
            flush=True,
        )
    compact = fold(average, pixel_mean, pixel_std)
    standardise(compact, images)
    temperature = calibrate(compact, images, labels)
    test = load_dataset(recipe.dataset, "test", data_root=data_root)
    test_images = torch.from_numpy(test.images).permute(0, 3, 1, 2).float() / 255
    report: dict[str, object] = {
        "recipe": recipe._asdict(),
        "seed": seed,
        "torch": torch.__version__,
        "num_threads": torch.get_num_threads(),
        "train_s": round(time.perf_counter() - start, 1),
        "num_constant_features": int((compact.feature_std == 1.0).sum()),
        "temperature": temperature,
        "train_accuracy": accuracy(compact, images, labels),
        "test_accuracy": accuracy(compact, test_images, torch.from_numpy(test.labels)),
    }
    return compact, report


def main() -> None:
    """Train one extractor; write its weights and the report."""
    parser = CommandParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", choices=sorted(RECIPES))
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--num-epochs", type=int)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    recipe = RECIPES[options.name]
    if options.num_epochs:
        recipe = recipe._replace(num_epochs=options.num_epochs)
    model, report = train(recipe, options.data_root, options.seed)
    data = save({name: value.contiguous() for name, value in model.state_dict().items()})
    write_atomically(options.out, data)
    text = json.dumps(report | {"sha256": hashlib.sha256(data).hexdigest()}, indent=1) + "\n"
    write_atomically(options.out.with_suffix(".json"), text.encode())
    print(json.dumps(report))


if __name__ == "__main__":
    main()
