"""The size that images are brought to, when a caller asks for one: "64x48" is 64 px wide, 48 high.

Source of the filter: Pillow's `Image.resize` with BICUBIC, which widens the filter when it shrinks
an image (antialiasing), on uint8 and rounding to uint8. Widths come first where people write sizes,
heights come first in arrays; `Size` says which is which.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from bench.errors import UsageError
from bench.intake.names import sanitise

MIN_RESIZED_PX = 8
MAX_RESIZED_PX = 2048

_SIZE = re.compile(r"([0-9]{1,9})(?:[xX]([0-9]{1,9}))?")


class Size(NamedTuple):
    """Pixels of a side."""

    height: int
    width: int


def parse_size(text: str) -> Size:
    """WIDTHxHEIGHT, such as "64x48", or one number for a square. Raises `UsageError`."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f"size {sanitise(text, 40)!r}: expected WIDTHxHEIGHT in pixels, such as 64x48, "
            "or one number for a square, such as 64"
        )
    width, height = match[1], match[2] or match[1]
    return check_size((int(height), int(width)))


def check_size(size: tuple[int, int]) -> Size:
    """(height, width) when images may be resized to it. Raises `UsageError`."""
    height, width = size
    if not (
        MIN_RESIZED_PX <= height <= MAX_RESIZED_PX and MIN_RESIZED_PX <= width <= MAX_RESIZED_PX
    ):
        raise UsageError(
            f"images cannot be resized to {width}x{height} px (width x height): "
            f"each side must be {MIN_RESIZED_PX} to {MAX_RESIZED_PX} px"
        )
    return Size(height, width)
