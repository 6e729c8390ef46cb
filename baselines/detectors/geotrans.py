"""GeoTrans (Golan & El-Yaniv 2018): how well a network recognises the transform of an image.

A network learns to tell the 72 transforms of normal images apart; on images of another kind it is
unsure. Two scores, both negated so that higher is more anomalous:

    simple      mean over transforms t of log y(t(x))_t, y the softmax
    dirichlet   sum over transforms t of sum_k (alpha_t,k - 1) log y(t(x))_k  (section 4), alpha_t
                the maximum likelihood Dirichlet of y(t(x)) over normal images

The paper's simple score is the mean of y itself; its logarithm separates values that saturate at 1.
The paper trains WRN-10-4 with Adam 1e-3 for ceil(200 / 72) = 3 epochs over all 72 transforms of all
images. Here the network is WRN-10 of option `width` behind a first convolution of stride 2, and the
rate falls to 0 along a half cosine. A batch is a random draw of images and transforms, and an epoch
is 6,000 images in all 72 transforms.

Shape legend: K detectors, N images, B of a batch, C,H,W an image, T transforms, P pixels.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR

from baselines.detectors.chunks import (
    ImageSize,
    finite_scores,
    in_chunks,
    planar,
    repeatable,
    require_alike,
)
from baselines.detectors.dirichlet import fit_dirichlet
from baselines.detectors.engine_fits import steps_of
from baselines.detectors.fitting import Job, Schedule, train_jobs
from baselines.detectors.options import DetectorOptions, options_of, told
from baselines.detectors.table import GEOTRANS_CPU
from baselines.detectors.together import require_sets, require_together, set_name
from baselines.detectors.transforms import (
    TransformedBatches,
    pixel_indices,
    transform_objective,
    transformed,
)
from baselines.detectors.wide_net import WideResNet
from baselines.models.random_draws import derive_seed
from baselines.runs.train import TrainingDiverged
from baselines.training.training_images import scaled
from bench.anomaly.detectors.base import Detector, DetectorSettings, Option
from bench.errors import LatentbenchError, UsageError

NAME = "geotrans"
SCORED = 20  # images of a chunk, each in all transforms


class GeoTransOptions(DetectorOptions):
    """Options. `depth`, `width`, `first_stride` belong to the network; `fit_images` is the largest
    number of normal images from which the Dirichlet parameters are estimated.
    """

    epochs: float = Field(3, gt=0)
    batch_size: int = Field(128, ge=2)
    learning_rate: float = Field(1e-3, gt=0)
    depth: int = 10
    width: float = Field(2, gt=0)
    first_stride: Literal[1, 2] = 2
    score: Literal["dirichlet", "simple"] = "dirichlet"
    fit_images: int = Field(6000, ge=2)


@torch.no_grad()
def log_softmax(network: nn.Module, indices: Tensor, images: Tensor) -> Tensor:
    """Return log y(t(x))_k of uint8 B,C,H,W, float64 B,T,T: by transform, then by class."""
    num = len(indices)
    x = transformed(images.repeat_interleave(num, dim=0), indices.repeat(len(images), 1))
    x = scaled(x, "signed").contiguous(memory_format=torch.channels_last)
    logits: Tensor = network(x)
    return logits.double().log_softmax(1).view(len(images), num, num)


def simple_score(log_y: Tensor) -> Tensor:
    """Return minus the mean over transforms of the log probability of the right one: B,T,T -> B."""
    return -log_y.diagonal(dim1=1, dim2=2).mean(1)


class GeoTrans:
    """See `bench.anomaly.detectors.base.Detector` and `StackFitting`."""

    def __init__(self, settings: DetectorSettings, options: GeoTransOptions) -> None:
        self.device, self.seed, self.options = settings.device, settings.seed, options
        self.network: nn.Module | None = None
        self.alpha: NDArray[np.float64] | None = None  # T,T: Dirichlet parameters
        self._indices: Tensor | None = None
        self._size: ImageSize | None = None

    def fit(self, normal: NDArray[np.uint8]) -> None:
        """Train on square images uint8 N,H,W,C. Raises `UsageError` for others."""
        fit_together([self], [normal])

    def fit_stack(self, others: Sequence[Detector], normals: Sequence[NDArray[np.uint8]]) -> None:
        """Fit this detector to the first of `normals` and each of the others to its own: stacked on
        a GPU, one after the other on a CPU.
        """
        fit_together([self, *others], normals)

    def scores(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return scores, float64 M; see the module's docstring."""
        require_alike(images, self._size, NAME)
        return finite_scores(self._computed(images, self._scored), NAME)

    def settled(self) -> dict[str, Option]:
        """See `bench.anomaly.detectors.base.Telling`."""
        return told(self.options)

    def start(self, normal: NDArray[np.uint8], indices: Tensor) -> Job:
        """Return the training on these images under the transforms T,P, before its first step."""
        options = self.options
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(self.seed, NAME, "weights"))
            network = WideResNet(
                normal.shape[-1],
                len(indices),
                depth=options.depth,
                width=options.width,
                first_stride=options.first_stride,
            )
        return Job(
            network=network.to(self.device),
            images=planar(normal).to(self.device),
            seed=derive_seed(self.seed, NAME),
        )

    def take_up(
        self, job: Job, normal: NDArray[np.uint8], indices: Tensor, name: str = NAME
    ) -> None:
        """Use a trained job for scoring, with its Dirichlet parameters where the option asks for
        them. `name` is for errors.
        """
        network = job.network.eval().requires_grad_(requires_grad=False)
        self.network = network.to(memory_format=torch.channels_last)
        self._indices = indices
        needed = self.options.score == "dirichlet"
        self.alpha = self._fitted_alpha(normal, name) if needed else None
        _, height, width, channels = normal.shape
        self._size = (height, width, channels)

    def _computed(self, images: NDArray[np.uint8], compute: Callable[[Tensor], Tensor]) -> Tensor:
        """Return `compute` of the log probabilities of the images, chunk by chunk."""
        network, indices = self.network, self._indices
        assert network is not None  # noqa: S101  (set by fit)
        assert indices is not None  # noqa: S101
        return in_chunks(
            images,
            lambda x: compute(log_softmax(network, indices, x)),
            device=self.device,
            size=SCORED,
        )

    def _scored(self, log_y: Tensor) -> Tensor:
        if self.alpha is None:
            return simple_score(log_y)
        exponents = torch.from_numpy(self.alpha - 1).to(log_y.device)
        return -(exponents * log_y).sum((1, 2))

    def _fitted_alpha(self, normal: NDArray[np.uint8], name: str) -> NDArray[np.float64]:
        """Return the Dirichlet parameters of each transform, from normal images drawn without
        replacement.
        """
        generator = torch.Generator().manual_seed(derive_seed(self.seed, NAME, "dirichlet"))
        order = torch.randperm(len(normal), generator=generator).numpy()
        log_y = self._computed(normal[order[: self.options.fit_images]], lambda found: found)
        if not torch.isfinite(log_y).all():
            raise TrainingDiverged(
                f"{name}: log probabilities of normal images are not finite; "
                "choose a lower learning_rate"
            )
        means = log_y.exp().mean(0).numpy(), log_y.mean(0).numpy()
        try:
            return fit_dirichlet(*means)
        except LatentbenchError as error:
            raise UsageError(
                f"{name}: {error}. Normal images that are all alike, or that the network is sure "
                "of to the last digit, have no Dirichlet score: use option score=simple"
            ) from error


