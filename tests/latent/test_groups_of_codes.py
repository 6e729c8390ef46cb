"""The groups that judge codes, on real digits and drawn factors, and on what has no value."""

from __future__ import annotations

import numpy as np
import pytest

from bench.data.datasets import load_dataset
from bench.data.factors import FACTOR_NAMES
from bench.latent import disentanglement, invariance, representation, reuse
from bench.latent.context import Context
from bench.latent.data import LabelledImages, LatentData
from bench.latent.space import PcaSpace, PixelSpace, checked
from bench.latent.values import LatentMeasure, LatentValue
from tests.conftest import RealSample

GROUPS = {
    "disentanglement": (disentanglement.measure_disentanglement, disentanglement.MEASURES),
    "representation": (representation.measure_representation, representation.MEASURES),
    "invariance": (invariance.measure_invariance, invariance.MEASURES),
    "reuse": (reuse.measure_reuse, reuse.MEASURES),
}


@pytest.fixture(scope="module")
def digits(mnist: RealSample) -> LatentData:
    train = LabelledImages(mnist.images[:600], mnist.labels[:600])
    test = LabelledImages(mnist.images[600:1000], mnist.labels[600:1000])
    return LatentData("mnist", train, test)


@pytest.fixture(scope="module")
def drawn() -> LatentData:
    parts = []
    for split in ("train", "test"):
        found = load_dataset("factors:600", split)
        assert found.levels is not None
        parts.append(LabelledImages(found.images[:600], found.labels[:600], found.levels[:600]))
    return LatentData("factors", parts[0], parts[1], FACTOR_NAMES)


class Levels:
    """Codes equal to the factors, which it knows by the image."""

    name = "levels"

    def __init__(self, data: LatentData) -> None:
        self.of = {
            image.tobytes(): levels
            for part in (data.train, data.test)
            for image, levels in zip(part.images, part.factors, strict=True)
        }

    def encode(self, images: np.ndarray) -> np.ndarray:
        return np.array([self.of[image.tobytes()] for image in images], np.float32)


class Constant:
    name = "constant"

    def encode(self, images: np.ndarray) -> np.ndarray:
        return np.ones((len(images), 4), np.float32)


class Broken:
    name = "broken"

    def encode(self, images: np.ndarray) -> np.ndarray:
        return np.full((len(images), 4), np.nan, np.float32)


class DecoderOnly:
    name = "decoder"

    def decode(self, codes: np.ndarray) -> np.ndarray:
        return np.zeros((len(codes), 28, 28, 1), np.uint8)


def measured(group: str, context: Context) -> dict[str, LatentValue]:
    measure, rows = GROUPS[group]
    found = measure(context)
    keys = [value.key for value in found]
    assert len(set(keys)) == len(keys)
    names: dict[str, LatentMeasure] = {row.name: row for row in rows}
    assert {value.name for value in found} == set(names)
    for value in found:
        row = names[value.name]
        assert (value.group, value.definition) == (group, row.definition)
        if value.value is not None:
            assert row.low is None or value.value >= row.low
            assert row.high is None or value.value <= row.high
            assert value.n > 0
    return dict(zip(keys, found, strict=True))


def test_the_representation_of_digits_by_pca(digits: LatentData) -> None:
    space = checked(PcaSpace(digits.train.images, 16))
    found = measured("representation", Context(space, digits))
    values = {key: value.value for key, value in found.items()}
    assert values["linear_probe (100% of the labels)"] > 0.75
    assert values["knn_accuracy"] > 0.75
    assert values["linear_probe (1% of the labels)"] < values["linear_probe (100% of the labels)"]
    assert values["retrieval_precision (1 nearest)"] > values["retrieval_precision (100 nearest)"]
    assert 1 < values["effective_rank"] < 16
    assert values["map_trustworthiness (t-sne)"] > values["map_trustworthiness (pca)"]
    assert found["knn_accuracy"].low < values["knn_accuracy"] < found["knn_accuracy"].high
    assert found["map_shepard (pca)"].n == 400
    again = measured("representation", Context(space, digits))
    assert {key: value.value for key, value in again.items()} == values


