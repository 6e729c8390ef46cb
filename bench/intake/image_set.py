"""The images of a submission as one array, with digests that do not depend on the file format.

A pixel digest is SHA-256 over height, width and channels (three big-endian uint32) and the pixels
in C order; an image with R=G=B has one channel. A picture has the same digest as grey PNG, as RGB
PNG, in an npz file and in an idx file.

Shape legend: N images, H rows, W columns, C channels.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError
from bench.runtime.printable import sanitise

U8 = NDArray[np.uint8]
_SHAPE = struct.Struct(">III")
_LENGTH = struct.Struct(">I")


@dataclass(frozen=True)
class SetIdentity:
    """Names, sizes and digests of a set of images, without its pixels.

    `names` are safe to print and sorted by the bytes of the file names. `digest` covers names and
    pixels. `pixel_digest` covers the pixels in any order. `sequence_digest` covers the pixels in
    this order and is the cache key of whatever depends on it. `height` and `width` are in px;
    `channels` is 1 if every image is grey (R=G=B), else 3.
    """

    names: tuple[str, ...]
    digest: str
    pixel_digest: str
    sequence_digest: str
    height: int
    width: int
    channels: int

    @property
    def num_images(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class ImageSet:
    """Checked images, uint8 N,H,W,C in the order of the names, with their identity."""

    images: U8 = field(compare=False, repr=False)  # comparisons use the digests
    identity: SetIdentity

    @property
    def names(self) -> tuple[str, ...]:
        return self.identity.names

    @property
    def digest(self) -> str:
        return self.identity.digest

    @property
    def pixel_digest(self) -> str:
        return self.identity.pixel_digest

    @property
    def sequence_digest(self) -> str:
        return self.identity.sequence_digest


COLOUR_STEP_PX = 4  # between the pixels that tell whether an image is clearly coloured
NEAR_GREY = 2  # grey levels; channels that differ by no more are rounding, not colour


@dataclass(frozen=True)
class Block:
    """Consecutive images of one shape.

    `start` is the position of the first one. `file_channels` is the number of channels in the
    files; `images` (uint8 n,H,W,C) has C = 1 if all of them are grey. `colour` (uint8 n) is the
    largest difference between the channels of a pixel, in grey levels; of an image where it
    exceeds `NEAR_GREY`, it may be the largest among some of the pixels.
    """

    start: int
    file_channels: int
    images: U8
    colour: U8
    digests: list[bytes]

    @property
    def num_images(self) -> int:
        return len(self.colour)


def make_block(start: int, images: U8) -> Block:
    """Return images (uint8 n,H,W,C) as a block, with their pixel digests."""
    height, width, channels = images.shape[1:]
    colour = colour_of(images)
    is_grey = colour == 0
    grey = np.ascontiguousarray(images[..., :1]) if is_grey.any() else images
    seeds = {c: hashlib.sha256(_SHAPE.pack(height, width, c)) for c in (1, 3)}
    digests = []
    for i, one_channel in enumerate(is_grey.tolist()):
        digest = seeds[1 if one_channel else 3].copy()
        digest.update((grey[i] if one_channel else np.ascontiguousarray(images[i])).data)
        digests.append(digest.digest())
    return Block(start, channels, grey if is_grey.all() else images, colour, digests)


def colour_of(images: U8) -> U8:
    """Return the largest difference between the channels of a pixel of each image, uint8 n.

    Images are uint8 n,H,W,C. A sample of the pixels is looked at first, and all of them only of
    images whose sample is nearly grey.

    >>> colour_of(np.array([[[[7, 7, 7]]], [[[7, 8, 7]]]], np.uint8)).tolist()
    [0, 1]
    """
    if images.shape[3] == 1:
        return np.zeros(len(images), np.uint8)
    colour = _largest_difference(images[:, ::COLOUR_STEP_PX, ::COLOUR_STEP_PX])
    open_ = np.flatnonzero(colour <= NEAR_GREY)
    if len(open_):
        colour[open_] = _largest_difference(images if len(open_) == len(images) else images[open_])
    return colour


def _largest_difference(images: U8) -> U8:
    red, green, blue = (images[..., channel] for channel in range(3))
    highest = np.maximum(np.maximum(red, green), blue)
    lowest = np.minimum(np.minimum(red, green), blue)
    return np.asarray((highest - lowest).max(axis=(1, 2)), np.uint8)


def join(blocks: Sequence[Block]) -> U8:
    """Join blocks of one height and width to uint8 N,H,W,C, with 3 channels if any has 3."""
    channels = max(block.images.shape[3] for block in blocks)
    # A broadcast view copies nothing; concatenate copies each block once.
    return np.concatenate(
        [np.broadcast_to(b.images, (*b.images.shape[:3], channels)) for b in blocks]
    )


def identify(
    names: Sequence[bytes], digests: Sequence[bytes], height: int, width: int, channels: int
) -> SetIdentity:
    """Return the identity of images from the pixel digest of each, in the order of `names`."""
    return SetIdentity(
        names=tuple(sanitise(name) for name in names),
        digest=_named_digest(names, digests),
        pixel_digest=hashlib.sha256(b"".join(sorted(digests))).hexdigest(),
        sequence_digest=hashlib.sha256(b"".join(digests)).hexdigest(),
        height=height,
        width=width,
        channels=channels,
    )


def assemble(blocks: Iterable[Block], names: Sequence[bytes]) -> ImageSet:
    """Return blocks of one height and width, which cover `names` without gaps, as a set."""
    ordered = sorted(blocks, key=lambda block: block.start)
    images = join(ordered)
    digests = [digest for block in ordered for digest in block.digests]
    return ImageSet(images, identify(names, digests, *images.shape[1:]))


def _named_digest(names: Sequence[bytes], digests: Sequence[bytes]) -> str:
    """Return SHA-256 over length, name and pixel digest of every image, sorted by name."""
    pairs = sorted(zip(names, digests, strict=True))
    parts = [_LENGTH.pack(len(name)) + name + digest for name, digest in pairs]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def image_set_of(images: U8) -> ImageSet:
    """Return images in memory (uint8 N,H,W,C with C 1 or 3) as a set, named by their index.

    Raises `InputError` for any other shape or dtype, and for an empty array.

    >>> image_set = image_set_of(np.zeros((12, 28, 28, 1), np.uint8))
    >>> image_set.names[:2], image_set.identity.num_images
    (('00', '01'), 12)
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3):
        raise InputError(
            f"images must be uint8 N,H,W,C with C 1 or 3, got {images.dtype} {images.shape}"
        )
    if 0 in images.shape:
        raise InputError(f"images of shape {images.shape} have no pixels")
    width = len(str(len(images) - 1))
    names = [b"%0*d" % (width, i) for i in range(len(images))]
    return assemble([make_block(0, images)], names)
