"""The table of models."""

from __future__ import annotations

from baselines.models.autoencoders import CONV_AUTOENCODER, DENSE_AUTOENCODER
from baselines.models.base import Model
from baselines.models.conditional import CONDITIONAL_CONV, CONDITIONAL_DENSE
from baselines.models.conv import DCGAN
from baselines.models.dense import DENSE_GAN
from baselines.models.infogan import INFOGAN
from baselines.models.vae import CONV_VAE, DENSE_VAE
from bench.errors import UnknownNameError

_ROWS = (
    DENSE_GAN,
    DCGAN,
    CONDITIONAL_DENSE,
    CONDITIONAL_CONV,
    INFOGAN,
    DENSE_AUTOENCODER,
    CONV_AUTOENCODER,
    DENSE_VAE,
    CONV_VAE,
)

MODELS: dict[str, Model] = {row.name: row for row in _ROWS}
if len(MODELS) != len(_ROWS):
    raise ValueError("two models of one name")


def model_row(name: str) -> Model:
    """The row of that name. Raises `UnknownNameError` listing the valid names."""
    if name not in MODELS:
        raise UnknownNameError("model", name, MODELS)
    return MODELS[name]