def test_factors_as_codes(drawn: LatentData) -> None:
    found = measured("disentanglement", Context(checked(Levels(drawn)), drawn))
    values = {key: value.value for key, value in found.items()}
    assert values["mig"] > 0.9
    assert values["factor_vae"] == 1
    assert min(value for value in values.values() if value is not None) > 0.8
    pca = measured("disentanglement", Context(checked(PcaSpace(drawn.train.images, 8)), drawn))
    assert pca["mig"].value < 0.2
    assert pca["dci_disentanglement_lasso"].value < 0.5


def test_data_without_factors_have_no_disentanglement(digits: LatentData) -> None:
    found = measured("disentanglement", Context(checked(PixelSpace((28, 28, 1))), digits))
    assert {value.reason for value in found.values()} == {
        "the factors of mnist are not known; --data factors has them"
    }


def test_pixels_vary_with_rotation_and_shift_less_than_linearly(digits: LatentData) -> None:
    found = measured("invariance", Context(checked(PixelSpace((28, 28, 1))), digits))
    assert found["variation_knn_gain (shift)"].value == 0
    assert found["variation_linear (shift)"].value > 0.5
    shares = found["variance_of_variation"].value + found["variance_of_image"].value
    assert 0 < shares < 1


def test_reuse_of_components_of_digits_on_drawings(digits: LatentData, drawn: LatentData) -> None:
    space = checked(PcaSpace(digits.train.images, 16))
    found = measured("reuse", Context(space, digits, other=drawn))
    own, other = found["reuse_error (mnist)"].value, found["reuse_error (factors)"].value
    assert own < 0.45 < other
    assert 0.1 < found["reuse_probe (factors)"].value < 1


def test_reuse_needs_other_data_of_the_same_shape(digits: LatentData) -> None:
    space = checked(PcaSpace(digits.train.images, 16))
    found = measured("reuse", Context(space, digits))
    assert found["reuse_probe (other data)"].reason == "no other data set was given; --other NAME"
    wide = LabelledImages(np.zeros((5, 28, 30, 1), np.uint8), np.zeros(5, np.int64))
    found = measured("reuse", Context(space, digits, other=LatentData("wide", wide, wide)))
    assert "(28, 30, 1)" in found["reuse_error (wide)"].reason


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("kind", [Constant, Broken, DecoderOnly])
def test_bad_spaces_have_reasons_instead_of_values(
    group: str, kind: type, digits: LatentData, drawn: LatentData
) -> None:
    data = drawn if group == "disentanglement" else digits
    found = measured(group, Context(checked(kind()), data, other=drawn))
    reasons = {key: value.reason for key, value in found.items() if value.value is None}
    if kind is not Constant:
        assert reasons.keys() == found.keys()
        word = "NaN or infinite" if kind is Broken else "encode"
        assert all(word in reason for reason in reasons.values())
    else:
        # neighbours of equal codes are the first images, which is a value of its own
        assert not found.keys() - reasons.keys() - {
            "knn_accuracy", "alignment", "uniformity", "variation_knn (rotation)",
            "variation_knn (shift)", "variation_knn_gain (rotation)", "variation_knn_gain (shift)",
            *(f"retrieval_precision ({k} nearest)" for k in (1, 10, 100)),
        }  # fmt: skip


def test_bad_data_have_reasons_instead_of_values(digits: LatentData) -> None:
    images, space = digits.test.images, checked(PixelSpace((28, 28, 1)))
    unlabelled = LabelledImages(images[:150])
    one_class = LabelledImages(images[:150], np.zeros(150, np.int64))
    few = LabelledImages(images[:8], np.arange(8) % 2)
    for part, word in ((unlabelled, "has no labels"), (one_class, "have one class")):
        found = measured("representation", Context(space, LatentData("mine", part, part)))
        assert word in found["linear_probe (10% of the labels)"].reason
        assert word in found["kmeans_nmi"].reason
        assert found["effective_rank"].value is not None
        assert found["map_trustworthiness (pca)"].value is not None
    found = measured("representation", Context(space, LatentData("few", few, few)))
    assert "100 neighbours are needed" in found["retrieval_precision (100 nearest)"].reason
    assert "a map needs at least 100" in found["map_shepard (t-sne)"].reason
    assert found["knn_accuracy"].value is not None
    found = measured("invariance", Context(space, LatentData("few", few, few)))
    assert "at least 12 are needed" in found["variation_knn (shift)"].reason
