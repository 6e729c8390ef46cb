"""`Tally`: the number, sizes and colour modes of the images of a set, and what is wrong with them.

It keeps only a few bytes per image, so memory does not grow with the pixels.

Shape legend: N images.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from bench.intake.findings import Collector
from bench.intake.image_set import NEAR_GREY, Block
from bench.intake.spec import SubmissionSpec

# The colour mode in the file of an image; 0 if it was not read.
GREY, GREY_AS_RGB, NEARLY_GREY, COLOURED = 1, 2, 3, 4
SHOWN_SIZES = 10


class Tally:
    """A count of sizes and modes of the images called `names`.

    What does not fit the spec, or does not fit together, is added to `collector`.
    """

    def __init__(
        self, names: list[bytes], spec: SubmissionSpec | None, collector: Collector
    ) -> None:
        self._names = names
        self._spec = spec
        self._collector = collector
        self._sizes: dict[tuple[int, int], int] = {}  # (height, width) -> 1, 2, ...
        self._size_N = np.zeros(len(names), np.int32)  # 0: not read
        self._mode_N = np.zeros(len(names), np.uint8)
        self._near_grey_by = 0  # grey levels; the largest difference in a nearly grey image
        self._resized: list[bytes] = []
        self._sizes_in_files: Counter[tuple[int, int]] = Counter()

    def check_count(self, num_files: int) -> None:
        """Report a number of files other than the spec's; 0 stands for an unknown number."""
        expected = None if self._spec is None else self._spec.count
        if expected is not None and num_files not in (expected, 0):
            difference = abs(num_files - expected)
            detail = f"{num_files:,} images, expected {expected:,} ({difference:,} "
            detail += "too many)" if num_files > expected else "missing)"
            self._collector.add("wrong-count", [], detail, difference)

    def add(self, block: Block) -> bool:
        """Count the images of a block, and return whether the set may still be valid.

        Once it returns False, `check` reports an error.
        """
        size = block.images.shape[1:3]
        stop = block.start + block.num_images
        self._size_N[block.start : stop] = self._sizes.setdefault(size, len(self._sizes) + 1)
        is_near = block.colour <= NEAR_GREY
        in_rgb = np.where(is_near, NEARLY_GREY, COLOURED)
        in_rgb[block.colour == 0] = GREY_AS_RGB
        self._mode_N[block.start : stop] = GREY if block.file_channels == 1 else in_rgb
        if is_near.any():
            self._near_grey_by = max(self._near_grey_by, int(block.colour[is_near].max()))
        if len(self._sizes) > 1:
            return False
        if self._spec is None:
            return True
        height, width = self._spec.height_px, self._spec.width_px
        if size != (height or size[0], width or size[1]):
            return False
        if self._spec.mode == "rgb":
            return block.file_channels != 1
        return self._spec.mode == "any" or bool(is_near.all())

    def note_resized(self, place: int, height: int, width: int) -> None:
        """Note that the image at `place` had another size in its file."""
        self._resized.append(self._names[place])
        self._sizes_in_files[height, width] += 1

    def check(self) -> None:
        """Report sizes and modes, once every image has been counted."""
        if not self._sizes:
            return
        self._check_sizes()
        self._check_modes()

    def _check_sizes(self) -> None:
        counts = np.bincount(self._size_N, minlength=len(self._sizes) + 1).tolist()
        sizes = Counter({size: counts[number] for size, number in self._sizes.items()})
        usual = min(sizes, key=lambda size: (-sizes[size], size))
        code, expected = "mixed-sizes", usual
        if self._spec is not None and (self._spec.height_px or self._spec.width_px):
            code = "wrong-size"
            expected = (self._spec.height_px or usual[0], self._spec.width_px or usual[1])
        affected = (self._size_N != 0) & (self._size_N != self._sizes.get(expected, 0))
        height, width = expected
        if affected.any():
            note = f" (expected {width}x{height} px)" if code == "wrong-size" else ""
            self._collector.add(code, self._names_of(affected), _table(sizes) + note)
        if self._resized:
            detail = f"{_table(self._sizes_in_files)} (to {width}x{height} px)"
            self._collector.add("resized", self._resized, detail)

    def _check_modes(self) -> None:
        grey, grey_as_rgb, nearly_grey, coloured = (
            self._names_of(self._mode_N == mode)
            for mode in (GREY, GREY_AS_RGB, NEARLY_GREY, COLOURED)
        )
        mode = "any" if self._spec is None else self._spec.mode
        if mode == "grey" and coloured:
            self._collector.add("wrong-mode", coloured, "coloured, expected grey")
        elif mode == "rgb" and grey:
            self._collector.add("wrong-mode", grey, "grey, expected RGB")
        elif coloured and grey:
            self._collector.add("mixed-modes", grey)
        if nearly_grey and (mode == "grey" or (mode == "any" and not coloured)):
            self._collector.add("near-grey", nearly_grey, _levels(self._near_grey_by))
        if grey_as_rgb and not coloured:
            self._collector.add("grey-as-rgb", grey_as_rgb)

    def _names_of(self, chosen_N: NDArray[np.bool_]) -> list[bytes]:
        return [self._names[i] for i in np.flatnonzero(chosen_N).tolist()]


def _levels(number: int) -> str:
    """Return how far the channels of nearly grey images are apart."""
    return f"the channels of a pixel differ by up to {number} of 255 grey levels"


def _table(sizes: Counter[tuple[int, int]]) -> str:
    ordered = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))
    table = "; ".join(f"{w}x{h} px: {n:,}" for (h, w), n in ordered[:SHOWN_SIZES])
    more = len(ordered) - SHOWN_SIZES
    return table + (f"; and {more} more sizes" if more > 0 else "")
