"""The distribution of an autoencoder's codes: one Gaussian, or a mixture of ten.

A plain autoencoder has no latent distribution to sample from. Both distributions are fitted after
training to the codes of the training images (Ghosh et al. 2020, RAE: ex-post density estimation).
Covariances are full up to 64 code dimensions and diagonal above.

Shape legend: N codes, Z code dimensions, M components.
"""

from __future__ import annotations

import warnings
from typing import Literal

import numpy as np
import torch
from torch import Tensor

Prior = Literal["gaussian", "mixture"]
PRIORS: tuple[Prior, ...] = ("gaussian", "mixture")
NUM_COMPONENTS = 10
MAX_FULL_DIM = 64
MAX_CODES = 20_000
REGULARISATION = 1e-6


def fit_code_priors(codes: Tensor, seed: int) -> dict[str, Tensor]:
    """Fit both distributions to codes float N,Z.

    Returns `gaussian/...` and `mixture/...` with `weights` M, `means` M,Z and `factors`: M,Z,Z
    (lower triangular L with covariance L L^T) or M,Z (standard deviations).
    """
    from sklearn.exceptions import ConvergenceWarning  # type: ignore[import-untyped]
    from sklearn.mixture import GaussianMixture  # type: ignore[import-untyped]

    values = codes.double().numpy()
    if len(values) == 1:  # a mixture needs at least two codes
        values = np.repeat(values, 2, axis=0)
    full = values.shape[1] <= MAX_FULL_DIM
    found: dict[str, Tensor] = {}
    for prior, num in (("gaussian", 1), ("mixture", min(NUM_COMPONENTS, len(values)))):
        model = GaussianMixture(
            num,
            covariance_type="full" if full else "diag",
            reg_covar=REGULARISATION,
            random_state=seed % 2**32,
        )
        with warnings.catch_warnings():
            # 100 rounds of EM are enough for sampling, even if the last one still gained 1e-3
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(values)
        spread = np.linalg.cholesky(model.covariances_) if full else np.sqrt(model.covariances_)
        found[f"{prior}/weights"] = torch.from_numpy(model.weights_).float()
        found[f"{prior}/means"] = torch.from_numpy(model.means_).float()
        found[f"{prior}/factors"] = torch.from_numpy(spread).float()
    return found


def codes_from_prior(
    fitted: dict[str, Tensor], prior: Prior, noise_NZ: Tensor, uniform_N: Tensor
) -> Tensor:
    """Return codes N,Z: uniform numbers choose the component, standard normal noise the code."""
    weights, means, factors = (
        fitted[f"{prior}/{part}"] for part in ("weights", "means", "factors")
    )
    bounds = weights.double().cumsum(0)
    chosen = torch.searchsorted(bounds, uniform_N.double()).clamp_max(len(weights) - 1)
    spread = factors[chosen]
    scaled = (
        torch.einsum("nij,nj->ni", spread, noise_NZ) if spread.dim() == 3 else spread * noise_NZ
    )
    return means[chosen] + scaled
