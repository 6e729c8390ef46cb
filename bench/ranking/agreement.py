"""How well two boards agree, such as a public and a hidden one: the rank correlation of the teams.

Kendall's tau-b counts pairs of teams in the same and in opposite order, and allows for ties. Its
interval is by Fisher's transformation with the variance of Fieller, Hartley and Pearson (1957),
0.437 / (n - 4).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from bench.errors import InputError
from bench.statistics.intervals import Z

MIN_TEAMS = 5


class Agreement(NamedTuple):
    """Kendall's tau-b over the teams that both boards rank, with a 95 % interval."""

    tau: float
    low: float
    high: float
    num_teams: int


def agreement(one: Mapping[str, int], other: Mapping[str, int]) -> Agreement:
    """Return the agreement of two rankings, places by team.

    Raises `InputError` with fewer than 5 common teams, and when all of them share one place.

    >>> places = {"a": 1, "b": 2, "c": 3, "d": 4, "e": 5}
    >>> found = agreement(places, {**places, "d": 5, "e": 4})
    >>> found.tau, found.num_teams
    (0.8, 5)
    """
    teams = sorted(one.keys() & other.keys())
    if len(teams) < MIN_TEAMS:
        raise InputError(
            f"{len(teams)} teams on both boards; a rank correlation needs {MIN_TEAMS} or more"
        )
    score, pairs, other_pairs = 0, 0, 0
    for position, team in enumerate(teams):
        for earlier in teams[:position]:
            a, b = one[team] - one[earlier], other[team] - other[earlier]
            score += (a * b > 0) - (a * b < 0)
            pairs += a != 0
            other_pairs += b != 0
    if not pairs or not other_pairs:
        raise InputError("all teams share one place on a board: there is no order to compare")
    tau = score / math.sqrt(pairs * other_pairs)
    half = Z * math.sqrt(0.437 / (len(teams) - 4))
    # at the ends, where the transformation is infinite: as if one pair were tied on each board
    end = 1 - 1 / max(pairs, other_pairs)
    z = math.atanh(min(max(tau, -end), end))
    low, high = math.tanh(z - half), math.tanh(z + half)
    return Agreement(tau, min(low, tau), max(high, tau), len(teams))
