"""The origin of a stored result of the benchmark, and which stored results may be used again.

A job is named by its settings. Its result also records the digest of its images (`data_digest`),
the digest of its code (`code`, see `bench.anomaly.detectors.code`), the device, the budget, the
extractor and the options. A result of other images is never used: the job of the present images is
stored under the settings followed by the digest, and both stay in the ledger. A result of other
code, or of a version that did not record it, is used and counted; page and screen show the number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from bench.anomaly.detectors import DETECTORS
from bench.anomaly.detectors.code import detector_code
from bench.data.datasets import Dataset
from bench.errors import UnknownNameError
from bench.execution.ledger.ledger import Ledger
from bench.intake import image_set_of

CodeState = Literal["current", "older", "not recorded"]
SHORT = 16  # characters of the digest in the name of a job

_known: list[tuple[Dataset, Dataset, str]] = []  # digests of the splits that this process has read


def data_digest(train: Dataset, test: Dataset) -> str:
    """Return SHA-256 over the pixels (in order) and labels of both splits."""
    for one, other, found in _known:
        if one is train and other is test:
            return found
    digest = hashlib.sha256()
    for part in (train, test):
        digest.update(image_set_of(part.images).sequence_digest.encode())
        digest.update(hashlib.sha256(part.labels.astype("<i8").tobytes()).digest())
    _known.append((train, test, digest.hexdigest()))
    del _known[:-4]
    return digest.hexdigest()


def key_in(ledger: Ledger, key: str, digest: str) -> str:
    """Return the name of a job in a ledger: that of its settings, unless that name holds a result
    of other images.
    """
    result = ledger.entry(key).result
    if result is None or result.values.get("data_digest", digest) == digest:
        return key
    return f"{key}-{digest[:SHORT]}"


def code_state(values: Mapping[str, Any], detector_name: str, extractor: str) -> CodeState:
    """Return whether a result was made by the present code. A result of a detector that no longer
    exists counts as older.
    """
    made_by = values.get("code")
    if made_by is None:
        return "not recorded"
    try:
        now = detector_code(DETECTORS.find(detector_name), extractor or None)
    except UnknownNameError:
        return "older"
    return "current" if made_by == now else "older"


def origin_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return sentences about the origin of rows of single fits; none when all of them come from the
    present code and device.
    """
    lines = []
    older = [row for row in rows if code_state(row, row["detector"], row["extractor"]) == "older"]
    if older:
        lines.append(
            f"{len(older):,} of {len(rows):,} results were made by older code than that which is "
            f"here now ({_names(older)}); with another --ledger they are made anew."
        )
    bare = [row for row in rows if row.get("data_digest") is None]
    if bare:
        named = "" if len(bare) == len(rows) else f" ({_names(bare)})"
        lines.append(
            f"{len(bare):,} of {len(rows):,} results do not record their images, device and code: "
            f"an older version made them, which did not keep these{named}."
        )
    return lines


def _names(rows: Iterable[Mapping[str, Any]]) -> str:
    return ", ".join(dict.fromkeys(f"`{row['detector']}`" for row in rows))
