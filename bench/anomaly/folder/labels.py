"""Test images with labels: `normal/` and `anomalous/` in one folder, or a folder and a CSV file.

`bench.intake` reads the images and checks every file; this module handles the labels. A CSV file
holds lines of name,label (a first line `name,label` is skipped). A label is normal, anomalous, 0 or
1. Spaces around a name are removed unless an image has exactly that name. Every image needs a
label, and every label an image.

Shape legend: N images, H rows, W columns, C channels.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError, UsageError
from bench.intake import AuditReport, Finding, Size, read_images, sanitise
from bench.intake.names import is_dropping

NORMAL, ANOMALOUS = "normal", "anomalous"
KINDS = (NORMAL, ANOMALOUS)  # by label
LABELS = {NORMAL: 0, ANOMALOUS: 1, "0": 0, "1": 1}
HEADER = ("name", "label")
MAX_CSV_BYTES = 256 << 20
NUM_NAMED = 3  # names shown in a message
OTHER_MARKS = ";\t"  # between cells, by other programs


@dataclass(frozen=True, kw_only=True)
class LabelledImages:
    """`images` uint8 N,H,W,C with `labels` int64 N (1 is anomalous) and printable `names`, and the
    reports of the sources.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    names: tuple[str, ...]
    reports: tuple[AuditReport, ...]
    channels: tuple[int, ...]  # of the images of each report, before they were made equal

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings of intake about these images; none of them is an error."""
        return tuple(finding for report in self.reports for finding in report.findings)


def read_labelled(
    path: str | Path, labels: str | Path | None = None, *, resize: Size | None = None
) -> LabelledImages:
    """Read test images and their labels. `labels` is the CSV file, or None for the two subfolders.

    Raises `InputError` with file and line for labels that do not fit, and when all images are of
    one kind; `UsageError` for a folder without the subfolders; and what `read_images` raises.
    """
    path = Path(path)
    if labels is None:
        return _of_subfolders(path, resize)
    report = read_images(path, resize=resize)
    images = _images(report)
    shown = sanitise(str(labels), 400)
    found = _in_order(read_labels(labels, images[1]), images[1], shown, report.source)
    if found.min() == found.max():
        kind = KINDS[int(found[0])]
        other = KINDS[1 - int(found[0])]
        raise InputError(
            f"{shown}: every image is {kind}; an AUC needs both kinds, so add images labelled "
            f"{other}, or label those that are"
        )
    return LabelledImages(
        images=images[0],
        labels=found,
        names=images[1],
        reports=(report,),
        channels=(images[0].shape[3],),
    )


def _images(report: AuditReport) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    assert report.images is not None  # noqa: S101  (read_images gives pixels or raises)
    return report.images.images, report.images.names


def _of_subfolders(path: Path, resize: Size | None) -> LabelledImages:
    shown = sanitise(str(path), 400)
    if not path.is_dir():
        raise UsageError(
            f"{shown} is not a folder; give one with {NORMAL}/ and {ANOMALOUS}/, or the labels as "
            f"a "
            "CSV of name,label: --labels FILE"
        )
    entries = {entry.name: entry for entry in path.iterdir()}
    missing = [kind for kind in KINDS if kind not in entries or not entries[kind].is_dir()]
    if missing:
        raise UsageError(
            f"{shown} has no subfolder {' and no '.join(missing)}; give a folder with {NORMAL}/ "
            f"and {ANOMALOUS}/, or the labels as a CSV of name,label: --labels FILE; without "
            "labels, --threshold-fpr 0.05 gives a verdict on each image"
        )
    others = sorted(n for n in entries if n not in KINDS and not is_dropping(n.encode()))
    if others:
        raise InputError(
            f"{shown} holds {_some(others)} next to {NORMAL}/ and {ANOMALOUS}/, with no label. "
            "Move it into one of the two, or out of the folder"
        )
    reports = tuple(read_images(path / kind, resize=resize) for kind in KINDS)
    (normal, normal_names), (anomalous, anomalous_names) = map(_images, reports)
    if normal.shape[1:3] != anomalous.shape[1:3]:
        raise InputError(
            f"{shown}: normal images are {_size(normal)}, anomalous ones {_size(anomalous)}; "
            "bring them to one size: --resize WIDTHxHEIGHT"
        )
    return LabelledImages(
        images=np.concatenate(same_channels(normal, anomalous)),
        labels=np.repeat([0, 1], [len(normal), len(anomalous)]).astype(np.int64),
        names=(
            *(f"{NORMAL}/{name}" for name in normal_names),
            *(f"{ANOMALOUS}/{name}" for name in anomalous_names),
        ),
        reports=reports,
        channels=(normal.shape[3], anomalous.shape[3]),
    )


def same_channels(*sets: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Give grey images three channels when others are in colour."""
    channels = max(images.shape[3] for images in sets)
    return [x if x.shape[3] == channels else np.repeat(x, channels, axis=3) for x in sets]


