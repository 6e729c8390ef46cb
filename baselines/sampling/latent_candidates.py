"""Candidates for samples: the latent of attempt j at image i has its own seed.

Shape legend: N candidates, Z latent or code.
"""

from __future__ import annotations

import torch
from torch import Tensor

from baselines.models.code_priors import Prior, codes_from_prior
from baselines.models.latents import latent_sampler
from baselines.models.random_draws import derive_seed
from baselines.sampling.rejection import truncated, uniform_of
from baselines.sampling.trained import Trained
from bench.errors import UsageError


class LatentCandidates:
    """Latents and uniform random numbers by (seed, image, attempt). For an autoencoder, codes are
    drawn from the fitted `prior`.

    Raises `UsageError` for an autoencoder whose code distribution is not fitted yet, and for a
    truncation of latents that are not Gaussian.
    """

    def __init__(
        self, trained: Trained, seed: int, *, truncation: float | None, prior: Prior
    ) -> None:
        trained.game.model.require_images()
        self.seed, self.truncation, self.prior = seed, truncation, prior
        self.generator = torch.Generator()
        plan, self.spec = trained.game.plan, trained.game.latent
        self.sampler = None if self.spec is None else latent_sampler(self.spec, plan.latent)
        self.fitted = {
            name.removeprefix("prior/"): value
            for name, value in trained.checkpoint.tensors.items()
            if name.startswith("prior/")
        }
        if self.spec is None and not self.fitted:
            raise UsageError(
                "the run has not finished: the distribution of an autoencoder's codes is fitted at "
                "the end of training"
            )
        if truncation is not None and (self.spec is None or plan.latent != "gaussian"):
            raise UsageError("truncation needs a Gaussian latent; this run has none")

    def latents(self, numbers: list[int], attempt: int, purpose: str = "image") -> Tensor:
        """Return the latents or codes of the images `numbers`: N,Z."""
        rows = torch.stack([self._one(number, attempt, purpose) for number in numbers])
        if self.spec is not None:
            return rows
        return codes_from_prior(self.fitted, self.prior, rows[:, 1:], uniform_of(rows[:, 0]))

    def _one(self, number: int, attempt: int, purpose: str) -> Tensor:
        self.generator.manual_seed(derive_seed(self.seed, purpose, number, attempt))
        if self.sampler is None or self.spec is None:
            code_dim = self.fitted["gaussian/means"].shape[1]
            return torch.randn(code_dim + 1, generator=self.generator)
        z = self.sampler(self.generator, (self.spec.dim,))
        if self.truncation is not None:
            z[: self.spec.noise] = truncated(z[: self.spec.noise], self.truncation)
        return z

    def uniforms(self, numbers: list[int], attempt: int) -> Tensor:
        """Return uniform numbers on [0, 1) that decide on acceptance: N."""
        rows = []
        for number in numbers:
            self.generator.manual_seed(derive_seed(self.seed, "coin", number, attempt))
            rows.append(torch.rand((), generator=self.generator))
        return torch.stack(rows)
