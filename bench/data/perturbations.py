"""Controlled damage at five increasing levels, to see whether a metric ranks them in order.

The ladder of Heusel et al. 2017 (FID, Fig. 3 and appendix: noise, blur, implanted rectangles,
swirl, salt and pepper, mixture with another data set), without the swirl, and with rotation,
elastic deformation and two faults of generators: dropped classes and one repeated class. The number
of images never changes.

Shape legend: N images, H W pixels, C channels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

NUM_LEVELS = 5


class RealImages(NamedTuple):
    """The images that a perturbation uses.

    `pool` is uint8 M,H,W,C with `labels` int64 M. The images to perturb are `pool[chosen]`, with
    `chosen` int64 N. `other` is uint8 K,H,W,C from another data set.
    """

    pool: NDArray[np.uint8]
    labels: NDArray[np.int64]
    chosen: NDArray[np.int64]
    other: NDArray[np.uint8]

    @property
    def images(self) -> NDArray[np.uint8]:
        """A copy of the images to perturb, uint8 N,H,W,C."""
        return self.pool[self.chosen]


Apply = Callable[[RealImages, float, np.random.Generator], NDArray[np.uint8]]


class Perturbation(NamedTuple):
    """One kind of damage: its increasing `levels` in `unit`, and the function that applies it."""

    name: str
    unit: str
    levels: tuple[float, float, float, float, float]
    apply: Apply


def _to_uint8(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    rounded: NDArray[np.uint8] = np.floor(values + 0.5).clip(0, 255).astype(np.uint8)
    return rounded


def gaussian_noise(real: RealImages, level: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Add normal noise with standard deviation `level`, as a share of the value range."""
    images = real.images
    noise = rng.standard_normal(images.shape, dtype=np.float32)
    return _to_uint8(images + 255 * level * noise)


def gaussian_blur(real: RealImages, level: float, rng: np.random.Generator) -> NDArray[np.uint8]:  # noqa: ARG001
    """Blur with a Gaussian of standard deviation `level`, in pixels."""
    blurred = ndimage.gaussian_filter(real.images.astype(np.float32), (0, level, level, 0))
    return _to_uint8(blurred)


def salt_and_pepper(real: RealImages, level: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Set a share `level` of the pixels to black or white, with equal probability."""
    images = real.images
    where = rng.random(images.shape[:3]) < level
    value = np.where(rng.random(images.shape[:3]) < 0.5, 0, 255).astype(np.uint8)
    images[where] = value[where][:, None]
    return images


def rotation(real: RealImages, level: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Rotate every image by `level` degrees, clockwise or not with equal probability."""
    images = real.images
    clockwise = rng.random(len(images)) < 0.5
    for sign, where in ((1, clockwise), (-1, ~clockwise)):
        images[where] = _to_uint8(
            ndimage.rotate(
                images[where].astype(np.float32), sign * level, axes=(1, 2), reshape=False, order=3
            )
        )
    return images


def elastic(real: RealImages, level: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Displace pixels by a smooth random field of root-mean-square length `level`, in pixels
    (Simard et al. 2003, sigma 4 px).
    """
    images = real.images
    n, height, width, channels = images.shape
    fields = rng.standard_normal((2, n, height, width), dtype=np.float32)
    fields = ndimage.gaussian_filter(fields, (0, 0, 4, 4), mode="constant")
    fields *= level / np.sqrt((fields**2).sum(axis=0).mean())
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    index = np.broadcast_to(np.arange(n, dtype=np.float32)[:, None, None], (n, height, width))
    out = np.empty_like(images)
    for channel in range(channels):
        coordinates = np.stack([index, rows + fields[0], columns + fields[1]])
        out[..., channel] = _to_uint8(
            ndimage.map_coordinates(
                images[..., channel].astype(np.float32), coordinates, order=3, mode="nearest"
            )
        )
    return out


def erased_rectangles(
    real: RealImages, level: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Blacken one square at a random position in each image, of a share `level` of its area."""
    images = real.images
    n, height, width, _ = images.shape
    side = max(1, round((level * height * width) ** 0.5))
    top = rng.integers(0, height - side + 1, n)[:, None, None]
    left = rng.integers(0, width - side + 1, n)[:, None, None]
    rows, columns = np.arange(height)[None, :, None], np.arange(width)[None, None, :]
    inside = (rows >= top) & (rows < top + side) & (columns >= left) & (columns < left + side)
    images[inside] = 0
    return images


def dropped_classes(real: RealImages, level: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw the images from all but the `level` classes with the highest numbers.

    No image is repeated if there are enough of them.
    """
    kept = np.flatnonzero(real.labels <= real.labels.max() - int(level))
    n = len(real.chosen)
    drawn: NDArray[np.uint8] = real.pool[rng.choice(kept, n, replace=len(kept) < n)]
    return drawn


def repeated_class(real: RealImages, level: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Replace a share `level` of the images by images of class 1, drawn with replacement."""
    images = real.images
    num_replaced = round(level * len(images))
    where = rng.permutation(len(images))[:num_replaced]
    images[where] = real.pool[rng.choice(np.flatnonzero(real.labels == 1), num_replaced)]
    return images


def mixture(real: RealImages, level: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Replace a share `level` by images of another data set, drawn without replacement."""
    images = real.images
    num_replaced = round(level * len(images))
    where = rng.permutation(len(images))[:num_replaced]
    images[where] = real.other[rng.permutation(len(real.other))[:num_replaced]]
    return images


PERTURBATIONS: dict[str, Perturbation] = {
    row.name: row
    for row in (
        Perturbation("gaussian-noise", "sd of range", (0.02, 0.05, 0.1, 0.2, 0.4), gaussian_noise),
        Perturbation("gaussian-blur", "sd px", (0.3, 0.5, 0.8, 1.2, 2.0), gaussian_blur),
        Perturbation(
            "salt-and-pepper", "share of pixels", (0.01, 0.02, 0.05, 0.1, 0.2), salt_and_pepper
        ),
        Perturbation("rotation", "degrees", (5, 10, 20, 30, 45), rotation),
        Perturbation("elastic", "rms px", (0.5, 1, 1.5, 2, 3), elastic),
        Perturbation(
            "erased-rectangles", "share of area", (0.02, 0.05, 0.1, 0.2, 0.3), erased_rectangles
        ),
        Perturbation("dropped-classes", "classes", (1, 2, 3, 4, 5), dropped_classes),
        Perturbation("repeated-class", "share", (0.05, 0.1, 0.2, 0.35, 0.5), repeated_class),
        Perturbation("mixture", "share", (0.01, 0.02, 0.05, 0.1, 0.2), mixture),
    )
}