def _size(images: NDArray[np.uint8]) -> str:
    return f"{images.shape[2]}x{images.shape[1]} px"


def _some(names: list[str]) -> str:
    """Return the first few of many names, safe to print."""
    shown = ", ".join(sanitise(name) for name in names[:NUM_NAMED])
    return shown if len(names) <= NUM_NAMED else f"{shown} and {len(names) - NUM_NAMED:,} more"


def read_labels(path: str | Path, names: Sequence[str] = ()) -> dict[str, tuple[int, int]]:
    """Read a CSV file of labels for images of these names, as printed name -> (label, line). Raises
    `UsageError` when it cannot be read, and `InputError` with file and line for a line that is not
    name,label and for a repeated name.
    """
    path = Path(path)
    shown = sanitise(str(path), 400)
    try:
        if path.stat().st_size > MAX_CSV_BYTES:
            raise InputError(f"{shown}: more than {MAX_CSV_BYTES:,} bytes of labels")
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{shown}: the labels cannot be read: byte {error.start} is not UTF-8 text; save the "
            "file as CSV in UTF-8"
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise UsageError(
            f"{shown}: the labels cannot be read: {reason}; give a CSV file of name,label with "
            "--labels"
        ) from error
    known = frozenset(names)
    found: dict[str, tuple[int, int]] = {}
    begun = False
    reader = csv.reader(io.StringIO(text, newline=""))
    try:
        for row in reader:
            line = reader.line_num
            cells = tuple(cell.strip() for cell in row)
            is_header = not begun and tuple(map(str.lower, cells)) == HEADER
            begun = begun or any(cells)
            if not any(cells) or is_header:
                continue
            if sanitise(row[0]) in known:
                cells = (row[0], *cells[1:])
            _take(cells, line, found, shown)
    except csv.Error as error:
        raise InputError(f"{shown}:{reader.line_num}: not a line of CSV: {error}") from error
    if not found:
        raise InputError(f"{shown}: no labels; expected lines of name,label")
    return found


def _take(cells: tuple[str, ...], line: int, found: dict[str, tuple[int, int]], shown: str) -> None:
    """Add one line."""
    if not cells[0]:
        raise InputError(f"{shown}:{line}: a label without a name; write name,label")
    if len(cells) != 2:
        number = "1 cell" if len(cells) == 1 else f"{len(cells)} cells"
        other = next((f", not {mark!r}" for mark in OTHER_MARKS if mark in cells[0]), "")
        quoting = "; a name with a comma stands in double quotes" if len(cells) > 2 else ""
        raise InputError(
            f"{shown}:{line}: {number}, expected a name and a label with one comma between "
            f"them{other}{quoting}"
        )
    name, label = sanitise(cells[0]), LABELS.get(cells[1].lower())
    if label is None:
        raise InputError(
            f"{shown}:{line}: label {sanitise(cells[1])!r} of {name}: expected normal, anomalous, "
            "0 or 1"
        )
    if name in found:
        raise InputError(
            f"{shown}:{line}: {name} has a label in line {found[name][1]} already; keep one"
        )
    found[name] = (label, line)


def _in_order(
    labels: dict[str, tuple[int, int]], names: tuple[str, ...], shown: str, source: str
) -> NDArray[np.int64]:
    """Return the label of each image. Raises `InputError` when an image has no label or a label no
    image.
    """
    counts = Counter(names)
    unknown = [name for name in labels if name not in counts]
    if unknown:
        line = labels[unknown[0]][1]
        more = f" (and of {len(unknown) - 1:,} more)" if len(unknown) > 1 else ""
        raise InputError(
            f"{shown}:{line}: no image is named {unknown[0]} in {source}{more}; names are as "
            f"audit prints them, such as {names[0]}"
        )
    without = [name for name in names if name not in labels]
    if without:
        raise InputError(
            f"{shown}: no label for {_some(without)} of {source}; every image needs one"
        )
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise InputError(f"{source}: {_some(twice)}: several files are printed alike; rename them")
    return np.array([labels[name][0] for name in names], np.int64)