def fit_together(
    detectors: Sequence[Detector],
    normals: Sequence[NDArray[np.uint8]],
    *,
    stack: bool | None = None,
) -> None:
    """Fit detectors of one set of options, each to its own images; see `train_jobs` for `stack`.
    Raises `UsageError` for others, and `TrainingDiverged` with set and step.
    """
    own = require_together(GeoTrans, detectors, normals, lambda each: (NAME, each.options))
    require_sets(normals, NAME)
    options = own[0].options
    indices = pixel_indices(*normals[0].shape[1:3]).to(own[0].device)
    jobs = [each.start(normal, indices) for each, normal in zip(own, normals, strict=True)]
    num_steps = steps_of(options.epochs * len(indices), options.batch_size)
    schedule = Schedule(
        stage=NAME,
        num_steps=num_steps,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        decay=functools.partial(CosineAnnealingLR, T_max=num_steps),
    )
    with repeatable():
        train_jobs(
            jobs, transform_objective, schedule, batches=TransformedBatches(indices), stack=stack
        )
    for number, (each, job, normal) in enumerate(zip(own, jobs, normals, strict=True)):
        each.take_up(job, normal, indices, set_name(NAME, number, len(own)))


def geotrans(settings: DetectorSettings) -> GeoTrans:
    return GeoTrans(settings, options_of(GeoTransOptions, settings, NAME, GEOTRANS_CPU))
