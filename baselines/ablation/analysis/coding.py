"""Coding of a table of runs: the effects it can separate, as columns of a linear model.

Effect (sum) coding: a factor with L levels has L - 1 columns, one for each level but the base: 1 on
its level, -1 on the base. The intercept is then the mean over cells, and a main effect is an
average over the levels of the other factors. Interactions are products of columns; seeds are a
block, coded in the same way.

Terms enter in order: seeds, main effects, two-factor interactions. A term whose columns depend
linearly on earlier ones cannot be separated from them and is left out. Its aliases are listed if a
product of two-level factors equals another one, or its negative, on every run, as in fractional
factorials.

Shape legend: N runs, P columns.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from baselines.ablation.analysis.results import SEED
from bench.errors import InputError

Term = tuple[str, ...]  # factors; () is the intercept, (SEED,) the block
Levels = Mapping[str, Sequence[str]]  # of each factor, the base first

TOLERANCE = 1e-9
MAX_ALIAS_ORDER = 3


class Coded(NamedTuple):
    """Columns float64 N,P; the slice of columns of each included term; the aliases of all terms,
    included or not (with a minus sign if opposite); the terms left out.
    """

    matrix: NDArray[np.float64]
    columns: dict[Term, slice]
    aliases: dict[Term, tuple[str, ...]]
    left_out: tuple[Term, ...]


def name_of(term: Term) -> str:
    """Return a text such as "label-noise x replay-buffer"."""
    return " x ".join(term)


def levels_present(frame: pd.DataFrame, levels: Levels) -> dict[str, tuple[str, ...]]:
    """Return the levels that occur in the table, and () for a factor whose base level does not.

    Raises `InputError` for a factor without a column and for a value that is not a level.
    """
    found = {}
    for factor, names in levels.items():
        if factor not in frame:
            raise InputError(f"the table has no column of factor {factor!r}")
        values = set(frame[factor])
        unknown = sorted(map(str, values - set(names)))
        if unknown:
            raise InputError(f"factor {factor!r}: level {unknown[0]!r} is not one of {list(names)}")
        present = tuple(name for name in names if name in values)
        found[factor] = present if names[0] in values else ()
    return found


def sum_coded(values: Sequence[object], levels: Sequence[object]) -> NDArray[np.float64]:
    """Return the columns N,L-1 of a factor with N values; N,0 for fewer than two levels."""
    if len(levels) < 2:
        return np.zeros((len(values), 0))
    base = np.array([value == levels[0] for value in values], float)
    columns = [np.array([value == one for value in values], float) - base for one in levels[1:]]
    return np.stack(columns, axis=1)


def coded(frame: pd.DataFrame, levels: Levels, *, interactions: bool = True) -> Coded:
    """Return the columns of a table of runs; `levels` as `levels_present` returns them."""
    single = {factor: sum_coded(list(frame[factor]), levels[factor]) for factor in levels}
    seeds = sorted(set(frame[SEED]))
    parts: dict[Term, NDArray[np.float64]] = {(): np.ones((len(frame), 1))}
    if len(seeds) > 1:
        parts[(SEED,)] = sum_coded(list(frame[SEED]), seeds)
    parts |= {(factor,): columns for factor, columns in single.items()}
    if interactions:
        for one, other in itertools.combinations(levels, 2):
            products = single[one][:, :, None] * single[other][:, None, :]
            parts[(one, other)] = products.reshape(len(frame), -1)
    included = parts[()]
    columns: dict[Term, slice] = {(): slice(0, 1)}
    left_out: list[Term] = []
    for term, new in parts.items():
        if term == ():
            continue
        both = np.concatenate([included, new], axis=1)
        if (
            not new.shape[1]
            or np.linalg.matrix_rank(both, tol=TOLERANCE * len(frame)) < both.shape[1]
        ):
            left_out.append(term)
            continue
        columns[term] = slice(included.shape[1], both.shape[1])
        included = both
    return Coded(included, columns, _aliases(single, parts), tuple(left_out))


def _aliases(
    single: Mapping[str, NDArray[np.float64]], parts: Mapping[Term, NDArray[np.float64]]
) -> dict[Term, tuple[str, ...]]:
    """Return equal or opposite products of up to `MAX_ALIAS_ORDER` two-level factors by term."""
    two = [factor for factor, columns in single.items() if columns.shape[1] == 1]
    signs: dict[Term, NDArray[np.float64]] = {}
    for order in range(1, MAX_ALIAS_ORDER + 1):
        for term in itertools.combinations(two, order):
            signs[term] = np.prod([single[factor][:, 0] for factor in term], axis=0)
    found: dict[Term, tuple[str, ...]] = {}
    for term in parts:
        if term not in signs:
            continue
        mine = signs[term]
        found[term] = tuple(
            f"{'' if np.array_equal(mine, other) else '-'}{name_of(name)}"
            for name, other in signs.items()
            if name != term and (np.array_equal(mine, other) or np.array_equal(mine, -other))
        )
    return found


def contrast(coding: Coded, levels: Levels, chosen: Mapping[str, str]) -> NDArray[np.float64]:
    """Return the P weights of the coefficients whose sum is the effect of the chosen levels.

    For one factor the effect is level minus base, averaged over all other factors. For two it is
    the difference of differences (y_ab - y_a0) - (y_0b - y_00); with two levels each, that is twice
    the interaction effect of textbooks.
    """
    term = tuple(chosen)
    # mean at level l minus mean at the base: b_l - b_0 with b_0 = -(sum of the others)
    factors = [1.0 + (np.array(levels[factor][1:]) == chosen[factor]) for factor in term]
    weights = factors[0]
    for more in factors[1:]:
        weights = np.multiply.outer(weights, more).ravel()
    found = np.zeros(coding.matrix.shape[1])
    found[coding.columns[term]] = weights
    return found
