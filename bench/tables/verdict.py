"""`verdict`: one sentence that places a submission among reference models.

The models are our own baselines, scored against the same reference with the same extractor; their
records are published under reports/, and `scale.json` holds their means. A submission of another
protocol, or of a very different number of images, gets no verdict.
"""

from __future__ import annotations

import functools
import json
import math
from importlib import resources
from typing import NamedTuple

from bench.records.score_record import SHORT_DIGEST, ScoreRecord

METRIC = "fid"
MOST = 2.0  # ratio of the numbers of images, beyond which FIDs are not compared


class Mark(NamedTuple):
    """A reference model: its FID is the mean of `runs` trainings, each scored with `images`."""

    name: str
    fid: float
    runs: int
    images: int
    source: str


class Verdict(NamedTuple):
    """The sentence, the submission's value, the marks from worst to best, and what real images
    score.
    """

    text: str
    value: float
    marks: tuple[Mark, ...]
    perfect: float

    def places(self) -> list[tuple[str, float, float]]:
        """Return name, value and place of everything on a logarithmic scale from 0 (best) to 1."""
        points = [(mark.name, mark.fid) for mark in self.marks]
        points += [("real images", self.perfect), ("", self.value)]
        low, high = (math.log(pick(value for _, value in points)) for pick in (min, max))
        return [(name, value, (math.log(value) - low) / (high - low)) for name, value in points]


def verdict(record: ScoreRecord) -> Verdict | None:
    """Return where the FID of a record lies among reference models of its protocol.

    None when there are none, when the record has no positive FID, and when its number of images
    differs from theirs by more than a factor of 2: FID depends on that number.
    """
    entry = next((one for one in record.values if one.metric == METRIC), None)
    marks, perfect = _scale().get(_protocol(record), ((), 0.0))
    if entry is None or entry.value is None or entry.value <= 0 or not marks:
        return None
    ratio = record.submission.num_images / marks[0].images
    if record.submission.resize is not None or not 1 / MOST <= ratio <= MOST:
        return None
    value = entry.value
    worse = [mark for mark in marks if mark.fid > value]
    better = [mark for mark in marks if mark.fid <= value]
    if not better:
        place = f"better than all reference models; {_told(marks[-1])} comes closest"
    elif not worse:
        place = f"worse than all reference models; {_told(marks[0])} comes closest"
    else:
        place = f"between {_told(worse[-1])} and {_told(better[0])}"
    best = "" if not better or better[0] is marks[-1] else f"; {_told(marks[-1])} is the best"
    text = f"FID {short(value)}: {place}{best}; real images have {short(perfect)}."
    return Verdict(text, value, marks, perfect)


def short(value: float) -> str:
    """Return two or three significant digits, as in "0.25", "19.3" and "163".

    >>> short(0.2477), short(19.32), short(162.84)
    ('0.25', '19.3', '163')
    """
    return f"{value:.{2 if value < 1 else 3}g}" if value < 1000 else f"{value:.0f}"


def _told(mark: Mark) -> str:
    return f"{mark.name} ({short(mark.fid)})"


def _protocol(record: ScoreRecord) -> str:
    reference = f"{record.reference.name}:{record.reference.digest[:SHORT_DIGEST]}"
    extractor = f"{record.extractor.name}:{record.extractor.digest[:SHORT_DIGEST]}"
    return "|".join([reference, ":".join([extractor, *record.extractor.settings.values()])])


@functools.cache
def _scale() -> dict[str, tuple[tuple[Mark, ...], float]]:
    """Return the marks, worst first, and the FID of real images, by protocol."""
    text = resources.files("bench.tables").joinpath("scale.json").read_text(encoding="utf-8")
    found: dict[str, tuple[tuple[Mark, ...], float]] = {}
    for row in json.loads(text):
        marks, _ = found.get(row["protocol"], ((), 0.0))
        mark = Mark(row["name"], row["fid"], row["runs"], row["images"], row["source"])
        found[row["protocol"]] = ((*marks, mark), row["perfect"])
    return found
