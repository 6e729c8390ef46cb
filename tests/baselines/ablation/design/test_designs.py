"""Designs against tables derived by hand, and orthogonality as a property."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baselines.ablation.design.designs import Design, find_fraction, make_design
from bench.errors import UsageError

LETTERS = tuple("ABCDEFGHJKLM")


def fraction_of(k: int, resolution: int) -> Design:
    return make_design("fractional-factorial", LETTERS[:k], [2] * k, resolution)


def words(design: Design) -> set[str]:
    assert design.fraction is not None
    return {
        f"{'-' if w.sign < 0 else ''}{''.join(w.letters)}"
        for w in design.fraction.defining_relation
    }


def aliases(design: Design, effect: str, order: int = 2) -> set[str]:
    assert design.fraction is not None
    found = design.fraction.aliases(tuple(effect), order)
    return {f"{'-' if w.sign < 0 else ''}{''.join(w.letters)}" for w in found}


def test_full_factorial_of_mixed_levels_in_order() -> None:
    design = make_design("full-factorial", "AB", [2, 3])
    assert design.cells == ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2))
    assert design.base == 0


def test_half_of_four_factors() -> None:
    """D = ABC, in levels D = A + B + C mod 2 (Box, Hunter & Hunter, 2^(4-1) of resolution IV)."""
    design = fraction_of(4, 4)
    assert design.cells == (
        (0, 0, 0, 0),
        (0, 0, 1, 1),
        (0, 1, 0, 1),
        (0, 1, 1, 0),
        (1, 0, 0, 1),
        (1, 0, 1, 0),
        (1, 1, 0, 0),
        (1, 1, 1, 1),
    )
    assert words(design) == {"ABCD"}
    assert aliases(design, "AB") == {"CD"}
    assert aliases(design, "A") == set()
    assert aliases(design, "A", 3) == {"BCD"}


def test_quarter_of_five_factors() -> None:
    """D = -AB, E = -AC: I = -ABD = -ACE = BCDE, so A = -BD = -CE, B = -AD, BC = DE, CD = BE."""
    design = fraction_of(5, 3)
    assert words(design) == {"-ABD", "-ACE", "BCDE"}
    assert len(design.cells) == 8
    assert design.cells[:3] == ((0, 0, 0, 0, 0), (0, 0, 1, 0, 1), (0, 1, 0, 1, 0))
    assert design.cells[-1] == (1, 1, 1, 0, 0)
    assert aliases(design, "A") == {"-BD", "-CE"}
    assert aliases(design, "B") == {"-AD"}
    assert aliases(design, "BC") == {"DE"}
    assert aliases(design, "CD") == {"BE"}


def test_sixteenth_of_seven_factors() -> None:
    """D = -AB, E = -AC, F = -BC, G = ABC: each main effect has three pairs as aliases."""
    design = fraction_of(7, 3)
    assert design.fraction is not None
    assert design.fraction.generators == {
        "D": ("A", "B"),
        "E": ("A", "C"),
        "F": ("B", "C"),
        "G": ("A", "B", "C"),
    }
    lengths = [len(word.letters) for word in design.fraction.defining_relation]
    # the Hamming code of 7: 7 words of 3, 7 of 4, 1 of 7
    assert sorted(lengths) == [3] * 7 + [4] * 7 + [7]
    assert aliases(design, "A") == {"-BD", "-CE", "-FG"}
    assert str(design.fraction.name) == "2^(7-4) of resolution III"


def independent_resolution(cells: tuple[tuple[int, ...], ...]) -> int:
    """The least number of columns whose product of signs is constant."""
    signs = 1 - 2 * np.array(cells)
    k = signs.shape[1]
    for size in range(1, k + 1):
        for chosen in itertools.combinations(range(k), size):
            if abs(signs[:, chosen].prod(axis=1).sum()) == len(cells):
                return size
    return k + 1


@pytest.mark.parametrize(
    ("k", "resolution"), [(k, r) for k in range(3, 9) for r in range(3, k + 1)]
)
def test_fractions_are_orthogonal_and_of_their_resolution(k: int, resolution: int) -> None:
    design = fraction_of(k, resolution)
    assert design.fraction is not None
    found = independent_resolution(design.cells)
    assert found == design.fraction.resolution >= resolution
    assert len(set(design.cells)) == len(design.cells) == 2 ** (k - len(design.fraction.generators))
    assert design.cells[design.base] == (0,) * k
    signs = 1 - 2 * np.array(design.cells)
    np.testing.assert_array_equal(signs.T @ signs, len(signs) * np.eye(k, dtype=int))


# Fewest cells of a fraction, from the tables of Box, Hunter & Hunter (2005), appendix to chapter 6.
@pytest.mark.parametrize(
    ("k", "resolution", "cells"),
    [(5, 3, 8), (5, 5, 16), (6, 3, 8), (6, 4, 16), (7, 4, 16), (8, 4, 16), (8, 5, 64), (9, 4, 32),
     (9, 3, 16), (10, 5, 128), (11, 4, 32), (11, 5, 128)],
)  # fmt: skip
def test_fractions_are_the_smallest_of_the_published_tables(
    k: int, resolution: int, cells: int
) -> None:
    assert len(fraction_of(k, resolution).cells) == cells


@given(st.integers(3, 7), st.data())
def test_aliases_are_equal_columns(k: int, data: st.DataObject) -> None:
    """What the algebra calls an alias has the same signs on every cell, or the opposite ones."""
    design = fraction_of(k, data.draw(st.integers(3, k)))
    assert design.fraction is not None
    size = data.draw(st.integers(1, 2))
    effect = tuple(sorted(data.draw(st.permutations(LETTERS[:k]))[:size]))
    signs = dict(zip(LETTERS, (2 * np.array(design.cells) - 1).T, strict=False))

    def column(letters: tuple[str, ...]) -> np.ndarray:
        return np.prod([signs[letter] for letter in letters], axis=0)

    named = {word.letters: word.sign for word in design.fraction.aliases(effect, k)}
    for order in range(1, k + 1):
        for other in itertools.combinations(LETTERS[:k], order):
            product = column(effect) * column(other)
            if other != effect and abs(product.sum()) == len(product):
                assert named.pop(other) == product[0]
    assert not named


def test_one_at_a_time_changes_one_factor() -> None:
    design = make_design("one-at-a-time", "AB", [2, 3])
    assert design.cells == ((0, 0), (1, 0), (0, 1), (0, 2))
    assert design.base == 0


def test_leave_one_out_starts_from_all_on() -> None:
    design = make_design("leave-one-out", "ABC", [2, 2, 3])
    assert design.cells == ((1, 1, 2), (0, 1, 2), (1, 0, 2), (1, 1, 0))
    assert design.cells[design.base] == (1, 1, 2)


@pytest.mark.parametrize(
    ("k", "resolution", "match"),
    [
        (4, 5, "the longest possible word has 4 letters"),
        (4, 2, "main effects are aliases of each other"),
        (2, 3, "2 factors: too few for a fraction"),
    ],
)
def test_impossible_fractions_say_why(k: int, resolution: int, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        find_fraction(LETTERS[:k], resolution)


def test_fractions_are_for_two_levels() -> None:
    with pytest.raises(UsageError, match=r"factor 'B' has 3 levels"):
        make_design("fractional-factorial", "ABC", [2, 3, 2], 3)
    with pytest.raises(UsageError, match="give a resolution"):
        make_design("fractional-factorial", "ABC", [2, 2, 2])
    with pytest.raises(UsageError, match="only a fractional factorial has"):
        make_design("full-factorial", "ABC", [2, 2, 2], 3)
