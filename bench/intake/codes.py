"""Everything that an audit can find: one literal table, code -> severity, message, fix."""

from __future__ import annotations

from typing import Literal, NamedTuple

Severity = Literal["error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")


class Code(NamedTuple):
    """What a code says. `severity` is without a spec; a spec allows nothing outside of it."""

    message: str
    fix: str
    severity: Severity = "error"
    with_spec: Severity = "error"


_SAVE = "Save 8-bit grey or RGB PNG files"
_RESAVE = "Write these files again; they were cut short or changed after they were saved."
_REPAIR = "`latentbench audit --repair OUT` writes them as plain PNG without any loss."
_REZIP = "Make the archive again with an ordinary zip program, from the image files alone."
_ARRAY = "Save one array of dtype uint8 and shape N,H,W or N,H,W,C with C = 1 or 3"

CODES: dict[str, Code] = {
    # the set as a whole
    "wrong-count": Code("the number of images is wrong", "Hand in exactly that many images."),
    "wrong-size": Code(
        "images have another size than expected",
        "Save the images as the generator made them; do not resize to fit.",
    ),
    "mixed-sizes": Code(
        "images have different sizes",
        "Save all images at one size; `score` and `anomaly` also take `--resize WIDTHxHEIGHT`.",
    ),
    "wrong-mode": Code(
        "images have another colour mode than expected",
        "Save images in the expected mode (grey, or RGB with R=G=B, for a grey set).",
    ),
    "format-not-allowed": Code(
        "files are in a format that is not accepted here",
        f"{_SAVE}. If no loss is involved, {_REPAIR}",
    ),
    "too-much-data": Code(
        "the images need more memory than one submission may", "Hand in fewer or smaller images."
    ),
    "nested-folder": Code(
        "folders inside the submission; they are not read",
        "Put all images into one folder without subfolders.",
    ),
    "junk-file": Code(
        "files that are no images; they are not read",
        "Remove everything but the images.",
        "warning",
    ),
    # a file as a file
    "symlink": Code(
        "symbolic links are never followed", "Replace the links by the files themselves."
    ),
    "not-regular": Code(
        "pipes, sockets or devices instead of files", "Remove everything but ordinary image files."
    ),
    "unreadable": Code(
        "files cannot be read",
        "Make the files readable (chmod u+r) and stable, then run the audit again.",
    ),
    "file-too-large": Code("files are larger than 64 MiB", f"{_SAVE} of at most 4096x4096 px."),
    "empty-file": Code("files hold no bytes", _RESAVE),
    "decoder-died": Code(
        "the decoding process died or hung",
        "Write these files again; if they are correct, report this as a bug.",
    ),
    "bad-name": Code(
        "file names are not printable UTF-8",
        "Rename the files, for example 00000.png to 09999.png.",
        "warning",
        "warning",
    ),
    # a file as an image
    "not-an-image": Code("files are no images although named like one", f"{_SAVE}."),
    "wrong-format": Code(
        "content is another format than the name says",
        f"{_SAVE}; do not rename files. For lossless formats, {_REPAIR}",
    ),
    "png-truncated": Code("PNG files are cut short", _RESAVE),
    "png-damaged": Code("PNG files are damaged", _RESAVE),
    "png-half-rows": Code("PNG files hold fewer rows than their header states", _RESAVE),
    "png-structure": Code("PNG files break the rules of the format", _RESAVE),
    "png-trailing": Code("PNG files go on after their end", _RESAVE),
    "image-damaged": Code("image files cannot be decoded", _RESAVE),
    "image-bomb": Code(
        "images claim to be larger than 4096x4096 px", f"{_SAVE} of at most 4096x4096 px."
    ),
    "animated": Code("files hold several frames", "Save one still image a file."),
    "bit-depth-16": Code(
        "images have more than 8 bits a sample; most loaders turn them white",
        "Scale to 0..255, round, convert to uint8 and save again.",
    ),
    "palette": Code("images use a colour palette", f"Convert to grey or RGB. {_REPAIR}"),
    "alpha": Code(
        "images are partly transparent; the colour behind them is unknown",
        "Composite onto the intended background and save without alpha.",
    ),
    "alpha-opaque": Code(
        "images have an alpha channel, opaque everywhere", f"Save without alpha. {_REPAIR}"
    ),
    "colour-space": Code("images are in a colour space other than grey or RGB", f"{_SAVE}."),
    "low-bit-depth": Code(
        "images have fewer than 8 bits a sample; scaled to 0..255",
        f"Save with 8 bits. {_REPAIR}",
        "info",
    ),
    "lossy-format": Code(
        "images were compressed with loss, which changes every score",
        f"{_SAVE} straight from the generator.",
        "warning",
        "warning",  # a spec that accepts lossy formats names them
    ),
    "lossless-format": Code(
        "images in another lossless format", "Nothing is lost.", "info", "info"
    ),
    # a zip
    "zip-damaged": Code("the zip archive, or entries of it, cannot be read", _REZIP),
    "zip-too-many": Code("the zip archive has too many entries", _REZIP),
    "zip-unsafe-path": Code("entries have absolute paths or climb out with '..'", _REZIP),
    "zip-duplicate": Code("entries share a name", _REZIP),
    "zip-overlap": Code("entries share bytes of the archive", _REZIP),
    "zip-encrypted": Code("entries are encrypted", "Make the archive without a password."),
    "zip-method": Code("entries are compressed by another method than deflate", _REZIP),
    "zip-ratio": Code("entries inflate to far more than images can (zip bomb)", _REZIP),
    "zip-symlink": Code("entries are symbolic links", _REZIP),
    # npz, npy, idx
    "array-damaged": Code(
        "the array file cannot be read", f"{_ARRAY}, with numpy.save or numpy.savez."
    ),
    "array-choice": Code(
        "the npz does not hold exactly one array that could be the images",
        f"{_ARRAY}, alone or under the name 'images'.",
    ),
    "array-objects": Code(
        "the array holds Python objects; loading it could run code", f"{_ARRAY}."
    ),
    "array-dtype": Code(
        "the array is not uint8", "Scale to 0..255, round, clip and convert to uint8 before saving."
    ),
    "array-nan": Code(
        "images hold NaN or infinite values",
        "Find out why the generator gave them; leave no such image in the set.",
    ),
    "array-shape": Code("the array has no image shape", f"{_ARRAY}."),
    "array-too-large": Code(
        "the array is larger than 2 GiB, or compressed like a bomb",
        "Hand in fewer images, or a folder or zip of PNG files.",
    ),
    # for information
    "grey-as-rgb": Code(
        "RGB images with R=G=B everywhere; read as grey, without loss",
        "Nothing to do.",
        "info",
        "info",
    ),
    "resized": Code(
        "images had another size in their files; resized by a bicubic filter",
        "Nothing to do, but compare only with scores at the same size and filter.",
        "info",
        "info",
    ),
    "mixed-modes": Code(
        "grey files in a set with coloured images; read as RGB",
        "Save all images in one mode.",
        "info",
        "info",
    ),
    "ignored-file": Code(
        "files that an operating system left behind; ignored", "Nothing to do.", "info", "info"
    ),
}
