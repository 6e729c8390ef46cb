"""Images in memory, in the forms that programs have them: one uint8 array N,H,W,C.

Accepted are arrays of NumPy, tensors of PyTorch on any device, lists of PIL images or of single
images as arrays, and iterables of batches. Nothing is converted by guess: floats and channels that
come first are refused, with the line that converts them.

Shape legend: N images, H rows, W columns, C channels.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError

U8 = NDArray[np.uint8]
FORMS = "an array or tensor uint8 N,H,W or N,H,W,C, a list of PIL images, or batches of them"


def images_in_memory(images: Any) -> U8:
    """Return uint8 N,H,W,C with C 1 or 3.

    `images` is an array or tensor uint8 N,H,W or N,H,W,C; a list of PIL images in mode L or RGB; or
    any iterable of images and of batches, all of one size. Grey and coloured ones may be mixed.

    Raises `InputError` for anything else, with the line of code that helps.

    >>> batches = (np.zeros((4, 28, 28), np.uint8) for _ in range(3))
    >>> images_in_memory(batches).shape
    (12, 28, 28, 1)
    >>> images_in_memory(np.zeros((4, 28, 28)))
    Traceback (most recent call last):
    bench.errors.InputError: images are float64, expected uint8 levels 0..255. Values from 0...
    """
    if _is_array(images):
        return _batch(_to_numpy(images), "images")
    if _is_pil(images):
        raise InputError("a single PIL image; give a list of images")
    if isinstance(images, str | bytes | dict) or not isinstance(images, Iterable):
        raise InputError(f"images of type {type(images).__name__}; expected {FORMS}")
    parts = [_part(one, f"item {number}") for number, one in enumerate(images)]
    if not parts:
        raise InputError("no images")
    sizes = {part.shape[1:3] for part in parts}
    if len(sizes) > 1:
        shown = ", ".join(f"{width}x{height}" for height, width in sorted(sizes))
        raise InputError(f"images of different sizes: {shown} px (width x height)")
    channels = max(part.shape[3] for part in parts)
    return np.concatenate([np.broadcast_to(p, (*p.shape[:3], channels)) for p in parts])


def _part(one: Any, where: str) -> U8:
    """Return one item of an iterable, a single image or a batch, as uint8 n,H,W,C."""
    if _is_pil(one):
        if one.mode not in ("L", "RGB"):
            raise InputError(
                f"{where}: PIL image of mode {one.mode}; convert it first: "
                f"image.convert({'L' if one.mode in ('1', 'LA', 'I;16', 'F') else 'RGB'!r})"
            )
        one = np.asarray(one)
    if not _is_array(one):
        raise InputError(f"{where} is of type {type(one).__name__}; expected {FORMS}")
    array = _to_numpy(one)
    if array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3)):
        array = array[None]
    return _batch(array, where)


def _batch(array: NDArray[Any], where: str) -> U8:
    """Return an array N,H,W or N,H,W,C as uint8 N,H,W,C. Raises `InputError`."""
    if array.ndim == 4 and array.shape[3] not in (1, 3) and array.shape[1] in (1, 3):
        raise InputError(
            f"{where} of shape {array.shape}: channels come last. For an array: "
            "images.transpose(0, 2, 3, 1); for a tensor: images.permute(0, 2, 3, 1)"
        )
    if array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[3] not in (1, 3)):
        raise InputError(f"{where} of shape {array.shape}; expected {FORMS}")
    if array.dtype != np.uint8:
        raise InputError(
            f"{where} are {array.dtype}, expected uint8 levels 0..255. {_conversion(array)}"
        )
    if 0 in array.shape:
        raise InputError(f"{where} of shape {array.shape} have no pixels")
    return np.ascontiguousarray(array if array.ndim == 4 else array[..., None])


def _conversion(array: NDArray[Any]) -> str:
    """Return the line that converts an array of another type."""
    if array.dtype.kind not in "fiub":
        return f"Give {FORMS}."
    if array.dtype.kind != "f":
        return "Integers from 0 to 255: images.astype('uint8')"
    to_uint8 = ".round().clip(0, 255).astype('uint8')"
    return (
        f"Values from 0 to 1: (images * 255){to_uint8}. "
        f"Values from -1 to 1: ((images + 1) * 127.5){to_uint8}. "
        "A tensor has .byte() instead of .astype('uint8')"
    )


def _is_array(images: Any) -> bool:
    """Return whether this is an array or tensor, by its attributes: no library is imported."""
    return hasattr(images, "shape") and hasattr(images, "dtype")


def _is_pil(images: Any) -> bool:
    return hasattr(images, "mode") and hasattr(images, "getbands")


def _to_numpy(array: Any) -> NDArray[Any]:
    """Return an array; a tensor is detached and copied from its device first."""
    if hasattr(array, "detach"):
        array = array.detach().cpu()
        if str(array.dtype) == "torch.bfloat16":  # NumPy has no such type
            array = array.float()
        return np.asarray(array.numpy())
    return np.asarray(array)
