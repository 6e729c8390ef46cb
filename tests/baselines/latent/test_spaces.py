"""Every family of recipes as a latent space: shapes, given classes, codes that are read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from baselines.latent.source import RUNS
from baselines.latent.spaces import InfoGanSpace, run_space
from baselines.models.vae import VAE
from baselines.training.training_images import TrainingSet
from bench.errors import UsageError
from bench.latent import inversion
from bench.latent.context import Context
from bench.latent.data import LabelledImages, LatentData
from bench.latent.interpolation import spherical
from bench.latent.inversion import invert
from bench.latent.space import CheckedSpace, Parts, checked
from bench.latent.values import Absent
from tests.baselines.conftest import small_game, train_run
from tests.conftest import RealSample

RECIPES = ("ae-dense", "ae-conv", "vae", "vae-conditional", "vae-conv", "dcgan", "infogan",
           "conditional-dcgan", "course-gan", "drlim")  # fmt: skip
DIM = {"ae-dense": 6, "ae-conv": 6, "vae": 4, "vae-conditional": 14, "vae-conv": 4, "dcgan": 8,
       "infogan": 20, "conditional-dcgan": 18, "course-gan": 8}  # fmt: skip


@pytest.fixture(scope="module")
def runs(digits: TrainingSet, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    return {
        recipe: train_run(small_game(recipe, digits, num_steps=2).config, digits, folder / recipe)
        for recipe in RECIPES
    }


@pytest.fixture(scope="module")
def data(mnist: RealSample) -> LatentData:
    train = LabelledImages(mnist.images[:100], mnist.labels[:100])
    return LatentData("mnist", train, LabelledImages(mnist.images[100:160], mnist.labels[100:160]))


def space_of(runs: dict[str, Path], recipe: str) -> CheckedSpace:
    assert RUNS.recognises(runs[recipe])
    return checked(RUNS.open(runs[recipe], "cpu"))


@pytest.mark.parametrize("recipe", DIM)
def test_codes_latents_and_images_have_the_same_shape(
    runs: dict[str, Path], data: LatentData, recipe: str
) -> None:
    space = space_of(runs, recipe)
    latents = space.sample_latents(7, 3)
    assert latents.shape == (7, DIM[recipe])
    assert np.array_equal(latents, space.sample_latents(7, 3))
    assert not np.array_equal(latents, space.sample_latents(7, 4))
    images = space.decode(latents)
    assert images.shape == (7, 28, 28, 1)
    # the differentiable images are the same up to rounding to 8 bits
    z = torch.from_numpy(latents).requires_grad_()
    made = space.space.decode_tensor(z)
    moves = torch.autograd.grad(made.sum(), [z])[0].abs().sum() > 0
    # an output that is clamped everywhere, as after two steps of ae-conv, has no gradient
    assert moves == bool(((made > 0) & (made < 1)).any())
    levels = 255 * made.detach().numpy().transpose(0, 2, 3, 1)
    assert np.abs(levels - images).max() <= 0.51
    encodes = recipe.startswith(("ae", "vae"))
    assert space.has("encode") == encodes
    if encodes:
        codes = space.encode(data.test.images, data.test.labels)
        assert codes.shape == (60, DIM[recipe])
    assert "2 steps" in space.title


def test_a_conditional_vae_gets_the_class_as_the_last_columns(
    runs: dict[str, Path], data: LatentData
) -> None:
    space = space_of(runs, "vae-conditional")
    labels = data.test.labels
    assert labels is not None
    codes = space.encode(data.test.images, labels)
    assert space.num_given == 10
    assert space.free(codes).shape[1] == 4
    assert (codes[:, 4:].argmax(axis=1) == labels).all()
    assert (codes[:, 4:].sum(axis=1) == 1).all()
    # another class is another image of the same code
    other = codes.copy()
    other[:, 4:] = np.roll(codes[:, 4:], 1, axis=1)
    assert not np.array_equal(space.decode(codes), space.decode(other))
    network = space.space.trained.networks["autoencoder"]
    assert isinstance(network, VAE)
    with torch.no_grad():
        x = torch.from_numpy(data.test.images).permute(0, 3, 1, 2).float() / 255
        mean, _ = network.encode(x, torch.from_numpy(codes[:, 4:]))
    np.testing.assert_allclose(space.posterior(data.test.images, labels).mean, mean, atol=1e-5)
    with pytest.raises(Absent, match="have no labels"):
        space.encode(data.test.images)
    with pytest.raises(Absent, match="a label is 12"):
        space.encode(data.test.images, labels + 3 * (labels == 9))


def test_infogan_reads_its_codes_and_has_parts(runs: dict[str, Path], data: LatentData) -> None:
    space = space_of(runs, "infogan")
    assert isinstance(space.space, InfoGanSpace)
    assert space.parts == Parts(8, 10, 2)
    latents = space.sample_latents(9, 0)
    assert (latents[:, 8:18].sum(axis=1) == 1).all()
    assert np.abs(latents[:, 18:]).max() <= 1
    probabilities, codes = space.read_codes(data.test.images)
    assert probabilities.shape == (60, 10)
    assert codes.shape == (60, 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    # a spherical path is an arc of the noise; category and codes change linearly
    context = Context(space, data)
    half = spherical(context, latents[:1], latents[1:2], np.array([0.5]))[0, 0]
    np.testing.assert_allclose(half[8:], latents[:2, 8:].mean(axis=0), atol=1e-6)


def test_an_embedding_has_codes_only(runs: dict[str, Path], data: LatentData) -> None:
    space = space_of(runs, "drlim")
    assert space.encode(data.test.images).shape == (60, 3)
    with pytest.raises(Absent, match="no decoder"):
        space.require_decoder()
    with pytest.raises(Absent, match="no distribution of latents"):
        space.sample_latents(2, 0)


def test_inversion_finds_an_image_that_the_model_can_make(runs: dict[str, Path]) -> None:
    space = space_of(runs, "vae")
    known = space.decode(space.sample_latents(6, 11))
    codes, errors = invert(space, known)
    start = space.decode(space.sample_latents(6, 12))
    before = np.square((start.astype(float) - known) / 255).mean(axis=(1, 2, 3))
    assert errors.max() < 0.1 * before.mean()
    difference = space.decode(codes).astype(float) - known
    np.testing.assert_allclose(np.square(difference / 255).mean(axis=(1, 2, 3)), errors, atol=2e-5)


def test_inversion_keeps_the_category_that_it_started_from(
    runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inversion, "NUM_ITERATIONS", 5)
    space = space_of(runs, "infogan")
    codes, _ = invert(space, space.decode(space.sample_latents(3, 0)))
    assert set(np.unique(codes[:, 8:18])) == {0.0, 1.0}


def test_an_unfinished_autoencoder_has_no_distribution(
    runs: dict[str, Path], data: LatentData
) -> None:
    space = run_space(runs["ae-dense"])
    tensors = space.trained.checkpoint.tensors
    for name in [name for name in tensors if name.startswith("prior/")]:
        del tensors[name]
    with pytest.raises(UsageError, match="has not finished"):
        space.sample_latents(2, 0)  # type: ignore[union-attr]
