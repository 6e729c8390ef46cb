"""A sentence of a report, and the mark that stands in front of it."""

from __future__ import annotations

from typing import Literal, NamedTuple

Tone = Literal["good", "gap", "bad", "note"]
MARKS: dict[Tone, str] = {"good": "✓", "gap": "▲", "bad": "✕", "note": "•"}
MEANINGS_OF_MARKS: dict[Tone, str] = {
    "good": "As good as real images",
    "gap": "Short of real images",
    "bad": "Problem",
    "note": "",
}


class Sentence(NamedTuple):
    """One statement of a report.

    `tone` is "good" for a value that cannot be told from perfect, "gap" for one that can, "bad"
    for a finding, "note" for anything else. `hint` is the one thing to try first.
    """

    tone: Tone
    text: str
    hint: str = ""
