"""Bounds that models report besides their samples, in nats per image.

VAEs: the ELBO on test images, with one latent draw for each, and its two terms. InfoGAN: the lower
bound on the mutual information of codes and images (`baselines.models.infogan`).

Shape legend: N images, Z latent, K classes.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from baselines.models.base import LatentSpec
from baselines.models.infogan import mutual_information
from baselines.models.random_draws import derive_seed
from baselines.sampling.latent_candidates import LatentCandidates
from baselines.sampling.trained import CHUNK, Trained
from baselines.training.objectives import vae_objective
from baselines.training.training_images import scaled
from baselines.tricks.base import Net

ELBO = ("elbo", "log_likelihood", "kl")
BOUND = "mutual_information"
NUM_BOUND = 2_000


def held_out_terms(
    trained: Trained, images: NDArray[np.uint8], labels: NDArray[np.int64]
) -> dict[str, float]:
    """Return the terms of a run by name, on test images uint8 N,H,W,C with labels int64 N; empty
    for a model without such terms.
    """
    latent = trained.game.latent
    if latent is None:
        return {}
    if not trained.is_adversarial:
        return _elbo(trained, latent, images, labels)
    return _bound(trained, latent) if latent.dim > latent.noise else {}


def _elbo(
    trained: Trained,
    latent: LatentSpec,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
) -> dict[str, float]:
    game, network = trained.game, trained.networks["autoencoder"]
    net = Net(network, dict(network.named_parameters()), dict(network.named_buffers()))
    generator = torch.Generator().manual_seed(derive_seed("held-out"))
    sums = dict.fromkeys(ELBO, 0.0)
    with torch.no_grad():
        for start in range(0, len(images), CHUNK):
            part = torch.from_numpy(np.ascontiguousarray(images[start : start + CHUNK]))
            draws = {
                "real": scaled(part.permute(0, 3, 1, 2).to(trained.device), "unit"),
                "noise": torch.randn(len(part), latent.dim, generator=generator).to(trained.device),
            }
            if game.num_classes:
                own = torch.from_numpy(labels[start : start + CHUNK])
                draws["real_class"] = F.one_hot(own, game.num_classes).float().to(trained.device)
            _, terms = vae_objective(game, net, draws)
            for name in ELBO:
                sums[name] += float(terms[name]) * len(part)
    return {name: round(total / len(images), 4) for name, total in sums.items()}


def _bound(trained: Trained, latent: LatentSpec) -> dict[str, float]:
    candidates = LatentCandidates(trained, 0, truncation=None, prior="gaussian")
    z = candidates.latents(list(range(NUM_BOUND)), 0)
    total = 0.0
    with torch.no_grad():
        for start in range(0, NUM_BOUND, CHUNK):
            part = z[start : start + CHUNK].to(trained.device)
            codes = trained.judge(trained.decode(part)).codes
            assert codes is not None  # noqa: S101  (the latent has codes)
            total += float(mutual_information(codes.float(), part, latent)) * len(part)
    return {BOUND: round(total / NUM_BOUND, 4)}
