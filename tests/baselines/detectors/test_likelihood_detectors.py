"""Autoencoders, VAEs and the hybrid against PCA, the training objective and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from sklearn.decomposition import PCA
from sklearn.svm import OneClassSVM

from baselines.detectors.recipe_detector import RecipeDetector
from baselines.detectors.variational import elbo_noise, negative_elbo
from baselines.sampling.trained import Trained
from baselines.training.objectives import vae_objective
from baselines.tricks.base import Net
from bench.anomaly.detectors.base import DetectorSettings
from bench.errors import UsageError
from tests.baselines.detectors.conftest import made, row_of, shortest

Pictures = NDArray[np.uint8]


def trained_of(detector: object) -> Trained:
    assert isinstance(detector, RecipeDetector)
    assert detector.trained is not None
    return detector.trained


def planar(images: Pictures) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


def toy(count: int, seed: int) -> Pictures:
    """8x8 images of three strong directions and some noise."""
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(64, 3)))[0]
    x = 128 + rng.normal(size=(count, 3)) * [260, 200, 160] @ basis.T
    x += rng.normal(size=x.shape) * 25
    return np.clip(np.round(x), 0, 255).astype(np.uint8).reshape(count, 8, 8, 1)


def test_a_linear_autoencoder_scores_as_pca() -> None:
    """Trained to convergence on toy data of three components: scores within 10 % of scikit-learn's
    PCA residuals, rank correlation above .995 (measured: 5 %, .998; the minimum is flat).
    """
    normal, images = toy(500, 1), toy(200, 2)
    options: dict[str, float | int | str] = {
        "recipe": "ae-linear",
        "code_dim": 3,
        "epochs": 200,
        "batch_size": 500,
        "learning_rate": 1e-2,
    }
    detector = row_of("ae-dense").make(DetectorSettings(options=options))
    detector.fit(normal)
    x, y = (part.reshape(len(part), -1) / 255 for part in (normal, images))
    pca = PCA(3).fit(x)
    expected = np.square(y - pca.inverse_transform(pca.transform(y))).sum(1)
    found = detector.scores(images)
    assert spearmanr(found, expected).statistic > 0.995
    np.testing.assert_allclose(found, expected, rtol=0.1)


@pytest.mark.parametrize("name", ["ae-dense", "ae-conv", "ae-denoising"])
def test_reconstruction_error_by_numpy(name: str, ones: Pictures) -> None:
    """The sum over pixels of the squared difference to the network's output."""
    detector = shortest(name)
    detector.fit(ones)
    network = trained_of(detector).networks["autoencoder"]
    out = network(planar(ones[:20]).float() / 255)[0].double().numpy()
    x = ones[:20].transpose(0, 3, 1, 2) / 255
    np.testing.assert_allclose(
        detector.scores(ones[:20]), np.square(out - x).sum((1, 2, 3)), rtol=1e-5
    )


@pytest.mark.parametrize("recipe", ["vae", "vae-gaussian"])
def test_the_negative_elbo_is_the_training_objective(recipe: str, ones: Pictures) -> None:
    """Its mean over images and noise, against `vae_objective` under the same noise."""
    detector = shortest("vae-elbo", recipe=recipe, draws=4)
    detector.fit(ones)
    trained = trained_of(detector)
    noise = elbo_noise(4, 16, seed=0)
    assert torch.equal(noise[:2], -noise[2:])
    images = planar(ones[:8])
    found = negative_elbo(trained, noise, images)
    network = trained.networks["autoencoder"]
    total = 0.0
    for row in noise:
        draws = {"real": images.float() / 255, "noise": row.expand(8, -1)}
        loss, _ = vae_objective(trained.game, Net(network, {}, {}), draws)
        total += float(loss) / 4
    assert float(found.mean()) == pytest.approx(total, rel=1e-5)
    np.testing.assert_allclose(detector.scores(ones[:8]), found.numpy(), rtol=1e-5)


def test_more_draws_agree_better(ones: Pictures) -> None:
    """Two estimates of the expectation, 2 and 64 draws, against 512."""
    detector = made("vae-elbo")
    detector.fit(ones)
    trained, images = trained_of(detector), planar(ones[:20])
    best = negative_elbo(trained, elbo_noise(512, 16, seed=9), images)
    error = [
        (negative_elbo(trained, elbo_noise(draws, 16, seed=1), images) - best).abs().mean()
        for draws in (2, 64)
    ]
    assert error[1] < error[0]


def test_the_hybrid_is_the_svm_on_the_codes(ones: Pictures) -> None:
    """Against scikit-learn on the codes; with few `svm_images`, on those spread over the set."""
    for count in (10_000, 50):
        detector = shortest("ae-oc-svm", svm_images=count)
        detector.fit(ones)
        trained = trained_of(detector)
        places = np.arange(min(count, 150)) * 149 // (min(count, 150) - 1)
        codes = trained.encode(ones).double().numpy()
        assert codes.shape == (150, 32)
        svm = OneClassSVM(nu=0.1, gamma="scale").fit(codes[places])
        np.testing.assert_allclose(
            detector.scores(ones), -svm.decision_function(codes), rtol=1e-3, atol=1e-4
        )


def test_recipes_of_another_kind_are_refused() -> None:
    for name, recipe in (("ae-dense", "vae"), ("vae-elbo", "vae-conditional"), ("anogan", "wgan")):
        with pytest.raises(UsageError, match=f"detector '{name}': recipe"):
            row_of(name).make(DetectorSettings(options={"recipe": recipe}))
