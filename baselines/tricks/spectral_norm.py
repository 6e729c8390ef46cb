"""Spectral norm: every weight of the discriminator is divided by its largest singular value.

A discriminator with batch norm is refused. Batch norm divides by the standard deviation of what a
layer returns, and so undoes any bound on the size of the layer's weight.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from baselines.tricks.base import WITHOUT_BATCH_NORM, RunFacts, Trick

if TYPE_CHECKING:
    from torch import nn


def _networks(networks: dict[str, nn.Module], _options: object) -> None:
    from baselines.models.spectral_norm import add_spectral_norm

    add_spectral_norm(networks["discriminator"])


def _refuse(facts: RunFacts, _options: Any) -> str | None:
    if not facts.model.normalised(facts.model_options):
        return None
    return (
        "batch norm in the discriminator rescales what every layer returns, which undoes the "
        f"bound on its weight; set {WITHOUT_BATCH_NORM}"
    )


SPECTRAL_NORM = Trick(
    name="spectral-norm",
    title="discriminator weights of spectral norm 1",
    source="Miyato et al. 2018, algorithm 1",
    conflicts={"weight-clipping": "clipping bounds the same weights in another way; choose one"},
    refuse=_refuse,
    networks=_networks,
)
