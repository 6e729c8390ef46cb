"""The networks of a trained run, loaded from its checkpoint: latents in, images out.

The generator runs in eval mode, with averaged weights if the run has them (trick "ema"). Images are
computed in full chunks of `CHUNK` that start at multiples of `CHUNK`, so that image i does not
depend on the number of images.

Shape legend: N images, B images of a chunk, C,H,W an image, Z latent or code, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from baselines.models.autoencoders import Autoencoder
from baselines.models.base import DiscriminatorOutput
from baselines.models.embedding import Embedding
from baselines.models.vae import VAE
from baselines.training.build import Game, build
from baselines.training.checkpoint import Checkpoint
from baselines.training.training_images import scaled, to_uint8
from bench.errors import BundleError, LatentbenchError, UsageError
from bench.runtime.failures import failure_line

CHUNK = 250
DAMAGED = "the checkpoint is damaged or of another version of the model; train the run again"
AVERAGED_GENERATOR = "tricks/ema/generator."  # prefix of tensors in a checkpoint


@dataclass(frozen=True)
class Trained:
    """The networks of a checkpoint in eval mode on one device.

    `chunk` images are computed together. A smaller chunk takes less memory and may change a pixel
    by one level.
    """

    checkpoint: Checkpoint
    game: Game
    networks: dict[str, nn.Module]
    device: str
    chunk: int | None = None  # CHUNK

    @property
    def is_adversarial(self) -> bool:
        """Whether the run is a GAN."""
        return self.game.model.kind == "adversarial"

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """Map latents or codes B,Z (and one-hot B,K) to float images B,C,H,W in the model's range.

        The result is differentiable. Raises `UsageError` for a model that only encodes.
        """
        if self.is_adversarial:
            images: Tensor = self.networks["generator"](z, y)
            return images
        self.game.model.require_images()
        network = self.networks["autoencoder"]
        if isinstance(network, VAE):
            return network.pixels(network.decode(z, y))
        assert isinstance(network, Autoencoder)  # noqa: S101  (the only other kind)
        return network.pixels(network.decode(z))

    @torch.no_grad()
    def judge(self, x: Tensor, y: Tensor | None = None) -> DiscriminatorOutput:
        """Return the discriminator's output for images B,C,H,W in [-1, 1].

        Raises `UsageError` for a model without a discriminator.
        """
        if not self.is_adversarial:
            raise UsageError(f"model {self.game.model.name!r} has no discriminator")
        output: DiscriminatorOutput = self.networks["discriminator"](x, y, None)
        return output

    @torch.no_grad()
    def encode(self, images: NDArray[np.uint8]) -> Tensor:
        """Return the codes (for a VAE, posterior means) of uint8 N,H,W,C: float32 N,Z on the CPU.

        Raises `UsageError` for a GAN and for a conditional VAE.
        """
        network = self.networks.get("autoencoder") or self.networks.get("encoder")
        if network is None or self.game.num_classes:
            raise UsageError(f"model {self.game.model.name!r} has no encoder of images alone")
        found = []
        size = self.chunk or CHUNK
        for start in range(0, len(images), size):
            part = torch.from_numpy(np.ascontiguousarray(images[start : start + size]))
            x = scaled(part.permute(0, 3, 1, 2).to(self.device), "unit")
            if isinstance(network, VAE):
                code = network.encode(x)[0]
            else:
                assert isinstance(network, Autoencoder | Embedding)  # noqa: S101
                code = network.encode(x)
            found.append(code.cpu())
        return torch.cat(found)

    def images(
        self, z: Tensor, y: Tensor | None = None, on_chunk: Callable[[int], None] | None = None
    ) -> NDArray[np.uint8]:
        """Map latents N,Z (and one-hot N,K) on any device to uint8 N,H,W,C.

        `on_chunk` is called with the number of finished images.
        """
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
    """Return rows start .. start + size - 1, with the last row repeated past the end. The default
    size is `CHUNK`.

    >>> full_chunk(torch.arange(5), 3, size=4)
    tensor([3, 4, 4, 4])
    """
    size = size or CHUNK
    index = torch.arange(start, start + size).clamp_max(len(rows) - 1)
    return rows.index_select(0, index.to(rows.device))


def trained_from(checkpoint: Checkpoint, device: str = "cpu") -> Trained:
    """Build the networks and load the checkpoint's weights, averaged ones if it has them.

    Raises `BundleError` for a checkpoint that does not fit its own configuration; the message names
    a tensor that is missing, unknown or of another shape.
    """
    try:
        game = build(checkpoint.config, checkpoint.image_shape, checkpoint.num_classes)
    except LatentbenchError:
        raise
    except Exception as error:  # sizes that no network has
        shape = checkpoint.image_shape
        raise BundleError(
            f"no network can be built for images of shape {shape} and {checkpoint.num_classes} "
            f"classes; {DAMAGED} ({failure_line(error)})"
        ) from error
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
        _require_tensors(weights, network, prefix)
        network.load_state_dict(weights)
        network.to(device).eval().requires_grad_(requires_grad=False)
    return Trained(checkpoint, game, game.networks, device)


def _require_tensors(found: Mapping[str, Tensor], network: nn.Module, prefix: str) -> None:
    expected = network.state_dict()
    for name in sorted(expected.keys() ^ found.keys()):
        problem = "has no" if name in expected else "has an unknown"
        raise BundleError(f"the checkpoint {problem} tensor {prefix + name!r}; {DAMAGED}")
    for name, value in expected.items():
        if found[name].shape != value.shape:
            raise BundleError(
                f"tensor {prefix + name!r} has shape {tuple(found[name].shape)} in the checkpoint, "
                f"{tuple(value.shape)} in the model; {DAMAGED}"
            )


def reconstruct(trained: Trained, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an autoencoder's reconstructions of uint8 N,H,W,C images, in the same shape."""
    return trained.images(trained.encode(images))
