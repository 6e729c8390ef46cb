"""Deep SVDD (Ruff et al. 2018), one-class and soft-boundary: images mapped close to a centre.

    one-class      mean |phi(x) - c|^2                                        (equation 4)
    soft-boundary  R^2 + mean max(0, |phi(x) - c|^2 - R^2) / nu               (equation 3)

with weight decay. The protocol is that of the authors' code: preprocessing `contrast`, networks
`svdd_net`, pre-training as an autoencoder, c the mean of the codes of the normal images with
entries below 0.1 in absolute value moved to +-0.1; Adam 1e-4, a tenth from epoch 50 of 150, batches
of 200. R starts at 0; after 10 warm-up epochs it is, after each step, the (1 - nu) quantile of the
batch's distances. The score is |phi(x) - c|^2 for both.

An epoch is 6,000 images drawn with replacement (the authors iterate over the set). An entry of c
that is exactly 0 is moved to +0.1 (theirs stays).

Shape legend: K detectors, N normal images, B images of a batch, C,H,W an image, Z code.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.optim.lr_scheduler import MultiStepLR

from baselines.detectors.chunks import (
    ImageSize,
    finite_scores,
    in_chunks,
    planar,
    repeatable,
    require_alike,
)
from baselines.detectors.contrast import Contrast, contrast_of
from baselines.detectors.engine_fits import steps_of
from baselines.detectors.fitting import Job, Schedule, in_eval, train_jobs
from baselines.detectors.options import DetectorOptions, options_of, told
from baselines.detectors.svdd_net import Encoder, Pretraining, encoder_state
from baselines.detectors.svdd_objectives import (
    SoftBoundary,
    centre_of,
    one_class_objective,
    reconstruction_objective,
)
from baselines.detectors.table import DEEP_SVDD_CPU
from baselines.detectors.together import require_sets, require_together
from baselines.models.random_draws import derive_seed
from bench.anomaly.detectors.base import Detector, DetectorSettings, Option
from bench.errors import UsageError

Boundary = Literal["one-class", "soft"]
CODED = 1000  # images coded at a time for the centre


class DeepSVDDOptions(DetectorOptions):
    """Options in epochs of 6,000 images. `milestone` is the epoch from which both trainings use a
    tenth of the rate.
    """

    epochs: float = Field(150, gt=0)
    pretrain_epochs: float = Field(150, ge=0)
    milestone: float = Field(50, ge=0)
    warm_up_epochs: float = Field(10, ge=0)  # soft boundary: before R moves
    learning_rate: float = Field(1e-4, gt=0)
    batch_size: int = Field(200, ge=2)
    rep_dim: int = Field(32, ge=1)
    nu: float = Field(0.1, gt=0, lt=1)
    weight_decay: float = Field(0.5e-6, ge=0)
    pretrain_weight_decay: float = Field(0.5e-3, ge=0)


class DeepSVDD:
    """See `bench.anomaly.detectors.base.Detector` and `StackFitting`."""

    def __init__(
        self, name: str, boundary: Boundary, settings: DetectorSettings, options: DeepSVDDOptions
    ) -> None:
        self.name, self.boundary = name, boundary
        self.device, self.seed, self.options = settings.device, settings.seed, options
        self.contrast: Contrast | None = None
        self.network: nn.Module | None = None
        self.centre: Tensor | None = None
        self.radius: float | None = None  # of the soft boundary
        self._size: ImageSize | None = None

    def fit(self, normal: NDArray[np.uint8]) -> None:
        """Pre-train, place the centre and train, on uint8 N,H,W,C."""
        fit_together([self], [normal])

    def fit_stack(self, others: Sequence[Detector], normals: Sequence[NDArray[np.uint8]]) -> None:
        """Fit this detector to the first of `normals` and each of the others to its own: stacked on
        a GPU, one after the other on a CPU.
        """
        fit_together([self, *others], normals)

    def scores(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return |phi(x) - c|^2, float64 M."""
        require_alike(images, self._size, self.name)
        contrast, network, centre = self.contrast, self.network, self.centre
        if contrast is None or network is None or centre is None:
            raise UsageError(f"{self.name}: fit it to normal images first")

        def distances(x: Tensor) -> Tensor:
            return (in_eval(network, contrast(x)).double() - centre).square().sum(1)

        return finite_scores(in_chunks(images, distances, device=self.device), self.name)

    def settled(self) -> dict[str, Option]:
        """See `bench.anomaly.detectors.base.Telling`."""
        return told(self.options)

    def start(self, normal: NDArray[np.uint8]) -> Job:
        """Return the pre-training of these images, before its first step."""
        _, height, width, channels = normal.shape
        x = planar(normal).to(self.device)
        self.contrast = contrast_of(x)
        self._size = (height, width, channels)
        shape, rep_dim = (channels, height, width), self.options.rep_dim
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(self.seed, self.name, "weights"))
            if self.options.pretrain_epochs:
                network: nn.Module = Pretraining(shape, rep_dim)
            else:
                network = Encoder(shape, rep_dim)
        return Job(network=network.to(self.device), images=self.contrast(x), seed=self.seed)

    def placed(self, job: Job) -> Job:
        """Return the second training, from the pre-trained encoder, with centre and radius."""
        if self.options.pretrain_epochs:
            channels, height, width = job.images.shape[1:]
            network = Encoder((channels, height, width), self.options.rep_dim).to(self.device)
            network.load_state_dict(encoder_state(job.network))
            job = Job(network=network, images=job.images, seed=job.seed)
        codes = torch.cat([in_eval(job.network, part) for part in torch.split(job.images, CODED)])
        job.carried = {
            "centre": centre_of(codes),
            "radius": torch.zeros((), device=self.device),
        }
        return job

    def take_up(self, job: Job) -> None:
        """Use a trained job for scoring."""
        self.network = job.network.eval().requires_grad_(requires_grad=False)
        self.centre = job.carried["centre"].double()
        self.radius = float(job.carried["radius"]) if self.boundary == "soft" else None


