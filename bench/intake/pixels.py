"""The pixels of one image file, decoded inside the worker.

A small plain 8-bit PNG is only inflated; Pillow decodes everything else. Pillow gets the checked
bytes, is restricted to the one format that their content shows, and must give exact pixels:
whatever needs a guess (alpha, palettes, 16 bits, CMYK, several frames) is refused with a code or,
with `convert`, converted if no information is lost. Pixels change only if a size is requested, by
Pillow's bicubic filter.
"""

from __future__ import annotations

import io
import warnings
from importlib import import_module
from typing import TYPE_CHECKING

from bench.intake import png
from bench.intake.formats import (
    PNG_SIGNATURE,
    Decoded,
    Rejected,
    format_of_content,
    format_of_name,
    is_lossy,
    refuse_oversized,
)

if TYPE_CHECKING:
    from PIL import Image

PLUGINS = {"png": "Png", "jpeg": "Jpeg", "webp": "WebP", "bmp": "Bmp", "tiff": "Tiff"}
CHANNELS = {"L": 1, "RGB": 3}
# The caller undoes row filters of many small images at once (unfilter.py). For larger images Pillow
# is faster: 28x28 grey takes 4 us there and 28 us in Pillow, 64x64 RGB takes 85 us and 66 us.
MAX_SCANLINE_BYTES = 4096


def decode_image(
    data: bytes, name: bytes, convert: bool = False, size: tuple[int, int] | None = None
) -> Decoded:
    """Return the one image in `data`. The extension of `name` gives the expected format.

    With `convert`, files that can become 8-bit grey or RGB without further loss do, and their
    `note` says what they were. With `size` (height, width), an image of another size is resized.
    Raises `Rejected`.
    """
    if not data:
        raise Rejected("empty-file")
    found = format_of_content(data)
    promised = format_of_name(name)
    if found is None:
        if PNG_SIGNATURE.startswith(data) and promised == "png":
            raise Rejected("png-truncated", "ends inside the signature")
        raise Rejected("not-an-image", "content is of no known image format")
    note = ""
    if found != promised:
        note = "wrong-format"
        if not convert or found not in PLUGINS:
            raise Rejected(note, f"content is {found.upper()}")
    if found == "png":
        decoded = _decode_png(data, convert, size)
    else:
        decoded = _decode_other(data, found, convert, size)
    is_kept = not note or decoded.note == "lossy-format"  # the note that matters more
    return decoded if is_kept else decoded._replace(note=note)


def resize(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Return a grey or RGB image at `size` (height, width): itself, if it has that size."""
    from PIL import Image

    height, width = size
    if image.size == (width, height):
        return image
    return image.resize((width, height), Image.Resampling.BICUBIC)


def _decode_png(data: bytes, convert: bool, size: tuple[int, int] | None) -> Decoded:
    walked = png.walk(data)
    if walked.is_plain and size in (None, (walked.height, walked.width)):
        channels = png.SAMPLES[walked.colour_type]
        if walked.width * walked.height * channels <= MAX_SCANLINE_BYTES:
            return Decoded("scanlines", walked.height, walked.width, channels, "", walked.stream)
    if walked.bit_depth == 16:
        raise Rejected("bit-depth-16", "16 bits per sample")
    image = _open(png.essential(data, walked), "png")
    if walked.colour_type in (0, 2) and "transparency" not in image.info:
        return _pixels(image, "low-bit-depth" if walked.bit_depth < 8 else "", size)
    return _exact(image, convert, size)


def _decode_other(data: bytes, found: str, convert: bool, size: tuple[int, int] | None) -> Decoded:
    image = _open(data, found)
    if image.mode == "1":
        return _pixels(image, "low-bit-depth", size)
    if image.mode in CHANNELS and "transparency" not in image.info:
        lossless = "lossless-format" if convert else ""
        return _pixels(image, "lossy-format" if is_lossy(found, data) else lossless, size)
    decoded = _exact(image, convert, size)
    return decoded._replace(note="lossy-format") if is_lossy(found, data) else decoded


def _exact(image: Image.Image, convert: bool, size: tuple[int, int] | None) -> Decoded:
    """Refuse palette and alpha, or convert to RGB if no pixel is transparent."""
    if image.mode.startswith(("I", "F")):
        raise Rejected("bit-depth-16", f"mode {image.mode}")
    if image.mode not in ("P", "L", "RGB", "LA", "RGBA"):
        raise Rejected("colour-space", f"mode {image.mode}")
    rgba = image.convert("RGBA")
    lowest_alpha = min(rgba.getchannel("A").tobytes())
    if lowest_alpha != 255:
        raise Rejected("alpha", f"lowest opacity {lowest_alpha} of 255")
    code = "palette" if image.mode == "P" else "alpha-opaque"
    if not convert:
        raise Rejected(code)
    return _pixels(rgba.convert("RGB"), code, size)


def _pixels(image: Image.Image, note: str, size: tuple[int, int] | None) -> Decoded:
    image = image.convert("L") if image.mode == "1" else image
    found = (image.height, image.width)
    if size is not None:
        image = resize(image, size)
    return Decoded(
        "pixels",
        image.height,
        image.width,
        CHANNELS[image.mode],
        note,
        image.tobytes(),
        None if size in (None, found) else found,
    )


def _open(data: bytes, found: str) -> Image.Image:
    """Open and load an image. On bad input, Pillow's plugins raise nearly every exception."""
    from PIL import Image  # not needed for a folder of small plain PNGs

    plugin = PLUGINS.get(found)
    if plugin is None:
        raise Rejected("wrong-format", f"content is {found.upper()}")
    import_module(f"PIL.{plugin}ImagePlugin")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data), formats=[found.upper()])
            refuse_oversized(*image.size)
            if found != "png":
                _refuse_second_frame(image, found)
            image.load()
    except (Rejected, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise Rejected("image-bomb", "header claims too many pixels") from error
    except Exception as error:
        raise Rejected("image-damaged", f"{found.upper()} cannot be decoded") from error
    return image


def _refuse_second_frame(image: Image.Image, found: str) -> None:
    """Raise `Rejected` if a file that was opened, and is not loaded yet, holds a second frame.

    `n_frames` of a TIFF visits every frame, and a file can claim millions.
    """
    if image.format == "TIFF":
        try:
            image.seek(1)
        except EOFError:
            return
    elif getattr(image, "n_frames", 1) <= 1:
        return
    raise Rejected("animated", f"{found.upper()} with several frames")
