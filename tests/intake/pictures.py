"""Images and files for the intake tests, made without code of `bench`."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

U8 = NDArray[np.uint8]
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def digit(seed: int, size: int = 28) -> U8:
    """A blurred stroke, uint8 size,size: smooth edges on black, as a digit has."""
    rng = np.random.default_rng(seed)
    canvas = Image.new("L", (4 * size, 4 * size))
    points = [tuple(p) for p in rng.integers(size // 2, 4 * size - size // 2, (4, 2)).tolist()]
    ImageDraw.Draw(canvas).line(points, fill=255, width=size // 3, joint="curve")
    return np.asarray(canvas.resize((size, size), Image.Resampling.LANCZOS))


def encode(image: Image.Image | U8, format_name: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(buffer, format_name, **options)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def header(width: int, height: int, depth: int = 8, colour: int = 0, interlace: int = 0) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))


def raw_png(head: bytes, stream: bytes, before: bytes = b"", after: bytes = b"") -> bytes:
    """Return a PNG with any header and scanline stream, and chunks before and after the image."""
    return (
        SIGNATURE + head + before + chunk(b"IDAT", zlib.compress(stream)) + after + chunk(b"IEND")
    )


def make_folder(path: Path, num_images: int, size: int = 28) -> Path:
    """Write grey PNGs named 0000.png, 0001.png and so on."""
    path.mkdir(parents=True, exist_ok=True)
    for i in range(num_images):
        (path / f"{i:04d}.png").write_bytes(encode(digit(i, size)))
    return path


def linked_folder(path: Path, num_images: int) -> Path:
    """RGB PNGs with 120,000 bytes of pixels; ten of them differ, the others are hard links."""
    path.mkdir()
    rng = np.random.default_rng(0)
    for i in range(min(10, num_images)):
        small = rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)
        (path / f"{i:05d}.png").write_bytes(encode(small.repeat(40, axis=0).repeat(40, axis=1)))
    for i in range(10, num_images):
        os.link(path / f"{i % 10:05d}.png", path / f"{i:05d}.png")
    return path
