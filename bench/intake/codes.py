"""`CODES`: every problem that an audit can find, with its message, fix and severity."""

from __future__ import annotations

from typing import Literal, NamedTuple

Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")


class Code(NamedTuple):
    """The texts of a code, and its severity without a spec and with one."""

    message: str
    fix: str
    severity: Severity = "error"
    with_spec: Severity = "error"


_SAVE = "Save 8-bit grey or RGB PNG files"
_RESAVE = "Write these files again; they were cut short or changed after they were saved."
_REPAIR = "`latentbench audit --repair OUT` converts them to plain PNG without loss."
_REZIP = "Make the archive again with an ordinary zip program, from the image files alone."
_ARRAY = "Save one array of dtype uint8 and shape N,H,W or N,H,W,C with C = 1 or 3"

CODES: dict[str, Code] = {
    # the set as a whole
    "wrong-count": Code("the number of images is wrong", "Hand in exactly that many images."),
    "wrong-size": Code(
        "images do not have the expected size",
        "Save the images at the generator's own size; resizing to fit changes every score.",
    ),
    "mixed-sizes": Code(
        "images have different sizes",
        "Save all images at one size; `score` and `anomaly` also take `--resize WIDTHxHEIGHT`.",
    ),
    "wrong-mode": Code(
        "images do not have the expected colour mode",
        "Save images in the expected mode (grey, or RGB with R=G=B, for a grey set).",
    ),
    "format-not-allowed": Code(
        "files are in a format that is not accepted here",
        f"{_SAVE}. If their format is lossless, {_REPAIR}",
    ),
    "too-much-data": Code(
        "the images need more memory than one submission may use",
        "Hand in fewer or smaller images.",
    ),
    "nested-folder": Code(
        "there are folders inside the submission; they are not read",
        "Put all images into one folder without subfolders.",
    ),
    "junk-file": Code(
        "files are not images; they are not read",
        "Remove everything but the images.",
        "warning",
    ),
    # a file as a file
    "symlink": Code(
        "files are symbolic links, which are never followed",
        "Replace the links by the files themselves.",
    ),
    "not-regular": Code(
        "there are pipes, sockets or devices in place of files",
        "Remove everything but ordinary image files.",
    ),
    "unreadable": Code(
        "files cannot be read",
        "Make the files readable (chmod u+r) and stable, then run the audit again.",
    ),
    "file-too-large": Code("files are larger than 64 MiB", f"{_SAVE} of at most 4096x4096 px."),
    "empty-file": Code("files are empty", _RESAVE),
    "decoder-died": Code(
        "the decoding process crashed or hung",
        "Write these files again. If they are correct, report this as a bug.",
    ),
    "too-slow": Code(
        "files take too long to decode",
        f"{_SAVE} with an ordinary program. If they are correct, report this as a bug.",
    ),
    "bad-name": Code(
        "file names are not printable UTF-8",
        "Rename the files, for example 00000.png to 09999.png.",
        "warning",
        "warning",
    ),
    # a file as an image
    "not-an-image": Code("files are named like images but are not", f"{_SAVE}."),
    "wrong-format": Code(
        "the content of files is in another format than the name says",
        f"{_SAVE}; do not rename files. For lossless formats, {_REPAIR}",
    ),
    "png-truncated": Code("PNG files are cut short", _RESAVE),
    "png-damaged": Code("PNG files are damaged", _RESAVE),
    "png-half-rows": Code("PNG files hold fewer rows than their header states", _RESAVE),
    "png-structure": Code("PNG files break the rules of the format", _RESAVE),
    "png-trailing": Code("PNG files have bytes after their end", _RESAVE),
    "image-damaged": Code("image files cannot be decoded", _RESAVE),
    "image-bomb": Code(
        "images claim to be larger than 4096x4096 px", f"{_SAVE} of at most 4096x4096 px."
    ),
    "animated": Code("files hold several frames", "Save one still image per file."),
    "bit-depth-16": Code(
        "images have more than 8 bits per sample; most loaders turn them white",
        "Scale to 0..255, round, convert to uint8 and save again.",
    ),
    "palette": Code("images use a colour palette", f"Convert to grey or RGB. {_REPAIR}"),
    "alpha": Code(
        "images are partly transparent; the colour behind them is unknown",
        "Composite onto the intended background and save without alpha.",
    ),
    "alpha-opaque": Code(
        "images have an alpha channel that is opaque everywhere", f"Save without alpha. {_REPAIR}"
    ),
    "colour-space": Code("images are in a colour space other than grey or RGB", f"{_SAVE}."),
    "low-bit-depth": Code(
        "images have fewer than 8 bits per sample; they are scaled to 0..255",
        f"Save with 8 bits. {_REPAIR}",
        "info",
    ),
    "near-grey": Code(
        "RGB images are grey except for rounding; extractors of grey images see their luma",
        "The scores hardly change. To have exactly grey files, `latentbench audit --repair OUT` "
        "writes all images as grey PNG.",
        "warning",
        "warning",
    ),
    "lossy-format": Code(
        "images were compressed with loss, which changes every score",
        f"{_SAVE} straight from the generator.",
        "warning",
        "warning",  # a spec that accepts lossy formats names them
    ),
    "lossless-format": Code(
        "images were in another lossless format", "Nothing is lost.", "info", "info"
    ),
    # a zip
    "zip-damaged": Code("the zip archive, or entries of it, cannot be read", _REZIP),
    "zip-too-many": Code("the zip archive has too many entries", _REZIP),
    "zip-unsafe-path": Code("entries have absolute paths, or leave the folder by '..'", _REZIP),
    "zip-duplicate": Code("entries share a name", _REZIP),
    "zip-overlap": Code("entries share bytes of the archive", _REZIP),
    "zip-encrypted": Code("entries are encrypted", "Make the archive without a password."),
    "zip-method": Code("entries are compressed by a method other than deflate", _REZIP),
    "zip-ratio": Code("entries inflate far more than images can (a zip bomb)", _REZIP),
    "zip-symlink": Code("entries are symbolic links", _REZIP),
    # npz, npy, idx
    "array-damaged": Code(
        "the array file cannot be read", f"{_ARRAY}, with numpy.save or numpy.savez."
    ),
    "array-choice": Code(
        "the npz file has no single array that could be the images",
        "Name the array, as in FILE.npz:NAME; or save the images alone or under the name 'images'.",
    ),
    "array-objects": Code(
        "the array holds Python objects; loading it could run code", f"{_ARRAY}."
    ),
    "array-dtype": Code(
        "the array is not uint8", "Scale to 0..255, round, clip and convert to uint8 before saving."
    ),
    "array-nan": Code(
        "images hold NaN or infinite values",
        "Find out why the generator produced them; no such image may be in the set.",
    ),
    "array-shape": Code("the array does not have the shape of images", f"{_ARRAY}."),
    "array-too-large": Code(
        "the array is larger than 2 GiB, or inflates far more than images can",
        "Hand in fewer images, or a folder or zip of PNG files.",
    ),
    # for information
    "grey-as-rgb": Code(
        "RGB images have R=G=B everywhere; they are read as grey, without loss",
        "Nothing to do.",
        "info",
        "info",
    ),
    "resized": Code(
        "images were resized by a bicubic filter",
        "Nothing to do. Compare only with scores at the same size and by the same filter.",
        "info",
        "info",
    ),
    "mixed-modes": Code(
        "grey files are in a set with coloured images; they are read as RGB",
        "Save all images in one mode.",
        "info",
        "info",
    ),
    "ignored-file": Code(
        "files that an operating system or a notebook left behind are ignored",
        "Nothing to do.",
        "info",
        "info",
    ),
}
