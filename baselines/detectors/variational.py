"""Anomaly scores of a variational autoencoder (An & Cho 2015; Kingma & Welling 2014).

    vae-reconstruction  |x - decode(mean of q(z | x))|^2, pixels in [0, 1]
    vae-elbo            -ELBO in nats: KL(q(z | x) || N(0, I)) - E_q log p(x | z)

The expectation is a mean over `draws` noise vectors: normal numbers of the seed and their
negatives, the same for every image, so that a score depends on the image only. The weight beta of
the training is not part of the score.
"""

from __future__ import annotations

from typing import Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from baselines.detectors.engine_fits import one_class_config
from baselines.detectors.options import DetectorOptions, options_of
from baselines.detectors.recipe_detector import RecipeFamily, ReconstructingDetector, Scorer
from baselines.detectors.table import ELBO_DRAWS, VAE_CPU, epochs_of
from baselines.models.likelihoods import (
    bernoulli_log_likelihood,
    gaussian_log_likelihood,
    kl_to_standard_normal,
)
from baselines.models.random_draws import derive_seed
from baselines.models.vae import VAE
from baselines.sampling.trained import Trained
from baselines.training.training_images import scaled
from bench.anomaly.detectors.base import DetectorSettings


class VAEDetectorOptions(DetectorOptions):
    """Options in epochs of 6,000 images; None takes the recipe's setting."""

    recipe: Literal["vae", "vae-gaussian", "vae-beta", "vae-conv"] = "vae"
    epochs: float = Field(epochs_of("vae"), gt=0)
    latent_dim: int | None = Field(None, ge=1)
    learning_rate: float | None = Field(None, gt=0)
    batch_size: int | None = Field(None, ge=2)
    draws: int = Field(ELBO_DRAWS, ge=2, multiple_of=2)


def _network(trained: Trained) -> VAE:
    return cast("VAE", trained.networks["autoencoder"])


@torch.no_grad()
def reconstruction_error(trained: Trained, images: Tensor) -> Tensor:
    """Return reconstruction errors, uint8 B,C,H,W -> B."""
    network = _network(trained)
    x = scaled(images, "unit")
    mean, _ = network.encode(x)
    found = network.pixels(network.decode(mean))
    return (found.double() - x.double()).flatten(1).square().sum(1)


@torch.no_grad()
def reconstructed(trained: Trained, images: Tensor) -> Tensor:
    """Return the decoder's images for the posterior means, uint8 B,C,H,W -> uint8 B,C,H,W."""
    network = _network(trained)
    mean, _ = network.encode(scaled(images, "unit"))
    return network.pixels(network.decode(mean)).mul(255).round().to(torch.uint8)


def elbo_noise(draws: int, dim: int, seed: int) -> Tensor:
    """Return float32 draws,dim: standard normal numbers and their negatives, on the CPU."""
    generator = torch.Generator().manual_seed(derive_seed(seed, "vae-elbo"))
    half = torch.randn(draws // 2, dim, generator=generator)
    return torch.cat([half, -half])


@torch.no_grad()
def negative_elbo(trained: Trained, noise: Tensor, images: Tensor) -> Tensor:
    """Return the negative ELBO in nats with noise L,Z, uint8 B,C,H,W -> B."""
    network, options = _network(trained), trained.game.options
    x = scaled(images, "unit")
    mean, log_variance = network.encode(x)
    found = kl_to_standard_normal(mean.double(), log_variance.double())
    x_BP = x.flatten(1).double()
    for e_Z in noise.to(x.device):
        out = network.decode(mean + (log_variance / 2).exp() * e_Z).flatten(1).double()
        if options.likelihood == "bernoulli":
            log_likelihood = bernoulli_log_likelihood(out, x_BP)
        else:
            log_likelihood = gaussian_log_likelihood(out, x_BP, options.sigma)
        found = found - log_likelihood / len(noise)
    return found


def _make(name: str, settings: DetectorSettings) -> ReconstructingDetector:
    options = options_of(VAEDetectorOptions, settings, name, VAE_CPU)
    config = one_class_config(
        options.recipe,
        seed=settings.seed,
        epochs=options.epochs,
        model_options={} if options.latent_dim is None else {"latent_dim": options.latent_dim},
        learning_rate=options.learning_rate,
        batch_size=options.batch_size,
    )

    def prepare(trained: Trained, _normal: NDArray[np.uint8]) -> Scorer:
        if name == "vae-reconstruction":
            return lambda images: reconstruction_error(trained, images)
        noise = elbo_noise(options.draws, trained.game.options.latent_dim, settings.seed)
        return lambda images: negative_elbo(trained, noise, images)

    family = RecipeFamily(
        name=name, options=options, config=config, device=settings.device, prepare=prepare
    )
    return ReconstructingDetector(family, reconstructed)


def reconstruction(settings: DetectorSettings) -> ReconstructingDetector:
    return _make("vae-reconstruction", settings)


def elbo(settings: DetectorSettings) -> ReconstructingDetector:
    return _make("vae-elbo", settings)
