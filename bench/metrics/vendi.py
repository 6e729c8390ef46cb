"""Vendi score: the effective number of different images in a folder.

    VS = exp(-sum_i l_i log l_i),   l_i the eigenvalues of K / N,   K_ij = cos(f_i, f_j)

Friedman and Dieng 2023 (arXiv:2210.02410), definition 3.1. The score lies between 1 (all images
alike) and N. It reads no reference and noise scores high, so it is compared with the score of
held-out real images. The non-zero eigenvalues of the cosine kernel are those of the D,D Gram
matrix of the normalised rows, which takes O(N D^2) instead of O(N^3). Agrees with the N,N kernel
form to 1e-9 relative; that form gives the values in the README of the reference implementation,
vertaix/Vendi-Score.

A row of zeros has no direction. All such rows count as one image, unlike any other: the kernel
then has a unit diagonal, as the definition requires.

The interval is for the expectation at this number of images. With G the mean of f f^T over the
normalised rows, an image changes the entropy by -f^T log(G) f - entropy over N.

Shape legend: N images, D features.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.metrics.base import Metric, MetricInputs, MetricValue, UndefinedMetric
from bench.statistics.intervals import Uncertainty, normal_interval, standard_error

if TYPE_CHECKING:
    from torch import Tensor

LEAST_IMAGES = 10  # for an interval; two images always have the same influence
EPS = float(np.finfo(np.float64).eps)


def vendi_score(f_ND: NDArray[np.floating]) -> float:
    """Return the Vendi score of the rows of `f_ND` under the cosine kernel, without centring.

    Raises `UndefinedMetric` when a value is not finite.

    >>> round(vendi_score(np.array([[1.0, 0], [2, 0], [0, 1], [0, 3]])), 9)  # two directions
    2.0
    """
    import torch

    x_ND, _ = _directions(f_ND)
    n, dim = f_ND.shape
    gram = x_ND.T @ x_ND if dim < len(x_ND) else x_ND @ x_ND.T
    shares = torch.linalg.eigvalsh(gram / n).numpy()
    return _exp_entropy(np.append(shares, (n - len(x_ND)) / n))


def _directions(f_ND: NDArray[np.floating]) -> tuple[Tensor, NDArray[np.bool_]]:
    """Return the rows that are not zero, scaled to length 1 in float64, and their mask, bool N."""
    import torch

    x_ND = torch.from_numpy(f_ND.astype(np.float64))
    largest = x_ND.abs().amax(dim=1, keepdim=True)
    if not bool(torch.isfinite(largest).all()):
        raise UndefinedMetric("features hold NaN or infinite values")
    filled = (largest > 0).squeeze(1)
    x_ND = x_ND[filled] / largest[filled]  # so that no square overflows or underflows
    x_ND /= torch.linalg.vector_norm(x_ND, dim=1, keepdim=True)
    return x_ND, np.asarray(filled.numpy())


def entropy_influence(f_ND: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the influence N of each row of `f_ND` on the logarithm of the score.

    Its mean is 0 up to rounding.
    """
    import torch

    x_ND, filled = _directions(f_ND)
    n, dim = f_ND.shape
    if dim < len(x_ND):
        w, V = torch.linalg.eigh(x_ND.T @ x_ND / n)
        squares = (x_ND @ V).square()
    else:
        w, U = torch.linalg.eigh(x_ND @ x_ND.T / n)
        squares = n * w.clamp(min=0) * U.square()
    kept = w > w.max() * dim * EPS if len(w) else w > 0
    zeros = (n - len(x_ND)) / n
    surprise = np.full(n, -np.log(zeros) if zeros else 0.0)
    surprise[filled] = -(squares[:, kept] @ w[kept].log()).numpy()
    return np.asarray(surprise - surprise.mean())


def _exp_entropy(shares: NDArray[np.floating]) -> float:
    """Return exp of the entropy in nats; eigenvalues of 0 or less are rounding and count as 0."""
    kept = shares[shares > 0]
    return float(np.exp(-(kept * np.log(kept)).sum()))


def _compute(inputs: MetricInputs) -> MetricValue:
    return MetricValue(vendi_score(inputs.fake_features))


def _interval(inputs: MetricInputs, found: MetricValue) -> Uncertainty:
    num = len(inputs.fake_features)
    if num < LEAST_IMAGES:
        raise UndefinedMetric(f"an interval of Vendi needs {LEAST_IMAGES} images, got {num}")
    error = found.value * standard_error(entropy_influence(inputs.fake_features))
    error *= math.sqrt(inputs.design_effect(num))
    interval = normal_interval(found.value, error, "infinitesimal jackknife")
    return interval._replace(low=min(max(interval.low, 1.0), found.value))


VENDI_SCORE = Metric(
    name="vendi_score",
    title="Vendi score",
    meaning="effective number of different images",
    unit="effective images",
    citation="Friedman and Dieng 2023, arXiv:2210.02410",
    direction="target",
    scale="linear",
    compute=_compute,
    reads=frozenset(),
    uses=frozenset(),
    sees="subset",
    depends_on_count=True,
    uncertainty=_interval,
    constants={"kernel": "cosine"},
)
