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
    return Fit(beta_P, inverse_r @ inverse_r.T, rest, total, len(y_N) - len(beta_P))


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
