"""Conditional GANs (Mirza & Osindero 2014): both networks are told the class.

The one-hot class is appended to the latent vector; the discriminator reads it beside the pixels
(dense) or as constant planes beside the image (convolutional).
"""

from __future__ import annotations

from baselines.models.base import LatentSpec, Model
from baselines.models.conv import ConvOptions, build_conv
from baselines.models.dense import DenseOptions, build_dense

SOURCE = "Mirza & Osindero 2014"

CONDITIONAL_DENSE = Model(
    name="conditional-dense-gan",
    title="dense networks that are told the class",
    source=SOURCE,
    kind="adversarial",
    options=DenseOptions,
    build=build_dense,
    latent=lambda options: LatentSpec(options.latent_dim),
    conditional=lambda _options: True,
)
CONDITIONAL_CONV = Model(
    name="conditional-dcgan",
    title="DCGAN whose networks are told the class",
    source=f"{SOURCE}; Radford et al. 2016",
    kind="adversarial",
    options=ConvOptions,
    build=build_conv,
    latent=lambda options: LatentSpec(options.latent_dim),
    conditional=lambda _options: True,
    convolutional=True,
    normalised=lambda options: options.batch_norm_discriminator,
)
