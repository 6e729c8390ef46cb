"""What kind of source a path is, and the image files in a folder or zip."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Literal

from bench.errors import NothingFoundError, UsageError, reason_of
from bench.intake.archive import list_archive
from bench.intake.findings import Collector
from bench.intake.folder import Listing, list_folder
from bench.intake.formats import format_of_content
from bench.runtime.printable import sanitise

TORCH_SUFFIXES = (".pt", ".pth", ".ckpt")
TORCH_HEAD_BYTES = 512
OTHER_SUFFIXES = {".pkl": "pickle", ".pickle": "pickle", ".safetensors": "safetensors"}
_TO_PNG = "save them as PNG."
CONVERTED = {  # what to do with files that are often taken for images
    b"gif": "GIF has a palette and several frames; save every frame as PNG, before GIF rounds it.",
    b"svg": "SVG is drawn, not stored in pixels; save PNG.",
    b"pt": "tensors of PyTorch are not read; save images as PNG, or one npz file.",
    b"pth": "tensors of PyTorch are not read; save images as PNG, or one npz file.",
    b"npy": "give one of them, or save all images in one array.",
    b"npz": "give one of them, or save all images in one array.",
    b"heic": _TO_PNG,
    b"avif": _TO_PNG,
    b"jxl": _TO_PNG,
    b"ppm": _TO_PNG,
    b"pgm": _TO_PNG,
    b"tga": _TO_PNG,
}
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
        raise UsageError(f"{shown} cannot be read: {reason_of(error)}") from error
    name = path.name.lower()
    if name.endswith((".npz", ".npy", ".zip")):
        return "npz" if name.endswith(".npz") else "npy" if name.endswith(".npy") else "zip"
    if name.endswith(TORCH_SUFFIXES) or _is_torch_archive(path, head):
        raise UsageError(
            f"{shown} is a file of PyTorch, which is never loaded, since that could "
            "run code. Save the images instead: numpy.savez('images.npz', images=...) with uint8 "
            "N,H,W,C; for a tensor x of 0..1 and N,C,H,W: "
            "(x * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()"
        )
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    idx_name = name.endswith((".idx", "ubyte", "ubyte.gz", ".idx.gz"))
    if head.startswith(b"\0\0\x08") or idx_name:
        return "idx"
    raise UsageError(
        f"{shown} is a single file of another kind{_known_as(name, head)}. Give {ACCEPTED}."
    )


def _is_torch_archive(path: Path, head: bytes) -> bool:
    """Return whether a zip is what `torch.save` writes, by the name of its first entry."""
    if not head.startswith(b"PK\x03\x04"):
        return False
    with path.open("rb") as stream:
        return b"/data.pkl" in stream.read(TORCH_HEAD_BYTES)


def _known_as(name: str, head: bytes) -> str:
    """Return what a file of another kind is, in brackets, if that is known."""
    found = format_of_content(head) or next(
        (kind for suffix, kind in OTHER_SUFFIXES.items() if name.endswith(suffix)), None
    )
    return "" if found is None else f" ({found.upper()})"


def _about_others(names: list[bytes]) -> str:
    """Return a sentence about files that are no images here, by their most common extension."""
    extensions = Counter(name.rpartition(b".")[2].lower() for name in names if b"." in name)
    if not extensions:
        return ""
    extension, count = max(extensions.items(), key=lambda item: (item[1], item[0]))
    files = f"{count:,} .{sanitise(extension, 20)} file{'' if count == 1 else 's'}"
    fix = CONVERTED.get(extension, "")
    return f" It holds {files}{': ' if fix else '.'}{fix}"


def list_source(
    source: Path, kind: Kind, collector: Collector, *, classes: bool = False
) -> Listing:
    """List a folder or zip; `classes` is that of `list_folder`.

    Raises `NothingFoundError` if nothing in it is named like an image.
    """
    lister = list_folder if kind == "folder" else list_archive
    listing = lister(source, collector, classes=classes)
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
        elif listing.others:
            hint = _about_others(listing.others)
        raise NothingFoundError(
            f"{shown} holds no image file (png, jpg, jpeg, webp, bmp, tif, tiff).{hint}"
        )
    return listing
