"""What a record says of a submission before any number: name, origin, size, digests."""

from __future__ import annotations

import os
from pathlib import Path

from bench.intake import SetIdentity, Size, sanitise
from bench.records.score_record import Kind, Submission


def submission_name(path: str | Path) -> str:
    """The last two parts of a path as it was given, because every other team's folder is called
    `samples`; of the absolute path when it ends in dots.
    """
    given = Path(os.path.normpath(path))
    if given.name in ("", ".."):
        given = given.absolute().resolve()
    return "/".join(part for part in given.parts[-2:] if part not in ("/", ".."))


def submission_of(
    identity: SetIdentity, *, name: str, source: str, kind: Kind, resize: Size | None
) -> Submission:
    """The images of `identity`, read from `source` and brought to the size `resize`; control
    characters of the name are taken out.
    """
    return Submission(
        name=sanitise(name),
        source=source,
        kind=kind,
        num_images=identity.num_images,
        height_px=identity.height,
        width_px=identity.width,
        channels=3 if identity.channels == 3 else 1,
        resize=None if resize is None else f"{resize.width}x{resize.height}",
        digest=identity.digest,
        pixel_digest=identity.pixel_digest,
        sequence_digest=identity.sequence_digest,
    )
