"""Reconstruction error of an autoencoder: |x - decode(encode(x))|^2, pixels in [0, 1].

    ae-dense      recipe ae-dense (Rumelhart et al. 1986), or another dense one by `recipe`: with
                  ae-linear the scores are those of PCA (Baldi & Hornik 1989)
    ae-conv       recipe ae-conv (Masci et al. 2011), the DCAE of Ruff et al. 2018
    ae-denoising  recipe ae-denoising-gaussian or -masking (Vincent et al. 2010); scored clean

The output of the decoder is compared without clamping to [0, 1], as in training.
"""

from __future__ import annotations

from typing import Literal, cast

import torch
from pydantic import Field
from torch import Tensor

from baselines.detectors.engine_fits import one_class_config
from baselines.detectors.options import DetectorOptions, options_of
from baselines.detectors.recipe_detector import (
    RecipeFamily,
    ReconstructingDetector,
    Scorer,
)
from baselines.detectors.table import AUTOENCODER_CPU, CONV_CPU, epochs_of
from baselines.models.autoencoders import Autoencoder
from baselines.sampling.trained import Trained
from baselines.training.training_images import scaled
from bench.anomaly.detectors.base import DetectorSettings


class AutoencoderDetectorOptions(DetectorOptions):
    """Options in epochs of 6,000 images; None takes the recipe's setting."""

    epochs: float = Field(epochs_of("ae-dense"), gt=0)
    code_dim: int | None = Field(None, ge=1)
    learning_rate: float | None = Field(None, gt=0)
    batch_size: int | None = Field(None, ge=2)


class DenseOptions(AutoencoderDetectorOptions):
    """Options of the dense autoencoders. `recipe` chooses one."""

    recipe: Literal[
        "ae-linear", "ae-dense", "ae-stacked", "ae-overcomplete", "ae-sparse-l1", "ae-sparse-kl"
    ] = "ae-dense"


class ConvOptions(AutoencoderDetectorOptions):
    """Options of the convolutional autoencoder. `width`: channels of the first convolution."""

    recipe: Literal["ae-conv"] = "ae-conv"
    width: int | None = Field(None, ge=1)


class DenoisingOptions(AutoencoderDetectorOptions):
    """Options of the denoising autoencoders. `recipe` chooses the corruption."""

    recipe: Literal["ae-denoising-gaussian", "ae-denoising-masking"] = "ae-denoising-gaussian"


@torch.no_grad()
def squared_error(trained: Trained, images: Tensor) -> Tensor:
    """Return squared errors summed over pixels and channels, uint8 B,C,H,W -> B."""
    network = cast("Autoencoder", trained.networks["autoencoder"])
    x = scaled(images, "unit")
    out, _ = network(x)
    found = torch.sigmoid(out) if network.loss == "bernoulli" else out
    return (found.double() - x.double()).flatten(1).square().sum(1)


@torch.no_grad()
def reconstructed(trained: Trained, images: Tensor) -> Tensor:
    """Return the decoder's images, uint8 B,C,H,W -> uint8 B,C,H,W."""
    network = cast("Autoencoder", trained.networks["autoencoder"])
    out, _ = network(scaled(images, "unit"))
    return network.pixels(out).mul(255).round().to(torch.uint8)


def _make(
    name: str, settings: DetectorSettings, options: DenseOptions | ConvOptions | DenoisingOptions
) -> ReconstructingDetector:
    chosen = {"code_dim": options.code_dim, "width": getattr(options, "width", None)}
    config = one_class_config(
        options.recipe,
        seed=settings.seed,
        epochs=options.epochs,
        model_options={key: value for key, value in chosen.items() if value is not None},
        learning_rate=options.learning_rate,
        batch_size=options.batch_size,
    )

    def prepare(trained: Trained, _normal: object) -> Scorer:
        return lambda images: squared_error(trained, images)

    family = RecipeFamily(
        name=name, options=options, config=config, device=settings.device, prepare=prepare
    )
    return ReconstructingDetector(family, reconstructed)


def dense(settings: DetectorSettings) -> ReconstructingDetector:
    return _make(
        "ae-dense", settings, options_of(DenseOptions, settings, "ae-dense", AUTOENCODER_CPU)
    )


def conv(settings: DetectorSettings) -> ReconstructingDetector:
    return _make("ae-conv", settings, options_of(ConvOptions, settings, "ae-conv", CONV_CPU))


def denoising(settings: DetectorSettings) -> ReconstructingDetector:
    options = options_of(DenoisingOptions, settings, "ae-denoising", AUTOENCODER_CPU)
    return _make("ae-denoising", settings, options)
