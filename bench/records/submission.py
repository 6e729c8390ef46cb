"""How a record identifies a submission: name, origin, size and digests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from bench.records.score_record import Kind, Submission

if TYPE_CHECKING:
    from bench.intake import SetIdentity, Size


def submission_name(path: str | Path) -> str:
    """Return the last two parts of a path as given, since many folders are called `samples`.

    A path that ends in dots is made absolute first.

    >>> submission_name("runs/team-a/samples/")
    'team-a/samples'
    """
    given = Path(os.path.normpath(path))
    if given.name in ("", ".."):
        given = given.absolute().resolve()
    return "/".join(part for part in given.parts[-2:] if part not in ("/", ".."))


def submission_of(
    identity: SetIdentity,
    *,
    name: str,
    source: str,
    kind: Kind,
    resize: Size | None,
    array: str | None = None,
) -> Submission:
    """Return what a record says of images that were read from `source` and resized to `resize`.

    `array` is the name of the array of an npz file. `name` must be printable;
    `bench.intake.sanitise` makes any text so.
    """
    return Submission(
        name=name,
        source=source,
        kind=kind,
        num_images=identity.num_images,
        height_px=identity.height,
        width_px=identity.width,
        channels=3 if identity.channels == 3 else 1,
        resize=None if resize is None else f"{resize.width}x{resize.height}",
        array=array,
        digest=identity.digest,
        pixel_digest=identity.pixel_digest,
        sequence_digest=identity.sequence_digest,
    )
