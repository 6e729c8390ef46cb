"""Vendi score: the effective number of different images in a folder.

    VS = exp(-sum_i l_i log l_i),   l_i the eigenvalues of K / N,   K_ij = cos(f_i, f_j)

Friedman and Dieng 2023 (arXiv:2210.02410), definition 3.1; the reference implementation is
vertaix/Vendi-Score. Between 1 (all alike) and N. It reads no reference: noise scores high, so it
is compared with the score of held-out real images. The non-zero eigenvalues of the cosine kernel
are those of the D,D Gram matrix of the normalised rows: O(N D^2) instead of O(N^3).

A row of zeros has no direction. All of them count as one and the same image, unlike any other:
the kernel then keeps its unit diagonal, as the definition asks.

Shape legend: N images, D features.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from bench.metrics.base import Metric, MetricInputs, MetricValue, UndefinedMetric


def vendi_score(f_ND: NDArray[np.floating]) -> float:
    """Vendi score of the rows of `f_ND` under the cosine kernel, as they are (not centred).

    Raises `UndefinedMetric` when a value is not finite.
    """
    x_ND = torch.from_numpy(f_ND.astype(np.float64))
    largest = x_ND.abs().amax(dim=1, keepdim=True)
    if not bool(torch.isfinite(largest).all()):
        raise UndefinedMetric("features hold NaN or infinite values")
    filled = (largest > 0).squeeze(1)
    x_ND = x_ND[filled] / largest[filled]  # so that no square overflows or vanishes
    x_ND /= torch.linalg.vector_norm(x_ND, dim=1, keepdim=True)
    n, dim = f_ND.shape
    gram = x_ND.T @ x_ND if dim < len(x_ND) else x_ND @ x_ND.T
    shares = torch.linalg.eigvalsh(gram / n).numpy()
    return _exp_entropy(np.append(shares, (n - len(x_ND)) / n))


def vendi_from_kernel(k_NN: NDArray[np.float64]) -> float:
    """Vendi score of a symmetric positive semidefinite kernel with a unit diagonal."""
    return _exp_entropy(np.linalg.eigvalsh(k_NN / len(k_NN)))


def _exp_entropy(shares: NDArray[np.floating]) -> float:
    """exp of the entropy in nats; eigenvalues at or below zero are rounding and count as 0."""
    kept = shares[shares > 0]
    return float(np.exp(-(kept * np.log(kept)).sum()))


def _compute(inputs: MetricInputs) -> MetricValue:
    return MetricValue(vendi_score(inputs.fake_features))


VENDI_SCORE = Metric(
    name="vendi_score",
    title="Vendi score",
    compute=_compute,
    reads=frozenset(),
    direction="target",
    unit="effective images",
    citation="Friedman and Dieng 2023, arXiv:2210.02410",
    constants={"kernel": "cosine"},
)
