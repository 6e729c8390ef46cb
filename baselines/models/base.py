"""Types shared by the table of models and the networks. Importing this module loads no torch.

An adversarial model is called as `generator(z, y)` and `discriminator(x, y, keep)`: `y` is one-hot
float N,K for a conditional model and None otherwise, and `keep` is the dropout multiplier N,U of
the discriminator's U hidden units (channels, for convolutions) or None. Networks hold no random
state.

Shape legend: N images, C channels, H rows, W columns, Z latent, K classes, F features, U units.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict

from bench.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor, nn

ImageShape = tuple[int, int, int]  # C, H, W
Scale = Literal["signed", "unit"]  # values from -1 to 1, or from 0 to 1
Activation = Literal["relu", "leaky"]
Downsampling = Literal["stride", "pool"]
Distribution = Literal["gaussian", "uniform", "spherical"]  # of a latent vector
# "embedding": an encoder alone, which has nothing to sample from
Kind = Literal["adversarial", "likelihood", "embedding"]


class Options(BaseModel):
    """Settings of a model or a trick. They are frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class DiscriminatorOutput(NamedTuple):
    """A discriminator's output for N images: `logits` N, `features` N,F of the last hidden layer,
    and `codes` N,Q (InfoGAN's estimate of the codes) or None.
    """

    logits: Tensor
    features: Tensor
    codes: Tensor | None = None


class Head(Protocol):
    """A layer between the last hidden features N,F and the logit. It returns N,`out_features`."""

    out_features: int

    def __call__(self, features: Tensor) -> Tensor: ...


@dataclass(frozen=True, kw_only=True)
class Layers:
    """The layers that tricks choose. None keeps the model's own choice."""

    generator_activation: Activation | None = None
    discriminator_activation: Activation | None = None
    downsampling: Downsampling = "stride"
    up_kernel: int | None = None  # of the generator's transposed convolutions
    head: Callable[[int], nn.Module] | None = None  # takes F, returns a `Head`


class LatentSpec(NamedTuple):
    """The parts of a latent vector: noise, one-hot categories, then continuous codes in [-1, 1].

    >>> LatentSpec(noise=62, categories=10, continuous=2).dim
    74
    """

    noise: int
    categories: int = 0
    continuous: int = 0

    @property
    def dim(self) -> int:
        """Length of the whole vector."""
        return self.noise + self.categories + self.continuous


@dataclass(frozen=True, kw_only=True)
class Model:
    """One row of the table of models.

    `build(options, image_shape, num_classes, layers)` returns the networks by name: generator and
    discriminator, autoencoder, or encoder. It draws initial weights from torch's default generator.
    """

    name: str
    title: str
    source: str
    kind: Kind
    options: type[Options]
    build: Callable[[Any, ImageShape, int, Layers], dict[str, nn.Module]]
    latent: Callable[[Any], LatentSpec] | None = None
    conditional: Callable[[Any], bool] = lambda _options: False
    convolutional: bool = False
    normalised: Callable[[Any], bool] = lambda _options: False  # batch norm in the discriminator

    @property
    def makes_images(self) -> bool:
        """Whether a trained run can decode; an embedding only encodes."""
        return self.kind != "embedding"

    def require_images(self) -> None:
        """Raise `UsageError` for a model that only encodes."""
        if not self.makes_images:
            raise UsageError(
                f"model {self.name!r} maps images to codes and makes none, so that it cannot be "
                "sampled or scored; measure its codes: latentbench latent RUN"
            )

    @property
    def scale(self) -> Scale:
        """Range of the images: [-1, 1] for a tanh output, [0, 1] for a likelihood."""
        return "signed" if self.kind == "adversarial" else "unit"
