"""Detectors that use a GAN of normal images: the logit of its discriminator, and AnoGAN's search.

    gan-discriminator  -logit: how strongly the discriminator takes the image for a generated one
    anogan             the loss that remains after a latent search (Schlegl et al. 2017)

AnoGAN minimises (1 - lambda) |x - G(z)|_1 + lambda |f(x) - f(G(z))|_1 over z in `num_steps` steps,
with f the last hidden layer of the discriminator, lambda 0.1 and 500 steps (equations 4 to 6). The
score is the loss at the last z. The paper names no optimiser; this is Adam with rate `search_rate`,
which updates each entry independently, so that images searched together do not affect each other. z
starts at normal numbers drawn from the seed and the bytes of the image. Networks run in eval mode;
pixels are in [-1, 1].

Budget "cpu" searches 20 steps at rate 0.2 with a narrower network: 10,000 images take 36 s on one
core (500 steps: 15 min), after 22 s of training. The steps were chosen for their time; on one class
of 500 MNIST images fewer steps were not worse (AUC 0.65 with 50 steps, 0.67 with 20).

Shape legend: B images of a chunk, C,H,W an image, Z latent.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from baselines.detectors.engine_fits import one_class_config
from baselines.detectors.options import DetectorOptions, options_of
from baselines.detectors.recipe_detector import (
    RecipeDetector,
    RecipeFamily,
    ReconstructingDetector,
    Scorer,
)
from baselines.detectors.table import (
    ANOGAN_CPU,
    ANOGAN_LAMBDA,
    ANOGAN_RATE,
    ANOGAN_STEPS,
    GAN_CPU,
    epochs_of,
)
from baselines.models.random_draws import derive_seed
from baselines.recipes.config import RunConfig
from baselines.sampling.trained import Trained
from baselines.training.training_images import scaled
from bench.anomaly.detectors.base import DetectorSettings

SEARCHED = 100  # images of a chunk


class GANDetectorOptions(DetectorOptions):
    """Options in epochs of 6,000 images; None is the recipe's. `width` is that of DCGAN."""

    recipe: Literal["dcgan", "course-gan", "dense-gan"] = "dcgan"
    epochs: float = Field(epochs_of("dcgan"), gt=0)
    width: int | None = Field(None, ge=1)
    latent_dim: int | None = Field(None, ge=1)
    learning_rate: float | None = Field(None, gt=0)
    batch_size: int | None = Field(None, ge=2)


class AnoGANOptions(GANDetectorOptions):
    """Options of AnoGAN. `weight` is lambda."""

    num_steps: int = Field(ANOGAN_STEPS, ge=1)
    search_rate: float = Field(ANOGAN_RATE, gt=0)
    weight: float = Field(ANOGAN_LAMBDA, ge=0, le=1)


class Search(NamedTuple):
    """The end of a search: `scores` float64 B, `images` float B,C,H,W in [-1, 1]."""

    scores: Tensor
    images: Tensor


def starts(images: Tensor, dim: int, seed: int) -> Tensor:
    """Return the start of each search, float32 B,Z on the CPU: row b depends on the seed and image
    b only.
    """
    rows = []
    generator = torch.Generator()
    for image in images.cpu().numpy():
        digest = hashlib.sha256(np.ascontiguousarray(image).data).hexdigest()
        generator.manual_seed(derive_seed(seed, "anogan", digest))
        rows.append(torch.randn(dim, generator=generator))
    return torch.stack(rows)


def search(trained: Trained, images: Tensor, options: AnoGANOptions, seed: int) -> Search:
    """Search the latent space for uint8 B,C,H,W."""
    x = scaled(images, "signed")
    generator, discriminator = trained.networks["generator"], trained.networks["discriminator"]
    with torch.no_grad():
        f_x = discriminator(x, None, None).features
    latent = trained.game.latent
    assert latent is not None  # noqa: S101  (every adversarial model has one)
    z = starts(images, latent.dim, seed).to(x.device).requires_grad_()
    optimiser = torch.optim.Adam([z], options.search_rate)

    def losses(made: Tensor) -> Tensor:
        residual = (x - made).abs().flatten(1).sum(1)
        difference = (f_x - discriminator(made, None, None).features).abs().sum(1)
        weighted: Tensor = (1 - options.weight) * residual + options.weight * difference
        return weighted

    for _ in range(options.num_steps):
        total = losses(generator(z, None)).sum()
        (z.grad,) = torch.autograd.grad(total, [z])
        optimiser.step()
    with torch.no_grad():
        made = generator(z, None)
        return Search(losses(made).double(), made)


@torch.no_grad()
def verdict_scores(trained: Trained, images: Tensor) -> Tensor:
    """Return minus the logit of uint8 B,C,H,W: B."""
    return -trained.judge(scaled(images, "signed")).logits


def _config(options: GANDetectorOptions, settings: DetectorSettings) -> RunConfig:
    width = options.width if options.recipe == "dcgan" else None
    chosen = {"width": width, "latent_dim": options.latent_dim}
    return one_class_config(
        options.recipe,
        seed=settings.seed,
        epochs=options.epochs,
        model_options={key: value for key, value in chosen.items() if value is not None},
        learning_rate=options.learning_rate,
        batch_size=options.batch_size,
    )


def discriminator(settings: DetectorSettings) -> RecipeDetector:
    options = options_of(GANDetectorOptions, settings, "gan-discriminator", GAN_CPU)

    def prepare(trained: Trained, _normal: NDArray[np.uint8]) -> Scorer:
        return lambda images: verdict_scores(trained, images)

    return RecipeDetector(
        RecipeFamily(
            name="gan-discriminator",
            options=options,
            config=_config(options, settings),
            device=settings.device,
            prepare=prepare,
        )
    )


def anogan(settings: DetectorSettings) -> ReconstructingDetector:
    options = options_of(AnoGANOptions, settings, "anogan", ANOGAN_CPU)

    def found(trained: Trained) -> Callable[[Tensor], Search]:
        return lambda images: search(trained, images, options, settings.seed)

    def restore(trained: Trained, images: Tensor) -> Tensor:
        made = found(trained)(images).images
        return ((made + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)

    family = RecipeFamily(
        name="anogan",
        options=options,
        chunk=SEARCHED,
        config=_config(options, settings),
        device=settings.device,
        prepare=lambda trained, _normal: lambda images: found(trained)(images).scores,
    )
    return ReconstructingDetector(family, restore)
