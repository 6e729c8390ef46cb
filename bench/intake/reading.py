"""`audit` and `read_images`: every problem of a submission, and its pixels, in one pass.

`Reader` is the pass: it yields the images in order, one block at a time, and keeps none of them.
The functions here collect the blocks; `stream.py` passes them on as they come.

Shape legend: N images, H rows, W columns, C channels.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import InvalidSubmission, UsageError
from bench.intake.arrays import index_names, read_array, resize_array
from bench.intake.decoder import MAX_AHEAD_BYTES, Entry, Run, decode
from bench.intake.findings import Collector, Finding
from bench.intake.formats import MAX_TOTAL_BYTES, format_of_name
from bench.intake.image_set import U8, Block, ImageSet, SetIdentity, identify, join, make_block
from bench.intake.names import split_array_name
from bench.intake.sizes import Size, check_size
from bench.intake.sources import Kind, kind_of, list_source
from bench.intake.spec import SubmissionSpec, is_builtin
from bench.intake.tally import Tally
from bench.intake.unfilter import unfilter
from bench.runtime.printable import sanitise
from bench.runtime.progress import CountProgress

BLOCK_IMAGES = 512  # largest number of images in a block of an array
BLOCK_BYTES = 4 << 20  # of pixels in a block; a larger image is a block of its own


@dataclass(frozen=True)
class AuditReport:
    """The result of `audit`.

    `source` is the path, safe to print. `num_files` counts image files, or images of an array,
    readable or not. `identity` and `images` are None if any finding is an error; `images` is also
    None if the pixels were not kept. `command` is the audit on the command line that gives the same
    findings. `array_name` is that of the array in an npz file. `class_names` and `labels` (int64 N)
    are those of images that lie in a folder for each class.
    """

    source: str
    kind: Kind
    findings: tuple[Finding, ...]
    images: ImageSet | None
    num_files: int
    identity: SetIdentity | None
    command: str = "latentbench audit"
    array_name: str | None = None
    class_names: tuple[str, ...] = ()
    labels: NDArray[np.int64] | None = field(default=None, compare=False, repr=False)

    @property
    def valid(self) -> bool:
        """Whether no finding has the severity "error"."""
        return all(finding.severity != "error" for finding in self.findings)

    def raise_if_invalid(self) -> None:
        """Raise `InvalidSubmission` with all findings if any of them is an error."""
        errors = [finding for finding in self.findings if finding.severity == "error"]
        if errors:
            listed = ", ".join(f"{finding.code} ({finding.count:,})" for finding in errors)
            raise InvalidSubmission(
                f"{self.source}: not a valid submission: {listed}. {self._advice(errors)}",
                self.findings,
            )

    def _advice(self, errors: list[Finding]) -> str:
        """Return the command that shows the errors, or the fix of one that no command shows."""
        if all(finding.code == "too-much-data" for finding in errors):
            return errors[0].fix
        return f"`{self.command}` shows which files, and what to do."


def audit(
    path: str | Path,
    *,
    spec: SubmissionSpec | None = None,
    limit: int | None = None,
    resize: tuple[int, int] | None = None,
    progress: CountProgress | None = None,
    num_workers: int | None = None,
    keep_pixels: bool = True,
    classes: bool = False,
) -> AuditReport:
    """Check and read a folder, zip, npz, npy or idx file, and return every problem at once.

    An npz file with several arrays may be given as `FILE.npz:NAME`. With `classes`, a folder or zip
    may hold one folder of images for each class, and the report has labels.
    `spec` states requirements; without one, any size, mode and number is accepted. `limit` reads
    only the first files in sorted order. `resize` (height, width in px) resizes images of another
    size; it cannot be combined with a spec. `progress` is called with the number of files done and
    the total. `num_workers` is the number of decoding processes (default: one for each 2,000 files
    or 8 MiB of them, at most one per processor); the result does not depend on it. Without
    `keep_pixels`, the report has no `images` and memory does not grow with their number.

    Problems of the images become findings. Raises `UsageError` for a path that is missing,
    unreadable or of no supported kind and for a bad option, and `NothingFoundError` if there are
    no images.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/images.npy", np.zeros((3, 28, 28), np.float32))
    ...     report = audit(f"{folder}/images.npy")
    >>> report.valid, [finding.code for finding in report.findings]
    (False, ['array-dtype'])
    """
    reader = Reader(
        path,
        spec=spec,
        limit=limit,
        resize=resize,
        progress=progress,
        num_workers=num_workers,
        classes=classes,
        max_total_bytes=MAX_TOTAL_BYTES if keep_pixels else None,
    )
    blocks = [block for block in reader.blocks() if keep_pixels]
    report = reader.report()
    if report.identity is None or not keep_pixels:
        return report
    return dataclasses.replace(report, images=ImageSet(join(blocks), report.identity))


def read_images(
    path: str | Path,
    *,
    spec: SubmissionSpec | None = None,
    limit: int | None = None,
    resize: tuple[int, int] | None = None,
    progress: CountProgress | None = None,
    num_workers: int | None = None,
    classes: bool = False,
) -> AuditReport:
    """Return the report of `audit` for a valid submission, so its `images` are not None.

    Raises what `audit` raises, and `InvalidSubmission` with all findings if any is an error.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/images.npy", np.zeros((3, 28, 28), np.uint8))
    ...     read_images(f"{folder}/images.npy").images.images.shape
    (3, 28, 28, 1)
    """
    report = audit(
        path,
        spec=spec,
        limit=limit,
        resize=resize,
        progress=progress,
        num_workers=num_workers,
        classes=classes,
    )
    report.raise_if_invalid()
    return report


class Reader:
    """One pass over a source: exhaust `blocks`, then take the `report`.

    `failed` becomes true as soon as a finding is known to be an error. Options and errors are those
    of `audit`. More than `max_total_bytes` of pixels become a finding; decoding holds at most
    `max_ahead_bytes` out of order.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        spec: SubmissionSpec | None = None,
        limit: int | None = None,
        resize: tuple[int, int] | None = None,
        progress: CountProgress | None = None,
        num_workers: int | None = None,
        classes: bool = False,
        max_total_bytes: int | None = None,
        max_ahead_bytes: int = MAX_AHEAD_BYTES,
    ) -> None:
        for option, value in (("limit", limit), ("num_workers", num_workers)):
            if value is not None and value < 1:
                raise UsageError(f"{option} must be at least 1, got {value}")
        self._size = _checked_resize(resize, spec)
        self._source = path
        self._path, self._array_name = split_array_name(path)
        self._kind = kind_of(self._path)
        self._collector = Collector(strict=spec is not None)
        self._progress = progress
        self._num_workers = num_workers
        self._max_total_bytes = max_total_bytes
        self._max_ahead_bytes = max_ahead_bytes
        self._entries: list[Entry] = []
        self._array: U8 | None = None
        self._spec = spec
        self._classes: list[bytes] = []
        self._list(spec, limit, classes=classes)
        self._tally = Tally(self._names, spec, self._collector)
        self._tally.check_count(self._num_files)
        self._digests: list[bytes] = []
        self._shape = (0, 0, 0)  # height, width, channels
        self._num_bytes = 0
        self.failed = self._collector.has_errors

    @property
    def num_images(self) -> int:
        """The largest number of images that can come."""
        return len(self._names)

    def _list(self, spec: SubmissionSpec | None, limit: int | None, *, classes: bool) -> None:
        """List what to read, and report everything else in the source."""
        if self._kind in ("folder", "zip"):
            listing = list_source(self._path, self._kind, self._collector, classes=classes)
            self._classes = listing.classes
            self._num_files = listing.num_images
            self._entries, self._names = _allowed(
                listing.entries[:limit], listing.names[:limit], spec, self._collector
            )
            return
        read = read_array(self._path, self._kind, self._collector, array_name=self._array_name)
        array = None if read is None else read.images
        self._array_name = None if read is None else read.array_name
        self._num_files = 0 if array is None else len(array)
        self._names = index_names(self._num_files)[:limit]
        self._array = None if array is None else array[:limit]
        if spec is not None and self._kind not in spec.formats:
            name = self._path.name.encode(errors="surrogateescape")
            self._collector.add("format-not-allowed", [name], _formats(self._kind, spec))

    def blocks(self, is_cancelled: Callable[[], bool] = lambda: False) -> Generator[Block]:
        """Yield the images in order until a finding is an error.

        The pass continues to the end of the source in any case, to find all problems. It stops
        soon after `is_cancelled` returns true.
        """
        source = self._decoded(is_cancelled) if self._array is None else self._sliced(self._array)
        with contextlib.closing(source) as blocks:
            for block in blocks:
                if is_cancelled():
                    return
                self._check(block)
                if not self.failed:
                    yield block
        self._tally.check()
        self.failed = self._collector.has_errors

    def _check(self, block: Block) -> None:
        self._num_bytes += block.images.nbytes
        limit = self._max_total_bytes
        if limit is not None and self._num_bytes - block.images.nbytes <= limit < self._num_bytes:
            self._collector.add("too-much-data", [], f"more than {limit:,} bytes", 1)
        is_open = self._tally.add(block)
        self.failed = self.failed or not is_open or self._collector.has_errors
        if not self.failed:
            self._digests += block.digests
            height, width, channels = block.images.shape[1:]
            self._shape = (height, width, max(channels, self._shape[2]))

    def _decoded(self, is_cancelled: Callable[[], bool]) -> Generator[Block]:
        runs = decode(
            self._path,
            self._entries,
            num_workers=self._num_workers,
            size=self._size,
            progress=self._progress,
            max_ahead_bytes=self._max_ahead_bytes,
            is_cancelled=is_cancelled,
        )
        for run in runs:
            if run.note:
                affected = self._names[run.start : run.start + run.count]
                self._collector.add(run.note, affected, run.detail)
                self.failed = self.failed or self._collector.has_errors
            for place, height, width in run.resized:
                self._tally.note_resized(run.start + place, height, width)
            if run.kind != "rejected":
                yield make_block(run.start, pixels_of(run))

    def _sliced(self, array: U8) -> Generator[Block]:
        height, width, channels = array.shape[1:]
        target = self._size or (height, width)
        step = BLOCK_BYTES // (channels * max(height * width, target[0] * target[1]))
        step = max(1, min(step, BLOCK_IMAGES))
        for start in range(0, len(array), step):
            part = array[start : start + step]
            if target != (height, width):
                part = resize_array(part, target)
                for place in range(start, start + len(part)):
                    self._tally.note_resized(place, height, width)
            yield make_block(start, part)

    def report(self) -> AuditReport:
        """Return what was found, once `blocks` is exhausted."""
        return AuditReport(
            source=sanitise(str(self._source), 400),
            kind=self._kind,
            findings=self._collector.findings(),
            images=None,
            num_files=self._num_files,
            command=_command(self._source, self._spec),
            identity=None if self.failed else identify(self._names, self._digests, *self._shape),
            array_name=self._array_name,
            class_names=tuple(sanitise(name) for name in self._classes),
            labels=self._labels(),
        )

    def _labels(self) -> NDArray[np.int64] | None:
        """Return the position of each image's class among the sorted classes; None without them."""
        if not self._classes:
            return None
        number = {name: label for label, name in enumerate(self._classes)}
        return np.array([number[name.partition(b"/")[0]] for name in self._names], np.int64)


