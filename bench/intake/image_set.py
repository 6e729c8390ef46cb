"""The images of a submission as one array, with digests that do not depend on how they came.

A pixel digest is SHA-256 over height, width and channels (three big-endian uint32) and the pixels
in C order, where an image with R=G=B counts as one channel. The same picture has the same digest as
grey PNG, as RGB PNG, in an npz and in an idx file.

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
from bench.intake.names import sanitise

U8 = NDArray[np.uint8]
_SHAPE = struct.Struct(">III")
_LENGTH = struct.Struct(">I")


@dataclass(frozen=True)
class SetIdentity:
    """What a set of images is, without its pixels.

    `names` are safe to print and sorted by the bytes of the file names. `digest` covers names and
    pixels, `pixel_digest` the pixels alone in any order (a zip and a folder of the same images are
    equal), `sequence_digest` the pixels in this order: the key for whatever depends on it. Sizes
    are in px; `channels` is 1 when every image is grey (R=G=B), else 3.
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
    """Checked images: uint8 N,H,W,C in the order of the names, and what they are."""

    images: U8 = field(compare=False, repr=False)  # the digests stand for it in comparisons
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


@dataclass(frozen=True)
class Block:
    """Neighbouring images of one shape.

    `start` counts from the first file, `file_channels` is what the file held, `images` uint8
    n,H,W,C has C = 1 when all of them are grey.
    """

    start: int
    file_channels: int
    images: U8
    is_grey: NDArray[np.bool_]  # n
    digests: list[bytes]


def make_block(start: int, images: U8) -> Block:
    """Block of uint8 n,H,W,C images: which are grey, and their pixel digests."""
    n, height, width, channels = images.shape
    if channels == 1:
        is_grey = np.ones(n, np.bool_)
    else:
        same = (images[..., 0] == images[..., 1]) & (images[..., 1] == images[..., 2])
        is_grey = same.all(axis=(1, 2))
    grey = np.ascontiguousarray(images[..., :1]) if is_grey.any() else images
    seeds = {c: hashlib.sha256(_SHAPE.pack(height, width, c)) for c in (1, 3)}
    digests = []
    for i, one_channel in enumerate(is_grey.tolist()):
        digest = seeds[1 if one_channel else 3].copy()
        digest.update((grey[i] if one_channel else np.ascontiguousarray(images[i])).data)
        digests.append(digest.digest())
    return Block(start, channels, grey if is_grey.all() else images, is_grey, digests)


def join(blocks: Sequence[Block]) -> U8:
    """Images (uint8 N,H,W,C) of blocks of one height and width, with 3 channels if any has 3."""
    channels = max(block.images.shape[3] for block in blocks)
    # A broadcast view costs nothing; concatenate copies each block once.
    return np.concatenate(
        [np.broadcast_to(b.images, (*b.images.shape[:3], channels)) for b in blocks]
    )


def identify(
    names: Sequence[bytes], digests: Sequence[bytes], height: int, width: int, channels: int
) -> SetIdentity:
    """Identity of images from the pixel digest of each, in the order of `names`."""
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
    """Join blocks of one height and width that cover `names` without gaps."""
    ordered = sorted(blocks, key=lambda block: block.start)
    images = join(ordered)
    digests = [digest for block in ordered for digest in block.digests]
    return ImageSet(images, identify(names, digests, *images.shape[1:]))


def _named_digest(names: Sequence[bytes], digests: Sequence[bytes]) -> str:
    """SHA-256 over length, name and pixel digest of every image, sorted by name."""
    pairs = sorted(zip(names, digests, strict=True))
    parts = [_LENGTH.pack(len(name)) + name + digest for name, digest in pairs]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def image_set_of(images: U8) -> ImageSet:
    """Images that are in memory already, uint8 N,H,W,C with C 1 or 3, named by their index.

    Raises `InputError` for any other shape or dtype.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3):
        raise InputError(
            f"images must be uint8 N,H,W,C with C 1 or 3, got {images.dtype} {images.shape}"
        )
    if 0 in images.shape:
        raise InputError(f"images of shape {images.shape} hold nothing")
    width = len(str(len(images) - 1))
    names = [b"%0*d" % (width, i) for i in range(len(images))]
    return assemble([make_block(0, images)], names)
