"""Options of every model, with their defaults and bounds. Importing this module loads no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt

from baselines.models.base import Options

CodeActivation = Literal["linear", "relu", "sigmoid"]
Reconstruction = Literal["mse", "bernoulli"]
Likelihood = Literal["bernoulli", "gaussian"]
Corruption = Literal["none", "masking", "gaussian"]
Penalty = Literal["none", "l1", "kl"]


class DenseOptions(Options):
    """Options of dense GANs. Widths are listed from the input to the output."""

    latent_dim: int = Field(100, ge=1)
    generator_widths: tuple[PositiveInt, ...] = (256, 512, 1024)
    discriminator_widths: tuple[PositiveInt, ...] = (1024, 512, 256)
    batch_norm: bool = False  # in the generator, after every hidden layer but the first


class ConvOptions(Options):
    """Options of DCGANs. `width` is the number of channels of the largest map; each halving of the
    map doubles it.
    """

    latent_dim: int = Field(100, ge=1)
    width: int = Field(64, ge=1)
    batch_norm_generator: bool = True
    batch_norm_discriminator: bool = True


class InfoOptions(ConvOptions):
    """Options of InfoGAN: `latent_dim` counts the noise only, `info_weight` is the paper's
    lambda.
    """

    latent_dim: int = Field(62, ge=1)
    categories: int = Field(10, ge=2)
    continuous: int = Field(2, ge=0)
    info_weight: float = Field(1.0, ge=0)


class AutoencoderOptions(Options):
    """Options that all autoencoders share: code, loss, penalty on the code, input corruption."""

    code_dim: int = Field(32, ge=1)
    code_activation: CodeActivation = "linear"
    loss: Reconstruction = "mse"
    penalty: Penalty = "none"
    penalty_weight: float = Field(0.0, ge=0)
    target_rate: float = Field(0.05, gt=0, lt=1)  # of a code unit, for penalty "kl"
    corruption: Corruption = "none"
    corruption_level: float = Field(0.0, ge=0)  # nu for masking, sigma for gaussian


class DenseAutoencoderOptions(AutoencoderOptions):
    """Widths of the encoder from the input to the code. The decoder mirrors them."""

    widths: tuple[PositiveInt, ...] = (256,)


class ConvAutoencoderOptions(AutoencoderOptions):
    """`width` is the number of channels of the first convolution; each halving doubles it."""

    width: int = Field(32, ge=1)


class EmbeddingOptions(Options):
    """Options of the contrastive embedding. Two images of a pair differ by their variation: a
    rotation within `max_degrees` and a shift within `max_shift_px`, both ways. They are similar
    when both differ by at most `neighbourhood`, a share of the whole range.
    """

    code_dim: int = Field(3, ge=1)
    width: int = Field(16, ge=1)  # channels of the first convolution; each halving doubles it
    margin: float = Field(1.0, gt=0)
    max_degrees: float = Field(60.0, ge=0, le=180)
    max_shift_px: float = Field(6.0, ge=0)
    neighbourhood: float = Field(0.1, gt=0, lt=1)


class VAEOptions(Options):
    """Options that all VAEs share. `sigma` is the standard deviation of a pixel under the Gaussian
    likelihood.
    """

    latent_dim: int = Field(16, ge=1)
    likelihood: Likelihood = "bernoulli"
    sigma: float = Field(0.2, gt=0)
    beta: float = Field(1.0, ge=0)
    conditional: bool = False


class DenseVAEOptions(VAEOptions):
    """Widths of the encoder from the input to the latent. The decoder mirrors them."""

    widths: tuple[PositiveInt, ...] = (512, 256)


class ConvVAEOptions(VAEOptions):
    """`width` is the number of channels of the first convolution; each halving doubles it."""

    width: int = Field(32, ge=1)
