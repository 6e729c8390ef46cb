"""Principal components of normal images, and the preparation that published protocols share.

Ruff et al. (ICML 2018) name these steps for the shallow detectors, and their code switches each of
them: global contrast normalisation of each image (subtract its mean, then divide by the L1 norm of
the rest), scaling by one minimum and one maximum over all normal images to 0 and 1, and principal
components that keep 95 % of the variance. The steps behind each published MNIST figure were
identified by its values for the ten classes; the file of each detector states them. An image of one
grey level has no contrast and becomes zeros before the scaling.

Components are eigenvectors of the covariance in float64 (see `bench.anomaly.detectors.spectrum`).
They agree with scikit-learn's `PCA(n_components=share, svd_solver="full")` in number, subspace and
sign-free projections to 1e-9.

Shape legend: N images, D pixels, C components.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.anomaly.detectors.base import Option, require_range, require_switch
from bench.anomaly.detectors.spectrum import Spectrum
from bench.anomaly.detectors.vectors import Vectors
from bench.errors import InputError

F64 = NDArray[np.float64]
VARIANCE = 0.95  # share of the variance that the components keep


class Components(NamedTuple):
    """Mean (float64 D) and orthonormal axes (float64 C,D), the largest variance first. The largest
    entry of each axis is positive, so that the same images give the same axes.
    """

    mean: F64
    axes: F64

    @classmethod
    def of(cls, f_ND: Vectors, share: float, name: str = "principal components") -> Components:
        """Return the fewest components that hold more than `share` of the variance: all for a share
        of 1, none when all rows are equal. Raises what `Spectrum.of` raises.
        """
        spectrum = Spectrum.of(f_ND, name)
        mean, values = spectrum.mean, spectrum.values
        total = values.sum()
        if total <= np.finfo(np.float64).eps * (mean**2).sum() * len(f_ND):
            return cls(mean, np.empty((0, len(mean))))
        num = int(np.searchsorted(np.cumsum(values) / total, share, side="right")) + 1
        axes = spectrum.axes[: spectrum.rank if share >= 1 else min(num, spectrum.rank)]
        largest = np.abs(axes).argmax(axis=1)
        return cls(mean, axes * np.sign(axes[np.arange(len(axes)), largest])[:, None])

    def project(self, f_ND: Vectors) -> F64:
        """Return coordinates, float64 N,C."""
        projected: F64 = (f_ND - self.mean) @ self.axes.T
        return projected


def contrast_normalised(f_ND: Vectors) -> F64:
    """Return each row minus its mean, divided by the sum of absolute values; zeros where that sum
    is zero.
    """
    rows = f_ND.astype(np.float64)
    rows -= rows.mean(axis=1, keepdims=True)
    size = np.abs(rows).sum(axis=1, keepdims=True)
    # what rounding leaves of a constant row is no contrast
    small = size <= 1e-9 * np.abs(f_ND).sum(axis=1, keepdims=True)
    rows[small[:, 0]] = 0
    rows /= np.where(small, 1, size)
    return rows


class Preparation:
    """The preparation that a fit to normal images fixes for all others: scale, and components if
    requested.

    `contrast` normalises each image first. `share` is the share of the variance to keep, None for
    all pixels.
    """

    def __init__(self, name: str, *, contrast: bool, share: float | None) -> None:
        self._name = name
        self._contrast = contrast
        self._share = share
        self._low, self._span = 0.0, 1.0
        self._components: Components | None = None

    def fit(self, f_ND: NDArray[np.float32]) -> F64:
        """Prepare the normal images. Raises `InputError` when they are all equal afterwards."""
        rows = self._normalised(f_ND)
        self._low = float(rows.min())
        self._span = float(rows.max()) - self._low
        if self._span <= 0 or (rows == rows[0]).all():
            raise InputError(
                f"{self._name}: the {len(f_ND)} normal images are all equal"
                + (" once their contrast is normalised" if self._contrast else "")
                + "; there is no spread to measure by"
            )
        rows = (rows - self._low) / self._span
        if self._share is None:
            return rows
        self._components = Components.of(rows, self._share, self._name)
        return self._components.project(rows)

    def __call__(self, f_MD: NDArray[np.float32]) -> F64:
        """Prepare other images in the same way."""
        rows = (self._normalised(f_MD) - self._low) / self._span
        return rows if self._components is None else self._components.project(rows)

    def _normalised(self, f_ND: NDArray[np.float32]) -> F64:
        return contrast_normalised(f_ND) if self._contrast else f_ND.astype(np.float64)


def preparation_of(name: str, options: Mapping[str, Option]) -> Preparation:
    """Return the preparation for the options `variance` and `contrast` of a detector. Raises
    `UsageError` for a variance outside (0, 1] and a contrast that is not 0 or 1.
    """
    variance = float(options["variance"])
    require_range(name, "variance", variance, 0, 1)
    require_switch(name, "contrast", options["contrast"])
    share = None if variance == 1 else variance
    return Preparation(name, contrast=bool(options["contrast"]), share=share)
