"""`repair`: a corrected copy of a submission, with all of its images or not at all.

Palettes, opaque alpha, fewer than 8 bits, other lossless formats and R=G=B become 8-bit grey or RGB
PNG with the same pixels. Nearly grey images (see `image_set.NEAR_GREY`) become grey, their ITU-R
BT.601 luma, if the spec asks for grey or no image of the submission is coloured. Without a spec,
JPEG becomes PNG with the pixels that a score would read.

Images that would need a guess (16 bits, real transparency, damaged files, a size or colour other
than the spec's, lossy compression that a spec does not accept) cannot be repaired. They are listed,
and no copy is written: a copy with fewer images would be another submission.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.errors import UsageError
from bench.intake.arrays import index_names, read_array
from bench.intake.decoder import decode
from bench.intake.findings import Collector, Finding
from bench.intake.formats import format_of_name
from bench.intake.image_set import NEAR_GREY, U8, colour_of
from bench.intake.names import is_clean, split_array_name
from bench.intake.reading import pixels_of
from bench.intake.sources import kind_of, list_source
from bench.intake.spec import SubmissionSpec
from bench.runtime.printable import sanitise
from bench.runtime.progress import CountProgress


@dataclass(frozen=True)
class RepairReport:
    """The result of `repair`.

    `num_images` counts what is named like an image, or the images of an array. `converted` lists
    the files that were converted; the others have the pixels and the mode that they had.
    `refused` lists what cannot be repaired, and what is no image, such as folders and notes. `out`
    is None, and `num_written` is 0, if any image cannot be repaired.
    """

    source: str
    out: Path | None
    num_images: int
    num_written: int
    converted: tuple[Finding, ...]
    refused: tuple[Finding, ...]


def repair(
    path: str | Path,
    out: Path,
    *,
    spec: SubmissionSpec | None = None,
    progress: CountProgress | None = None,
    num_workers: int | None = None,
) -> RepairReport:
    """Write a corrected copy of a submission to the new folder `out`, completely or not at all.

    `path` is a folder, zip, npz, npy or idx file. With `spec`, every image of the copy meets it.
    If any image cannot be repaired, nothing is written. `progress` and `num_workers` are those of
    `audit`. Raises `UsageError` if `out` exists and is not an empty folder, if it lies inside the
    source, or if the spec does not accept PNG; also raises what `audit` raises.

    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/images.npy", np.zeros((3, 28, 28), np.uint8))
    ...     report = repair(f"{folder}/images.npy", Path(folder) / "fixed")
    ...     sorted(path.name for path in report.out.iterdir())
    ['0.png', '1.png', '2.png']
    """
    source, array_name = split_array_name(path)
    kind = kind_of(source)
    _check_target(source, out, spec)
    refused = Collector(strict=spec is not None)
    writer = _Writer(spec, refused)
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        if kind in ("folder", "zip"):
            listing = list_source(source, kind, refused)
            num_images = listing.num_images
            temporary.mkdir(parents=True)
            writer.open(temporary, listing.names)
            for run in decode(
                source, listing.entries, num_workers=num_workers, convert=True, progress=progress
            ):
                names = listing.names[run.start : run.start + run.count]
                if run.kind == "rejected":
                    refused.add(run.note, names, run.detail)
                else:
                    writer.write(run.start, pixels_of(run), run.note)
        else:
            read = read_array(source, kind, refused, array_name=array_name)
            num_images = 0 if read is None else len(read.images)
            temporary.mkdir(parents=True)
            if read is not None:
                writer.open(temporary, [name + b".png" for name in index_names(num_images)])
                writer.write(0, read.images, "")
        writer.finish()
        is_complete = 0 < num_images == writer.num_written
        if is_complete:
            temporary.replace(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return RepairReport(
        source=sanitise(str(source), 400),
        out=out if is_complete else None,
        num_images=num_images,
        num_written=writer.num_written if is_complete else 0,
        converted=writer.converted.findings(),
        refused=tuple(finding for finding in refused.findings() if finding.code != "bad-name"),
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
    """A writer of PNG files to one folder; what the spec does not accept goes to `refused`."""

    def __init__(self, spec: SubmissionSpec | None, refused: Collector) -> None:
        self.converted = Collector()
        self.num_written = 0
        self._spec = spec
        self._mode = "any" if spec is None else spec.mode
        self._refused = refused
        self._names: list[bytes] = []
        self._targets: list[Path] = []
        self._near_grey: list[int] = []  # positions, written as they are
        self._has_colour = False

    def open(self, folder: Path, names: list[bytes]) -> None:
        self._names = names
        self._targets = [folder / target for target in target_names(names)]

    def write(self, start: int, images: U8, note: str) -> None:
        """Write images (uint8 n,H,W,C); `note` is the code of what they were converted from."""
        colour = colour_of(images).tolist()
        for i, image in enumerate(images, start):
            name = self._names[i]
            refusal = self._refuse(name, image, colour[i - start], note)
            if refusal is not None:
                self._refused.add(refusal[0], [name], refusal[1])
                continue
            for code in self._save(i, image, colour[i - start], note):
                self.converted.add(code, [name])
            if not is_clean(name):
                self.converted.add("bad-name", [name])
            self.num_written += 1

    def _refuse(self, name: bytes, image: U8, colour: int, note: str) -> tuple[str, str] | None:
        """Return the code and the detail of what the spec does not accept."""
        spec = self._spec
        if spec is None:
            return None
        if note == "lossy-format" and not _accepts_lossy(spec, name):
            return note, ""
        height, width = image.shape[:2]
        if (height, width) != (spec.height_px or height, spec.width_px or width):
            return "wrong-size", f"{width}x{height} px"
        if spec.mode == "grey" and colour > NEAR_GREY:
            return "wrong-mode", "coloured, expected grey"
        return None

    def _save(self, position: int, image: U8, colour: int, note: str) -> Iterator[str]:
        """Save one image in the mode that the spec asks for; yield codes of the changes."""
        if note:
            yield note
        if self._mode == "rgb":
            if image.shape[2] == 1:
                yield "wrong-mode"
                image = image.repeat(3, axis=2)
        elif image.shape[2] == 3:
            if colour == 0:
                yield "grey-as-rgb"
                image = image[..., :1]
            elif colour > NEAR_GREY:
                self._has_colour = True
            else:
                self._near_grey.append(position)
        _save_png(image, self._targets[position])

    def finish(self) -> None:
        """Make nearly grey images grey, once it is known that the submission is not coloured."""
        if self._has_colour and self._mode != "grey":
            return
        from PIL import Image

        for position in self._near_grey:
            with Image.open(self._targets[position]) as image:
                grey = np.asarray(image.convert("L"))
            self._targets[position].unlink()
            _save_png(grey[..., None], self._targets[position])
            self.converted.add("near-grey", [self._names[position]])


def _accepts_lossy(spec: SubmissionSpec, name: bytes) -> bool:
    """Return whether a spec accepts the loss that files of this name have."""
    found = format_of_name(name)
    return found != "png" and found in spec.formats


def _save_png(image: U8, target: Path) -> None:
    """Save one image (uint8 H,W,C) to a new file."""
    from PIL import Image  # importing this module stays cheap

    pixels = image[..., 0] if image.shape[2] == 1 else image
    with target.open("xb") as stream:
        Image.fromarray(pixels).save(stream, "PNG")


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
