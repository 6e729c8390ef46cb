"""`audit` and `read_images`: all that is wrong with a submission, and its pixels, in one pass.

Shape legend: N images, H rows, W columns, C channels.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from bench.errors import InvalidSubmission, NothingFoundError, UsageError
from bench.intake.archive import list_archive
from bench.intake.arrays import index_names, read_array
from bench.intake.decoder import Entry, Progress, Run, decode
from bench.intake.findings import Collector, Finding
from bench.intake.folder import Listing, list_folder
from bench.intake.formats import MAX_TOTAL_BYTES, format_of_name
from bench.intake.image_set import U8, Block, ImageSet, assemble, make_block
from bench.intake.names import sanitise
from bench.intake.spec import SubmissionSpec
from bench.intake.unfilter import unfilter

Kind = Literal["folder", "zip", "npz", "npy", "idx"]
ACCEPTED = "a folder or a .zip of images, a .npz or .npy with uint8 N,H,W[,C], or an MNIST idx file"
ARRAY_BLOCK = 512  # images of an array that are looked at together


@dataclass(frozen=True)
class AuditReport:
    """What was found.

    `source` is safe to print; `num_files` counts image files (or images of an array), read or not;
    `images` is None when any finding is an error.
    """

    source: str
    kind: Kind
    findings: tuple[Finding, ...]
    images: ImageSet | None
    num_files: int

    @property
    def valid(self) -> bool:
        """Whether there is no finding of severity error."""
        return self.images is not None


def audit(
    path: str | Path,
    *,
    spec: SubmissionSpec | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
    num_workers: int | None = None,
) -> AuditReport:
    """Check and read a folder, zip, npz, npy or idx file; problems become findings, all at once.

    `limit` reads only the first files in sorted order. `progress` is called with (files done,
    files in all). `num_workers` decoding processes are used (default: one for each 2,000 files, at
    most one for each processor); the result does not depend on it. Raises `UsageError` (missing
    or unreadable path, unsupported kind of file, bad option), `NothingFoundError` (no images).
    """
    for option, value in (("limit", limit), ("num_workers", num_workers)):
        if value is not None and value < 1:
            raise UsageError(f"{option} must be at least 1, got {value}")
    source = Path(path)
    kind = kind_of(source)
    collector = Collector(strict=spec is not None)
    gathered = _Gathered(collector)
    if kind in ("folder", "zip"):
        listing = list_source(source, kind, collector)
        names, entries = listing.names[:limit], listing.entries[:limit]
        num_files = listing.num_images
        entries, names = _allowed(entries, names, spec, collector)
        for run in decode(source, entries, num_workers=num_workers, progress=progress):
            gathered.take(run, names)
    else:
        array = read_array(source, kind, collector)
        num_files = 0 if array is None else len(array)
        names = index_names(num_files)[:limit]
        if spec is not None and kind not in spec.formats:
            collector.add("format-not-allowed", [_file_name(source)], _formats(kind, spec))
        if array is not None:
            gathered.take_array(array[:limit], names)
    gathered.judge(spec, num_files, names)
    images = None
    if not collector.has_errors and gathered.blocks:
        images = assemble(gathered.blocks, names)
    return AuditReport(sanitise(str(source), 400), kind, collector.findings(), images, num_files)


def read_images(
    path: str | Path,
    *,
    spec: SubmissionSpec | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
    num_workers: int | None = None,
) -> AuditReport:
    """`audit`, for callers that need the pixels: `images` of the report is not None.

    Raises what `audit` raises, and `InvalidSubmission` with all findings when any is an error.
    """
    report = audit(path, spec=spec, limit=limit, progress=progress, num_workers=num_workers)
    if report.images is None:
        errors = [finding for finding in report.findings if finding.severity == "error"]
        listed = ", ".join(f"{finding.code} ({finding.count:,})" for finding in errors)
        raise InvalidSubmission(
            f"{report.source}: not a valid submission: {listed}. "
            "`latentbench audit` shows every file and what to do.",
            report.findings,
        )
    return report


def kind_of(path: Path) -> Kind:
    """What a path is, by its first bytes and its name. Raises `UsageError`."""
    shown = sanitise(str(path), 400)
    try:
        if path.is_dir():
            return "folder"
        if not path.exists():
            raise UsageError(f"{shown} does not exist. Give {ACCEPTED}.")
        if not path.is_file():
            raise UsageError(f"{shown} is neither a folder nor an ordinary file. Give {ACCEPTED}.")
        with path.open("rb") as stream:
            head = stream.read(8)
    except (OSError, ValueError) as error:
        raise UsageError(f"{shown} cannot be read: {error}") from error
    name = path.name.lower()
    if name.endswith((".npz", ".npy", ".zip")):
        return "npz" if name.endswith(".npz") else "npy" if name.endswith(".npy") else "zip"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    idx_name = name.endswith((".idx", "ubyte", "ubyte.gz", ".idx.gz"))
    if head.startswith(b"\0\0\x08") or idx_name:
        return "idx"
    raise UsageError(f"{shown} is a single file of another kind. Give {ACCEPTED}.")


def list_source(source: Path, kind: Kind, collector: Collector) -> Listing:
    """List a folder or zip. Raises `NothingFoundError` when nothing is named like an image."""
    lister = list_folder if kind == "folder" else list_archive
    listing = lister(source, collector)
    fatal = kind == "zip" and not listing.num_images and collector.has_errors
    damaged = fatal and any(f.code in ("zip-damaged", "zip-too-many") for f in collector.findings())
    if not listing.num_images and not damaged:
        shown = sanitise(str(source), 400)
        hint = ""
        if listing.subfolders:
            first = sanitise(listing.subfolders[0])
            hint = (
                f" It holds {len(listing.subfolders)} folder(s), such as {first}: give one of them."
            )
        raise NothingFoundError(
            f"{shown} holds no image file (png, jpg, jpeg, webp, bmp, tif, tiff).{hint}"
        )
    return listing


def _allowed(
    entries: list[Entry], names: list[bytes], spec: SubmissionSpec | None, collector: Collector
) -> tuple[list[Entry], list[bytes]]:
    """Without the files whose extension a spec does not accept; those become findings."""
    if spec is None:
        return entries, names
    kept, kept_names = [], []
    for entry, name in zip(entries, names, strict=True):
        found = format_of_name(name)
        if found in spec.formats:
            kept.append(entry)
            kept_names.append(name)
        else:
            collector.add("format-not-allowed", [name], _formats(str(found), spec))
    return kept, kept_names


def _formats(found: str, spec: SubmissionSpec) -> str:
    return f"{found.upper()}, expected {', '.join(spec.formats).upper()}"


def _file_name(path: Path) -> bytes:
    return path.name.encode(errors="surrogateescape")


class _Gathered:
    """Collects decoded runs into blocks, and judges the set once all are there."""

    def __init__(self, collector: Collector) -> None:
        self.blocks: list[Block] = []
        self._collector = collector
        self._bytes = 0

    def take(self, run: Run, names: list[bytes]) -> None:
        if run.note:
            affected = names[run.start : run.start + run.count]
            self._collector.add(run.note, affected, run.detail)
        if run.kind != "rejected":
            self._add(make_block(run.start, pixels_of(run)))

    def take_array(self, array: U8, names: list[bytes]) -> None:
        for start in range(0, len(names), ARRAY_BLOCK):
            self._add(make_block(start, array[start : start + ARRAY_BLOCK]))

    def _add(self, block: Block) -> None:
        size = block.images.nbytes
        if self._bytes <= MAX_TOTAL_BYTES < self._bytes + size:
            self._collector.add("too-much-data", [], f"more than {MAX_TOTAL_BYTES:,} bytes", 1)
        self._bytes += size
        if self._collector.has_errors:
            # The set is invalid: keep what judging needs (shape, modes), let go of the pixels.
            nothing = np.broadcast_to(np.zeros((), np.uint8), block.images.shape)
            block = Block(block.start, block.file_channels, nothing, block.is_grey, [])
        self.blocks.append(block)

    def judge(self, spec: SubmissionSpec | None, num_files: int, names: list[bytes]) -> None:
        """Findings about count, size and mode of the whole set."""
        if spec is not None and spec.count is not None and num_files != spec.count and num_files:
            difference = abs(num_files - spec.count)
            detail = f"{num_files:,} images, expected {spec.count:,} ({difference:,} "
            detail += "too many)" if num_files > spec.count else "missing)"
            self._collector.add("wrong-count", [], detail, difference)
        if self.blocks:
            self._judge_sizes(spec, names)
            self._judge_modes(spec, names)

    def _judge_sizes(self, spec: SubmissionSpec | None, names: list[bytes]) -> None:
        sizes: Counter[tuple[int, int]] = Counter()  # height, width -> images
        for block in self.blocks:
            sizes[block.images.shape[1], block.images.shape[2]] += len(block.is_grey)
        usual = min(sizes, key=lambda size: (-sizes[size], size))
        height, width = usual
        code = "mixed-sizes"
        if spec is not None and (spec.height_px or spec.width_px):
            code = "wrong-size"
            height, width = spec.height_px or height, spec.width_px or width
        affected: list[bytes] = []
        for block in self.blocks:
            if block.images.shape[1:3] != (height, width):
                affected += names[block.start : block.start + len(block.is_grey)]
        if affected:
            table = "; ".join(
                f"{w}x{h} px: {n:,}"
                for (h, w), n in sorted(sizes.items(), key=lambda item: (-item[1], item[0]))[:10]
            )
            table += f"; and {len(sizes) - 10} more sizes" if len(sizes) > 10 else ""
            expected = f" (expected {width}x{height} px)" if code == "wrong-size" else ""
            self._collector.add(code, affected, f"{table}{expected}")

    def _judge_modes(self, spec: SubmissionSpec | None, names: list[bytes]) -> None:
        grey_files: list[bytes] = []
        grey_as_rgb: list[bytes] = []
        coloured: list[bytes] = []
        for block in self.blocks:
            shown = names[block.start : block.start + len(block.is_grey)]
            if block.file_channels == 1:
                grey_files += shown
                continue
            for name, is_grey in zip(shown, block.is_grey.tolist(), strict=True):
                (grey_as_rgb if is_grey else coloured).append(name)
        mode = "any" if spec is None else spec.mode
        if mode == "grey" and coloured:
            self._collector.add("wrong-mode", coloured, "coloured, expected grey")
        elif mode == "rgb" and grey_files:
            self._collector.add("wrong-mode", grey_files, "grey, expected RGB")
        elif coloured and grey_files:
            self._collector.add("mixed-modes", grey_files)
        if grey_as_rgb and not coloured:
            self._collector.add("grey-as-rgb", grey_as_rgb)


def pixels_of(run: Run) -> U8:
    """Pixels (uint8 n,H,W,C) of a run that was not rejected."""
    data = np.frombuffer(run.data, np.uint8)
    if run.kind == "scanlines":
        return unfilter(data.reshape(run.count, run.height, -1), run.channels)
    return data.reshape(run.count, run.height, run.width, run.channels)