def _command(path: str | Path, spec: SubmissionSpec | None) -> str:
    """Return the command line of an audit; a spec that is not built in is called FILE."""
    source = shlex.quote(sanitise(str(path), 400))
    if spec is None:
        return f"latentbench audit {source}"
    return f"latentbench audit {source} --spec {spec.name if is_builtin(spec) else 'FILE'}"


def _checked_resize(resize: tuple[int, int] | None, spec: SubmissionSpec | None) -> Size | None:
    if resize is None:
        return None
    size = check_size(resize)
    if spec is not None:
        raise UsageError(
            f"resize to {size.width}x{size.height} px: spec {sanitise(spec.name)} is about the "
            "images as they are handed in; leave out one of the two options"
        )
    return size


def _allowed(
    entries: list[Entry], names: list[bytes], spec: SubmissionSpec | None, collector: Collector
) -> tuple[list[Entry], list[bytes]]:
    """Return the files whose extension the spec accepts; the others become findings."""
    if spec is None:
        return entries, names
    accepted, accepted_names = [], []
    for entry, name in zip(entries, names, strict=True):
        found = format_of_name(name)
        if found in spec.formats:
            accepted.append(entry)
            accepted_names.append(name)
        else:
            collector.add("format-not-allowed", [name], _formats(str(found), spec))
    return accepted, accepted_names


def _formats(found: str, spec: SubmissionSpec) -> str:
    return f"{found.upper()}, expected {', '.join(spec.formats).upper()}"


def pixels_of(run: Run) -> U8:
    """Return the pixels (uint8 n,H,W,C) of a run that was not rejected."""
    data = np.frombuffer(run.data, np.uint8)
    if run.kind == "scanlines":
        return unfilter(data.reshape(run.count, run.height, -1), run.channels)
    return data.reshape(run.count, run.height, run.width, run.channels)
