"""Eigenvectors of the centred sum of squares of images as vectors, from the shorter side.

For N images of D pixels, the D,D matrix sum (x - mu)(x - mu)^T and the N,N matrix of products (x_i
- mu).(x_j - mu) have the same non-zero eigenvalues, and v = sum_i u_i (x_i - mu) / sqrt(lambda)
maps an eigenvector u of the second to one of the first (Turk and Pentland 1991). 500 images of
64x64 px in colour (D = 12,288) therefore need a matrix of 500,500. The axes are orthonormalised
again, since those of small eigenvalues lose orthogonality. Both ways agree with NumPy's singular
value decomposition of the centred rows to 1e-9, which the tests check.

Shape legend: N images, D entries, R axes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.anomaly.detectors.vectors import Vectors
from bench.errors import InputError, UsageError
from bench.statistics.moments import Moments

F64 = NDArray[np.float64]
MAX_SIDE = 8192  # of the matrix whose eigenvectors are found: 0.5 GiB, some minutes
COLUMNS = 1024  # of the rows turned to float64 at a time


class Spectrum(NamedTuple):
    """Mean (float64 D), eigenvalues (float64 R, largest first, none negative) and orthonormal
    eigenvectors (float64 R,D) of the centred sum of squares of `num` rows; R = min(N, D).
    """

    num: int
    mean: F64
    values: F64
    axes: F64

    @classmethod
    def of(cls, f_ND: Vectors, name: str) -> Spectrum:
        """Return the spectrum of the rows. Raises `UsageError` when both sides are too long, and
        `InputError` for rows that are not finite.
        """
        num, dim = f_ND.shape
        require_side(num, dim, name)
        if dim <= num:
            moments = Moments.of(f_ND)
            values, vectors = np.linalg.eigh(moments.m2)
            return cls(num, moments.mean, values[::-1].clip(min=0), vectors.T[::-1])
        return cls._of_few(f_ND)

    @classmethod
    def _of_few(cls, f_ND: Vectors) -> Spectrum:
        """Return the spectrum of fewer rows than entries."""
        if not np.isfinite(f_ND).all():
            raise InputError("features hold NaN or infinite values")
        mean = f_ND.mean(axis=0, dtype=np.float64)
        blocks = [slice(i, i + COLUMNS) for i in range(0, f_ND.shape[1], COLUMNS)]
        products = np.zeros((len(f_ND), len(f_ND)))
        for block in blocks:
            part = f_ND[:, block] - mean[block]
            products += part @ part.T
        values, vectors = np.linalg.eigh(products)
        values, vectors = values[::-1].clip(min=0), vectors[:, ::-1]
        axes = np.concatenate(
            [vectors.T @ (f_ND[:, block] - mean[block]) for block in blocks], axis=1
        )
        axes /= np.sqrt(np.where(values > 0, values, 1))[:, None]
        orthonormal, triangle = np.linalg.qr(axes.T)
        signs = np.where(triangle.diagonal() < 0, -1.0, 1.0)
        return cls(len(f_ND), mean, values, (orthonormal * signs).T)

    @property
    def rank(self) -> int:
        """The number of axes whose eigenvalue exceeds rounding."""
        size = max(self.num, len(self.mean))
        return int((self.values > self.values[0] * size * np.finfo(np.float64).eps).sum())


def require_side(num: int, dim: int, name: str) -> None:
    """Raise `UsageError` for more images and entries than a matrix of either may have."""
    if min(num, dim) > MAX_SIDE:
        raise UsageError(
            f"{name}: {num:,} images of {dim:,} values each need a matrix of {min(num, dim):,} "
            f"rows, more than {MAX_SIDE:,}; make the images smaller (--resize 32x32) or give fewer"
        )
