"""Invariances: what codes keep of controlled variations, and what they ignore.

Held-out images are rotated by -60 to 60 degrees and shifted by -6 to 6 px (`bench.data.variations`)
and encoded. A space that was trained for it (recipe `drlim`; Hadsell, Chopra & LeCun 2006) places
images by their variation and ignores which image it is.

    linear      correlation of a factor with the best linear map of the codes (least squares),
                fitted to half of the images and judged on the other half
    k-NN        R^2 of the mean factor of the 5 nearest codes, from half of the images to the other
                half; at least 0. Beside it the same from pixels, and the difference
    shares      the variance of the codes of 100 images under the same 25 variations, divided as in
                a two-way analysis of variance: due to the variation, due to the image; the rest is
                their interaction

Shape legend: N images, I images of a design, V variations, D codes, F factors.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.latent.values import Absent
from bench.statistics.neighbours.search import nearest_neighbours

MAX_DEGREES, MAX_SHIFT_PX = 60.0, 6.0
VARIATIONS = ("rotation", "shift")
NUM_NEIGHBOURS = 5
DESIGN_IMAGES, DESIGN_STEPS = 100, 5  # 5 rotations times 5 shifts

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
    """Return for each factor (N,F) its correlation with the best linear map of the codes N,D.

    The first half of the rows is fitted, the second judged; the result is at least 0. Raises
    `Absent` for codes that do not vary.

    >>> factors = np.random.default_rng(0).normal(size=(40, 2))
    >>> codes = (factors @ [[1, 2], [3, 4]]).astype(np.float32)
    >>> linear_correlations(codes, factors).round(6).tolist()
    [1.0, 1.0]
    """
    learn, judge = _halves(codes)
    mean = codes[learn].mean(axis=0, dtype=np.float64)
    x = codes - mean
    if not x[learn].any():
        raise Absent("all codes are equal")
    centre = factors[learn].mean(axis=0)
    weights, *_ = np.linalg.lstsq(x[learn], factors[learn] - centre, rcond=1e-6)
    placed = x[judge] @ weights
    found = []
    for prediction, truth in zip(placed.T, factors[judge].T, strict=True):
        moves = np.ptp(prediction) > 0 and np.ptp(truth) > 0
        found.append(max(0.0, float(np.corrcoef(prediction, truth)[0, 1])) if moves else 0.0)
    return np.array(found)


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
    return np.maximum(1 - rest / total, 0)


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
