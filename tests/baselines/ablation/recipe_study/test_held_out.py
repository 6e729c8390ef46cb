"""ELBOs and the bound on the mutual information, compared with plain NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from baselines.ablation.recipe_study.held_out import BOUND, held_out_terms
from baselines.models.base import LatentSpec
from baselines.models.random_draws import derive_seed
from baselines.models.vae import VAE
from baselines.runs.run_folder import checkpoint_of
from baselines.sampling.latent_candidates import LatentCandidates
from baselines.sampling.trained import Trained, trained_from
from baselines.training.engine import train_through
from baselines.training.training_images import TrainingSet
from tests.baselines.conftest import small_engine
from tests.conftest import RealSample


def trained_run(recipe: str, data: TrainingSet) -> Trained:
    engine = small_engine(recipe, data, num_steps=16)
    train_through(engine)
    return trained_from(checkpoint_of(engine))


def test_the_elbo_and_its_terms_beside_float64_numpy(
    digits: TrainingSet, mnist: RealSample
) -> None:
    trained = trained_run("vae", digits)
    images, labels = mnist.images[500:800], mnist.labels[500:800]
    found = held_out_terms(trained, images, labels)
    network = trained.networks["autoencoder"]
    assert isinstance(network, VAE)
    x = torch.from_numpy(images.transpose(0, 3, 1, 2)) / 255
    generator = torch.Generator().manual_seed(derive_seed("held-out"))
    with torch.no_grad():
        mean, log_variance = network.encode(x)
        parts = [torch.randn(n, mean.shape[1], generator=generator) for n in (250, 50)]
        logits = network.decode(mean + torch.exp(0.5 * log_variance) * torch.cat(parts))
    p = 1 / (1 + np.exp(-logits.double().numpy()))
    pixels = x.double().numpy()
    likelihood = (pixels * np.log(p) + (1 - pixels) * np.log1p(-p)).sum((1, 2, 3)).mean()
    m, v = mean.double().numpy(), log_variance.double().numpy()
    kl = 0.5 * (m**2 + np.exp(v) - 1 - v).sum(1).mean()
    assert found["log_likelihood"] == pytest.approx(likelihood, rel=1e-5)
    assert found["kl"] == pytest.approx(kl, rel=1e-4)
    assert found["elbo"] == pytest.approx(likelihood - kl, rel=1e-5)


def test_conditional_vaes_are_told_the_classes(digits: TrainingSet, mnist: RealSample) -> None:
    trained = trained_run("vae-conditional", digits)
    images, labels = mnist.images[500:600], mnist.labels[500:600]
    right = held_out_terms(trained, images, labels)["elbo"]
    assert held_out_terms(trained, images, (labels + 1) % 10)["elbo"] != right


def test_the_bound_beside_float64_numpy(digits: TrainingSet, mnist: RealSample) -> None:
    trained = trained_run("infogan", digits)
    assert trained.game.latent == LatentSpec(8, 10, 2)
    found = held_out_terms(trained, mnist.images[:4], mnist.labels[:4])
    assert set(found) == {BOUND}
    z = LatentCandidates(trained, 0, truncation=None, prior="gaussian").latents(
        list(range(2000)), 0
    )
    with torch.no_grad():
        codes = trained.judge(trained.decode(z)).codes
    assert codes is not None
    q, c = codes.double().numpy(), z.double().numpy()[:, 8:]
    logits, mean, log_sigma = q[:, :10], q[:, 10:12], np.maximum(q[:, 12:], -4.0)
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    categories = (log_p * c[:, :10]).sum(1) + math.log(10)
    squares = ((c[:, 10:] - mean) / np.exp(log_sigma)) ** 2
    density = -0.5 * (squares + math.log(2 * math.pi)) - log_sigma
    expected = (categories + (density + math.log(2)).sum(1)).mean()
    assert found[BOUND] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("recipe", ["course-gan", "ae-dense", "conditional-dcgan"])
def test_others_have_none(recipe: str, digits: TrainingSet, mnist: RealSample) -> None:
    assert held_out_terms(trained_run(recipe, digits), mnist.images[:4], mnist.labels[:4]) == {}
