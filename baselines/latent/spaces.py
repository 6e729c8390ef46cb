"""Trained runs as latent spaces, one class a kind of model.

    autoencoder   encode; latents from the Gaussian fitted to the codes of the training images
    VAE           encode (posterior means), posterior; standard normal latents
    conditional   as above; the last K columns of a code are the class, one-hot
    GAN           no encoder; latents as in training
    InfoGAN       as a GAN; a latent has parts, and the head Q reads codes off images

Shape legend: N images, B of a chunk, C,H,W an image, Z latent, K classes or categories, J codes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from baselines.models.code_priors import codes_from_prior
from baselines.models.infogan import InfoDiscriminator
from baselines.models.latents import latent_sampler
from baselines.models.random_draws import derive_seed
from baselines.models.vae import VAE
from baselines.runs.run_folder import load_run
from baselines.sampling.trained import CHUNK, Trained
from baselines.training.training_images import scaled
from bench.errors import UsageError
from bench.latent.space import Codes, Images, Labels, Parts, Posterior


class RunSpace:
    """What all trained runs have: a decoder, and a distribution of latents.

    A code is the model's latent followed by `num_given` columns with the class, one-hot. A column
    need not be 0 or 1: between two classes the model is given both in parts.
    """

    def __init__(self, trained: Trained, name: str) -> None:
        self.trained, self.name = trained, name
        config = trained.game.config
        self.title = f"recipe {config.recipe}, {trained.checkpoint.step:,} steps"
        self.num_given = trained.game.num_classes
        spec, plan = trained.game.latent, trained.game.plan
        self.parts: Parts | None = None
        self.prior: str | None = None
        if spec is not None:
            self.prior = "gaussian" if plan.latent == "gaussian" else None
            if spec.categories or spec.continuous:
                self.parts = Parts(*spec)

    def _split(self, codes: Tensor) -> tuple[Tensor, Tensor | None]:
        if not self.num_given:
            return codes, None
        return codes[:, : -self.num_given], codes[:, -self.num_given :]

    def decode(self, codes: Codes) -> Images:
        """Return images uint8 N,H,W,C."""
        return self.trained.images(*self._split(torch.from_numpy(codes)))

    def decode_tensor(self, codes: Tensor) -> Tensor:
        """Return images float B,C,H,W in [0, 1], differentiable."""
        z, y = self._split(codes.to(self.trained.device))
        images = self.trained.decode(z, y)
        return (images + 1) / 2 if self.trained.game.model.scale == "signed" else images

    def sample_latents(self, n: int, seed: int) -> Codes:
        """Return latents as in training, float32 N,Z; the classes of a conditional model
        alternate.
        """
        generator = torch.Generator().manual_seed(derive_seed(seed, "latent space"))
        z = self._latents(generator, n)
        if self.num_given:
            y = F.one_hot(torch.arange(n) % self.num_given, self.num_given).float()
            z = torch.cat([z, y], dim=1)
        return np.asarray(z.numpy(), np.float32)

    def _latents(self, generator: torch.Generator, n: int) -> Tensor:
        spec = self.trained.game.latent
        if spec is not None:
            return latent_sampler(spec, self.trained.game.plan.latent)(generator, (n, spec.dim))
        fitted = {
            name.removeprefix("prior/"): value
            for name, value in self.trained.checkpoint.tensors.items()
            if name.startswith("prior/")
        }
        if not fitted:
            raise UsageError(
                f"{self.name}: the run has not finished: the distribution of an autoencoder's "
                "codes is fitted at the end of training"
            )
        noise = torch.randn((n, fitted["gaussian/means"].shape[1]), generator=generator)
        return codes_from_prior(fitted, "gaussian", noise, torch.rand(n, generator=generator))


class AutoencoderSpace(RunSpace):
    """An autoencoder: `encode` returns its codes."""

    def encode(self, images: Images) -> Codes:
        """Return codes float32 N,Z."""
        return np.asarray(self.trained.encode(images).numpy(), np.float32)


class VaeSpace(RunSpace):
    """A VAE: `encode` returns posterior means, followed by the class if the model is given it."""

    def encode(self, images: Images, labels: Labels | None = None) -> Codes:
        """Return codes float32 N,Z, or N,Z+K of a conditional model."""
        mean, _ = self.posterior(images, labels)
        if labels is None:
            return mean
        return np.concatenate([mean, np.eye(self.num_given, dtype=np.float32)[labels]], axis=1)

    @torch.no_grad()
    def posterior(self, images: Images, labels: Labels | None = None) -> Posterior:
        """Return mean and log variance of q(z | x), or of q(z | x, y): float32 N,Z each."""
        network = self.trained.networks["autoencoder"]
        assert isinstance(network, VAE)  # noqa: S101  (as the model says)
        y = None
        if labels is not None:
            y = F.one_hot(torch.from_numpy(labels), self.num_given).float()
        means, log_variances = [], []
        for start in range(0, len(images), CHUNK):
            x = _pixels(images[start : start + CHUNK], "unit", self.trained.device)
            classes = None if y is None else y[start : start + CHUNK].to(self.trained.device)
            mean, log_variance = network.encode(x, classes)
            means.append(mean.cpu().numpy())
            log_variances.append(log_variance.cpu().numpy())
        return Posterior(np.concatenate(means), np.concatenate(log_variances))


class EmbeddingSpace:
    """An embedding: `encode` returns its codes; there is no decoder and no distribution."""

    def __init__(self, trained: Trained, name: str) -> None:
        self.trained, self.name = trained, name
        config = trained.game.config
        self.title = f"recipe {config.recipe}, {trained.checkpoint.step:,} steps"

    def encode(self, images: Images) -> Codes:
        """Return codes float32 N,Z."""
        return np.asarray(self.trained.encode(images).numpy(), np.float32)


class InfoGanSpace(RunSpace):
    """An InfoGAN: `read_codes` is what its head Q reads off images."""

    @torch.no_grad()
    def read_codes(self, images: Images) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return probabilities of the categories, float32 N,K, and means of the codes, N,J."""
        assert self.parts is not None  # noqa: S101  (as the model says)
        k, j = self.parts.categories, self.parts.continuous
        found = []
        for start in range(0, len(images), CHUNK):
            x = _pixels(images[start : start + CHUNK], "signed", self.trained.device)
            codes = self.trained.judge(x).codes
            assert codes is not None  # noqa: S101  (as the model says)
            found.append(codes.float().cpu())
        codes = torch.cat(found)
        probabilities = codes[:, :k].softmax(dim=1) if k else codes[:, :0]
        return probabilities.numpy(), codes[:, k : k + j].numpy()


def _pixels(images: Images, scale: Any, device: str) -> Tensor:
    part = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
    return scaled(part.to(device), scale)


def run_space(path: Path, device: str = "cpu") -> RunSpace | EmbeddingSpace:
    """Return the space of a run's folder or checkpoint. Raises what `load_run` raises."""
    trained = load_run(path, device)
    return space_of_trained(trained, path.stem if path.is_file() else path.name)


def space_of_trained(trained: Trained, name: str) -> RunSpace | EmbeddingSpace:
    """Return the space of trained networks."""
    if trained.game.model.kind == "embedding":
        return EmbeddingSpace(trained, name)
    if isinstance(trained.networks.get("discriminator"), InfoDiscriminator):
        return InfoGanSpace(trained, name)
    if trained.is_adversarial:
        return RunSpace(trained, name)
    if isinstance(trained.networks["autoencoder"], VAE):
        return VaeSpace(trained, name)
    return AutoencoderSpace(trained, name)
