"""Spectral norm: every weight of the discriminator is divided by its largest singular value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from baselines.tricks.base import Trick

if TYPE_CHECKING:
    from torch import nn


def _networks(networks: dict[str, nn.Module], _options: object) -> None:
    from baselines.models.spectral_norm import add_spectral_norm

    add_spectral_norm(networks["discriminator"])


SPECTRAL_NORM = Trick(
    name="spectral-norm",
    title="discriminator weights of spectral norm 1",
    source="Miyato et al. 2018, algorithm 1",
    conflicts={"weight-clipping": "clipping bounds the same weights in another way; choose one"},
    networks=_networks,
)
