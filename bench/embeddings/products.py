"""Cosines of many unit vectors with many others: the one product that takes the time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def cosines(unit_ND: NDArray[np.float32], others_MD: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the inner products float32 N,M of unit vectors."""
    found: NDArray[np.float32] = unit_ND @ others_MD.T
    return found
