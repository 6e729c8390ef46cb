"""Invariances: what codes keep of controlled variations, and what they ignore.

Held-out images are rotated by -60 to 60 degrees and shifted by -6 to 6 px (`bench.data.variations`)
and encoded. A space that was trained for it (recipe `drlim`; Hadsell, Chopra & LeCun 2006) places
images by their variation and ignores which image it is.

    linear      correlation of a factor with a linear map of the codes, fitted to half of the
                images and judged on the other half: ridge regression, whose penalty has the least
                leave-one-out error (without one, 784 pixels fit 1,000 images exactly, and say
                nothing about others)
    k-NN        R^2 of the mean factor of the 5 nearest codes, from half of the images to the other
                half; at least 0. Beside it the same from pixels, and the difference
    shares      the variance of the codes of 100 images under the same 25 variations, divided as in
                a two-way analysis of variance: due to the variation, due to the image; the rest is
                their interaction

Shape legend: N images, I images of a design, V variations, D codes, F factors.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.latent.context import Context
from bench.latent.values import Absent, LatentMeasure, LatentValue, Measured, attempt
from bench.statistics.neighbours.search import nearest_neighbours

MAX_DEGREES, MAX_SHIFT_PX = 60.0, 6.0
VARIATIONS = ("rotation", "shift")
NUM_NEIGHBOURS = 5
PENALTIES = (1e-4, 1e-3, 1e-2, 0.1, 1.0)  # of a ridge regression, of the mean square of a code
TINY = 1e-300
DESIGN_IMAGES, DESIGN_STEPS = 100, 5  # 5 rotations times 5 shifts

NUM_IMAGES = 2000


def _row(name: str, title: str, definition: str, low: float = 0.0) -> LatentMeasure:
    return LatentMeasure(
        name=name,
        group="invariance",
        title=title,
        definition=definition,
        source="after Hadsell, Chopra & LeCun 2006",
        best=None,  # whether a space should keep or ignore a variation is the user's to say
        needs=frozenset({"encoder"}),
        low=low,
        high=1.0,
    )


RANGES = (
    f"up to {NUM_IMAGES} held-out images rotated by -{MAX_DEGREES:g} to {MAX_DEGREES:g} degrees "
    f"and shifted by -{MAX_SHIFT_PX:g} to {MAX_SHIFT_PX:g} px, half to fit and half to judge"
)
LINEAR = _row(
    "variation_linear",
    "variation by a linear map of the codes",
    "correlation of the variation with a linear map of the codes (ridge, with the penalty of the "
    f"least leave-one-out error); {RANGES}",
)
KNN = _row(
    "variation_knn",
    "variation by the nearest codes",
    f"R^2 of the mean variation of the {NUM_NEIGHBOURS} nearest codes, at least 0; {RANGES}",
)
GAIN = _row(
    "variation_knn_gain",
    "variation by the nearest codes, less by pixels",
    f"variation_knn of the codes less that of the pixels; {RANGES}",
    low=-1.0,
)
DESIGN = (
    f"{DESIGN_IMAGES} held-out images, each under the same {DESIGN_STEPS**2} rotations and shifts"
)
OF_VARIATION = _row(
    "variance_of_variation",
    "variance due to the variation",
    f"share of the variance of codes between mean codes of variations; {DESIGN}",
)
OF_IMAGE = _row(
    "variance_of_image",
    "variance due to the image",
    f"share of the variance of codes between mean codes of images; {DESIGN}",
)
MEASURES = (LINEAR, KNN, GAIN, OF_VARIATION, OF_IMAGE)

Codes = NDArray[np.float32]
Floats = NDArray[np.float64]
Images = NDArray[np.uint8]


def random_variations(num: int, seed: int) -> Floats:
    """Return degrees and shifts in px, uniform over their ranges: float64 N,2."""
    limits = np.array([MAX_DEGREES, MAX_SHIFT_PX])
    return np.random.default_rng(seed).uniform(-limits, limits, (num, 2))


def design_variations() -> Floats:
    """Return the 25 variations of the analysis of variance: float64 25,2."""
    degrees = np.linspace(-MAX_DEGREES, MAX_DEGREES, DESIGN_STEPS)
    shifts = np.linspace(-MAX_SHIFT_PX, MAX_SHIFT_PX, DESIGN_STEPS)
    return np.stack(np.meshgrid(degrees, shifts, indexing="ij"), axis=-1).reshape(-1, 2)


def varied(images: Images, variations: Floats) -> Images:
    """Return images uint8 N,H,W,C under one variation each (N,2), rounded to uint8."""
    import torch

    from bench.data.variations import vary

    x = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).float()
    degrees, shifts = torch.from_numpy(variations.astype(np.float32)).T
    pixels = vary(x, degrees, shifts).round_().clamp_(0, 255).to(torch.uint8)
    return np.ascontiguousarray(pixels.permute(0, 2, 3, 1).numpy())


def _halves(codes: Codes) -> tuple[slice, slice]:
    middle = len(codes) // 2
    if middle <= NUM_NEIGHBOURS:
        raise Absent(f"{len(codes)} images; at least {2 * NUM_NEIGHBOURS + 2} are needed")
    return slice(None, middle), slice(middle, None)


def linear_correlations(codes: Codes, factors: Floats) -> Floats:
    """Return for each factor (N,F) its correlation with a linear map of the codes N,D.

    The first half of the rows is fitted, the second judged; the result is at least 0. Raises
    `Absent` for codes that do not vary.

    >>> factors = np.random.default_rng(0).normal(size=(40, 2))
    >>> codes = (factors @ [[1, 2], [3, 4]]).astype(np.float32)
    >>> linear_correlations(codes, factors).round(1).tolist()
    [1.0, 1.0]
    """
    learn, judge = _halves(codes)
    mean = codes[learn].mean(axis=0, dtype=np.float64)
    x = codes - mean
    if not x[learn].any():
        raise Absent("all codes are equal")
    centre = factors[learn].mean(axis=0)
    weights = ridge(x[learn].astype(np.float64), factors[learn] - centre)
    placed = x[judge] @ weights
    found = []
    for prediction, truth in zip(placed.T, factors[judge].T, strict=True):
        moves = np.ptp(prediction) > 0 and np.ptp(truth) > 0
        found.append(max(0.0, float(np.corrcoef(prediction, truth)[0, 1])) if moves else 0.0)
    return np.array(found)


def ridge(x: Floats, y: Floats) -> Floats:
    """Return the weights D,F of a ridge regression of y N,F on x N,D, both centred.

    The penalty of each column of y is the one of `PENALTIES` with the smallest leave-one-out error.
    """
    left, singular, right = np.linalg.svd(x, full_matrices=False)
    mean_square = (singular**2).sum() / x.shape[1]
    along = left.T @ y
    weights, least = np.zeros((x.shape[1], y.shape[1])), np.full(y.shape[1], np.inf)
    for penalty in PENALTIES:
        shrunk = singular**2 / (singular**2 + penalty * mean_square)
        leverage = (left**2 * shrunk).sum(axis=1) + 1 / len(x)  # that of the mean
        residual = (y - left @ (shrunk[:, None] * along)) / (1 - leverage)[:, None]
        error = (residual**2).sum(axis=0)
        found = right.T @ ((shrunk / np.maximum(singular, TINY))[:, None] * along)
        weights[:, error < least] = found[:, error < least]
        least = np.minimum(error, least)
    return weights


def neighbour_r2(codes: Codes, factors: Floats) -> Floats:
    """Return for each factor (N,F) the R^2 of the mean over the 5 nearest codes, at least 0.

    Neighbours come from the first half of the rows; the second half is judged.
    """
    learn, judge = _halves(codes)
    near = nearest_neighbours(codes[judge], codes[learn], NUM_NEIGHBOURS).indices
    predicted = factors[learn][near].mean(axis=1)
    truth = factors[judge]
    rest = ((truth - predicted) ** 2).sum(axis=0)
    total = ((truth - truth.mean(axis=0)) ** 2).sum(axis=0)
    r2: Floats = np.maximum(1 - rest / total, 0)
    return r2


class VarianceShares(NamedTuple):
    """Shares of the variance of codes due to the variation and to the image."""

    variation: float
    image: float


def variance_shares(codes_IVD: Codes) -> VarianceShares:
    """Return how the variance of I images under the same V variations divides.

    >>> image, variation = np.meshgrid([0.0, 2.0], [0.0, 1.0], indexing="ij")
    >>> shares = variance_shares((image + variation)[..., None].astype(np.float32))
    >>> shares.variation, shares.image  # 1/4 of 5/4, 1 of 5/4
    (0.2, 0.8)
    """
    x = codes_IVD.astype(np.float64)
    mean = x.mean(axis=(0, 1))
    total = ((x - mean) ** 2).mean(axis=(0, 1)).sum()
    if not total > 0:
        raise Absent("all codes are equal")
    of_variation = ((x.mean(axis=0) - mean) ** 2).mean(axis=0).sum()
    of_image = ((x.mean(axis=1) - mean) ** 2).mean(axis=0).sum()
    return VarianceShares(float(of_variation / total), float(of_image / total))


class VariedCodes(NamedTuple):
    """Held-out images under one random variation each (N,2): the images, and their codes N,D."""

    images: Images
    codes: Codes
    variations: Floats


def varied_codes(context: Context) -> VariedCodes:
    """Return at most 2,000 varied held-out images and their codes. Raises `Absent` without an
    encoder.
    """
    test = context.data.test
    rows = context.generator("varied").permutation(len(test.images))[:NUM_IMAGES]
    variations = random_variations(len(rows), context.seed)
    images = varied(test.images[rows], variations)
    labels = None if test.labels is None else test.labels[rows]
    codes = context.space.free(context.space.encode(images, labels))
    return VariedCodes(images, codes, variations)


def design_codes(context: Context) -> Codes:
    """Return the codes of 100 held-out images under the same 25 variations: I,V,D."""
    test = context.data.test
    rows = context.generator("design").permutation(len(test.images))[:DESIGN_IMAGES]
    if len(rows) < 2:
        raise Absent("one image; a comparison of images needs two")
    labels = None if test.labels is None else test.labels[rows]
    codes = [
        context.space.free(
            context.space.encode(varied(test.images[rows], np.tile(one, (len(rows), 1))), labels)
        )
        for one in design_variations()
    ]
    return np.stack(codes, axis=1)


def measure_invariance(context: Context) -> list[LatentValue]:
    """Return every value of this group."""
    seed = context.seed

    @functools.cache
    def drawn() -> VariedCodes:
        return varied_codes(context)

    @functools.cache
    def linear() -> Floats:
        return linear_correlations(drawn().codes, drawn().variations)

    @functools.cache
    def of_codes() -> Floats:
        return neighbour_r2(drawn().codes, drawn().variations)

    @functools.cache
    def of_pixels() -> Floats:
        images = drawn().images
        pixels = images.reshape(len(images), -1).astype(np.float32)
        return neighbour_r2(pixels, drawn().variations)

    @functools.cache
    def shares() -> VarianceShares:
        return variance_shares(design_codes(context))

    def designed(place: int) -> Measured:
        return Measured(shares()[place], min(DESIGN_IMAGES, len(context.data.test.images)))

    def gains() -> Floats:
        return of_codes() - of_pixels()

    def part(factors: Callable[[], Floats], place: int) -> Measured:
        return Measured(float(factors()[place]), len(drawn().codes) - len(drawn().codes) // 2)

    found = [
        attempt(row, functools.partial(part, factors, place), seed=seed, variant=name)
        for place, name in enumerate(VARIATIONS)
        for row, factors in ((LINEAR, linear), (KNN, of_codes), (GAIN, gains))
    ]
    return [
        *found,
        attempt(OF_VARIATION, lambda: designed(0), seed=seed),
        attempt(OF_IMAGE, lambda: designed(1), seed=seed),
    ]
