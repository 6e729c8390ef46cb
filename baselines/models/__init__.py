"""The table of models. Reading it loads no torch: the functions that build networks import it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from baselines.models.base import LatentSpec, Model
from baselines.models.options import (
    ConvAutoencoderOptions,
    ConvOptions,
    ConvVAEOptions,
    DenseAutoencoderOptions,
    DenseOptions,
    DenseVAEOptions,
    EmbeddingOptions,
    InfoOptions,
)
from bench.errors import UnknownNameError

if TYPE_CHECKING:
    from torch import nn

Networks: TypeAlias = "dict[str, nn.Module]"
CONDITIONAL_SOURCE = "Mirza & Osindero 2014"
VAE_SOURCE = "Kingma & Welling 2014; beta: Higgins et al. 2017; conditional: Sohn et al. 2015"


def _dense_gan(*arguments: Any) -> Networks:
    from baselines.models.dense import build

    return build(*arguments)


def _dcgan(*arguments: Any) -> Networks:
    from baselines.models.conv import build

    return build(*arguments)


def _infogan(*arguments: Any) -> Networks:
    from baselines.models.infogan import build

    return build(*arguments)


def _dense_autoencoder(*arguments: Any) -> Networks:
    from baselines.models.autoencoders import build_dense

    return build_dense(*arguments)


def _conv_autoencoder(*arguments: Any) -> Networks:
    from baselines.models.autoencoders import build_conv

    return build_conv(*arguments)


def _dense_vae(*arguments: Any) -> Networks:
    from baselines.models.vae import build_dense

    return build_dense(*arguments)


def _conv_vae(*arguments: Any) -> Networks:
    from baselines.models.vae import build_conv

    return build_conv(*arguments)


def _embedding(*arguments: Any) -> Networks:
    from baselines.models.embedding import build

    return build(*arguments)


_ROWS = (
    Model(
        name="dense-gan",
        title="multilayer perceptrons of any widths",
        source="Goodfellow et al. 2014; the course's widths are the default",
        kind="adversarial",
        options=DenseOptions,
        build=_dense_gan,
        latent=lambda options: LatentSpec(options.latent_dim),
    ),
    Model(
        name="dcgan",
        title="convolutions instead of dense layers, batch norm in both networks",
        source="Radford et al. 2016",
        kind="adversarial",
        options=ConvOptions,
        build=_dcgan,
        latent=lambda options: LatentSpec(options.latent_dim),
        convolutional=True,
        normalised=lambda options: options.batch_norm_discriminator,
    ),
    Model(
        name="conditional-dense-gan",
        title="dense networks conditioned on the class",
        source=CONDITIONAL_SOURCE,
        kind="adversarial",
        options=DenseOptions,
        build=_dense_gan,
        latent=lambda options: LatentSpec(options.latent_dim),
        conditional=lambda _options: True,
    ),
    Model(
        name="conditional-dcgan",
        title="DCGAN conditioned on the class",
        source=f"{CONDITIONAL_SOURCE}; Radford et al. 2016",
        kind="adversarial",
        options=ConvOptions,
        build=_dcgan,
        latent=lambda options: LatentSpec(options.latent_dim),
        conditional=lambda _options: True,
        convolutional=True,
        normalised=lambda options: options.batch_norm_discriminator,
    ),
    Model(
        name="infogan",
        title="latent codes that can be read off the image",
        source="Chen et al. 2016",
        kind="adversarial",
        options=InfoOptions,
        build=_infogan,
        latent=lambda options: LatentSpec(
            options.latent_dim, options.categories, options.continuous
        ),
        convolutional=True,
        normalised=lambda options: options.batch_norm_discriminator,
    ),
    Model(
        name="autoencoder",
        title="dense autoencoder; linear when it has no hidden widths",
        source="Hinton & Salakhutdinov 2006; linear: Baldi & Hornik 1989; denoising: Vincent 2010",
        kind="likelihood",
        options=DenseAutoencoderOptions,
        build=_dense_autoencoder,
    ),
    Model(
        name="conv-autoencoder",
        title="strided convolutions down to a code, transposed ones up",
        source="Masci et al. 2011",
        kind="likelihood",
        options=ConvAutoencoderOptions,
        build=_conv_autoencoder,
        convolutional=True,
    ),
    Model(
        name="vae",
        title="dense variational autoencoder",
        source=VAE_SOURCE,
        kind="likelihood",
        options=DenseVAEOptions,
        build=_dense_vae,
        latent=lambda options: LatentSpec(options.latent_dim),
        conditional=lambda options: options.conditional,
    ),
    Model(
        name="conv-vae",
        title="convolutional variational autoencoder",
        source=VAE_SOURCE,
        kind="likelihood",
        options=ConvVAEOptions,
        build=_conv_vae,
        latent=lambda options: LatentSpec(options.latent_dim),
        conditional=lambda options: options.conditional,
        convolutional=True,
    ),
    Model(
        name="embedding",
        title="an encoder that places images by their rotation and shift",
        source="Hadsell, Chopra & LeCun 2006",
        kind="embedding",
        options=EmbeddingOptions,
        build=_embedding,
        convolutional=True,
    ),
)

MODELS: dict[str, Model] = {row.name: row for row in _ROWS}
if len(MODELS) != len(_ROWS):
    raise ValueError("two rows of the table of models have one name")


def model_row(name: str) -> Model:
    """Return the row of that name. Raises `UnknownNameError`, which lists the valid names.

    >>> model_row("dcgan").kind
    'adversarial'
    """
    if name not in MODELS:
        raise UnknownNameError("model", name, MODELS)
    return MODELS[name]
