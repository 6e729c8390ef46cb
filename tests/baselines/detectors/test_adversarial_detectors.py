"""The discriminator's score and AnoGAN's search."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from baselines.detectors.adversarial import AnoGANOptions, search, starts
from baselines.detectors.recipe_detector import RecipeDetector
from baselines.sampling.trained import Trained
from bench.anomaly.detectors.base import Reconstructing
from tests.baselines.detectors.conftest import made, shortest

Pictures = NDArray[np.uint8]


@pytest.fixture(scope="module")
def trained(ones: Pictures) -> Trained:
    """A small DCGAN of ones."""
    detector = made("anogan")
    assert isinstance(detector, RecipeDetector)
    detector.fit(ones)
    assert detector.trained is not None
    return detector.trained


def planar(images: Pictures) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


def test_the_start_is_a_function_of_seed_and_image(ones: Pictures) -> None:
    x = planar(ones[:6])
    z = starts(x, 8, seed=1)
    assert z.shape == (6, 8)
    assert torch.equal(starts(x.flip(0), 8, seed=1), z.flip(0))
    assert torch.equal(starts(x[2:3], 8, seed=1), z[2:3])
    assert not torch.equal(starts(x, 8, seed=2), z)
    assert len(torch.unique(z)) == 48
    twice = starts(torch.cat([x, x]), 8, seed=1)
    assert torch.equal(twice[:6], twice[6:])


def test_the_score_is_the_loss_where_the_search_ends(trained: Trained, ones: Pictures) -> None:
    """By numpy from the image found: .9 |x - G(z)|_1 + .1 |f(x) - f(G(z))|_1."""
    x = planar(ones[:5])
    found = search(trained, x, AnoGANOptions(num_steps=10), seed=0)
    signed = x.numpy() / 127.5 - 1
    residual = np.abs(signed - found.images.numpy()).sum((1, 2, 3))
    features = [
        trained.judge(images).features.double().numpy()
        for images in (torch.from_numpy(signed).float(), found.images)
    ]
    difference = np.abs(features[0] - features[1]).sum(1)
    np.testing.assert_allclose(found.scores, 0.9 * residual + 0.1 * difference, rtol=1e-5)
    pixels_only = search(trained, x, AnoGANOptions(num_steps=1, weight=0), seed=0)
    np.testing.assert_allclose(
        pixels_only.scores,
        np.abs(signed - pixels_only.images.numpy()).sum((1, 2, 3)),
        rtol=1e-5,
    )


def test_a_longer_search_explains_more(trained: Trained, ones: Pictures) -> None:
    x = planar(ones[:10])
    means = [
        search(trained, x, AnoGANOptions(num_steps=steps), seed=0).scores.mean()
        for steps in (1, 10, 60)
    ]
    assert means[0] > means[1] > means[2]


def test_images_of_the_generator_are_found_again(trained: Trained, ones: Pictures) -> None:
    """G(z) of a known z scores lower than real ones under the same search."""
    z = torch.randn(20, 8, generator=torch.Generator().manual_seed(0))
    own = planar(trained.images(z))
    options = AnoGANOptions(num_steps=60, search_rate=0.1)
    known = search(trained, own, options, seed=0).scores
    real = search(trained, planar(ones[:20]), options, seed=0).scores
    assert known.median() < real.median()


def test_the_search_leaves_the_networks_alone(trained: Trained, ones: Pictures) -> None:
    before = {
        f"{name}.{key}": value.clone()
        for name, network in trained.networks.items()
        for key, value in network.state_dict().items()
    }
    search(trained, planar(ones[:3]), AnoGANOptions(num_steps=2), seed=0)
    for name, network in trained.networks.items():
        for key, value in network.state_dict().items():
            assert torch.equal(before[f"{name}.{key}"], value)


def test_reconstructions_are_the_images_found(ones: Pictures) -> None:
    detector = shortest("anogan")
    assert isinstance(detector, RecipeDetector)
    assert isinstance(detector, Reconstructing)
    detector.fit(ones)
    assert detector.trained is not None
    options = AnoGANOptions(num_steps=3, search_rate=0.2)
    found = search(detector.trained, planar(ones[:4]), options, seed=0).images
    pixels = ((found + 1) * 127.5).round().clamp(0, 255).permute(0, 2, 3, 1).numpy()
    difference = detector.reconstructions(ones[:4]).astype(float) - pixels
    assert np.abs(difference).max() <= 1


def test_the_discriminators_score_is_minus_its_logit(ones: Pictures) -> None:
    detector = shortest("gan-discriminator")
    assert isinstance(detector, RecipeDetector)
    detector.fit(ones)
    assert detector.trained is not None
    logits = detector.trained.judge(planar(ones[:6]).float() / 127.5 - 1).logits
    np.testing.assert_allclose(detector.scores(ones[:6]), -logits.double().numpy(), rtol=1e-4)
