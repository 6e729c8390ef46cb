"""Faults of a given strength, applied to real images (uint8 N,H,W,C)."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

U8 = NDArray[np.uint8]
RNG = np.random.default_rng


def _u8(values: NDArray[np.floating]) -> U8:
    return np.floor(values + 0.5).clip(0, 255).astype(np.uint8)


def _levels(images: U8) -> NDArray[np.float32]:
    return images.astype(np.float32)


def blur(images: U8, sd_px: float) -> U8:
    return _u8(ndimage.gaussian_filter(_levels(images), (0, sd_px, sd_px, 0)))


def sharpen(images: U8, amount: float) -> U8:
    """Sharpen by an unsharp mask of sd 1 px, where the result stays within 5..250."""
    x = _levels(images)
    sharp = x + amount * (x - ndimage.gaussian_filter(x, (0, 1, 1, 0)))
    return np.where(sharp.clip(5, 250) == sharp, _u8(sharp), images)


def noise(images: U8, sd: float) -> U8:
    return _u8(images + RNG(0).normal(0, sd, images.shape))


def specks(images: U8, share: float) -> U8:
    """Add salt and pepper noise."""
    rng = RNG(1)
    out = images.copy()
    hit = rng.random(images.shape) < share
    out[hit] = np.where(rng.random(int(hit.sum())) < 0.5, 0, 255)
    return out


def jpeg(images: U8, quality: int) -> U8:
    out = np.empty_like(images)
    for i, image in enumerate(images):
        buffer = io.BytesIO()
        squeezed = image[..., 0] if image.shape[2] == 1 else image
        Image.fromarray(squeezed).save(buffer, "JPEG", quality=quality)
        out[i] = np.asarray(Image.open(buffer)).reshape(image.shape)
    return out


def shift(images: U8, down: int, right: int) -> U8:
    """Shift by whole pixels and fill with black."""
    out = np.zeros_like(images)
    height, width = images.shape[1:3]
    rows, columns = (
        slice(max(down, 0), height + min(down, 0)),
        slice(max(right, 0), width + min(right, 0)),
    )
    from_rows = slice(max(-down, 0), height + min(-down, 0))
    from_columns = slice(max(-right, 0), width + min(-right, 0))
    out[:, rows, columns] = images[:, from_rows, from_columns]
    return out


def within_one(images: U8) -> U8:
    """Change every pixel by -1, 0 or 1 grey levels."""
    return _u8(images + RNG(2).integers(-1, 2, images.shape))


def tanh_unscaled(images: U8) -> U8:
    """Save x * 255 of x in -1..1."""
    return _u8(255 * (_levels(images) / 127.5 - 1))


def wrapped(images: U8) -> U8:
    """The same, converted to uint8 without clipping."""
    return (255 * (_levels(images) / 127.5 - 1)).astype(np.int64).astype(np.uint8)


def rescaled_twice(images: U8) -> U8:
    """Save (x + 1) * 127.5 of x in 0..1."""
    return _u8((_levels(images) / 255 + 1) * 127.5)


def inverted(images: U8) -> U8:
    return 255 - images


def contrast(images: U8, gain: float) -> U8:
    return _u8((_levels(images) - 127.5) * gain + 127.5)


def dimmed(images: U8, factor: float) -> U8:
    return _u8(_levels(images) * factor)


def raised(images: U8, black: float) -> U8:
    """Raise black to the level `black`; white stays."""
    return _u8(black + _levels(images) * (255 - black) / 255)


def partly(fault: Callable[[U8], U8], images: U8, share: float) -> U8:
    """Apply the fault to the first `share` of the images."""
    out = images.copy()
    num = round(share * len(images))
    out[:num] = fault(images[:num])
    return out


def collapsed(images: U8, share: float, modes: int = 1) -> U8:
    """Replace the first `share` of the images by the last `modes` ones with noise of sd 4."""
    out = images.copy()
    num = round(share * len(images))
    if num:
        out[:num] = noise(images[len(images) - 1 - np.arange(num) % modes], 4)
    return out
