"""`ContentObserver`: summarises the images of a folder in one pass over blocks of them.

The summary does not depend on how the images are cut into blocks: they are regrouped into groups
of a fixed number, counted from the first image.

Shape legend: n images, H rows, W columns, C channels.
"""

from __future__ import annotations

import hashlib
import struct

import numpy as np
from numpy.typing import NDArray

from bench.content.descriptors import descriptors
from bench.content.facts import ContentFacts
from bench.content.statistics import image_statistics
from bench.content.thumbnails import thumbnail_px, thumbnails
from bench.errors import InputError
from bench.statistics.moments import subset_rows

GROUP_IMAGES = 256
GROUP_PIXELS = 1 << 20  # in a group of larger images, of at least one image
MAX_STATISTIC_IMAGES, MIN_STATISTIC_IMAGES = 2_048, 64
STATISTIC_PIXELS = 32 << 20
MAX_DESCRIPTORS = 200_000
THUMBNAIL_BYTES = 32 << 20  # counted with 3 channels, whatever the images have

U8 = NDArray[np.uint8]
_SHAPE = struct.Struct(">III")


class ContentObserver:
    """A one-pass summary of up to `num_images` images, which `add` takes in blocks.

    Fewer images may come, since unreadable files are known only once they are read. The images
    whose statistics and thumbnails are kept are chosen by `num_images`. Raises `InputError` for a
    number below 1.

    >>> observer = ContentObserver(3)
    >>> observer.add(np.zeros((2, 28, 28, 1), np.uint8))
    >>> observer.facts().num_images
    2
    """

    def __init__(self, num_images: int) -> None:
        if num_images < 1:
            raise InputError(f"the content of {num_images} images: expected at least 1")
        self._num_images = num_images
        self._done = 0
        self._waiting: list[U8] = []
        self._grey_pixels = np.zeros(256, np.int64)  # of grey images
        self._colour_values = np.zeros(256, np.int64)  # of all channels of the others
        self._parts: dict[str, list[NDArray[np.generic]]] = {}
        self._grey = True

    def add(self, images: U8) -> None:
        """Take the next images, uint8 n,H,W,C with C 1 or 3.

        Raises `InputError` for another dtype or shape, for images of another size than the ones
        before, and for more images than announced.
        """
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3):
            raise InputError(f"expected images uint8 n,H,W,C, got {images.dtype} {images.shape}")
        if 0 in images.shape:
            return
        if not self._parts and not self._waiting:
            self._choose(*images.shape[1:3])
        if images.shape[1:3] != self._size:
            raise InputError(f"images of {images.shape[1:3]} px after images of {self._size} px")
        self._waiting.append(images)
        num_waiting = sum(map(len, self._waiting))
        if self._done + num_waiting > self._num_images:
            raise InputError(f"more images than the {self._num_images:,} expected")
        if num_waiting >= self._group:
            self._reduce_waiting(num_waiting // self._group * self._group)

    def _choose(self, height: int, width: int) -> None:
        """Set what depends on the size of the images: the groups, and the choices of images."""
        self._size = height, width
        pixels = height * width
        self._group = max(1, min(GROUP_IMAGES, GROUP_PIXELS // pixels))
        most = min(MAX_STATISTIC_IMAGES, max(MIN_STATISTIC_IMAGES, STATISTIC_PIXELS // pixels))
        shown = max(1, THUMBNAIL_BYTES // (3 * int(np.prod(thumbnail_px(height, width)))))
        self._rows = {
            "statistic": subset_rows(self._num_images, most),
            "descriptor": subset_rows(self._num_images, MAX_DESCRIPTORS),
            "thumbnail": subset_rows(self._num_images, shown),
        }

    def _reduce_waiting(self, num_images: int) -> None:
        """Reduce the first `num_images` that wait, group by group."""
        channels = max(block.shape[3] for block in self._waiting)
        images = self._waiting[0]
        if len(self._waiting) > 1:
            images = np.concatenate(
                [np.broadcast_to(b, (*b.shape[:3], channels)) for b in self._waiting]
            )
        for start in range(0, num_images, self._group):
            self._reduce(images[start : min(start + self._group, num_images)])
        rest = images[num_images:]
        self._waiting = [rest.copy()] if len(rest) else []

    def _reduce(self, images: U8) -> None:
        luma, is_grey = _luma(images)
        self._grey &= bool(is_grey.all())
        flat = luma.reshape(len(luma), -1)
        self._count(images, flat, is_grey)
        self._keep("lows", flat.min(axis=1))
        self._keep("highs", flat.max(axis=1))
        self._keep("hashes", image_hashes(images, luma, is_grey))
        self._keep("statistics", image_statistics(luma[self._among("statistic", len(luma))]))
        of = self._among("descriptor", len(luma))
        self._keep("descriptors", descriptors(luma[of]).astype(np.float16))
        shown = images[self._among("thumbnail", len(luma))]
        self._keep("thumbnails", thumbnails(shown[..., :1] if is_grey.all() else shown))
        self._done += len(luma)

    def _count(self, images: U8, flat: U8, is_grey: NDArray[np.bool_]) -> None:
        if is_grey.all():
            self._grey_pixels += np.bincount(flat.ravel(), minlength=256)
        else:
            self._grey_pixels += np.bincount(flat[is_grey].ravel(), minlength=256)
            self._colour_values += np.bincount(images[~is_grey].ravel(), minlength=256)

    def _among(self, kind: str, num_images: int) -> NDArray[np.int64]:
        """Return which of the next images belong to a choice."""
        rows = self._rows[kind]
        first, last = np.searchsorted(rows, (self._done, self._done + num_images))
        return np.asarray(rows[first:last] - self._done)

    def _keep(self, name: str, values: NDArray[np.generic]) -> None:
        self._parts.setdefault(name, []).append(values)

    def facts(self) -> ContentFacts:
        """Return the summary of all images so far. Raises `InputError` if there were none."""
        if self._waiting:
            self._reduce_waiting(sum(map(len, self._waiting)))
        if not self._done:
            raise InputError("there were no images to summarise")
        channels = 1 if self._grey else 3
        shown = [
            np.broadcast_to(part[..., :channels], (*part.shape[:3], channels))
            for part in self._parts["thumbnails"]
        ]
        rows = {kind: rows[rows < self._done] for kind, rows in self._rows.items()}
        joined = {
            name: np.concatenate(self._parts[name])
            for name in ("lows", "highs", "hashes", "statistics", "descriptors")
        }
        return ContentFacts(
            num_images=self._done,
            height_px=self._size[0],
            width_px=self._size[1],
            channels=channels,
            histogram=channels * self._grey_pixels + self._colour_values,
            statistic_rows=rows["statistic"],
            descriptor_rows=rows["descriptor"],
            thumbnail_rows=rows["thumbnail"],
            thumbnails=np.concatenate(shown),
            **joined,
        )


def content_facts(images: U8) -> ContentFacts:
    """Return the summary of images in memory, uint8 N,H,W,C with C 1 or 3. Raises `InputError`.

    >>> content_facts(np.full((4, 28, 28, 1), 200, np.uint8)).highs.tolist()
    [200, 200, 200, 200]
    """
    observer = ContentObserver(len(images))
    for start in range(0, len(images), GROUP_IMAGES):
        observer.add(images[start : start + GROUP_IMAGES])
    return observer.facts()


def _luma(images: U8) -> tuple[U8, NDArray[np.bool_]]:
    """Return the luma (uint8 n,H,W; the grey level where R=G=B), and which images are grey."""
    if images.shape[3] == 1:
        return images[..., 0], np.ones(len(images), np.bool_)
    red, green, blue = (images[..., channel].astype(np.int32) for channel in range(3))
    is_grey = ((red == green) & (green == blue)).all(axis=(1, 2))
    luma = (299 * red + 587 * green + 114 * blue + 500) // 1000
    return luma.astype(np.uint8), is_grey


def image_hashes(
    images: U8, luma: U8 | None = None, is_grey: NDArray[np.bool_] | None = None
) -> NDArray[np.uint64]:
    """Return 64 bits of BLAKE2 over size and pixels of each image, uint64 n.

    R=G=B counts as grey. The probability that any two of 100,000 different images agree is 3e-10.
    """
    if luma is None or is_grey is None:
        luma, is_grey = _luma(images)
    luma = np.ascontiguousarray(luma)
    height, width = luma.shape[1:]
    start = {c: hashlib.blake2b(_SHAPE.pack(height, width, c), digest_size=8) for c in (1, 3)}
    digests = []
    for i, grey in enumerate(is_grey.tolist()):
        digest = start[1 if grey else 3].copy()
        digest.update((luma[i] if grey else np.ascontiguousarray(images[i])).data)
        digests.append(digest.digest())
    return np.frombuffer(b"".join(digests), ">u8").astype(np.uint64)
