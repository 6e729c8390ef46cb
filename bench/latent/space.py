"""Latent spaces: what a model offers, the checks of it, and two spaces without a network.

A space maps codes to images (`decode`), images to codes (`encode`), or both. Anything with one of
the two methods is a space: a trained run of the baselines, or a class of your own that is named
`package.module:Class`:

    class MySpace:                                # in my_spaces.py: my_spaces:MySpace
        prior = "gaussian"                        # if latents are standard normal
        def __init__(self, device="cpu"):
            self.model = load_my_model().to(device).eval()
        def decode(self, codes):                  # float32 N,D -> uint8 N,H,W,C
            with torch.inference_mode():
                x = self.model.decoder(torch.from_numpy(codes))
            return (x * 255).round().byte().permute(0, 2, 3, 1).numpy()
        def encode(self, images):                 # uint8 N,H,W,C -> float32 N,D; optional
            x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
            with torch.inference_mode():
                return self.model.encoder(x).numpy()
        def sample_latents(self, n, seed):        # float32 N,D; optional
            return np.random.default_rng(seed).standard_normal((n, 16)).astype("float32")

Shape legend: N images, H,W,C an image, D dimensions of a code, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError, LatentbenchError, UsageError
from bench.latent.values import Absent
from bench.runtime.outside_class import construct, first_line, import_class

CHUNK = 1000  # codes or images of one call
KIND = "latent space"

Images = NDArray[np.uint8]
Codes = NDArray[np.float32]
Labels = NDArray[np.int64]


@runtime_checkable
class LatentSpace(Protocol):
    """What every space with a decoder has.

    Optional methods:

        encode(images)              uint8 N,H,W,C -> float32 N,D
        sample_latents(n, seed)     -> float32 n,D
        posterior(images)           -> mean and log variance of q(z | x), float32 N,D each
        read_codes(images)          -> probabilities N,K of the categories and means N,J of the
                                    continuous codes, as a network reads them off the images
        decode_tensor(codes)        torch N,D -> torch float N,C,H,W in [0, 1], differentiable

    Optional attributes:

        prior                       "gaussian" when latents are standard normal
        parts                       `Parts` of a latent with categories
        num_given                   how many last columns of a code hold the class that the model
                                    is given, one-hot; encode and posterior then take the labels
                                    as a second argument
    """

    def decode(self, codes: Codes) -> Images: ...


class Parts(NamedTuple):
    """The parts of a latent vector: noise, one-hot categories, then continuous codes."""

    noise: int
    categories: int = 0
    continuous: int = 0


class Posterior(NamedTuple):
    """Mean and log variance of q(z | x), float32 N,D each."""

    mean: Codes
    log_variance: Codes


@dataclass(frozen=True)
class CheckedSpace:
    """A space whose results are checked, in calls of at most `CHUNK` images or codes.

    A method that the space does not have raises `Absent` with the reason. A result of a wrong type
    or shape raises `UsageError`; codes that are not finite raise `Absent`.
    """

    name: str
    space: Any
    title: str = ""

    def has(self, method: str) -> bool:
        """Return whether the space has a method of that name."""
        return callable(getattr(self.space, method, None))

    @property
    def prior(self) -> str | None:
        """The distribution of latents: "gaussian" for standard normal ones; None if not known."""
        found = getattr(self.space, "prior", None)
        return found if isinstance(found, str) else None

    @property
    def parts(self) -> Parts | None:
        """The parts of a latent vector; None when it has no structure."""
        found = getattr(self.space, "parts", None)
        return None if found is None else Parts(*found)

    @property
    def num_given(self) -> int:
        """The number of last columns of a code that hold the given class."""
        return int(getattr(self.space, "num_given", 0))

    def free(self, codes: Codes) -> Codes:
        """Return codes without the columns that hold the given class."""
        return codes[:, : codes.shape[1] - self.num_given]

    def require_decoder(self) -> None:
        """Raise `Absent` without a decoder."""
        self._require("decode", "a decoder")

    def decode(self, codes: Codes) -> Images:
        """Return the images of codes float32 N,D: uint8 N,H,W,C."""
        self.require_decoder()
        parts = []
        for start in range(0, len(codes), CHUNK):
            part = np.ascontiguousarray(codes[start : start + CHUNK], np.float32)
            found = self._call("decode", part)
            if not isinstance(found, np.ndarray) or found.dtype != np.uint8:
                raise self._wrong("decode", found, "uint8 N,H,W,C")
            if found.ndim != 4 or len(found) != len(part) or found.shape[3] not in (1, 3):
                raise self._wrong("decode", found, f"uint8 {len(part)},H,W,C with 1 or 3 channels")
            parts.append(found)
        return np.concatenate(parts)

    def encode(self, images: Images, labels: Labels | None = None) -> Codes:
        """Return the codes of uint8 N,H,W,C: float32 N,D. A model that is given the class needs
        its labels.
        """
        self._require("encode", "an encoder")
        given = self._given(labels)
        found = []
        for start in range(0, len(images), CHUNK):
            part = images[start : start + CHUNK]
            codes = self._call("encode", part, *(rows[start:][:CHUNK] for rows in given))
            found.append(self._codes("encode", codes, len(part)))
        return np.concatenate(found)

    def posterior(self, images: Images, labels: Labels | None = None) -> Posterior:
        """Return mean and log variance of q(z | x) of uint8 N,H,W,C."""
        self._require("posterior", "a posterior distribution of codes")
        given = self._given(labels)
        means, log_variances = [], []
        for start in range(0, len(images), CHUNK):
            part = images[start : start + CHUNK]
            mean, log_variance = self._call(
                "posterior", part, *(rows[start:][:CHUNK] for rows in given)
            )
            means.append(self._codes("posterior", mean, len(part)))
            log_variances.append(self._codes("posterior", log_variance, len(part)))
        return Posterior(np.concatenate(means), np.concatenate(log_variances))

    def sample_latents(self, n: int, seed: int) -> Codes:
        """Return n latents, float32 n,D, from a seed."""
        self._require("sample_latents", "a distribution of latents")
        return self._codes("sample_latents", self._call("sample_latents", n, seed), n)

    def read_codes(self, images: Images) -> tuple[Codes, Codes]:
        """Return probabilities N,K of the categories and means N,J of the continuous codes."""
        self._require("read_codes", "a network that reads codes off images")
        found = [
            self._call("read_codes", images[start : start + CHUNK])
            for start in range(0, len(images), CHUNK)
        ]
        return np.concatenate([a for a, _ in found]), np.concatenate([b for _, b in found])

    def _given(self, labels: Labels | None) -> tuple[Labels, ...]:
        if not self.num_given:
            return ()
        if labels is None:
            raise Absent("the model is given the class of every image, and these have no labels")
        if labels.max() >= self.num_given:
            raise Absent(
                f"the model is given one of {self.num_given} classes; a label is {labels.max()}"
            )
        return (labels,)

    def _require(self, method: str, what: str) -> None:
        if not self.has(method):
            raise Absent(f"{self.name} has no {what.partition(' ')[2]} (method {method})")

    def _call(self, method: str, *arguments: Any) -> Any:
        try:
            return getattr(self.space, method)(*arguments)
        except LatentbenchError:
            raise
        except (Exception, SystemExit) as error:
            raise UsageError(f"{KIND} {self.name}: {method} fails: {first_line(error)}") from error

    def _codes(self, method: str, found: Any, num: int) -> Codes:
        if not isinstance(found, np.ndarray) or found.dtype != np.float32:
            raise self._wrong(method, found, "float32 N,D")
        if found.ndim != 2 or len(found) != num or found.shape[1] == 0:
            raise self._wrong(method, found, f"float32 {num},D")
        finite = np.isfinite(found).all(axis=1)
        if not finite.all():
            raise Absent(f"{num - int(finite.sum())} of {num} codes are NaN or infinite")
        return found

    def _wrong(self, method: str, found: Any, expected: str) -> UsageError:
        what = (
            f"{found.dtype} of shape {found.shape}"
            if isinstance(found, np.ndarray)
            else f"a {type(found).__name__}"
        )
        return UsageError(f"{KIND} {self.name}: {method} returns {what}, expected {expected}")


def checked(space: Any, name: str = "", title: str = "") -> CheckedSpace:
    """Return a space whose results are checked. Raises `UsageError` without decode and encode."""
    if isinstance(space, CheckedSpace):
        return space
    name = name or str(getattr(space, "name", "") or type(space).__name__)
    if not any(callable(getattr(space, method, None)) for method in ("decode", "encode")):
        raise UsageError(f"{KIND} {name}: it has neither decode(codes) nor encode(images)")
    return CheckedSpace(name, space, title or str(getattr(space, "title", "")))


def outside_space(name: str, device: str = "cpu") -> CheckedSpace:
    """Return an instance of `package.module:Class`. Raises `UsageError`."""
    cls = import_class(KIND, name)
    return checked(construct(cls, KIND, name, device), name)


class PixelSpace:
    """The pixels themselves as codes, in [0, 1]: the baseline without any model."""

    name, title = "pixels", "raw pixels"

    def __init__(self, image_shape: tuple[int, int, int]) -> None:
        self.image_shape = image_shape  # H, W, C

    def encode(self, images: Images) -> Codes:
        """Return pixels in [0, 1]: float32 N, H*W*C."""
        return images.reshape(len(images), -1).astype(np.float32) / np.float32(255)

    def decode(self, codes: Codes) -> Images:
        """Return the nearest images."""
        return _to_uint8(codes).reshape(len(codes), *self.image_shape)


class PcaSpace:
    """The first principal components of training images, without whitening.

    Latents are drawn from the Gaussian that has the variances of the components. `components` is
    float64 D,P with orthonormal rows, `scale` float64 D the standard deviations of the codes.
    """

    name = "pca"

    def __init__(self, images: Images, dim: int) -> None:
        x = images.reshape(len(images), -1).astype(np.float64) / 255
        if not 1 <= dim <= min(x.shape):
            raise InputError(
                f"PCA of {dim} dimensions needs at least {dim} images and pixels, got {x.shape}"
            )
        self.image_shape = images.shape[1:]
        self.mean = x.mean(axis=0)
        values, vectors = np.linalg.eigh(np.cov(x.T, bias=True).reshape(len(self.mean), -1))
        order = np.argsort(values)[::-1][:dim]
        self.components = vectors[:, order].T
        # a sign that does not depend on the library: the largest entry is positive
        largest = np.abs(self.components).argmax(axis=1)
        self.components *= np.sign(self.components[np.arange(dim), largest])[:, None]
        self.scale = np.sqrt(np.maximum(values[order], 0))
        self.title = f"principal components, {dim} dimensions"

    def encode(self, images: Images) -> Codes:
        """Return the coordinates along the components: float32 N,D."""
        x = images.reshape(len(images), -1).astype(np.float64) / 255
        codes: Codes = ((x - self.mean) @ self.components.T).astype(np.float32)
        return codes

    def decode(self, codes: Codes) -> Images:
        """Return the images of coordinates, clamped to 0..255."""
        return _to_uint8(codes @ self.components + self.mean).reshape(len(codes), *self.image_shape)

    def decode_tensor(self, codes: Any) -> Any:
        """Return the images of a tensor of coordinates in [0, 1], torch float N,C,H,W."""
        import torch

        components, mean = (
            torch.from_numpy(part).to(codes) for part in (self.components.copy(), self.mean)
        )
        images = (codes @ components + mean).clamp(0, 1)
        return images.view(len(codes), *self.image_shape).permute(0, 3, 1, 2)

    def sample_latents(self, n: int, seed: int) -> Codes:
        """Return n draws from the Gaussian with the variances of the codes."""
        noise = np.random.default_rng(seed).standard_normal((n, len(self.scale)))
        latents: Codes = (noise * self.scale).astype(np.float32)
        return latents


def _to_uint8(pixels: NDArray[np.floating]) -> Images:
    images: Images = np.clip(np.rint(pixels * 255), 0, 255).astype(np.uint8)
    return images
