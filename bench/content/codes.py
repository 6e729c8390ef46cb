"""Everything that can be found about the content of images: one literal table.

`message` says what is wrong in general; the figures of the case follow it. A score of images with
an `error` means nothing; a `warning` is a fault to mend; an `info` is worth knowing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.records.score_record import FindingEntry

NUM_EXAMPLES = 5


class ContentCode(NamedTuple):
    severity: str
    message: str
    fix: str


_SAVE = (
    "Bring the generator's output to 0..255 before saving: (x + 1) * 127.5 for tanh, x * 255 for "
    "a sigmoid; round, clip, convert to uint8."
)
_COLLAPSE = (
    "Look at the picture of the largest group. The generator may ignore its latent vector (mode "
    "collapse): check that every image has a latent vector of its own, and that batch norm is in "
    "evaluation mode; train with a weaker discriminator, or stop earlier."
)

CONTENT_CODES: dict[str, ContentCode] = {
    "constant-images": ContentCode(
        "warning",
        "images of one grey level only",
        "Look at these files: the generator has failed (NaN, saturation), or its output was scaled "
        "wrongly before saving.",
    ),
    "exact-duplicates": ContentCode(
        "warning",
        "images that are equal to another image of the folder in every pixel",
        "Draw a new latent vector for every image, and do not save a batch twice.",
    ),
    "collapse": ContentCode("warning", "groups of images that are nearly the same", _COLLAPSE),
    "class-imbalance": ContentCode(
        "warning",
        "classes come much more or much less often than in the data",
        "Sample the classes evenly if the model takes a class; else the generator prefers some "
        "modes: compare the shares at an earlier checkpoint.",
    ),
    "missing-classes": ContentCode(
        "warning",
        "classes are missing",
        "The generator has dropped these modes: check that training saw them, and the shares at an "
        "earlier checkpoint.",
    ),
    "value-range-unit": ContentCode(
        "error",
        "floats between 0 and 1 saved as grey levels 0 and 1",
        "Multiply by 255 and round before converting to uint8.",
    ),
    "value-range-tanh": ContentCode(
        "warning",
        "looks like a tanh output (-1 to 1) saved without rescaling, so that the lower half of "
        "the range is clipped to black",
        "Save (x + 1) * 127.5 instead of x * 255 (torchvision: save_image(..., normalize=True, "
        "value_range=(-1, 1))).",
    ),
    "value-range-wrapped": ContentCode(
        "warning",
        "looks like negative values converted to uint8 without clipping, so that they wrapped "
        "around",
        _SAVE,
    ),
    "value-range-twice": ContentCode(
        "warning",
        "looks like values of 0 to 1 rescaled as if they were -1 to 1, so that black became grey",
        "Save x * 255 instead of (x + 1) * 127.5.",
    ),
    "value-range-narrow": ContentCode(
        "warning", "the images use a part of the grey levels only", _SAVE
    ),
    "value-range-clipped": ContentCode(
        "warning", "many more pixels are at the end of the range than in the data", _SAVE
    ),
    "value-range-saturated": ContentCode(
        "warning",
        "nearly all pixels are pure black or pure white",
        "Save the generator's output itself, neither thresholded nor with its contrast raised.",
    ),
    "inverted-polarity": ContentCode(
        "warning",
        "the images look inverted: dark where the data is bright",
        "Save 255 - x, or invert as the training data was inverted.",
    ),
    "blurred": ContentCode(
        "warning",
        "the images are blurred",
        "Expected of a plain VAE or autoencoder; else check resizing and the last layer. The FID "
        "punishes it.",
    ),
    "oversharp": ContentCode(
        "warning",
        "the images have more fine detail than the data",
        "Look for checkerboard patterns, ringing, jagged edges or resizing without a filter.",
    ),
    "noisy": ContentCode(
        "warning",
        "the images are noisy",
        "Look at flat parts: save the mean instead of a sample of the last layer or of the last "
        "diffusion step, and train longer.",
    ),
    "lossy-origin": ContentCode(
        "warning",
        "the images bear the 8x8 blocks of JPEG although they may be in a lossless file now",
        "Save PNG straight from the generator; do not pass through JPEG.",
    ),
    "copied-training-images": ContentCode(
        "warning",
        "images are copies of training images",
        "Make sure that these are samples, not training data or reconstructions. A generator that "
        "gives copies has memorised its data: less capacity, more data, or earlier stopping.",
    ),
}


def content_finding(
    code: str,
    count: int,
    detail: str,
    figures: Mapping[str, float],
    *,
    examples: tuple[str, ...] = (),
    severity: str | None = None,
) -> FindingEntry:
    """One finding; `detail` tells the figures, `severity` stands in for that of the table."""
    row = CONTENT_CODES[code]
    return FindingEntry(
        code=code,
        severity=severity or row.severity,  # type: ignore[arg-type]
        count=count,
        examples=examples,
        message=f"{row.message}: {detail}",
        fix=row.fix,
        figures={name: float(value) for name, value in figures.items()},
    )


def first_places(rows: NDArray[np.int64]) -> tuple[str, ...]:
    """The first few positions, as examples of a finding."""
    return tuple(str(row) for row in rows[:NUM_EXAMPLES].tolist())


def share_of(count: int, total: int) -> str:
    """How many of all, for people."""
    share = 100 * count / total
    return f"{count:,} of {total:,} images ({share:.{0 if share >= 10 else 1}f} %)"
