"""What a detector has seen beside the normal images it is fitted to.

A detector on features has seen what the extractor was trained on: nothing (`hog`), other data with
labels (`inception`), or the labels of the very data that it is judged on (`digits` on MNIST). Only
the last needs the name of the data; of a folder of one's own it cannot be known.
"""

from __future__ import annotations

from typing import NamedTuple

from bench.anomaly.detectors.base import DetectorRow, Labels
from bench.extractors import extractor_row


class Seen(NamedTuple):
    """`labels` as of a row, or "data" for labels of the data that is judged; `words` for a table,
    empty where nothing was seen.
    """

    labels: Labels
    words: str


def extractor_of(row: DetectorRow, chosen: str | None) -> str | None:
    """The extractor whose features a detector reads: the chosen one, its own, or none."""
    if row.reads == "features":
        return chosen
    own = row.constants.get("features")
    return None if own is None else str(own)


def seen_by(row: DetectorRow, chosen: str | None = None, data: str | None = None) -> Seen:
    """Of a detector with the chosen extractor on a data set, None for a folder. Raises
    `UnknownNameError` for an extractor that there is not.
    """
    if row.labels == "test":
        return Seen("test", "test labels")
    name = extractor_of(row, chosen)
    if name is None:
        return Seen(row.labels, "outside data" if row.labels == "outside" else "")
    extractor = extractor_row(name)
    if not extractor.learnt:
        return Seen("none", "")
    if data is not None and extractor.labels_of == data:
        return Seen("data", f"labels of this data ({name})")
    return Seen("outside", f"{extractor.learnt} ({name})")
