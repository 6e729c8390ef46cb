"""What a detector has seen besides the normal images that it is fitted to.

A detector on features has seen what its extractor was trained on: nothing (`hog`), labels of other
data (`inception`), or the labels of the data that it is judged on (`digits` on MNIST). Only the
last case needs the name of the data set; it is unknown for a folder of files.
"""

from __future__ import annotations

from typing import NamedTuple

from bench.anomaly.detectors.base import DetectorRow, Labels
from bench.extractors import extractor_row


class Seen(NamedTuple):
    """`labels` as in a row, or "data" for labels of the judged data. `words` is for a table, and
    empty when nothing was seen.
    """

    labels: Labels
    words: str


def extractor_of(row: DetectorRow, chosen: str | None) -> str | None:
    """Return the extractor whose features a detector reads: the chosen one, its own, or None."""
    if row.reads == "features":
        return chosen
    own = row.constants.get("features")
    return None if own is None else str(own)


def seen_by(row: DetectorRow, chosen: str | None = None, data: str | None = None) -> Seen:
    """Return what a detector with the chosen extractor has seen of a data set (None for a folder).
    Raises `UnknownNameError` for an unknown extractor.
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
