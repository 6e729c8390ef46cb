"""Designs: which combinations of levels are run.

    full-factorial         every combination, with any numbers of levels
    fractional-factorial   2^(k-p) of them, with a given resolution (Box & Hunter 1961)
    one-at-a-time          the base, and each other level of each factor alone
    leave-one-out          the last level of every factor, and each factor alone at its first level

A cell is a tuple of level numbers, one for each factor; number 0 is the base level. Cells are in
the order of `itertools.product`: the last factor varies fastest.

A fraction is a group code. The first k-p factors vary freely, and each of the others is the sum
modulo 2 of a word of them, so that the base (all zeros) is always among the cells. In signs (- for
level 0), a sum of an even number of letters is minus their product: D = -AB, but D = +ABC. The
products of the generating words form the defining relation; the length of its shortest word is the
resolution. Two effects whose product is a word of it cannot be separated: they are aliases. At
resolution III main effects are aliases of two-factor interactions; at IV two-factor interactions
are aliases of each other; at V neither.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cached_property
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from bench.errors import UsageError

Kind = Literal["full-factorial", "fractional-factorial", "one-at-a-time", "leave-one-out"]
Cell = tuple[int, ...]
Effect = tuple[str, ...]  # factors multiplied together, in the order of the design

MAX_FACTORS = 12
ROMAN = {3: "III", 4: "IV", 5: "V", 6: "VI", 7: "VII", 8: "VIII", 9: "IX", 10: "X"}


class Word(NamedTuple):
    """A product of factors and its sign, +1 or -1."""

    sign: int
    letters: Effect

    def __str__(self) -> str:
        return f"{'-' if self.sign < 0 else ''}{' x '.join(self.letters)}"


class Fraction(BaseModel):
    """A 2^(k-p) fraction. `generators` maps each added factor to the factors whose sum it is.

    The number of cells is 2 to the power of the number of free factors.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    factors: tuple[str, ...]
    generators: dict[str, Effect]

    @cached_property
    def defining_relation(self) -> tuple[Word, ...]:
        """Return all 2^p - 1 words that equal the identity, short ones first."""
        masks = [self._mask((*word, added)) for added, word in self.generators.items()]
        products: set[int] = set()
        for size in range(1, len(masks) + 1):
            for chosen in itertools.combinations(masks, size):
                product = 0
                for mask in chosen:
                    product ^= mask
                products.add(product)
        words = [self._word(mask) for mask in products]
        return tuple(sorted(words, key=lambda word: (len(word.letters), self._mask(word.letters))))

    @property
    def resolution(self) -> int:
        """Return the length of the shortest word of the defining relation."""
        return len(self.defining_relation[0].letters)

    @property
    def name(self) -> str:
        """Return a text such as "2^(7-4) of resolution III"."""
        k, p = len(self.factors), len(self.generators)
        return f"2^({k}-{p}) of resolution {ROMAN.get(self.resolution, self.resolution)}"

    def aliases(self, effect: Effect, max_order: int = 2) -> tuple[Word, ...]:
        """Return the aliases of an effect, up to products of `max_order` factors."""
        mine = self._mask(effect)
        found = []
        for word in self.defining_relation:
            mask = mine ^ self._mask(word.letters)
            other = self._letters(mask)
            if 0 < len(other) <= max_order:
                # in signs E = s E', with s the sign of the word that is their product
                found.append(Word(word.sign, other))
        return tuple(sorted(found, key=lambda word: (len(word.letters), self._mask(word.letters))))

    def _mask(self, letters: Effect) -> int:
        return sum(1 << self.factors.index(letter) for letter in letters)

    def _letters(self, mask: int) -> Effect:
        return tuple(name for place, name in enumerate(self.factors) if mask >> place & 1)

    def _word(self, mask: int) -> Word:
        """Return a word with its sign: letters sum to 0, so their signs multiply to (-1)^length."""
        letters = self._letters(mask)
        return Word((-1) ** len(letters), letters)


class Design(NamedTuple):
    """Cells in order, the index of the base cell, and the fraction, if it is one."""

    kind: Kind
    cells: tuple[Cell, ...]
    base: int
    fraction: Fraction | None = None


