"""Copies of training images in a folder: exact ones and near ones.

An exact copy has the hash of a training image. Candidates for near copies are the pairs whose
descriptors are close under shifts by up to one pixel each way. If the training images are on this
machine, the pixels decide (those of thumbnails, for images above 64 px): the root mean square
difference, minimised over these shifts. That finds copies with noise of a standard deviation up to
8, JPEG copies down to quality 75, and shifts by a pixel. Without training images, a smaller
distance of the descriptors decides alone. Copies that lost a bright edge by a shift are missed
either way: of clothes that fill the image, one in ten with pixels and half without.

Real images that the generator never saw are rarely as close. A reference holds how often held-out
images are, and the near copies in a folder are reported if they exceed that rate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.content.facts import ContentFacts
from bench.content.nearest import SHIFTS, NearIndex, Pairs
from bench.content.thumbnails import thumbnails

RADIUS_WITH_PIXELS = 0.10
RADIUS_ALONE = 0.05
NEAR_RMS = 10.0  # grey levels: noise of sd 8, JPEG of quality 75
CLOSE_RMS = 4.0  # grey levels, hardly visible; real images are further apart
CANDIDATES = 4  # training images per image whose pixels are compared, the nearest by descriptor
COMPARED_BYTES = 64 << 20  # of thumbnails of training images
PAIR_BLOCK = 512
NUM_SHOWN = 32
FALSE_ALARM = 0.001
ASSUMED_RATE = 0.002  # share of real images that pass for near copies, if it is not known
MIN_CHECKED = 1_000  # held-out images that suffice to know that rate

# Training images (or their thumbnails) by row, uint8 n,H,W,C; None if they are not available.
TrainingPixels = Callable[[NDArray[np.int64]], NDArray[np.uint8] | None]


class CopyBase(NamedTuple):
    """Training images to compare with: `hashes` (uint64 N) of all of them, and an index `near` of
    the descriptors of those at `rows` (int64 M).
    """

    hashes: NDArray[np.uint64]
    near: NearIndex
    rows: NDArray[np.int64]


class CopyRates(NamedTuple):
    """How many of `num_checked` held-out real images pass for copies: equal ones (within one grey
    level), close ones, all (`num_near`), and all if only descriptors are compared (`num_alone`).
    """

    num_checked: int
    num_equal: int
    num_close: int
    num_near: int
    num_alone: int


@dataclass(frozen=True)
class Copies:
    """The P copies in a folder.

    `rows` (int64 P, sorted) are their positions, `training_rows` the training images that they
    are copies of, `distances` (float32 P) root mean square differences in grey levels: 0 for
    exact copies, NaN if pixels were not compared. `shown` indexes up to 32 of the copies for
    pictures, and `shown_training` (uint8 n,h,w,C) holds thumbnails of their training images.
    """

    rows: NDArray[np.int64]
    training_rows: NDArray[np.int64]
    distances: NDArray[np.float32]
    num_exact: int
    num_within_one: int  # not exact, but no pixel differs by more than 1
    verified: bool  # whether pixels of training images were compared
    shown: NDArray[np.int64]
    shown_training: NDArray[np.uint8]

    @property
    def num_equal(self) -> int:
        """Number of exact copies and of those within one grey level."""
        return self.num_exact + self.num_within_one

    @property
    def num_near(self) -> int:
        """Number of the other copies."""
        return len(self.rows) - self.num_equal

    @property
    def num_close(self) -> int:
        """Number of copies with a distance of at most 4 grey levels, exact ones included."""
        return int((self.distances <= CLOSE_RMS).sum())


class _Near(NamedTuple):
    """Near copies, each with one training image, whose thumbnail is in `pictures`."""

    rows: NDArray[np.int64]
    training_rows: NDArray[np.int64]
    distances: NDArray[np.float32]
    within_one: NDArray[np.bool_]
    pictures: NDArray[np.uint8] | None


def find_copies(
    facts: ContentFacts, base: CopyBase, training_pixels: TrainingPixels | None
) -> Copies:
    """Return the copies in a folder whose images have the size of the training images."""
    exact, exact_training = _exact(facts.hashes, base.hashes)
    query = facts.descriptors.astype(np.float32)
    query[np.isin(facts.descriptor_rows, exact)] = 0  # zeros pair with nothing
    radius = RADIUS_ALONE if training_pixels is None else RADIUS_WITH_PIXELS
    pairs = _nearest_few(
        base.near.pairs(query, radius, height=facts.height_px, width=facts.width_px)
    )
    pairs = Pairs(facts.descriptor_rows[pairs.query], base.rows[pairs.base], pairs.distance)
    near = _compared(facts, pairs, training_pixels)
    rows = np.concatenate([exact, near.rows])
    order = np.argsort(rows, kind="stable")
    within_one = np.concatenate([np.zeros(len(exact), np.bool_), near.within_one])[order]
    shown, pictures = _pictures(facts, exact, near, order)
    return Copies(
        rows=rows[order],
        training_rows=np.concatenate([exact_training, near.training_rows])[order],
        distances=np.concatenate([np.zeros(len(exact), np.float32), near.distances])[order],
        num_exact=len(exact),
        num_within_one=int(within_one.sum()),
        verified=near.pictures is not None,
        shown=shown,
        shown_training=pictures,
    )


def _exact(
    hashes: NDArray[np.uint64], training: NDArray[np.uint64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows whose hash is that of a training image, and the first such training row."""
    order = np.argsort(training, kind="stable")
    found = order[np.searchsorted(training[order], hashes).clip(0, len(training) - 1)]
    rows = np.flatnonzero(training[found] == hashes)
    return rows, found[rows]


