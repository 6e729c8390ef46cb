"""Populations from which any number of images can be drawn, for the study of the intervals.

`gaussian` has features of 16 dimensions with known moments. `digits` draws features of MNIST's test
images with replacement, with a weight for each class, and adds normal noise with a fifth of the
spread of real digits: no two draws are equal, and the moments remain known. Each exists in two
versions: far from its reference, and equal to it, where distances and influences are zero. In the
far versions, one class is about as rare as a class may be to count as covered.

`generator` draws from a large folder of generated images, whose features stand for the whole
population. Draws are without replacement, since copies would disturb the neighbours. That lowers
the variance over draws by the share of the folder that is drawn.

The reference is fixed: known or stored moments, 2,000 real images for the neighbours, and 2,000
held-out ones.

Shape legend: N images, D features, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import UsageError
from bench.extractors import extractor_row
from bench.extractors.base import ExtractorChoice
from bench.metrics.base import MetricInputs
from bench.references.bundle import Reference, load_reference
from bench.references.lookup import find_manifest
from bench.references.real_images import RealImages
from bench.statistics.moments import Moments, class_probabilities
from bench.statistics.neighbours.results import K_NEAREST
from bench.statistics.neighbours.search import nearest_neighbours

NUM_REAL = 2000
MANY = 200_000  # images in a draw that represents the whole population
GAUSSIAN_DIM = 16
CLASSES = 10
LEAST_GENERATED, MOST_GENERATED = 25_000, 10**6  # images of a folder that stands for a population
NOISE = 0.2  # of the spread of real digits
WEIGHTS = (1.0, 2.0, 1.0, 0.5, 1.0, 1.0, 0.3, 1.0, 0.1, 1.0)  # by digit, in the far population
SHIFT = 1.15  # of the first Gaussian feature: makes class 0 about ten times rarer
EXACT = 10**9  # number of images that known moments are said to come from

Draw = Callable[[np.random.Generator, int], NDArray[np.float32]]
Classify = Callable[[NDArray[np.float32]], NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True)
class Population:
    """A distribution of images with its reference.

    `draw` returns features of new images, `classify` their class probabilities; `moments` are those
    of the whole population. `reference` holds what metrics read of the reference, without fakes.
    """

    name: str
    draw: Draw
    classify: Classify
    moments: Moments
    reference: MetricInputs

    def probabilities_of_many(self, seed: int) -> NDArray[np.float64]:
        """Return the class probabilities of 200,000 images, or of all where there are fewer."""
        return self.classify(self.draw(np.random.default_rng(seed), MANY))


def populations(samples: Path | None = None) -> list[Population]:
    """Return the four populations, the far ones first, and that of the images at `samples`."""
    every = [gaussian(same=False), digits(same=False), gaussian(same=True), digits(same=True)]
    return every if samples is None else [generator(samples), *every]


def gaussian(*, same: bool) -> Population:
    """Return a Gaussian population with N(0, I) as its reference."""
    mean = np.zeros(GAUSSIAN_DIM)
    spread = np.ones(GAUSSIAN_DIM)
    if not same:
        mean = np.linspace(0.3, -0.3, GAUSSIAN_DIM)
        mean[0] = -SHIFT
        spread = np.linspace(0.8, 1.2, GAUSSIAN_DIM)

    def draw(rng: np.random.Generator, n: int) -> NDArray[np.float32]:
        return (mean + spread * rng.standard_normal((n, GAUSSIAN_DIM))).astype(np.float32)

    def draw_real(rng: np.random.Generator, n: int) -> NDArray[np.float32]:
        return rng.standard_normal((n, GAUSSIAN_DIM)).astype(np.float32)

    def classify(f_ND: NDArray[np.float32]) -> NDArray[np.float64]:
        return class_probabilities(3 * f_ND[:, :CLASSES])

    real = _exact(np.zeros(GAUSSIAN_DIM), np.eye(GAUSSIAN_DIM))
    return Population(
        name="gaussian, same" if same else "gaussian, far",
        draw=draw,
        classify=classify,
        moments=_exact(mean, np.diag(spread**2)),
        reference=_reference(draw_real, classify, real),
    )


def digits(*, same: bool) -> Population:
    """Return smoothed features of MNIST's test images, with its train images as the reference."""
    bundle = load_reference(find_manifest("mnist"))
    if bundle.test is None or bundle.test.logits is None:
        raise ValueError("the study needs a reference with a test split and a classifier")
    test_ND = bundle.test.values.astype(np.float64)
    weight_N = np.ones(len(test_ND))
    if not same:
        weight_N = np.array(WEIGHTS)[bundle.test.logits.argmax(axis=1)]
    weight_N /= weight_N.sum()
    real_covariance = bundle.train_moments.covariance()
    root = _root(real_covariance) * NOISE

    def draw(rng: np.random.Generator, n: int) -> NDArray[np.float32]:
        rows = rng.choice(len(test_ND), n, p=weight_N)
        noise = rng.standard_normal((n, test_ND.shape[1])) @ root
        return (test_ND[rows] + noise).astype(np.float32)

    classify = _head(bundle)
    mean = weight_N @ test_ND
    centred = test_ND - mean
    moments = _exact(mean, centred.T @ (centred * weight_N[:, None]) + NOISE**2 * real_covariance)

    def draw_train(rng: np.random.Generator, n: int) -> NDArray[np.float32]:
        return bundle.train[rng.permutation(len(bundle.train))[:n]]

    return Population(
        name="digits, same" if same else "digits, far",
        draw=draw,
        classify=classify,
        moments=moments,
        reference=_reference(
            draw if same else draw_train, classify, moments if same else bundle.train_moments
        ),
    )


