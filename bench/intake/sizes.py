"""The size to which images are resized on request: "64x48" is 64 px wide and 48 px high.

The filter is Pillow's `Image.resize` with BICUBIC on uint8, rounded to uint8; it widens the filter
when it shrinks an image (antialiasing). People write the width first, arrays have the height first;
`Size` names both.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from bench.errors import UsageError
from bench.runtime.printable import sanitise

MIN_RESIZED_PX = 8
MAX_RESIZED_PX = 2048

_SIZE = re.compile(r"([0-9]{1,9})(?:[xX]([0-9]{1,9}))?")


class Size(NamedTuple):
    """Height and width of an image in pixels."""

    height: int
    width: int


def parse_size(text: str) -> Size:
    """Return the size that `text` gives as WIDTHxHEIGHT, or as one number for a square.

    Raises `UsageError` for another form, and for a side outside 8 to 2048 px.

    >>> parse_size("64x48")
    Size(height=48, width=64)
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f"size {sanitise(text, 40)!r}: expected WIDTHxHEIGHT in pixels, such as 64x48, "
            "or one number for a square, such as 64"
        )
    width, height = match[1], match[2] or match[1]
    return check_size((int(height), int(width)))


def check_size(size: tuple[int, int]) -> Size:
    """Return (height, width) as a `Size`. Raises `UsageError` for a side outside 8 to 2048 px."""
    height, width = size
    if not (
        MIN_RESIZED_PX <= height <= MAX_RESIZED_PX and MIN_RESIZED_PX <= width <= MAX_RESIZED_PX
    ):
        raise UsageError(
            f"images cannot be resized to {width}x{height} px (width x height): "
            f"each side must be {MIN_RESIZED_PX} to {MAX_RESIZED_PX} px"
        )
    return Size(height, width)
