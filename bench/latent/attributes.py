"""Attributes of a drawn shape, measured from its pixels: thickness, slant, width, height, ink.

The background is 0: an image whose border is bright is inverted, and colour becomes luma. With
I(x, y) the grey levels in [0, 1], M their sum and central second moments in px,

    ink        mean of I
    width      sqrt(12 var(x)), the width of a uniform bar with this variance
    height     sqrt(12 var(y))
    slant      -cov(x, y) / var(y): the shear x = slant * height that makes the axis upright,
               positive when the upper part lies to the right
    thickness  mean over the skeleton of twice the distance to the background, of the image enlarged
               twice and cut at half of its maximum (after Castro et al. 2019, Morpho-MNIST). The
               skeleton is where the distance is not exceeded by any of the 8 neighbours.

A blank image has ink 0 and no other attribute (NaN).

Shape legend: N images, H,W,C an image, A attributes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.extractors.base import luma

ATTRIBUTES = ("thickness", "slant", "width", "height", "ink")
BRIGHT = 127.5
BLOCK = 2000  # images enlarged at a time


def attributes_of(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the attributes of uint8 N,H,W,C, in the order of `ATTRIBUTES`: float64 N,A.

    >>> bar = np.zeros((1, 28, 28, 1), np.uint8)
    >>> bar[0, 4:24, 10:14] = 255  # 4 px wide and 20 px high
    >>> (attributes_of(bar).round(1) + 0.0).tolist()
    [[4.0, 0.0, 3.9, 20.0, 0.1]]
    """
    parts = [_of_block(images[i : i + BLOCK]) for i in range(0, len(images), BLOCK)]
    return np.concatenate(parts)


def _of_block(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    grey = luma(images)[..., 0].astype(np.float64) / 255
    border = np.concatenate([grey[:, 0], grey[:, -1], grey[:, :, 0], grey[:, :, -1]], axis=1)
    grey = np.where((np.median(border, axis=1) > BRIGHT / 255)[:, None, None], 1 - grey, grey)
    mass = grey.sum(axis=(1, 2))
    blank = mass == 0
    y, x = np.arange(grey.shape[1]), np.arange(grey.shape[2])
    safe = np.where(blank, 1, mass)
    rows, columns = grey.sum(axis=2), grey.sum(axis=1)
    mean_y, mean_x = rows @ y / safe, columns @ x / safe
    var_y = rows @ np.square(y) / safe - mean_y**2
    var_x = columns @ np.square(x) / safe - mean_x**2
    cov = np.einsum("nyx,y,x->n", grey, y, x, optimize=True) / safe - mean_y * mean_x
    slant = np.divide(-cov, var_y, out=np.zeros_like(cov), where=var_y > 1e-9)
    found = np.stack(
        [
            _thickness(grey),
            slant,
            np.sqrt(12 * np.maximum(var_x, 0)),
            np.sqrt(12 * np.maximum(var_y, 0)),
            mass / grey[0].size,
        ],
        axis=1,
    )
    found[blank, :4] = np.nan
    return found


def _thickness(grey_NHW: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean thickness in px, float64 N; NaN for a blank image."""
    from scipy.ndimage import distance_transform_edt, maximum_filter

    large = _twice(_twice(grey_NHW.astype(np.float32), 1), 2)
    inside = large > 0.5 * large.max(axis=(1, 2), keepdims=True)
    inside = np.pad(inside, ((0, 0), (1, 1), (1, 1)))
    distance = np.zeros(inside.shape, np.float32)
    for number, image in enumerate(inside):
        distance[number] = distance_transform_edt(image)
    ridge = inside & (distance >= maximum_filter(distance, size=(1, 3, 3)))
    total, num = (distance * ridge).sum(axis=(1, 2)), ridge.sum(axis=(1, 2))
    # twice the distance, in pixels of half the size
    return np.where(num > 0, total / np.maximum(num, 1), np.nan)


def _twice(images: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """Return images enlarged twice along an axis by linear interpolation at pixel centres."""
    size = images.shape[axis]
    before = images.take([0, *range(size - 1)], axis)
    after = images.take([*range(1, size), size - 1], axis)
    halves = np.stack([0.75 * images + 0.25 * before, 0.75 * images + 0.25 * after], axis + 1)
    shape = list(images.shape)
    shape[axis] *= 2
    return halves.reshape(shape)
