"""Copies of training images in a folder: exact ones, and near ones.

An exact copy has the hash of a training image. For near copies the descriptors say which pairs
come into question, under shifts by up to one pixel each way. Where the training images are at
hand, the pixels of both (thumbnails, for images above 64 px) decide: the root mean square of
their difference, least over those shifts. That finds noise up to a standard deviation of 8, JPEG
down to quality 75 and shifts by a pixel. Without training images a smaller distance of the
descriptors decides alone. Either way copies are missed that lost a bright edge by a shift: of
clothes that fill the image, one in ten with pixels, half without.

Real images that the generator never saw may come as near, rarely: how often held-out images do is
part of a reference, and a folder's near copies are reported when they are more than that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrc

from bench.content.facts import ContentFacts
from bench.content.nearest import SHIFTS, NearIndex, Pairs
from bench.content.thumbnails import thumbnails

RADIUS_WITH_PIXELS = 0.10
RADIUS_ALONE = 0.05
NEAR_RMS = 10.0  # grey levels: noise of sd 8, JPEG of quality 75
CLOSE_RMS = 4.0  # hardly to be seen; real images are further apart
CANDIDATES = 4  # nearest descriptors of an image whose pixels are compared
COMPARED_BYTES = 64 << 20  # of thumbnails of training images
PAIR_BLOCK = 512
NUM_SHOWN = 32
FALSE_ALARM = 0.001
ASSUMED_RATE = 0.002  # of real images that pass for near copies, when nothing is known of them
MIN_CHECKED = 1_000  # held-out images that are enough to know a rate

# Training images (or their thumbnails) by row, uint8 n,H,W,C; None when they are not at hand.
TrainingPixels = Callable[[NDArray[np.int64]], NDArray[np.uint8] | None]


class CopyBase(NamedTuple):
    """Training images: `hashes` uint64 N, and `near` of those at `rows` int64 M."""

    hashes: NDArray[np.uint64]
    near: NearIndex
    rows: NDArray[np.int64]


class CopyRates(NamedTuple):
    """Of `num_checked` held-out real images, how many pass for copies: equal (within one grey
    level), close, all; and by descriptors alone.
    """

    num_checked: int
    num_equal: int
    num_close: int
    num_near: int
    num_alone: int


@dataclass(frozen=True)
class Copies:
    """`rows` int64 P of the folder, sorted, each with the training image it is a copy of,
    `training_rows`, and `distances` float32 P in grey levels (0 for exact ones, NaN where pixels
    were not compared). Of at most 32 of them, at the places `shown`, there are pictures:
    `shown_training` uint8 n,h,w,C are the thumbnails of the training images.
    """

    rows: NDArray[np.int64]
    training_rows: NDArray[np.int64]
    distances: NDArray[np.float32]
    num_exact: int
    num_within_one: int  # not exact, but no pixel differs by more than 1
    verified: bool  # pixels of training images were at hand
    shown: NDArray[np.int64]
    shown_training: NDArray[np.uint8]

    @property
    def num_equal(self) -> int:
        """Exact ones, and those within one grey level."""
        return self.num_exact + self.num_within_one

    @property
    def num_near(self) -> int:
        """The rest."""
        return len(self.rows) - self.num_equal

    @property
    def num_close(self) -> int:
        """Those, and others whose pixels differ very little."""
        return int((self.distances <= CLOSE_RMS).sum())


class _Near(NamedTuple):
    """Near copies, one training image each; `within_one` bool. `pictures` are thumbnails."""

    rows: NDArray[np.int64]
    training_rows: NDArray[np.int64]
    distances: NDArray[np.float32]
    within_one: NDArray[np.bool_]
    pictures: NDArray[np.uint8] | None


def find_copies(
    facts: ContentFacts, base: CopyBase, training_pixels: TrainingPixels | None
) -> Copies:
    """The copies in a folder, of images as large as the training images."""
    exact, exact_training = _exact(facts.hashes, base.hashes)
    query = facts.descriptors.astype(np.float32)
    query[np.isin(facts.descriptor_rows, exact)] = 0  # pairs with nothing
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
    """Rows whose hash is that of a training image, and the first such training row."""
    order = np.argsort(training, kind="stable")
    found = order[np.searchsorted(training[order], hashes).clip(0, len(training) - 1)]
    rows = np.flatnonzero(training[found] == hashes)
    return rows, found[rows]


def _nearest_few(pairs: Pairs) -> Pairs:
    """The nearest `CANDIDATES` of each query, nearest first."""
    order = np.lexsort((pairs.base, pairs.distance, pairs.query))
    query = pairs.query[order]
    rank = np.arange(len(query)) - np.searchsorted(query, query)
    kept = order[rank < CANDIDATES]
    return Pairs(pairs.query[kept], pairs.base[kept], pairs.distance[kept])


def _compared(facts: ContentFacts, pairs: Pairs, training_pixels: TrainingPixels | None) -> _Near:
    """Near copies among candidates: by their pixels as far as they are at hand."""
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
    """Of pairs of images uint8 P,h,w,C: the root mean square difference, least over shifts of the
    second by a pixel, without the outermost pixels; and whether no pixel differs by more than 1.
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
    """Which copies are shown, spread evenly, and the thumbnails of their training images."""
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
    """Share of real images that pass for near copies, by how many of the held-out ones do and one
    more: that none did does not mean that none ever will. Where few were checked, at least 0.2 %.
    """
    if not num_checked:
        return ASSUMED_RATE
    rate = (num_found + 1) / (num_checked + 1)
    return rate if num_checked >= MIN_CHECKED else max(ASSUMED_RATE, rate)


def least_count(num_images: int, rate: float) -> int:
    """How many copies a folder must hold to be reported: so many that as many real images, of which
    the share `rate` pass for copies, hold them with a probability of at most 0.1 %; at least 1.
    """
    count = np.arange(1, num_images + 1)
    rare = bdtrc(count - 1, num_images, rate) <= FALSE_ALARM
    return int(count[rare.argmax()]) if rare.any() else num_images + 1
