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

from bench.latent.context import Context
from bench.latent.data import LatentData
from bench.latent.representation import Split, linear_probe
from bench.latent.values import Absent, LatentMeasure, LatentValue, Measured, attempt
from bench.statistics.intervals import Uncertainty, mean_interval

ERROR = LatentMeasure(
    name="reuse_error",
    group="reuse",
    title="reconstruction error, relative",
    definition="squared error of the reconstructions of held-out images over their squared "
    "deviation from their mean image: 1 is no better than the mean image",
    source="Masci et al. 2011; 1 - R^2",
    best="lower",
    needs=frozenset({"encoder"}),
    low=0.0,
)
PROBE = LatentMeasure(
    name="reuse_probe",
    group="reuse",
    title="linear probe on other data",
    definition="held-out accuracy of logistic regression (L2, C = 1, one scale for all codes) on "
    "the codes of the other data's training images for the other data's classes",
    source="Alain & Bengio 2017",
    best="higher",
    needs=frozenset({"encoder", "labels"}),
    low=0.0,
    high=1.0,
)
MEASURES = (ERROR, PROBE)

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


def other_data(context: Context) -> LatentData:
    """Return the other data set. Raises `Absent` without one, and for images of another shape."""
    other = context.other
    if other is None:
        raise Absent("no other data set was given; --other NAME")
    if other.image_shape != context.data.image_shape:
        raise Absent(
            f"images of {other.name} have shape {other.image_shape}, those of "
            f"{context.data.name} {context.data.image_shape}"
        )
    return other


def require_no_given_class(context: Context) -> None:
    """Raise `Absent` for a model that is given classes."""
    if context.space.num_given:
        raise Absent("the model is given classes, which mean something else on other data")


def measure_reuse(context: Context) -> list[LatentValue]:
    """Return every value of this group, those of the space's own data beside the other data's."""
    space, data, seed = context.space, context.data, context.seed

    def own_error() -> Measured:
        images = data.test.images
        return Measured(reconstruction_error(images, space.decode(context.test_codes)), len(images))

    def other_error() -> Measured:
        require_no_given_class(context)
        images = other_data(context).test.images
        return Measured(
            reconstruction_error(images, space.decode(space.encode(images))), len(images)
        )

    def probe() -> Measured:
        require_no_given_class(context)
        other = other_data(context)
        _ = other.num_classes
        train, test = other.train, other.test
        assert train.labels is not None  # noqa: S101  (num_classes has looked)
        assert test.labels is not None  # noqa: S101
        split = Split(
            space.encode(train.images), train.labels, space.encode(test.images), test.labels
        )
        return Measured(linear_probe(split, seed=seed), len(test.images))

    name = "other data" if context.other is None else context.other.name
    return [
        attempt(ERROR, own_error, seed=seed, variant=data.name),
        attempt(ERROR, other_error, seed=seed, variant=name),
        attempt(PROBE, probe, seed=seed, variant=name),
    ]