def _nearest_few(pairs: Pairs) -> Pairs:
    """Return the nearest `CANDIDATES` of each query, nearest first."""
    order = np.lexsort((pairs.base, pairs.distance, pairs.query))
    query = pairs.query[order]
    rank = np.arange(len(query)) - np.searchsorted(query, query)
    chosen = order[rank < CANDIDATES]
    return Pairs(pairs.query[chosen], pairs.base[chosen], pairs.distance[chosen])


def _compared(facts: ContentFacts, pairs: Pairs, training_pixels: TrainingPixels | None) -> _Near:
    """Return the near copies among candidates, judged by their pixels where both are available."""
    with_pixels = np.isin(pairs.query, facts.thumbnail_rows)
    rms = np.full(len(pairs.query), np.nan, np.float32)
    within_one = np.zeros(len(rms), np.bool_)
    wanted = np.unique(pairs.base[with_pixels])
    wanted = wanted[: COMPARED_BYTES // facts.thumbnails[0].nbytes]
    with_pixels &= np.isin(pairs.base, wanted)
    pictures = None
    if training_pixels is not None and len(wanted):
        pixels = training_pixels(wanted)
        pictures = None if pixels is None else thumbnails(pixels)
    if pictures is not None:
        places = np.flatnonzero(with_pixels)
        own = np.searchsorted(facts.thumbnail_rows, pairs.query[places])
        other = np.searchsorted(wanted, pairs.base[places])
        for start in range(0, len(places), PAIR_BLOCK):
            part = slice(start, start + PAIR_BLOCK)
            found = _difference(facts.thumbnails[own[part]], pictures[other[part]])
            rms[places[part]], within_one[places[part]] = found
    alone = np.isnan(rms) & (pairs.distance <= RADIUS_ALONE)
    order = np.lexsort((pairs.distance, np.where(np.isnan(rms), np.inf, rms), pairs.query))
    order = order[((rms <= NEAR_RMS) | alone)[order]]
    rows, first = np.unique(pairs.query[order], return_index=True)
    best = order[first]
    if pictures is not None:
        place = np.searchsorted(wanted, pairs.base[best]).clip(0, max(len(wanted) - 1, 0))
        pictures = pictures[place]
    return _Near(rows, pairs.base[best], rms[best], within_one[best], pictures)


def _difference(
    own: NDArray[np.uint8], other: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the differences of pairs of images, uint8 P,h,w,C.

    The first result is the root mean square difference without the outermost pixels, minimised
    over shifts of the second image by a pixel; the second, whether no pixel differs by more than 1.
    """
    x, y = own.astype(np.int16), other.astype(np.int16)
    bottom, side = x.shape[1] - 1, x.shape[2] - 1
    within_one = (np.abs(x - y) <= 1).reshape(len(x), -1).all(axis=1)
    least = np.full(len(x), np.inf, np.float32)
    for down, right in SHIFTS:
        moved = y[:, 1 + down : bottom + down, 1 + right : side + right]
        apart = (x[:, 1:bottom, 1:side] - moved).reshape(len(x), -1).astype(np.float32)
        least = np.minimum(least, np.sqrt((apart**2).mean(axis=1)))
    return least, within_one


def _pictures(
    facts: ContentFacts, exact: NDArray[np.int64], near: _Near, order: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Choose the copies to show, evenly spread, and return thumbnails of their training images."""
    rows = np.concatenate([exact, near.rows])[order]
    can_show = np.isin(rows, facts.thumbnail_rows)
    if near.pictures is None:
        can_show &= order < len(exact)
    places = np.flatnonzero(can_show)
    step = max(1, -(-len(places) // NUM_SHOWN))
    places = places[::step]
    own = facts.thumbnails[np.searchsorted(facts.thumbnail_rows, rows[places])]
    shown = own.copy()  # of an exact copy, the training image is the image
    for i, place in enumerate(order[places]):
        if place >= len(exact) and near.pictures is not None:
            shown[i] = near.pictures[place - len(exact)]
    return places, shown


def real_rate(num_found: int, num_checked: int) -> float:
    """Return the estimated share of real images that pass for near copies.

    One is added to the count of held-out images that do: that none did does not mean that none
    ever will. If fewer than 1,000 were checked, the rate is at least 0.2 %.

    >>> real_rate(14, 9_999)
    0.0015
    """
    if not num_checked:
        return ASSUMED_RATE
    rate = (num_found + 1) / (num_checked + 1)
    return rate if num_checked >= MIN_CHECKED else max(ASSUMED_RATE, rate)


def least_count(num_images: int, rate: float) -> int:
    """Return the number of copies from which on a folder is reported, at least 1.

    The probability that the same number of real images, of which the share `rate` pass for copies,
    contains that many is at most 0.1 %.

    >>> least_count(1_000, 0.001)  # one is expected; 6 or more have a probability of 0.06 %
    6
    """
    from scipy.special import bdtrc

    count = np.arange(1, num_images + 1)
    rare = bdtrc(count - 1, num_images, rate) <= FALSE_ALARM
    return int(count[rare.argmax()]) if rare.any() else num_images + 1
