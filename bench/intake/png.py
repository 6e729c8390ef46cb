"""A strict PNG reader: it checks every chunk, every CRC and the exact size of the image stream.

Decoders are usually lenient: Pillow accepts a missing IEND, a wrong IDAT CRC and a stream with half
of the rows. Standard library only.

Source: Portable Network Graphics (third edition), W3C, sections 5.2 (signature), 5.3 to 5.6 (chunk
layout, CRC, order), 7.2 (scanlines), 8.1 (Adam7), 9.2 (filter types), 10.1 (zlib stream), 11.2
(critical chunks).
"""

from __future__ import annotations

import re
import struct
import zlib
from typing import NamedTuple

from bench.intake.formats import PNG_SIGNATURE, Rejected, refuse_oversized

BIT_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # colour type -> samples per pixel
PLAIN = [b"IHDR", b"IDAT", b"IEND"]
CRITICAL_ORDER = re.compile(rb"IHDR(PLTE)?(IDAT)+IEND")
MAX_CHUNKS = 20_000  # libpng writes one per 8 KiB, which makes 8,192 of the largest file
APNG = {b"acTL", b"fcTL", b"fdAT"}
ADAM7 = (  # x start, y start, x step, y step of the seven passes
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)

_CHUNK_HEAD = struct.Struct(">I4s")
_CRC = struct.Struct(">I")
_IHDR = struct.Struct(">IIBBBBB")


class Png(NamedTuple):
    """A correct PNG: its header, its chunks and its inflated stream of filtered scanlines."""

    width: int
    height: int
    bit_depth: int
    colour_type: int
    interlaced: bool
    kinds: list[bytes]  # chunk types in the order of the file
    spans: list[tuple[int, int]]  # start and end of the content of each chunk
    stream: bytes

    @property
    def is_plain(self) -> bool:
        """Whether it is 8-bit grey or RGB without interlacing or a transparent colour.

        Such a file needs no decoder.
        """
        return (
            self.bit_depth == 8
            and self.colour_type in (0, 2)
            and not self.interlaced
            and (len(self.kinds) == 3 or b"tRNS" not in self.kinds)
        )


