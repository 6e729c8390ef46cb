"""Sheets of images of one submission: random, best, worst, neighbours, copies, duplicates."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench.plots import contact_sheet, pair_sheet
from bench.reporting.picture import Picture, data_uri, png_uri
from bench.reporting.sources import Exhibits

COLUMNS = 12
MAX_PNG_BYTES = 60_000  # larger sheets become lossy WebP


def image_pictures(exhibits: Exhibits, *, briefly: bool = False) -> list[Picture]:
    """Return the sheets of one submission; `briefly` shortens them for a page of many."""
    pictures = []
    if briefly:
        exhibits = {
            name: array[: COLUMNS * (3 if name == "sample_images" else 1)]
            if name.endswith(("_images", "_realism", "_distances"))
            else array
            for name, array in exhibits.items()
        }
    for name, alt, columns in (
        ("sample_images", "a random choice of the images", COLUMNS),
        ("best_images", "the images of highest realism", COLUMNS),
        ("worst_images", "the images of lowest realism", COLUMNS),
    ):
        images = exhibits.get(name)
        if images is not None and len(images):
            caption = f"{alt[0].upper()}{alt[1:]}{_range(exhibits, name)}"
            if name == "sample_images" and len(images) > columns:
                images = images[: len(images) // columns * columns]
            sheet = contact_sheet(_uint8(images), columns, full_width=True)
            pictures.append(_sheet(sheet, f"{len(images)} images: {alt}", f"{caption}."))
    pictures += _pair_pictures(exhibits)
    images, sizes = exhibits.get("duplicate_images"), exhibits.get("duplicate_sizes")
    if images is not None and sizes is not None and len(images) and len(sizes):
        caption = f"Near duplicates: images of the largest group, which has {int(sizes[0])}."
        if len(sizes) > 1:
            caption += f" The next groups have {', '.join(str(int(n)) for n in sizes[1:6])}."
        sheet = contact_sheet(_uint8(images), COLUMNS, full_width=True)
        pictures.append(_sheet(sheet, f"{len(images)} near duplicates of each other", caption))
    return pictures


def _range(exhibits: Exhibits, name: str) -> str:
    realism = exhibits.get(name.replace("_images", "_realism"))
    if name == "sample_images" or realism is None or not len(realism):
        return ""
    shown = realism.astype(np.float64)
    return f": {shown[0]:.3g} to {shown[-1]:.3g}. From 1, an image lies among real ones"


def _pair_pictures(exhibits: Exhibits) -> Iterator[Picture]:
    for kind, what, unit in (
        ("neighbour", "its nearest training image", "in feature space"),
        ("copy", "the training image that it copies", "grey levels (root mean square)"),
    ):
        upper, lower, distances = (
            exhibits.get(f"{kind}_{part}") for part in ("images", "training_images", "distances")
        )
        if upper is None or lower is None or not len(upper) or upper.shape != lower.shape:
            continue
        caption = f"Top row: an image of the folder. Bottom row: {what}"
        alt = f"{len(upper)} pairs of an image and {what}"
        if distances is not None and len(distances) == len(upper):
            shown = distances.astype(np.float64)
            caption += f". Distances: {shown.min():.3g} to {shown.max():.3g} {unit}"
        sheet = pair_sheet(_uint8(upper), _uint8(lower), COLUMNS, full_width=True)
        yield _sheet(sheet, alt, f"{caption}.")


def _uint8(images: NDArray[np.generic]) -> NDArray[np.uint8]:
    return np.asarray(images, np.uint8)


def _sheet(sheet: NDArray[np.uint8], alt: str, caption: str) -> Picture:
    height, width = sheet.shape[:2]
    grey = (sheet[..., 0] == sheet[..., 1]).all() and (sheet[..., 1] == sheet[..., 2]).all()
    picture = Image.fromarray(sheet)
    buffer = io.BytesIO()
    (picture.convert("LA") if grey else picture).save(buffer, format="png", optimize=True)
    uri = png_uri(buffer.getvalue())
    if len(uri) > MAX_PNG_BYTES:  # a sheet of photographs
        buffer = io.BytesIO()
        picture.save(buffer, format="webp", quality=80)
        uri = data_uri("image/webp", buffer.getvalue())
    return Picture(uri, alt, caption, width, height, pixels=True)
