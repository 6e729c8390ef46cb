"""Reuse on other data: what a space that was trained on one data set does with another.

    error   mean squared error of the reconstructions over the mean squared deviation of the images
            from their mean image: 0 is perfect, 1 is no better than the mean image
    probe   accuracy of logistic regression on the codes for the classes of the other data
            (`bench.latent.representation`)

Shape legend: N images, H,W,C an image.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.latent.values import Absent
from bench.statistics.intervals import Uncertainty, mean_interval

Images = NDArray[np.uint8]


def reconstruction_error(images: Images, reconstructions: Images) -> Uncertainty:
    """Return the relative squared error of reconstructions, with its interval over the images.

    Raises `Absent` when all images are equal, and when the shapes differ.

    >>> images = np.array([0, 100, 200], np.uint8).reshape(3, 1, 1, 1)
    >>> reconstruction_error(images, images[::-1]).estimate  # 2 * 200^2 over 2 * 100^2
    4.0
    >>> reconstruction_error(images, np.full_like(images, 100)).estimate
    1.0
    """
    if images.shape != reconstructions.shape:
        raise Absent(
            f"images have shape {images.shape[1:]}, reconstructions {reconstructions.shape[1:]}"
        )
    if len(images) < 2:
        raise Absent(f"{len(images)} images; at least 2 are needed")
    x = images.reshape(len(images), -1).astype(np.float64)
    deviation = ((x - x.mean(axis=0)) ** 2).sum(axis=1).mean()
    if not deviation > 0:
        raise Absent("all images are equal")
    errors = ((x - reconstructions.reshape(len(images), -1)) ** 2).sum(axis=1)
    return mean_interval(errors / deviation, len(images), "mean over images")