def walk(data: bytes) -> Png:
    """Check the whole file and inflate its image stream.

    Raises `Rejected`: `png-truncated`, `png-damaged`, `png-structure`, `png-trailing`,
    `png-half-rows`, `image-bomb` or `animated`.
    """
    kinds, spans = _chunks(data)
    if kinds != PLAIN:
        _check_order(kinds)
    begin, end = spans[0]
    if end - begin != 13:
        raise Rejected("png-structure", f"IHDR of {end - begin} bytes instead of 13")
    width, height, depth, colour, compression, filtering, interlace = _IHDR.unpack_from(data, begin)
    if depth not in BIT_DEPTHS.get(colour, ()) or not width or not height:
        raise Rejected("png-structure", f"{width}x{height} px, depth {depth}, colour type {colour}")
    if compression or filtering or interlace > 1:
        raise Rejected("png-structure", "unknown compression, filter or interlace method")
    if (colour == 3 and b"PLTE" not in kinds) or (colour in (0, 4) and b"PLTE" in kinds):
        raise Rejected("png-structure", "palette chunk does not fit the colour type")
    refuse_oversized(width, height)
    if len(kinds) == 3:
        begin, end = spans[1]
        packed = data[begin:end]
    else:
        packed = b"".join(
            data[begin:end]
            for kind, (begin, end) in zip(kinds, spans, strict=True)
            if kind == b"IDAT"
        )
    bits = depth * SAMPLES[colour]
    passes = _passes(width, height, bits) if interlace else [(height, (width * bits + 7) // 8 + 1)]
    stream = _inflate(packed, passes)
    return Png(width, height, depth, colour, bool(interlace), kinds, spans, stream)


def essential(data: bytes, png: Png) -> bytes:
    """Return the file with only those chunks that a decoder needs for the pixels."""
    chunks = [
        data[begin - 8 : end + 4]
        for kind, (begin, end) in zip(png.kinds, png.spans, strict=True)
        if kind in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
    ]
    return PNG_SIGNATURE + b"".join(chunks)


def _chunks(data: bytes) -> tuple[list[bytes], list[tuple[int, int]]]:
    """Return the types and content spans of all chunks up to IEND, which must end the file."""
    kinds: list[bytes] = []
    spans: list[tuple[int, int]] = []
    view = memoryview(data)
    position, size, kind = len(PNG_SIGNATURE), len(data), b""
    while kind != b"IEND":
        if position + 12 > size:
            raise Rejected("png-truncated", "ends before the closing IEND chunk")
        length, kind = _CHUNK_HEAD.unpack_from(data, position)
        end = position + 8 + length
        if end + 4 > size:
            raise Rejected("png-truncated", "ends inside a chunk")
        if zlib.crc32(view[position + 4 : end]) != _CRC.unpack_from(data, end)[0]:
            raise Rejected("png-damaged", "checksum (CRC) of a chunk is wrong")
        if len(kinds) == MAX_CHUNKS:
            raise Rejected("png-structure", f"more than {MAX_CHUNKS:,} chunks")
        kinds.append(kind)
        spans.append((position + 8, end))
        position = end + 4
    if position != size:
        raise Rejected("png-trailing", "bytes after the end of the image")
    if spans[-1][0] != spans[-1][1]:
        raise Rejected("png-structure", "IEND chunk is not empty")
    return kinds, spans


def _check_order(kinds: list[bytes]) -> None:
    if APNG.intersection(kinds):
        raise Rejected("animated", "APNG chunks")
    if not all(kind.isalpha() for kind in kinds):
        raise Rejected("png-structure", "a chunk type that is not four letters")
    critical = b"".join(kind for kind in kinds if kind[:1].isupper())
    if kinds[0] != b"IHDR" or not CRITICAL_ORDER.fullmatch(critical):
        raise Rejected(
            "png-structure", "critical chunks unknown, missing, repeated or out of order"
        )
    first = kinds.index(b"IDAT")
    count = kinds.count(b"IDAT")
    if kinds[first : first + count] != [b"IDAT"] * count:
        raise Rejected("png-structure", "IDAT chunks are not consecutive")
    if kinds.count(b"tRNS") > 1 or b"tRNS" in kinds[first:]:
        raise Rejected("png-structure", "tRNS chunk repeated or after the image")


def _passes(width: int, height: int, bits: int) -> list[tuple[int, int]]:
    """Return rows, and bytes per row with the filter byte, of each Adam7 pass with pixels."""
    passes = []
    for x0, y0, dx, dy in ADAM7:
        columns, rows = (width - x0 + dx - 1) // dx, (height - y0 + dy - 1) // dy
        if columns > 0 and rows > 0:
            passes.append((rows, (columns * bits + 7) // 8 + 1))
    return passes


def _inflate(packed: bytes, passes: list[tuple[int, int]]) -> bytes:
    """Return the stream, which must have the expected size, end there and use filters 0 to 4."""
    expected = sum(rows * stride for rows, stride in passes)
    inflater = zlib.decompressobj()
    try:
        stream = inflater.decompress(packed, expected + 1)
    except zlib.error as error:
        raise Rejected("png-damaged", "compressed data is invalid") from error
    if len(stream) > expected:
        raise Rejected("png-damaged", "more image data than the header states")
    if not inflater.eof:
        raise Rejected("png-damaged", "compressed data has no end")
    if len(stream) < expected:
        raise Rejected("png-half-rows", f"{100 * len(stream) // expected} % of the image data")
    if inflater.unused_data:
        raise Rejected("png-damaged", "bytes after the compressed data")
    start = 0
    for rows, stride in passes:
        if max(stream[start : start + rows * stride : stride]) > 4:
            raise Rejected("png-damaged", "unknown row filter")
        start += rows * stride
    return stream