def fit_together(
    detectors: Sequence[Detector],
    normals: Sequence[NDArray[np.uint8]],
    *,
    stack: bool | None = None,
) -> None:
    """Fit detectors of one row and one set of options, each to its own images. Raises `UsageError`
    for others, and `TrainingDiverged` with stage, set and step.
    """
    own = require_together(DeepSVDD, detectors, normals, lambda each: (each.name, each.options))
    options, name = own[0].options, own[0].name
    require_sets(normals, name)
    with repeatable():
        jobs = [each.start(normal) for each, normal in zip(own, normals, strict=True)]
        if options.pretrain_epochs:
            train_jobs(
                jobs,
                reconstruction_objective,
                _schedule(options, f"{name} pre-training", pretraining=True),
                stack=stack,
            )
        jobs = [each.placed(job) for each, job in zip(own, jobs, strict=True)]
        soft = SoftBoundary(options.nu, steps_of(options.warm_up_epochs, options.batch_size))
        is_soft = own[0].boundary == "soft"
        train_jobs(
            jobs,
            soft.objective if is_soft else one_class_objective,
            _schedule(options, name, pretraining=False),
            stack=stack,
            on_step=soft.on_step if is_soft else None,
        )
    for each, job in zip(own, jobs, strict=True):
        each.take_up(job)


def _schedule(options: DeepSVDDOptions, stage: str, *, pretraining: bool) -> Schedule:
    return Schedule(
        stage=stage,
        num_steps=steps_of(
            options.pretrain_epochs if pretraining else options.epochs, options.batch_size
        ),
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        weight_decay=options.pretrain_weight_decay if pretraining else options.weight_decay,
        decay=functools.partial(
            MultiStepLR, milestones=[steps_of(options.milestone, options.batch_size)]
        ),
    )


def one_class(settings: DetectorSettings) -> DeepSVDD:
    options = options_of(DeepSVDDOptions, settings, "deep-svdd", DEEP_SVDD_CPU)
    return DeepSVDD("deep-svdd", "one-class", settings, options)


def soft(settings: DetectorSettings) -> DeepSVDD:
    options = options_of(DeepSVDDOptions, settings, "deep-svdd-soft", DEEP_SVDD_CPU)
    return DeepSVDD("deep-svdd-soft", "soft", settings, options)
