"""Images in memory, in the forms that programs have them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from bench.errors import InputError
from bench.intake import images_in_memory
from tests.intake.pictures import digit

GREY = np.stack([digit(i) for i in range(12)])  # uint8 12,28,28
COLOUR = np.stack([GREY[:4], GREY[4:8], GREY[8:]], axis=-1)  # uint8 4,28,28,3


def tensor(array: np.ndarray, *, grad: bool = False) -> torch.Tensor:
    made = torch.from_numpy(array.astype(np.float32 if grad else np.uint8))
    return made.requires_grad_() if grad else made


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (GREY, GREY[..., None]),
        (GREY[..., None], GREY[..., None]),
        (COLOUR, COLOUR),
        (tensor(COLOUR), COLOUR),
        (tensor(GREY), GREY[..., None]),
        ((tensor(GREY, grad=True) * 1).round().byte(), GREY[..., None]),
        ([Image.fromarray(image) for image in GREY], GREY[..., None]),
        (tuple(Image.fromarray(image) for image in COLOUR), COLOUR),
        ([GREY[i] for i in range(12)], GREY[..., None]),
        ([tensor(image) for image in COLOUR], COLOUR),
        ((GREY[i : i + 5] for i in range(0, 12, 5)), GREY[..., None]),
        (iter([COLOUR[:1], COLOUR[1:]]), COLOUR),
        ([Image.fromarray(COLOUR[0]), GREY], None),
        (np.asfortranarray(COLOUR), COLOUR),
    ],
)
def test_forms(images: Any, expected: np.ndarray | None) -> None:
    found = images_in_memory(images)
    if expected is None:  # colour and grey together
        expected = np.concatenate([COLOUR[:1], np.repeat(GREY[..., None], 3, axis=3)])
    assert found.dtype == np.uint8
    assert found.flags.c_contiguous
    assert np.array_equal(found, expected)


def run_fix(message: str, images: Any) -> np.ndarray:
    """Apply the line of code in a message to the images, as its reader would."""
    line = message.partition("images.transpose")[1] + message.partition("images.transpose")[2]
    line = line.partition(";")[0]
    return np.asarray(eval(line, {"images": images}))  # noqa: S307


def test_channels_first_come_with_the_remedy() -> None:
    planar = COLOUR.transpose(0, 3, 1, 2)
    with pytest.raises(InputError, match="channels come last") as caught:
        images_in_memory(planar)
    assert np.array_equal(run_fix(str(caught.value), planar), COLOUR)
    with pytest.raises(InputError, match=r"for a tensor: images.permute\(0, 2, 3, 1\)"):
        images_in_memory(torch.from_numpy(np.ascontiguousarray(planar)))


def test_floats_come_with_the_remedy() -> None:
    """Each line of the message gives back the levels."""
    with pytest.raises(InputError, match="images are float64, expected uint8") as caught:
        images_in_memory(GREY / 255)
    lines = [part.split(": ")[-1].rstrip(". ") for part in str(caught.value).split(". ")]
    unit, signed = (line for line in lines if line.startswith("("))
    for line, images in ((unit, GREY / 255), (signed, GREY / 127.5 - 1)):
        assert np.array_equal(eval(line, {"images": images}), GREY)  # noqa: S307


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (tensor(GREY, grad=True), "images are float32, expected uint8 levels"),
        (torch.zeros((2, 28, 28), dtype=torch.bfloat16), "images are float32, expected uint8"),
        (GREY.astype(np.int64), r"Integers from 0 to 255: images.astype\('uint8'\)"),
        (GREY[0], r"images of shape \(28, 28\); expected an array or tensor uint8 N,H,W"),
        (np.zeros((2, 28, 28, 4), np.uint8), r"shape \(2, 28, 28, 4\); expected"),
        (np.zeros((0, 28, 28), np.uint8), "have no pixels"),
        ([], "no images"),
        (iter(()), "no images"),
        (Image.fromarray(GREY[0]), "a single PIL image; give a list"),
        ([Image.fromarray(GREY[0]).convert("P")], "mode P; convert it first: .*'RGB'"),
        ([Image.new("RGBA", (8, 8))], "item 0: PIL image of mode RGBA"),
        ([GREY[0], GREY[0, :20]], "different sizes: 28x20, 28x28 px"),
        ([GREY[0], "x"], "item 1 is of type str"),
        ("images/", "images of type str"),
        (3, "images of type int"),
        (None, "images of type NoneType"),
    ],
)
def test_refusals(images: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        images_in_memory(images)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_tensor_on_a_gpu() -> None:
    assert np.array_equal(images_in_memory(tensor(COLOUR).cuda()), COLOUR)


class OnDevice:
    """What a tensor of another device does: it must be copied before NumPy may see it."""

    shape, dtype = COLOUR.shape, torch.uint8

    def __init__(self, *, here: bool = False) -> None:
        self.here = here

    def detach(self) -> OnDevice:
        return self

    def cpu(self) -> OnDevice:
        return OnDevice(here=True)

    def numpy(self) -> np.ndarray:
        if not self.here:
            raise TypeError("can't convert cuda:0 device type tensor to numpy")
        return COLOUR


def test_a_tensor_of_another_device_is_copied() -> None:
    assert np.array_equal(images_in_memory(OnDevice()), COLOUR)
