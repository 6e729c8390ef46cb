"""Which files count as images, how each format is recognised, and the limits of size.

Standard library only: the decoding process imports this file and must start in milliseconds.
"""

from __future__ import annotations

from typing import NamedTuple


class Rejected(Exception):
    """One file is refused: `code` is a key of `codes.CODES`, `detail` says what was seen."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail


class Decoded(NamedTuple):
    """One image: `data` is h*w*c pixels, or h filtered PNG scanlines of 1 + w*c bytes each."""

    kind: str  # "pixels" | "scanlines"
    height: int
    width: int
    channels: int  # 1 | 3
    note: str  # code of a finding about a file that could still be read, or ""
    data: bytes
    resized_from: tuple[int, int] | None = None  # height, width in the file, if they differ


MAX_SIDE_PX = 4096
MAX_FILE_BYTES = 64 << 20
MAX_TOTAL_BYTES = 16 << 30  # decoded pixels of one folder or zip
MAX_ARRAY_BYTES = 2 << 30  # one npz, npy or idx
# Blank images, which are a finding about content, shrink as far as deflate can (about 1,030 to 1).
# So a high ratio is refused only for an array that inflates to more than RATIO_FREE_BYTES.
MAX_RATIO = 200
RATIO_FREE_BYTES = 256 << 20

EXTENSIONS = {
    b"png": "png",
    b"jpg": "jpeg",
    b"jpeg": "jpeg",
    b"webp": "webp",
    b"bmp": "bmp",
    b"tif": "tiff",
    b"tiff": "tiff",
}
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
SIGNATURES = {  # png and webp are checked first
    b"\xff\xd8\xff": "jpeg",
    b"BM": "bmp",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
    b"GIF8": "gif",
    b"%!PS": "eps",
    b"%PDF": "pdf",
    b"\0\0\x01\0": "ico",
}


def format_of_name(name: bytes) -> str | None:
    """Return the format that the extension states ("png", "jpeg", ...), or None."""
    if name.endswith(b".png") and len(name) > 4:  # nearly every file
        return "png"
    stem, dot, extension = name.rpartition(b".")
    return EXTENSIONS.get(extension.lower()) if stem and dot else None


def format_of_content(data: bytes) -> str | None:
    """Return the format that the first bytes show, or None."""
    if data.startswith(PNG_SIGNATURE):
        return "png"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    return next((name for magic, name in SIGNATURES.items() if data.startswith(magic)), None)


def is_lossy(format_name: str, data: bytes) -> bool:
    """Return whether the pixels were compressed with loss (WebP says so in its first chunk)."""
    if format_name == "webp":
        return b"VP8L" not in data[12:64]
    return format_name == "jpeg"


def refuse_oversized(width: int, height: int) -> None:
    """Raise `Rejected` if a header claims a side of more than 4096 px."""
    if width > MAX_SIDE_PX or height > MAX_SIDE_PX:
        raise Rejected("image-bomb", f"header claims {width}x{height} px")
