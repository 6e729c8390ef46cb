"""Ordinary least squares on coded columns, and the analysis of variance of their terms.

Shape legend: N runs, P columns.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import f as f_distribution

from baselines.ablation.analysis.coding import Coded, name_of

MIN_TOTAL = 1e-24  # of a sum of squares, relative to that of the values: below it is rounding
FULL_LEVERAGE = 1e-9  # of 1 - leverage: below it a run alone determines a coefficient
RESIDUAL = "residual"


class Share(NamedTuple):
    """A line of the analysis of variance; F and p-value are None without residual variance."""

    source: str
    sum_of_squares: float
    df: int
    share: float
    f: float | None
    p_value: float | None


class Fit(NamedTuple):
    """Coefficients, and what their standard errors are computed from."""

    beta: NDArray[np.float64]  # P
    inverse: NDArray[np.float64]  # P,P: (X'X)^-1
    residual: NDArray[np.float64]  # N
    leverage: NDArray[np.float64]  # N, 0..1: the diagonal of X (X'X)^-1 X'
    residual_ss: float
    total_ss: float
    df: int

    @property
    def sigma(self) -> float | None:
        """Residual standard deviation of a run; None without degrees of freedom."""
        return math.sqrt(self.residual_ss / self.df) if self.df > 0 else None


def fitted(coding: Coded, y_N: NDArray[np.float64]) -> Fit:
    """Return the least squares fit of values float64 N. Sums that are only rounding become 0."""
    q_NP, r_PP = np.linalg.qr(coding.matrix)
    beta_P = np.linalg.solve(r_PP, q_NP.T @ y_N)
    inverse_r = np.linalg.inv(r_PP)
    centred = y_N - y_N.mean()
    residual = y_N - coding.matrix @ beta_P
    total, rest = float(centred @ centred), float(residual @ residual)
    if total <= MIN_TOTAL * float(y_N @ y_N):
        total = rest = 0.0
        beta_P[np.abs(beta_P) <= MIN_TOTAL**0.5 * np.abs(y_N).max()] = 0.0
    if rest <= MIN_TOTAL * float(y_N @ y_N):
        rest = 0.0
    return Fit(
        beta=beta_P,
        inverse=inverse_r @ inverse_r.T,
        residual=residual,
        leverage=np.square(q_NP).sum(axis=1),
        residual_ss=rest,
        total_ss=total,
        df=len(y_N) - len(beta_P),
    )


class ErrorOf(NamedTuple):
    """The standard error of a contrast, and its degrees of freedom."""

    standard_error: float
    df: float


def robust_error(
    coding: Coded, fit: Fit, weights_P: NDArray[np.float64], cells_N: NDArray[np.int64]
) -> ErrorOf:
    """Return the standard error of a contrast when cells have unequal variances.

    The variance is HC2 (MacKinnon & White 1985): the sum of l_i^2 e_i^2 / (1 - h_i), where l_i is
    the weight of run i in the contrast, e_i its residual and h_i its leverage. For two groups it is
    that of Welch's test. Its degrees of freedom are Satterthwaite's over the cells c with n_c runs,
    in Welch's form without bias (1947), V^2 / sum(V_c^2 / (n_c + 1)) - 2, at most those of the
    residual. A run that alone determines a coefficient has no residual, and gets the common
    variance.
    """
    l_N = coding.matrix @ fit.inverse @ weights_P
    free_N = 1 - fit.leverage
    alone_N = free_N < FULL_LEVERAGE
    variance_N = np.square(fit.residual) / np.where(alone_N, 1.0, free_N)
    variance_N[alone_N] = (fit.sigma or 0.0) ** 2
    parts_C = np.bincount(cells_N, np.square(l_N) * variance_N)
    sizes_C = np.maximum(np.bincount(cells_N), 2)
    total = float(parts_C.sum())
    if total <= 0:
        return ErrorOf(0.0, float(fit.df))
    df = total**2 / float((np.square(parts_C) / (sizes_C + 1)).sum()) - 2
    return ErrorOf(math.sqrt(total), min(max(df, 1.0), float(fit.df)))


def variance_shares(coding: Coded, fit: Fit) -> list[Share]:
    """Return a line for each term and the residual; none if all values are equal."""
    if fit.total_ss == 0:
        return []
    found = []
    for term, columns in coding.columns.items():
        if term == ():
            continue
        beta, block = fit.beta[columns], fit.inverse[columns, columns]
        squares = float(beta @ np.linalg.solve(block, beta))
        df = len(beta)
        f = p_value = None
        if fit.df > 0 and fit.residual_ss > 0:
            f = squares / df / (fit.residual_ss / fit.df)
            p_value = float(f_distribution.sf(f, df, fit.df))
        found.append(Share(name_of(term), squares, df, squares / fit.total_ss, f, p_value))
    rest = Share(RESIDUAL, fit.residual_ss, fit.df, fit.residual_ss / fit.total_ss, None, None)
    return [*found, rest]
