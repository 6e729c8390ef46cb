"""Training sets on the device."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from baselines.training.training_images import (
    TrainingSet,
    load_training_set,
    scaled,
    to_uint8,
    training_set,
)
from bench.errors import InputError, InvalidSubmission, UnknownNameError
from tests.conftest import RealSample, write_pngs


def test_batches_are_the_images(digits: TrainingSet, mnist: RealSample) -> None:
    index = torch.tensor([[3, 0], [499, 3]])
    x = digits.batch(index, "signed")
    assert x.shape == (2, 2, 1, 28, 28)
    assert digits.images.dtype == torch.uint8
    np.testing.assert_allclose(
        x[1, 0, 0].numpy(), mnist.images[499, :, :, 0] / 127.5 - 1, atol=1e-6
    )
    assert digits.classes(index).tolist() == mnist.labels[[[3, 0], [499, 3]]].tolist()


@pytest.mark.parametrize(("scale", "low"), [("signed", -1.0), ("unit", 0.0)])
def test_scaling_there_and_back(scale: str, low: float) -> None:
    levels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    x = scaled(levels, scale)  # type: ignore[arg-type]
    assert (x.min().item(), x.max().item()) == pytest.approx((low, 1.0))
    back = to_uint8(x, scale)  # type: ignore[arg-type]
    np.testing.assert_array_equal(back[0, :, :, 0], levels[0, 0].numpy())
    far = to_uint8(torch.full((1, 1, 1, 2), 7.0), scale)  # type: ignore[arg-type]
    assert far.flatten().tolist() == [255, 255]


def test_folders_and_archives_of_any_size(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 16, 24, 3), dtype=np.uint8)
    folder = write_pngs(images, tmp_path / "colour")
    np.savez(tmp_path / "colour.npz", images)
    for source in (folder, tmp_path / "colour.npz"):
        data = load_training_set(str(source))
        assert data.image_shape == (3, 16, 24)
        assert data.num_classes == 0
        np.testing.assert_array_equal(data.images.permute(0, 2, 3, 1).numpy(), images)
        with pytest.raises(InputError, match="has no labels"):
            data.classes(torch.tensor([0]))


def test_digests_tell_sets_apart(mnist: RealSample) -> None:
    def digest(images: np.ndarray, labels: np.ndarray | None) -> str:
        return training_set(images, labels, name="x").digest

    x, y = mnist.images[:9], mnist.labels[:9]
    assert digest(x, y) == digest(x.copy(), y.copy())
    assert len({digest(x, y), digest(x[::-1], y), digest(x, y[::-1]), digest(x, None)}) == 4


def test_what_cannot_be_trained_on(mnist: RealSample) -> None:
    with pytest.raises(InputError, match="sides of at most 64 px"):
        training_set(np.zeros((2, 65, 64, 1), np.uint8), None, name="large")
    with pytest.raises(InputError, match="expected images as uint8 N,H,W,C, got float64"):
        training_set(np.zeros((2, 8, 8, 1)), None, name="floats")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="expected 3 labels of 0 or more for 3 images"):
        training_set(mnist.images[:3], mnist.labels[:2], name="short")
    with pytest.raises(UnknownNameError, match="unknown data set 'minst'.*mnist"):
        load_training_set("minst")


def test_images_of_two_sizes_are_refused_as_training_images(
    mnist: RealSample, tmp_path: Path
) -> None:
    write_pngs(mnist.images[:3], tmp_path)
    Image.fromarray(mnist.images[3, :20, :, 0]).save(tmp_path / "short.png")
    with pytest.raises(InvalidSubmission, match="cannot train on this folder or archive") as caught:
        load_training_set(str(tmp_path))
    assert [finding.code for finding in caught.value.findings] == ["mixed-sizes"]  # type: ignore[attr-defined]


def test_folders_of_classes_give_labels_and_resize_gives_one_size(
    mnist: RealSample, tmp_path: Path
) -> None:
    for name, rows in (("dog", [0, 1]), ("ant", [2, 3, 4])):
        write_pngs(mnist.images[rows], tmp_path / "set" / name)
    data = load_training_set(str(tmp_path / "set"))
    assert data.labels is not None
    assert data.labels.tolist() == [0, 0, 0, 1, 1]
    assert data.num_classes == 2
    assert np.array_equal(data.images[0, 0].numpy(), mnist.images[2, :, :, 0])
    large = np.zeros((90, 70), np.uint8)
    Image.fromarray(large).save(tmp_path / "set" / "ant" / "large.png")
    with pytest.raises(InvalidSubmission, match="or give --resize WIDTHxHEIGHT"):
        load_training_set(str(tmp_path / "set"))
    resized = load_training_set(str(tmp_path / "set"), resize="24x16")
    assert resized.image_shape == (1, 16, 24)
    assert resized.digest != data.digest
    arrays = training_set(mnist.images[[2, 3, 4, 0, 1]], np.array([0, 0, 0, 1, 1]), name="x")
    assert data.digest == arrays.digest
    with pytest.raises(InputError, match="at most 64 px: --resize 64x64"):
        load_training_set(str(tmp_path / "set"), resize="70x90")