def make_design(
    kind: Kind, factors: Sequence[str], num_levels: Sequence[int], resolution: int | None = None
) -> Design:
    """Return the design over `factors` with `num_levels` levels each.

    Raises `UsageError` with the reason if there is no such design.

    >>> make_design("one-at-a-time", ["a", "b"], [2, 3]).cells
    ((0, 0), (1, 0), (0, 1), (0, 2))
    """
    if resolution is not None and kind != "fractional-factorial":
        raise UsageError(f"design {kind}: only a fractional factorial has a resolution")
    if kind == "full-factorial":
        cells = tuple(itertools.product(*(range(num) for num in num_levels)))
        return Design(kind, cells, 0)
    if kind == "fractional-factorial":
        return _fractional(factors, num_levels, resolution)
    if kind == "one-at-a-time":
        zeros = (0,) * len(num_levels)
        changed = [
            _with(zeros, place, level)
            for place, num in enumerate(num_levels)
            for level in range(1, num)
        ]
        return Design(kind, (zeros, *changed), 0)
    ones = tuple(num - 1 for num in num_levels)
    return Design(kind, (ones, *(_with(ones, place, 0) for place in range(len(ones)))), 0)


def _with(cell: Cell, place: int, level: int) -> Cell:
    return (*cell[:place], level, *cell[place + 1 :])


def _fractional(
    factors: Sequence[str], num_levels: Sequence[int], resolution: int | None
) -> Design:
    if resolution is None:
        raise UsageError("design fractional-factorial: give a resolution, such as resolution = 4")
    for factor, num in zip(factors, num_levels, strict=True):
        if num != 2:
            raise UsageError(
                f"design fractional-factorial: factor {factor!r} has {num} levels, but a "
                "fraction needs two; remove levels, or use full-factorial or one-at-a-time"
            )
    fraction = find_fraction(tuple(factors), resolution)
    free = len(factors) - len(fraction.generators)
    cells = []
    for levels in itertools.product((0, 1), repeat=free):
        known = dict(zip(factors, levels, strict=False))
        for added, word in fraction.generators.items():
            known[added] = sum(known[letter] for letter in word) % 2
        cells.append(tuple(known[factor] for factor in factors))
    return Design("fractional-factorial", tuple(cells), 0, fraction)


def find_fraction(factors: tuple[str, ...], resolution: int) -> Fraction:
    """Return the smallest fraction with at least this resolution.

    Among fractions with the same number of cells it has the highest resolution. The search goes
    over generating words, short ones first, then in the order of factors. Raises `UsageError` with
    the reason if there is no such fraction.
    """
    k = len(factors)
    if resolution < 3:
        raise UsageError(
            f"resolution {resolution}: below III main effects are aliases of each other; use 3 "
            "or more"
        )
    if k > MAX_FACTORS:
        raise UsageError(f"{k} factors: a fraction may have up to {MAX_FACTORS}")
    if resolution > k:
        raise UsageError(
            f"no fraction of {k} factors has resolution {resolution}: the longest possible word "
            f"has {k} letters; use {k} or less, or full-factorial"
            if k >= 3
            else f"{k} factor{'' if k == 1 else 's'}: too few for a fraction, as even half of the "
            "cells makes main effects aliases; use full-factorial"
        )
    for free in range(1, k):
        words = _search(free, k - free, resolution)
        if words is None:
            continue
        while (better := _search(free, k - free, resolution + 1)) is not None:
            words, resolution = better, resolution + 1  # a higher resolution at the same cost
        generators = {
            factors[free + place]: tuple(factors[n] for n in range(free) if word >> n & 1)
            for place, word in enumerate(words)
        }
        return Fraction(factors=factors, generators=generators)
    raise AssertionError("one word of all letters has resolution k")


def _search(free: int, added: int, resolution: int) -> list[int] | None:
    """Return `added` words (bit masks of `free` letters) whose products, each with its added
    letter, all have `resolution` letters or more; None if there are none.
    """
    if not _may_exist(free, free + added, resolution):
        return None
    masks = sorted(
        (mask for mask in range(1, 1 << free) if mask.bit_count() >= resolution - 1),
        key=lambda mask: (mask.bit_count(), [n for n in range(free) if mask >> n & 1]),
    )

    def extended(chosen: list[int], products: list[int], start: int) -> list[int] | None:
        # products: all products of chosen words, with their added letters above the free ones
        if len(chosen) == added:
            return chosen
        letter = 1 << (free + len(chosen))
        for place in range(start, len(masks)):
            new = masks[place] | letter
            more = [new, *(product ^ new for product in products)]
            if all(product.bit_count() >= resolution for product in more):
                found = extended([*chosen, masks[place]], [*products, *more], place + 1)
                if found is not None:
                    return found
        return None

    return extended([], [], 0)


def _may_exist(free: int, k: int, resolution: int) -> bool:
    """Return whether the sphere-packing bound allows it: all products of up to (R-1)/2 letters must
    be distinct.
    """
    radius = (resolution - 1) // 2
    num_products = 1
    term = 1
    for size in range(1, radius + 1):
        term = term * (k - size + 1) // size
        num_products += term
    return num_products <= 1 << free
