"""How tables and pages name the direction in which a metric improves."""

from __future__ import annotations

from typing import NamedTuple


class Direction(NamedTuple):
    """The names of one direction: `arrow` in a heading, `word` in a column, `phrase` in a text."""

    arrow: str
    word: str
    phrase: str


DIRECTIONS: dict[str, Direction] = {
    "lower": Direction("↓", "lower", "lower is better"),
    "higher": Direction("↑", "higher", "higher is better"),
    "target": Direction("≈", "near", "closer to perfect is better"),
}
LEGEND = ", ".join(f"{one.arrow} {one.phrase}" for one in DIRECTIONS.values())
