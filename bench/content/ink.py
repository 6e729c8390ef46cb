"""The ink of bright images on a black background: what a wrong scale does to it, whatever is drawn.

Shares of all pixels depend on which classes a folder holds and on the width of the strokes. Four
quantities do not, and tell apart how values were scaled before they were saved:

    shoulder  how much more frequent nearly black levels are than levels above them, among the ink.
              Edges that end in black give a shoulder: 0.40 for MNIST, and more for the softer edges
              of generators. It vanishes when everything below the middle was cut off, because the
              density of levels is smooth there (-0.08 for MNIST cut off, 0.22 at most for ours)
    zeros     share of level 0 in the darkest parts of the frame, of the images that are cleanest
              there. Noise of any strength leaves at least half of the zeros of a black background,
              and less than half of one at level 1
    dips      share of the ink that lies 96 levels below both of its neighbours in a row or column
    pile      share of the ink at level 255 exactly

Shape legend: N images, H rows, W columns, P pixel positions, 256 grey levels.
"""

from __future__ import annotations

from math import ceil
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from bench.content.facts import ContentFacts
from bench.statistics.moments import subset_rows

F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]

INK = 16  # the lowest level of ink
MIN_BACKGROUND = 0.4  # share of pixels below `INK` from which on a data set has a black background
NUM_IMAGES = 2_048  # whose pixels are looked at
NUM_DARKEST = 128  # pixel positions
CLEANEST = 0.25  # of the images; half of the positions choose them, the other half is measured
NOISE_QUANTILE = 0.995  # of the levels at the darkest positions
MARGIN = 1.6  # ink begins this far above that quantile: 4 sd of normal noise
DIP, DIP_LOW, DIP_HIGH = 96, 24, 96  # depth of a dip, and levels between which its bottom lies
OVERDISPERSION = 3.0  # variance of counts of pixels over Poisson's: pixels come in strokes


class Shoulder(NamedTuple):
    """Two bands of grey levels: `near` levels from the start of the ink, then `gap` others, then
    `far` levels. `least` is the lowest start; `share` is where the threshold lies between the
    values of cut-off and of real images. The first one that tells both apart is used.
    """

    least: int
    near: int
    gap: int
    far: int
    share: float

    def measure(self, counts: F64, start: int) -> tuple[float, float]:
        """Return log of the mean count of the near band over that of the far one, and the
        standard error. It is 0 with an infinite error if a band is empty.

        >>> round(Shoulder(16, 2, 0, 2, 0.5).measure(np.full(256, 10.0), 16)[0], 3)
        0.0
        """
        start = max(start, self.least)
        far_from = start + self.near + self.gap
        near = float(counts[start : start + self.near].sum())
        far = float(counts[far_from : far_from + self.far].sum())
        if near <= 0 or far <= 0 or far_from + self.far > len(counts):
            return 0.0, float("inf")
        error = (OVERDISPERSION * (1 / near + 1 / far)) ** 0.5
        return float(np.log(near / self.near) - np.log(far / self.far)), error


class Ink(NamedTuple):
    """What the pixels of a folder tell about its ink; see the module's docstring.

    `start` is the lowest level that noise on the background does not reach, and `spread` the range
    of the middle 99 % of the background's levels. `num_dark` pixels were looked at for `zeros`.
    Large images have thumbnails, whose levels are averages: `start`, `spread` and `num_dark` are 0
    then, and `zeros` and `dips` are NaN.
    """

    start: int
    spread: float
    zeros: float
    num_dark: int
    dips: float
    pile: float

    @classmethod
    def of(cls, facts: ContentFacts) -> Self:
        """Return what is known from the facts about a folder."""
        counts = facts.histogram
        pile = float(counts[255] / max(int(counts[INK:].sum()), 1))
        shown = facts.thumbnails[subset_rows(len(facts.thumbnails), NUM_IMAGES)]
        if shown.shape[1:3] != (facts.height_px, facts.width_px) or not len(shown):
            return cls(0, 0.0, float("nan"), 0, float("nan"), pile)
        levels = shown.mean(axis=3).astype(np.uint8) if shown.shape[3] > 1 else shown[..., 0]
        choosing, dark = _darkest(levels)
        low, high = np.quantile(dark, [1 - NOISE_QUANTILE, NOISE_QUANTILE]).tolist()
        cleanest = np.argsort(choosing.mean(axis=1), kind="stable")
        dark = dark[cleanest[: max(1, int(CLEANEST * len(dark)))]]
        zeros = float((dark == 0).mean())
        return cls(ceil(MARGIN * high), high - low, zeros, dark.size, _dips(levels), pile)


def _darkest(levels_NHW: U8) -> tuple[U8, U8]:
    """Return the levels at the darkest positions, in two halves N/2,P.

    Every other image chooses the positions, by their mean level; the levels are those of the other
    images, since the levels that made a position the darkest would be too dark.
    """
    flat = levels_NHW.reshape(len(levels_NHW), -1)
    choosing, measured = (flat[::2], flat[1::2]) if len(flat) > 1 else (flat, flat)
    order = np.argsort(choosing.mean(axis=0, dtype=np.float64), kind="stable")
    return measured[:, order[:NUM_DARKEST:2]], measured[:, order[1:NUM_DARKEST:2]]


def _dips(levels_NHW: U8) -> float:
    """Return the number of dips per pixel of ink; a pixel counts once a direction.

    >>> round(_dips(np.array([[[0, 200, 50, 255, 0]]], np.uint8)), 3)
    0.333
    """
    x = levels_NHW.astype(np.int16)
    num_ink = int((x >= DIP_LOW).sum())
    if not num_ink:
        return 0.0
    count = 0
    for before, here, after in (
        (x[:, :, :-2], x[:, :, 1:-1], x[:, :, 2:]),
        (x[:, :-2], x[:, 1:-1], x[:, 2:]),
    ):
        inside = (here >= DIP_LOW) & (here < DIP_HIGH)
        count += int((inside & (np.minimum(before, after) >= here + DIP)).sum())
    return count / num_ink