def generator(samples: Path) -> Population:
    """Return features of generated images at `samples`, with MNIST's train images as the reference.

    Raises as `RealImages.samples`, and `UsageError` for fewer images than 10 large draws.
    """
    bundle = load_reference(find_manifest("mnist"))
    extractor = extractor_row(bundle.manifest.extractor).resolve(ExtractorChoice())
    images = RealImages(samples)
    seen = images.samples(lambda: [extractor.load("cpu")], subset=MOST_GENERATED)
    features = seen.samples[0].features.values
    if len(features) < LEAST_GENERATED:
        raise UsageError(
            f"{samples}: {len(features):,} images; a population needs {LEAST_GENERATED:,} or more"
        )

    def draw(rng: np.random.Generator, n: int) -> NDArray[np.float32]:
        return features[rng.permutation(len(features))[:n]]

    def draw_train(rng: np.random.Generator, n: int) -> NDArray[np.float32]:
        return bundle.train[rng.permutation(len(bundle.train))[:n]]

    found, classify = Moments.of(features), _head(bundle)
    return Population(
        name="generator, far",
        draw=draw,
        classify=classify,
        moments=_exact(found.mean, found.covariance()),
        reference=_reference(draw_train, classify, bundle.train_moments),
    )


def _head(bundle: Reference) -> Classify:
    """Recover the linear classifier behind the stored logits by least squares."""
    assert bundle.test is not None and bundle.test.logits is not None  # noqa: S101, PT018
    values = bundle.test.values.astype(np.float64)
    design = np.column_stack([values, np.ones(len(values))])
    weights = np.linalg.lstsq(design, bundle.test.logits.astype(np.float64))[0]
    return lambda f_ND: class_probabilities(f_ND @ weights[:-1] + weights[-1])


def _exact(mean: NDArray[np.float64], covariance: NDArray[np.float64]) -> Moments:
    return Moments(EXACT, mean, covariance * (EXACT - 1))


def _root(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    w, V = np.linalg.eigh(covariance)
    return np.asarray((V * np.sqrt(np.maximum(w, 0))) @ V.T)


def _reference(draw_real: Draw, classify: Classify, moments: Moments) -> MetricInputs:
    rng = np.random.default_rng(0)
    real, held_out = draw_real(rng, NUM_REAL), draw_real(rng, NUM_REAL)
    shares = np.bincount(classify(draw_real(rng, MANY)).argmax(axis=1), minlength=CLASSES).astype(
        np.float64
    )
    return MetricInputs(
        fake_features=real[:0],
        fake_probabilities=None,
        real_features=real,
        real_moments=moments,
        real_class_shares=shares / shares.sum(),
        held_out_features=held_out,
        real_nearest=nearest_neighbours(real, real, K_NEAREST, exclude_self=True),
        held_out_nearest=nearest_neighbours(held_out, real, K_NEAREST),
        held_out_moments_of_all=moments,
    )
