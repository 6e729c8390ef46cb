"""Sample a trained run, with optional truncation and rejection.

Candidate j of image i has its own seed, so that an image depends neither on the batch size nor on
the number of images. Rejection works in rounds: every image that was not accepted gets its next
candidate. After `MAX_ROUNDS` the last candidate is used and counted. Options that would leave more
than the share `MAX_FORCED` of the images without an accepted candidate are refused.
`baselines.sampling.rejection` has the formulas. Density ratios assume an optimal discriminator with
plain targets; smoothed or noisy labels shift them.

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
from baselines.sampling.latent_candidates import LatentCandidates
from baselines.sampling.rejection import budget_scale, drs_values, jacobian_norms
from baselines.sampling.trained import CHUNK, Trained, full_chunk
from baselines.training.training_images import to_uint8
from bench.errors import UnknownNameError, UsageError
from bench.runtime.progress import CountProgress
from bench.runtime.provenance import library_versions, version

MAX_ROUNDS = 200
NUM_PILOT = 5_000  # images from which thresholds are measured
MAX_FORCED = 0.01  # share of the images that may use a candidate that was not accepted
LOWEST_RATE = 1 - MAX_FORCED ** (1 / MAX_ROUNDS)  # 0.0228, acceptance rate that reaches MAX_FORCED


@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """Options of sampling; None is off.

    `truncation` is t > 0, `rejection_gamma` a percentile 0..100, `budget` K = 1..43 candidates per
    accepted image, `latent_share` the share of latents that are kept, .023..1, and `prior` the
    distribution of an autoencoder's codes. Raises `UsageError` for a value outside its bounds, for
    two rejection samplers, and for a budget and a latent share that together accept too little.
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
            ("budget", self.budget, 1, math.floor(1 / LOWEST_RATE)),
            ("latent share", self.latent_share, math.ceil(1e3 * LOWEST_RATE) / 1e3, 1),
        )
        for name, value, low, high in bounds:
            if value is not None and not low <= value <= high:
                raise UsageError(f"{name} {value}: expected {low:g} to {high:g}")
        if self.prior not in PRIORS:
            raise UnknownNameError("prior", self.prior, PRIORS)
        if self.rejection_gamma is not None and self.budget is not None:
            raise UsageError("two rejection samplers at once; choose gamma or a budget")
        self.require_rate((self.latent_share or 1.0) / (self.budget or 1.0))

    def require_rate(self, rate: float) -> None:
        """Raise `UsageError` for an acceptance rate that leaves too many images without an accepted
        candidate.
        """
        if rate < LOWEST_RATE:
            named = (
                ("rejection gamma", self.rejection_gamma),
                ("budget", self.budget),
                ("latent share", self.latent_share),
            )
            options = " with ".join(f"{name} {value:g}" for name, value in named if value)
            raise UsageError(
                f"{options} accepts {rate:.2g} of the candidates; with {MAX_ROUNDS} candidates an "
                f"image, {(1 - rate) ** MAX_ROUNDS:.0%} of the images would have no accepted one; "
                f"{self.remedy}"
            )

    @property
    def remedy(self) -> str:
        """What to change so that more candidates are accepted."""
        remedies = (
            ("a smaller percentile", self.rejection_gamma),
            ("a smaller budget", self.budget),
            ("a larger latent share", self.latent_share),
        )
        return "give " + " or ".join(text for text, value in remedies if value is not None)


class Samples(NamedTuple):
    """Samples of a run: `images` uint8 N,H,W,C, `acceptance_rate` (accepted / tried), `num_forced`
    images whose last candidate was used without being accepted, and `labels` int64 N of conditional
    models.
    """

    images: NDArray[np.uint8]
    acceptance_rate: float
    num_forced: int
    labels: NDArray[np.int64] | None


