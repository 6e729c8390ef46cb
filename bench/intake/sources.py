"""What kind of source a path is, and the image files in a folder or zip."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from bench.errors import NothingFoundError, UsageError
from bench.intake.archive import list_archive
from bench.intake.findings import Collector
from bench.intake.folder import Listing, list_folder
from bench.runtime.printable import sanitise

Kind = Literal["folder", "zip", "npz", "npy", "idx"]
ACCEPTED = "a folder or a .zip of images, a .npz or .npy with uint8 N,H,W[,C], or an MNIST idx file"


def kind_of(path: Path) -> Kind:
    """Return the kind of a path, by its name and its first bytes.

    Raises `UsageError` for a path that does not exist, cannot be read, or is of no known kind.
    """
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
    """List a folder or zip. Raises `NothingFoundError` if nothing in it is named like an image."""
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
