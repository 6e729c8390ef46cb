"""Pictures of codes: what each shows, and where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from bench.data.datasets import load_dataset
from bench.data.factors import CLASSES, FACTOR_NAMES
from bench.latent import evaluate
from bench.latent.code_pictures import LATENT_MAPS, neighbour_rows, reused, variation_maps
from bench.latent.context import Context
from bench.latent.data import LabelledImages, LatentData
from bench.latent.space import PcaSpace, checked
from bench.latent.values import Absent
from bench.plots.latent_maps import SEPARATION_PX
from tests.conftest import RealSample


@pytest.fixture(scope="module")
def context(mnist: RealSample) -> Context:
    drawn = load_dataset("factors:300", "train")
    other = LabelledImages(drawn.images, drawn.labels, drawn.levels)
    train = LabelledImages(mnist.images[:300], mnist.labels[:300])
    test = LabelledImages(mnist.images[300:500], mnist.labels[300:500])
    return Context(
        checked(PcaSpace(train.images, 8)),
        LatentData("mnist", train, test),
        other=LatentData("factors", other, other, FACTOR_NAMES, CLASSES),
    )


def test_a_map_shows_every_held_out_image_in_its_class(context: Context) -> None:
    (ax,) = LATENT_MAPS["map-pca"](context).axes
    labels = context.data.test.labels
    assert labels is not None
    counts = [len(dots.get_offsets()) for dots in ax.collections]
    assert counts == np.bincount(labels).tolist()


def test_neighbours_are_those_of_the_codes(context: Context) -> None:
    (ax,) = neighbour_rows(context).axes
    sheet = np.asarray(ax.images[0].get_array())[..., 0]
    train, test = context.data.train.images[..., 0], context.data.test.images[..., 0]
    query = sheet[:28, :28]
    row = int(np.flatnonzero((test == query).all(axis=(1, 2)))[0])
    distance = ((context.train_codes - context.test_codes[row]) ** 2).sum(axis=1)
    for place, near in enumerate(np.argsort(distance)[:9]):
        left = 28 + SEPARATION_PX + place * 30
        np.testing.assert_array_equal(sheet[:28, left : left + 28], train[near])


def test_variations_have_a_panel_each(context: Context) -> None:
    axes = variation_maps(context).axes
    assert [ax.get_title(loc="left") for ax in axes[:2]] == ["rotation", "shift"]
    assert {ax.get_ylabel() for ax in axes[2:]} == {"degrees", "px"}


def test_other_images_stand_above_their_reconstructions(context: Context) -> None:
    (ax,) = reused(context).axes
    sheet = np.asarray(ax.images[0].get_array())[..., 0]
    assert context.other is not None
    image = context.other.test.images[:1]
    made = context.space.decode(context.space.encode(image))
    np.testing.assert_array_equal(sheet[:28, :28], image[0, :, :, 0])
    np.testing.assert_array_equal(sheet[28:56, :28], made[0, :, :, 0])


def test_there_is_no_picture_without_other_data(context: Context) -> None:
    alone = Context(context.space, context.data)
    with pytest.raises(Absent, match="--other NAME"):
        reused(alone)


def test_one_call_measures_every_group_of_codes(context: Context) -> None:
    assert context.other is not None
    only = ("representation", "invariance", "reuse", "disentanglement")
    record = evaluate(
        PcaSpace(context.data.train.images, 4), context.data, only=only, other=context.other
    )
    assert {value.group for value in record.values} == set(only)
    assert record.other == "factors"
    assert record.value("reuse_probe", "factors").value is not None
    assert "--data factors" in record.value("mig").reason