class Sampler:
    """A sampler of one trained run with one choice of options. Thresholds are measured once, when
    it is made.

    Raises `UsageError` for options that the run does not support, and for options that accept too
    few candidates.
    """

    def __init__(self, trained: Trained, options: SamplingOptions, seed: int = 0) -> None:
        self.trained, self.options, self.seed = trained, options, seed
        self.candidates = LatentCandidates(
            trained, seed, truncation=options.truncation, prior=options.prior
        )
        self.log_max = self.shift = self.log_scale = 0.0
        self.norm_limit = math.inf
        self._loss_ratio: Callable[[Tensor], Tensor] | None = None
        if options.rejection_gamma is not None or options.budget is not None:
            self._require_ratio()
        self._measure()

    def sample(
        self, num: int, labels: ArrayLike | None = None, progress: CountProgress | None = None
    ) -> Samples:
        """Return `num` samples.

        `labels` are for conditional models: N integers 0..K-1, or one for all images; without
        labels the classes alternate. `progress` is called with the number of finished images and
        the total. Raises `UsageError` for labels that do not fit the model, and if clearly more
        than the share `MAX_FORCED` of the images have no accepted candidate, as may happen with a
        class that the discriminator rejects.
        """
        if num < 1:
            raise UsageError(f"{num} images: expected at least 1")
        on_images = progress or (lambda _done, _total: None)
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
            images = self.trained.images(z, y, lambda done: on_images(min(done, num), num))
            return Samples(images, 1.0, 0, chosen)
        return self._sample_with_rejection(num, y, chosen, on_images)

    def _sample_with_rejection(
        self, num: int, y: Tensor | None, labels: NDArray[np.int64] | None, on_images: CountProgress
    ) -> Samples:
        pending, tried = list(range(num)), 0
        latest: dict[int, Tensor] = {}
        for attempt in range(MAX_ROUNDS):
            z = self.candidates.latents(pending, attempt)
            accepted = self._accept(pending, attempt, z, None if y is None else y[pending])
            tried += len(pending)
            latest |= dict(zip(pending, z, strict=True))
            pending = [n for n, yes in zip(pending, accepted.tolist(), strict=True) if not yes]
            on_images(num - len(pending), num)
            if not pending:
                break
        if len(pending) > most_forced(num):
            raise UsageError(
                f"{len(pending)} of {num} images have no accepted candidate after {MAX_ROUNDS}; "
                f"{self.options.remedy}"
            )
        z = torch.stack([latest[number] for number in range(num)])
        rate = (num - len(pending)) / tried
        return Samples(self.trained.images(z, y), rate, len(pending), labels)

    def _accept(self, numbers: list[int], attempt: int, z: Tensor, y: Tensor | None) -> Tensor:
        accepted = torch.ones(len(z), dtype=torch.bool)
        if self.options.latent_share is not None:
            accepted &= jacobian_norms(self.trained, z, y, self.seed) <= self.norm_limit
        if self._loss_ratio is not None:
            chance = self._chances(self._log_ratios(z, y))
            accepted &= self.candidates.uniforms(numbers, attempt) < chance
        return accepted

    def _require_ratio(self) -> None:
        if not self.trained.is_adversarial:
            raise UsageError("rejection by the discriminator needs a GAN; this run is not one")
        loss = self.trained.game.config.loss_row
        if loss.log_ratio is None:
            raise UsageError(
                f"loss {loss.name!r}: its discriminator does not estimate a density ratio, which "
                "rejection needs; train with a cross entropy, least squares or f-divergence"
            )
        if self.trained.game.plan.layers.head is not None:
            raise UsageError(
                "rejection judges each image on its own, but this run's discriminator has a "
                "minibatch layer, whose output for an image depends on the rest of the batch"
            )
        self._loss_ratio = loss.log_ratio

    def _measure(self) -> None:
        """Measure thresholds on a pilot of images that have their own seeds."""
        needs = self._loss_ratio is not None or self.options.latent_share is not None
        if not needs:
            return
        z = self.candidates.latents(list(range(NUM_PILOT)), 0, "pilot")
        classes = self.trained.game.num_classes
        y = F.one_hot(torch.arange(NUM_PILOT) % classes, classes).float() if classes else None
        rate = 1.0  # of acceptance
        if self.options.latent_share is not None:
            norms = jacobian_norms(self.trained, z, y, self.seed)
            self.norm_limit = float(torch.quantile(norms, self.options.latent_share))
            keep = norms <= self.norm_limit
            rate = float(keep.float().mean())
            z, y = z[keep], None if y is None else y[keep]
        if self._loss_ratio is not None:
            log_ratio = self._log_ratios(z, y)
            self.log_max = float(log_ratio.max())
            if self.options.rejection_gamma is not None:
                values = drs_values(log_ratio, torch.tensor(self.log_max))
                self.shift = float(torch.quantile(values, self.options.rejection_gamma / 100))
            elif self.options.budget is not None:
                self.log_scale = budget_scale(log_ratio, self.options.budget)
            rate *= float(self._chances(log_ratio).mean())
        self.options.require_rate(rate)

    def _chances(self, log_ratio: Tensor) -> Tensor:
        """Return the probability that the discriminator's rejection accepts a candidate: B."""
        if self.options.rejection_gamma is not None:
            log_max = torch.tensor(self.log_max)
            return torch.sigmoid(drs_values(log_ratio, log_max) - self.shift)
        return (log_ratio + self.log_scale).clamp_max(0).exp()

    def _log_ratios(self, z: Tensor, y: Tensor | None) -> Tensor:
        assert self._loss_ratio is not None  # noqa: S101  (callers have checked)
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


def most_forced(num: int) -> int:
    """Return the number of forced images among `num` that still agrees with the share `MAX_FORCED`:
    three standard deviations above its mean, rounded up.

    >>> most_forced(10), most_forced(10_000)
    (2, 130)
    """
    mean = MAX_FORCED * num
    return math.ceil(mean + 3 * math.sqrt(mean * (1 - MAX_FORCED)))


def _checked(labels: ArrayLike, num: int, classes: int) -> NDArray[np.int64]:
    """Return one label for each image, int64 N. Raises `UsageError` for labels that do not fit."""
    found = np.asarray(labels)
    if found.ndim == 0:
        found = np.full(num, found)
    if found.dtype.kind not in "iu" or found.shape != (num,):
        raise UsageError(f"labels {found.dtype} {found.shape}: expected {num} integers, or one")
    if found.min() < 0 or found.max() >= classes:
        raise UsageError(
            f"labels {found.min()} to {found.max()}: the model has classes 0 to {classes - 1}"
        )
    return found.astype(np.int64)


def manifest_of(
    trained: Trained, options: SamplingOptions, seed: int, samples: Samples
) -> dict[str, object]:
    """Return the content of a manifest: recipe, configuration, sampling options, pixels' digest."""
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
    """Return a few images, uint8 N,H,W,C, for a grid during training, always of the same latents.

    Raises `UsageError` for an autoencoder.
    """
    latent = trained.game.latent
    if latent is None:
        raise UsageError("an autoencoder has no latent to preview; use `reconstruct`")
    generator = torch.Generator().manual_seed(derive_seed("preview"))
    z = latent_sampler(latent, trained.game.plan.latent)(generator, (num, latent.dim))
    classes = trained.game.num_classes
    y = F.one_hot(torch.arange(num) % classes, classes).float() if classes else None
    with torch.no_grad():
        device = trained.device
        x = trained.decode(z.to(device), None if y is None else y.to(device))
    return to_uint8(x, trained.game.model.scale)
