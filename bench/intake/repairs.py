"""`repair`: a corrected copy of a submission, without the images that would need a guess.

Palettes, opaque alpha, fewer than 8 bits, R=G=B and other lossless formats become 8-bit grey or RGB
PNG with the same pixels. Images that would need a guess (16 bits, real transparency, lossy
compression, damaged files, a size or colour other than the spec's) are left out and listed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.errors import UsageError
from bench.intake.arrays import index_names, read_array
from bench.intake.decoder import decode
from bench.intake.findings import Collector, Finding
from bench.intake.image_set import U8
from bench.intake.names import is_clean, sanitise
from bench.intake.reading import pixels_of
from bench.intake.sources import kind_of, list_source
from bench.intake.spec import SubmissionSpec
from bench.runtime.progress import CountProgress


@dataclass(frozen=True)
class RepairReport:
    """The result of `repair`.

    `converted` lists the files that were converted, `left_out` those that are missing from the copy
    and why. All other files have the pixels and the mode that they had. `out` is None if no image
    could be written.
    """

    source: str
    out: Path | None
    num_written: int
    converted: tuple[Finding, ...]
    left_out: tuple[Finding, ...]


def repair(
    path: str | Path,
    out: Path,
    *,
    spec: SubmissionSpec | None = None,
    progress: CountProgress | None = None,
    num_workers: int | None = None,
) -> RepairReport:
    """Write a corrected copy of a submission to the new folder `out`, completely or not at all.

    `path` is a folder, zip, npz, npy or idx file. With `spec`, images that do not meet it are left
    out. `progress` and `num_workers` are those of `audit`. Raises `UsageError` if `out` exists and
    is not an empty folder, if it lies inside the source, or if the spec does not accept PNG; also
    raises what `audit` raises.

    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/images.npy", np.zeros((3, 28, 28), np.uint8))
    ...     report = repair(f"{folder}/images.npy", Path(folder) / "fixed")
    ...     sorted(path.name for path in report.out.iterdir())
    ['0.png', '1.png', '2.png']
    """
    source = Path(path)
    kind = kind_of(source)
    _check_target(source, out, spec)
    left_out = Collector(strict=spec is not None)
    writer = _Writer(spec, left_out)
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        if kind in ("folder", "zip"):
            listing = list_source(source, kind, left_out)
            temporary.mkdir(parents=True)
            writer.open(temporary, listing.names)
            for run in decode(
                source, listing.entries, num_workers=num_workers, convert=True, progress=progress
            ):
                names = listing.names[run.start : run.start + run.count]
                if run.kind == "rejected":
                    left_out.add(run.note, names, run.detail)
                else:
                    writer.write(run.start, pixels_of(run), run.note)
        else:
            array = read_array(source, kind, left_out)
            temporary.mkdir(parents=True)
            if array is not None:
                writer.open(temporary, [name + b".png" for name in index_names(len(array))])
                writer.write(0, array, "")
        if writer.num_written:
            temporary.replace(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return RepairReport(
        source=sanitise(str(source), 400),
        out=out if writer.num_written else None,
        num_written=writer.num_written,
        converted=writer.converted.findings(),
        left_out=tuple(finding for finding in left_out.findings() if finding.code != "bad-name"),
    )


def _check_target(source: Path, out: Path, spec: SubmissionSpec | None) -> None:
    shown = sanitise(str(out), 400)
    if spec is not None and "png" not in spec.formats:
        raise UsageError(f"spec {spec.name} does not accept png, the format that repair writes")
    if os.path.lexists(out) and (out.is_symlink() or not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{shown} exists. Give a new folder for the corrected copy.")
    if out.resolve().is_relative_to(source.resolve()):
        raise UsageError(f"{shown} lies inside the submission. Give a folder outside of it.")


class _Writer:
    """A writer of PNG files to one folder, without images that the spec does not accept."""

    def __init__(self, spec: SubmissionSpec | None, left_out: Collector) -> None:
        self.converted = Collector()
        self.num_written = 0
        self._spec = spec
        self._left_out = left_out
        self._names: list[bytes] = []
        self._targets: list[Path] = []

    def open(self, folder: Path, names: list[bytes]) -> None:
        self._names = names
        self._targets = [folder / target for target in target_names(names)]

    def write(self, start: int, images: U8, note: str) -> None:
        """Write images (uint8 n,H,W,C); `note` is the code of what they were converted from."""
        for i, image in enumerate(images, start):
            name = self._names[i]
            if refusal := self._refuse(image):
                self._left_out.add(refusal, [name])
                continue
            for code in self._save(image, self._targets[i], note):
                self.converted.add(code, [name])
            if not is_clean(name):
                self.converted.add("bad-name", [name])
            self.num_written += 1

    def _refuse(self, image: U8) -> str:
        spec = self._spec
        if spec is None:
            return ""
        if image.shape[0] != (spec.height_px or image.shape[0]):
            return "wrong-size"
        if image.shape[1] != (spec.width_px or image.shape[1]):
            return "wrong-size"
        return "wrong-mode" if spec.mode == "grey" and not _is_grey(image) else ""

    def _save(self, image: U8, target: Path, note: str) -> Iterator[str]:
        """Save as grey PNG if R=G=B, unless the spec asks for RGB; yield codes of the changes."""
        from PIL import Image  # importing this module stays cheap

        if note:
            yield note
        wants_rgb = self._spec is not None and self._spec.mode == "rgb"
        if wants_rgb and image.shape[2] == 1:
            yield "wrong-mode"
            image = image.repeat(3, axis=2)
        elif not wants_rgb and image.shape[2] == 3 and _is_grey(image):
            yield "grey-as-rgb"
            image = image[..., :1]
        pixels = image[..., 0] if image.shape[2] == 1 else image
        with target.open("xb") as stream:
            Image.fromarray(pixels).save(stream, "PNG")


def _is_grey(image: U8) -> bool:
    return bool((image == image[..., :1]).all())


def target_names(names: list[bytes]) -> list[str]:
    """Return a file name ending in .png for each name, with the same stem if it is safe and free.

    >>> target_names([b"a.bmp", b"a.png"])
    ['a.png', 'a-2.png']
    """
    taken: set[str] = set()
    targets = []
    for name in names:
        stem = name.rpartition(b".")[0]
        text = stem.decode("utf-8") if is_clean(stem) else sanitise(stem)
        text = text.replace("\\", "_").replace("/", "_")
        target, copy = f"{text}.png", 1
        while target in taken:
            copy += 1
            target = f"{text}-{copy}.png"
        taken.add(target)
        targets.append(target)
    return targets
