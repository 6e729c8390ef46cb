"""Every kind of broken PNG that the strict reader must refuse."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bench.intake.formats import Rejected
from bench.intake.pixels import decode_image
from bench.intake.png import walk
from bench.intake.unfilter import unfilter
from tests.intake.pictures import SIGNATURE, chunk, digit, encode, header, raw_png

ROWS_4 = (b"\0" + b"\x10\x20\x30\x40") * 4  # 4x4 grey, filter None
PLAIN = raw_png(header(4, 4), ROWS_4)
IDAT = chunk(b"IDAT", zlib.compress(ROWS_4))


def code_of(data: bytes, name: bytes = b"a.png") -> str:
    with pytest.raises(Rejected) as caught:
        decode_image(data, name)
    return caught.value.code


def test_plain_png_passes():
    png = walk(PLAIN)
    assert (png.width, png.height, png.bit_depth, png.colour_type) == (4, 4, 8, 0)
    assert png.is_plain
    assert png.stream == ROWS_4


def test_every_truncation_is_refused():
    data = encode(digit(1, 12))
    codes = {end: code_of(data[:end]) for end in range(len(data))}
    assert codes.pop(0) == "empty-file"
    assert set(codes.values()) == {"png-truncated"}


def test_every_bit_flip_is_refused():
    data = encode(digit(2, 12))
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        code_of(bytes(flipped))  # raises when nothing is refused


def test_pillow_accepts_what_is_refused_here():
    """The reason for the strict reader: Pillow reads these without an error."""
    half = raw_png(header(4, 4), ROWS_4[:10])
    assert Image.open(io.BytesIO(half)).convert("RGB").size == (4, 4)
    assert code_of(half) == "png-half-rows"
    no_end = PLAIN[:-12]
    assert Image.open(io.BytesIO(no_end)).convert("RGB").size == (4, 4)
    assert code_of(no_end) == "png-truncated"


STRUCTURE = {
    "no IHDR first": SIGNATURE + chunk(b"gAMA", b"\0\0\0\1") + header(4, 4) + IDAT + chunk(b"IEND"),
    "two IHDR": SIGNATURE + header(4, 4) * 2 + IDAT + chunk(b"IEND"),
    "no IDAT": SIGNATURE + header(4, 4) + chunk(b"IEND"),
    "only IEND": SIGNATURE + chunk(b"IEND"),
    "unknown critical chunk": raw_png(header(4, 4), ROWS_4, before=chunk(b"ABCD")),
    "chunk type not letters": raw_png(header(4, 4), ROWS_4, before=chunk(b"a1CD")),
    "IDAT not consecutive": SIGNATURE
    + header(4, 4)
    + chunk(b"IDAT", zlib.compress(ROWS_4)[:5])
    + chunk(b"tIME", bytes(7))
    + chunk(b"IDAT", zlib.compress(ROWS_4)[5:])
    + chunk(b"IEND"),
    "palette in a grey image": raw_png(header(4, 4), ROWS_4, before=chunk(b"PLTE", bytes(3))),
    "palette missing": raw_png(header(4, 4, colour=3), ROWS_4),
    "palette after the image": SIGNATURE
    + header(4, 4, colour=3)
    + IDAT
    + chunk(b"PLTE", bytes(3))
    + chunk(b"IEND"),
    "tRNS after the image": raw_png(header(4, 4), ROWS_4, after=chunk(b"tRNS", bytes(2))),
    "IHDR too long": SIGNATURE + chunk(b"IHDR", bytes(14)) + IDAT + chunk(b"IEND"),
    "IEND not empty": SIGNATURE + header(4, 4) + IDAT + chunk(b"IEND", b"x"),
    "bit depth 3": raw_png(header(4, 4, depth=3), ROWS_4),
    "colour type 1": raw_png(header(4, 4, colour=1), ROWS_4),
    "RGB of 4 bits": raw_png(header(4, 4, depth=4, colour=2), ROWS_4),
    "no width": raw_png(header(0, 4), ROWS_4),
    "no height": raw_png(header(4, 0), ROWS_4),
    "interlace 2": raw_png(header(4, 4, interlace=2), ROWS_4),
}


@pytest.mark.parametrize("data", STRUCTURE.values(), ids=STRUCTURE.keys())
def test_structure(data):
    assert code_of(data) == "png-structure"


def idat_png(packed: bytes) -> bytes:
    return SIGNATURE + header(4, 4) + chunk(b"IDAT", packed) + chunk(b"IEND")


DAMAGED = {
    "too much data": idat_png(zlib.compress(ROWS_4 + b"\0")),
    "bytes after the stream": idat_png(zlib.compress(ROWS_4) + b"x"),
    "stream without its end": idat_png(zlib.compress(ROWS_4)[:-1]),
    "wrong Adler-32": idat_png(zlib.compress(ROWS_4)[:-1] + b"\xff"),
    "no zlib stream": idat_png(b"not a stream"),
    "filter 5": idat_png(zlib.compress(b"\5" + ROWS_4[1:])),
    "wrong CRC": PLAIN[:-16] + bytes([PLAIN[-16] ^ 1]) + PLAIN[-15:],
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED.keys())
def test_damaged(data):
    assert code_of(data) == "png-damaged"


def test_trailing_bytes():
    assert code_of(PLAIN + b"\0") == "png-trailing"
    assert code_of(PLAIN + PLAIN) == "png-trailing"


def test_several_idat_chunks_and_ancillary_chunks_are_fine():
    packed = zlib.compress(ROWS_4)
    parts = b"".join(chunk(b"IDAT", packed[i : i + 3]) for i in range(0, len(packed), 3))
    text = chunk(b"tEXt", b"Comment\0" + b"[/red]" * 3)
    data = SIGNATURE + header(4, 4) + text + chunk(b"IDAT") + parts + text + chunk(b"IEND")
    assert decode_image(data, b"a.png").data == ROWS_4


def test_a_bomb_is_refused_by_its_header():
    assert code_of(raw_png(header(30_000, 30_000), b"")) == "image-bomb"
    assert code_of(raw_png(header(4097, 1), b"\0" * 4098)) == "image-bomb"


def test_inflating_stops_at_the_expected_size():
    """100 MB of zeros after a 4x4 header are refused after 21 bytes."""
    bomb = idat_png(zlib.compress(bytes(100_000_000), 9))
    assert len(bomb) < 200_000
    assert code_of(bomb) == "png-damaged"


def test_apng_is_animated():
    frames = [Image.fromarray(digit(i, 8)) for i in range(2)]
    data = encode(frames[0], save_all=True, append_images=frames[1:])
    assert code_of(data) == "animated"


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (5, 2), (9, 17), (28, 28)])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_interlaced_images_are_read(size, mode):
    """Adam7 written by hand from the same pixels; Pillow cannot write it."""
    width, height = size
    shape = (height, width) if mode == "L" else (height, width, 3)
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    stream = b""
    starts = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2)]
    for x0, y0, dx, dy in [*starts, (0, 1, 1, 2)]:
        part = pixels[y0::dy, x0::dx]
        if part.shape[1]:
            stream += b"".join(b"\0" + row.tobytes() for row in part)
    head = header(width, height, colour=0 if mode == "L" else 2, interlace=1)
    decoded = decode_image(raw_png(head, stream), b"a.png")
    assert decoded.kind == "pixels"
    assert decoded.data == pixels.tobytes()
    assert code_of(raw_png(head, stream[:-1])) == "png-half-rows"
    assert code_of(raw_png(head, stream + b"\0")) == "png-damaged"


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_low_bit_depth_is_scaled_exactly(depth):
    """A full ramp: level k of 2**depth - 1 becomes k * 255 / (2**depth - 1), a whole number."""
    levels = 1 << depth
    bits = "".join(f"{k:0{depth}b}" for k in range(levels))
    row = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
    decoded = decode_image(raw_png(header(levels, 1, depth=depth), b"\0" + row), b"a.png")
    assert decoded.note == "low-bit-depth"
    assert list(decoded.data) == [k * 255 // (levels - 1) for k in range(levels)]


def modes() -> dict[str, tuple[bytes, str]]:
    grey = Image.fromarray(digit(3, 8))
    ramp = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    rgba = grey.convert("RGBA")
    see_through = rgba.copy()
    see_through.putpixel((0, 0), (255, 255, 255, 0))
    rgb16 = raw_png(header(2, 1, depth=16, colour=2), b"\0" + bytes(12))
    keyed = raw_png(header(4, 4), ROWS_4, before=chunk(b"tRNS", struct.pack(">H", 0x10)))
    unused_key = raw_png(header(4, 4), ROWS_4, before=chunk(b"tRNS", struct.pack(">H", 0x11)))
    return {
        "16-bit grey": (encode(ramp), "bit-depth-16"),
        "16-bit RGB": (rgb16, "bit-depth-16"),
        "palette": (encode(grey.convert("P")), "palette"),
        "opaque alpha": (encode(rgba), "alpha-opaque"),
        "grey with opaque alpha": (encode(grey.convert("LA")), "alpha-opaque"),
        "alpha": (encode(see_through), "alpha"),
        "transparent grey level": (keyed, "alpha"),
        "transparent level that is not used": (unused_key, "alpha-opaque"),
        "palette with transparency": (encode(grey.convert("P"), transparency=0), "alpha"),
    }


@pytest.mark.parametrize(("data", "code"), modes().values(), ids=modes().keys())
def test_modes_that_need_a_decision(data, code):
    assert code_of(data) == code


def test_large_plain_images_come_back_as_pixels():
    image = digit(4, 80)
    decoded = decode_image(encode(image), b"a.png")
    assert decoded.kind == "pixels"
    assert decoded.data == image.tobytes()


SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


@settings(max_examples=300, deadline=None)
@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    depth=st.sampled_from([1, 2, 4, 8, 8, 16]),
    colour=st.sampled_from([0, 2, 3, 4, 6]),
    before=st.sampled_from([b"", chunk(b"tRNS", bytes(2)), chunk(b"PLTE", bytes(range(48)))]),
    seed=st.integers(0, 1000),
)
def test_what_is_accepted_is_what_pillow_sees(size, depth, colour, before, seed):
    """Every kind of header, random filters and bytes; accepted, with conversion, or refused."""
    width, height = size
    stride = 1 + -(-width * depth * SAMPLES[colour] // 8)
    stream = np.random.default_rng(seed).integers(0, 256, (height, stride), np.uint8)
    stream[:, 0] %= 5
    data = raw_png(header(width, height, depth, colour), stream.tobytes(), before)
    try:
        decoded = decode_image(data, b"a.png", True)
    except Rejected:
        return
    pixels = np.frombuffer(decoded.data, np.uint8)
    if decoded.kind == "scanlines":
        pixels = unfilter(pixels.reshape(1, height, -1), decoded.channels)
    mode = "L" if decoded.channels == 1 else "RGB"
    assert pixels.tobytes() == Image.open(io.BytesIO(data)).convert(mode).tobytes()
