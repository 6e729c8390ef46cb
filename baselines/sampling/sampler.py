"""Samples of a trained run: one latent seed for each image, and sampling tricks.

Candidate j of image i has a seed of its own, so a folder depends neither on the batch size nor on
the number of images. Rejection goes in rounds: every image that was not accepted gets its next
candidate, up to `MAX_ROUNDS`, after which the last one stays and is counted.
`baselines.sampling.rejection`
has the tricks themselves. Density ratios are those of a discriminator at its optimum for plain
targets: smoothed or noisy labels shift them.

Shape legend: N images, B candidates, Z latent, K classes.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.nn import functional as F

from baselines.models.code_priors import PRIORS, Prior
from baselines.models.latents import latent_sampler
from baselines.models.random_draws import derive_seed
from baselines.sampling.latent_candidates import Candidates
from baselines.sampling.rejection import budget_scale, drs_values, jacobian_norms
from baselines.sampling.trained import CHUNK, Trained, full_chunk
from baselines.training.training_images import to_uint8
from bench.errors import UnknownNameError, UsageError
from bench.runtime.provenance import library_versions, version

MAX_ROUNDS = 200
NUM_PILOT = 5_000  # images from which thresholds are measured
MAX_FORCED = 0.01  # share of the images that may keep a candidate which was not accepted
Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """Tricks of sampling; None is off. `truncation` t > 0; `rejection_gamma` 0..100;
    `budget` K >= 1, candidates for each accepted image; `latent_share` the share of latents kept,
    0 < share <= 1; `prior` for autoencoders.
    """

    truncation: float | None = None
    rejection_gamma: float | None = None
    budget: float | None = None
    latent_share: float | None = None
    prior: Prior = "mixture"

    def __post_init__(self) -> None:
        bounds = (
            ("truncation", self.truncation, 1e-3, 100),
            ("rejection gamma (a percentile)", self.rejection_gamma, 0, 100),
            ("budget", self.budget, 1, MAX_ROUNDS / 2),
            ("latent share", self.latent_share, 1e-3, 1),
        )
        for name, value, low, high in bounds:
            if value is not None and not low <= value <= high:
                raise UsageError(f"{name} {value}: expected {low:g} to {high:g}")
        if self.prior not in PRIORS:
            raise UnknownNameError("prior", self.prior, PRIORS)
        if self.rejection_gamma is not None and self.budget is not None:
            raise UsageError("two rejection samplers at once: choose gamma or a budget")


class Samples(NamedTuple):
    """`images` uint8 N,H,W,C; `acceptance_rate` accepted by tried; `num_forced` images whose last
    candidate stayed; `labels` int64 N of conditional models.
    """

    images: NDArray[np.uint8]
    acceptance_rate: float
    num_forced: int
    labels: NDArray[np.int64] | None


class Sampler:
    """Samples of one trained run under one choice of options; thresholds are measured once."""

    def __init__(self, trained: Trained, options: SamplingOptions, seed: int = 0) -> None:
        self.trained, self.options, self.seed = trained, options, seed
        self.candidates = Candidates(
            trained, seed, truncation=options.truncation, prior=options.prior
        )
        self.log_max = self.shift = self.log_scale = 0.0
        self.norm_limit = math.inf
        self._loss_ratio: Callable[[Tensor], Tensor] | None = None
        if options.rejection_gamma is not None or options.budget is not None:
            self._require_ratio()
        self._measure()

    def sample(
        self, num: int, labels: ArrayLike | None = None, progress: Progress | None = None
    ) -> Samples:
        """`num` images. A conditional model makes all classes in turn unless labels are given:
        integers 0..K-1, N of them or one for all. `progress` is called with images done and in all.
        Raises `UsageError`.
        """
        if num < 1:
            raise UsageError(f"{num} images: expected at least 1")
        tell = progress or (lambda _done, _total: None)
        classes = self.trained.game.num_classes
        y, chosen = None, None
        if classes:
            chosen = np.arange(num) % classes if labels is None else _checked(labels, num, classes)
            y = F.one_hot(torch.from_numpy(chosen), classes).float()
        elif labels is not None:
            raise UsageError("labels are for conditional models only")
        rejecting = self._loss_ratio is not None or self.options.latent_share is not None
        if not rejecting:
            z = self.candidates.latents(list(range(num)), 0)
            images = self.trained.images(z, y, lambda done: tell(min(done, num), num))
            return Samples(images, 1.0, 0, chosen)
        return self._rejected(num, y, chosen, tell)

    def _rejected(
        self, num: int, y: Tensor | None, labels: NDArray[np.int64] | None, tell: Progress
    ) -> Samples:
        pending, tried = list(range(num)), 0
        kept: dict[int, Tensor] = {}
        for attempt in range(MAX_ROUNDS):
            z = self.candidates.latents(pending, attempt)
            accepted = self._accept(pending, attempt, z, None if y is None else y[pending])
            tried += len(pending)
            kept |= dict(zip(pending, z, strict=True))  # the last candidate stays if none is taken
            pending = [n for n, yes in zip(pending, accepted.tolist(), strict=True) if not yes]
            tell(num - len(pending), num)
            if not pending:
                break
        z = torch.stack([kept[number] for number in range(num)])
        rate = (num - len(pending)) / tried
        return Samples(self.trained.images(z, y), rate, len(pending), labels)

    def _accept(self, numbers: list[int], attempt: int, z: Tensor, y: Tensor | None) -> Tensor:
        accepted = torch.ones(len(z), dtype=torch.bool)
        if self.options.latent_share is not None:
            accepted &= jacobian_norms(self.trained, z, y, self.seed) <= self.norm_limit
        if self._loss_ratio is not None:
            log_ratio = self._log_ratios(z, y)
            if self.options.rejection_gamma is not None:
                log_max = torch.tensor(self.log_max)
                chance = torch.sigmoid(drs_values(log_ratio, log_max) - self.shift)
            else:
                chance = (log_ratio + self.log_scale).clamp_max(0).exp()
            accepted &= self.candidates.coins(numbers, attempt) < chance
        return accepted

    def _require_ratio(self) -> None:
        if not self.trained.is_adversarial:
            raise UsageError("rejection by the discriminator needs an adversarial model")
        loss = self.trained.game.config.loss_row
        if loss.log_ratio is None:
            raise UsageError(
                f"loss {loss.name!r}: its discriminator does not estimate a density ratio, which "
                "rejection needs; train with a cross entropy, least squares or f-divergence"
            )
        if self.trained.game.plan.layers.head is not None:
            raise UsageError(
                "rejection judges images one by one, and this run's discriminator has a minibatch "
                "layer: what it says of an image depends on the others beside it"
            )
        self._loss_ratio = loss.log_ratio

    def _measure(self) -> None:
        """Thresholds from a pilot of images with seeds of their own."""
        needs = self._loss_ratio is not None or self.options.latent_share is not None
        if not needs:
            return
        z = self.candidates.latents(list(range(NUM_PILOT)), 0, "pilot")
        classes = self.trained.game.num_classes
        y = F.one_hot(torch.arange(NUM_PILOT) % classes, classes).float() if classes else None
        if self.options.latent_share is not None:
            norms = jacobian_norms(self.trained, z, y, self.seed)
            self.norm_limit = float(torch.quantile(norms, self.options.latent_share))
            keep = norms <= self.norm_limit
            z, y = z[keep], None if y is None else y[keep]
        if self._loss_ratio is None:
            return
        log_ratio = self._log_ratios(z, y)
        self.log_max = float(log_ratio.max())
        if self.options.rejection_gamma is not None:
            values = drs_values(log_ratio, torch.tensor(self.log_max))
            self.shift = float(torch.quantile(values, self.options.rejection_gamma / 100))
            self._require_acceptance(float(torch.sigmoid(values - self.shift).mean()))
        elif self.options.budget is not None:
            self.log_scale = budget_scale(log_ratio, self.options.budget)

    def _require_acceptance(self, rate: float) -> None:
        """Raises `UsageError` where many images would have no accepted candidate."""
        if (1 - rate) ** MAX_ROUNDS > MAX_FORCED:
            raise UsageError(
                f"rejection gamma {self.options.rejection_gamma:g} accepts {rate:.2g} of the "
                f"candidates, and an image has {MAX_ROUNDS}; give a smaller percentile"
            )

    def _log_ratios(self, z: Tensor, y: Tensor | None) -> Tensor:
        assert self._loss_ratio is not None  # noqa: S101  (callers have asked)
        parts = []
        with torch.no_grad():
            size = self.trained.chunk or CHUNK
            for start in range(0, len(z), size):
                chunk = full_chunk(z, start, size).to(self.trained.device)
                classes = None if y is None else full_chunk(y, start, size).to(self.trained.device)
                images = self.trained.decode(chunk, classes)
                logits = self.trained.judge(images, classes).logits
                parts.append(self._loss_ratio(logits.float())[: len(z) - start].cpu())
        return torch.cat(parts)


def _checked(labels: ArrayLike, num: int, classes: int) -> NDArray[np.int64]:
    """One label for each image: int64 N. Raises `UsageError`."""
    found = np.asarray(labels)
    if found.ndim == 0:
        found = np.full(num, found)
    if found.dtype.kind not in "iu" or found.shape != (num,):
        raise UsageError(f"labels {found.dtype} {found.shape}: expected {num} integers, or one")
    if found.min() < 0 or found.max() >= classes:
        raise UsageError(
            f"labels {found.min()} to {found.max()}: the model knows the classes 0 to {classes - 1}"
        )
    return found.astype(np.int64)


def manifest_of(
    trained: Trained, options: SamplingOptions, seed: int, samples: Samples
) -> dict[str, object]:
    """What a manifest says: recipe, configuration and its digest, sampling, pixels' digest."""
    config = trained.game.config
    return {
        "recipe": config.recipe,
        "config": config.model_dump(mode="json"),
        "config_digest": config.digest,
        "data_digest": trained.checkpoint.data_digest,
        "step": trained.checkpoint.step,
        "num_images": len(samples.images),
        "seed": seed,
        "sampling": vars(options),
        "acceptance_rate": samples.acceptance_rate,
        "num_forced": samples.num_forced,
        "labels": None if samples.labels is None else samples.labels.tolist(),
        "pixels_sha256": hashlib.sha256(np.ascontiguousarray(samples.images).data).hexdigest(),
        "latentbench": version(),
        "libraries": library_versions(),
    }


def preview(trained: Trained, num: int) -> NDArray[np.uint8]:
    """A few images for a grid while training goes on, before any prior is fitted."""
    latent = trained.game.latent
    if latent is None:
        raise UsageError("an autoencoder's preview is its reconstructions")
    generator = torch.Generator().manual_seed(derive_seed("preview"))
    z = latent_sampler(latent, trained.game.plan.latent)(generator, (num, latent.dim))
    classes = trained.game.num_classes
    y = F.one_hot(torch.arange(num) % classes, classes).float() if classes else None
    with torch.no_grad():
        device = trained.device
        x = trained.decode(z.to(device), None if y is None else y.to(device))
    return to_uint8(x, trained.game.model.scale)
