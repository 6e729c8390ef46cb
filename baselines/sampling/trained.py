"""A trained run, read back from its checkpoint: latents in, images out.

The generator runs in eval mode, with the averaged weights where the run kept them (trick "ema").
Images are computed in chunks of `CHUNK` that start at multiples of `CHUNK` and are always full, so
image i does not depend on how many others are asked for.

Shape legend: N images, B images of a chunk, C,H,W an image, Z latent or code, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from baselines.models.autoencoders import Autoencoder
from baselines.models.base import Verdict
from baselines.models.vae import VAE
from baselines.training.build import Game, build
from baselines.training.checkpoint import Checkpoint
from baselines.training.training_images import scaled, to_uint8
from bench.errors import UsageError

CHUNK = 250
AVERAGED_GENERATOR = "tricks/ema/generator."  # of a checkpoint's tensors


@dataclass(frozen=True)
class Trained:
    """Networks of a checkpoint in eval mode on one device. `chunk` images are computed together;
    fewer take less memory and may move a pixel by a level.
    """

    checkpoint: Checkpoint
    game: Game
    networks: dict[str, nn.Module]
    device: str
    chunk: int | None = None  # CHUNK

    @property
    def is_adversarial(self) -> bool:
        return self.game.model.kind == "adversarial"

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Latents or codes B,Z (and one-hot B,K) -> float images B,C,H,W in the model's range,
        differentiable.
        """
        if self.is_adversarial:
            images: Tensor = self.networks["generator"](z, y)
            return images
        network = self.networks["autoencoder"]
        if isinstance(network, VAE):
            return network.pixels(network.decode(z, y))
        assert isinstance(network, Autoencoder)  # noqa: S101  (there are no others)
        return network.pixels(network.decode(z))

    @torch.no_grad()
    def judge(self, x: Tensor, y: Tensor | None = None) -> Verdict:
        """The discriminator's verdict on images B,C,H,W in [-1, 1]. Raises `UsageError` without
        one.
        """
        if not self.is_adversarial:
            raise UsageError(f"model {self.game.model.name!r} has no discriminator")
        verdict: Verdict = self.networks["discriminator"](x, y, None)
        return verdict

    @torch.no_grad()
    def encode(self, images: NDArray[np.uint8]) -> Tensor:
        """Codes (for a VAE, posterior means) of uint8 N,H,W,C: float32 N,Z on the CPU."""
        network = self.networks.get("autoencoder")
        if network is None or self.game.num_classes:
            raise UsageError(f"model {self.game.model.name!r} has no encoder of images alone")
        found = []
        size = self.chunk or CHUNK
        for start in range(0, len(images), size):
            part = torch.from_numpy(np.ascontiguousarray(images[start : start + size]))
            x = scaled(part.permute(0, 3, 1, 2).to(self.device), "unit")
            code = network.encode(x)[0] if isinstance(network, VAE) else network.encode(x)  # type: ignore[operator]
            found.append(code.cpu())
        return torch.cat(found)

    def images(
        self, z: Tensor, y: Tensor | None = None, on_chunk: Callable[[int], None] | None = None
    ) -> NDArray[np.uint8]:
        """Latents N,Z (and one-hot N,K), on any device -> uint8 N,H,W,C."""
        parts, size = [], self.chunk or CHUNK
        with torch.no_grad():
            for start in range(0, len(z), size):
                chunk = full_chunk(z, start, size).to(self.device)
                classes = None if y is None else full_chunk(y, start, size).to(self.device)
                pixels = to_uint8(self.decode(chunk, classes), self.game.model.scale)
                parts.append(pixels[: len(z) - start])
                if on_chunk is not None:
                    on_chunk(min(start + size, len(z)))
        return np.concatenate(parts)


def full_chunk(rows: Tensor, start: int, size: int | None = None) -> Tensor:
    """Rows start .. start + size - 1, the last one repeated where there are no more; the size is
    `CHUNK` unless given.
    """
    size = size or CHUNK
    index = torch.arange(start, start + size).clamp_max(len(rows) - 1)
    return rows.index_select(0, index.to(rows.device))


def trained_from(checkpoint: Checkpoint, device: str = "cpu") -> Trained:
    """Networks with the checkpoint's weights, averaged ones where there are any."""
    game = build(checkpoint.config, checkpoint.image_shape, checkpoint.num_classes)
    for name, network in game.networks.items():
        prefix = f"networks/{name}/"
        averaged = any(key.startswith(AVERAGED_GENERATOR) for key in checkpoint.tensors)
        if name == "generator" and averaged:
            prefix = AVERAGED_GENERATOR
        weights = {
            key.removeprefix(prefix): value
            for key, value in checkpoint.tensors.items()
            if key.startswith(prefix)
        }
        network.load_state_dict(weights)
        network.to(device).eval().requires_grad_(requires_grad=False)
    return Trained(checkpoint, game, game.networks, device)


def reconstruct(trained: Trained, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What an autoencoder makes of uint8 N,H,W,C images: the same shape."""
    return trained.images(trained.encode(images))
