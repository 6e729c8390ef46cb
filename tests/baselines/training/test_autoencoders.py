"""Properties of autoencoders and VAEs, trained on real digits for seconds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import subspace_angles
from torch import nn

from baselines.models.autoencoders import Autoencoder
from baselines.models.code_priors import codes_from_prior, fit_code_priors
from baselines.models.likelihoods import corrupt
from baselines.models.vae import VAE
from baselines.recipes.table import recipe_config
from baselines.runs.run_folder import checkpoint_of
from baselines.sampling.trained import reconstruct, trained_from
from baselines.training.build import Game, build_for
from baselines.training.engine import Engine, train_through
from baselines.training.training_images import TrainingSet, training_set
from bench.extractors import EXTRACTORS
from bench.metrics.frechet import frechet_distance
from bench.statistics.moments import Moments
from tests.baselines.conftest import small_engine, small_game
from tests.conftest import RealSample


def autoencoder_of(game: Game) -> Autoencoder:
    network = game.networks["autoencoder"]
    assert isinstance(network, Autoencoder)
    return network


def test_a_linear_autoencoder_spans_the_subspace_of_pca(mnist: RealSample) -> None:
    """Compare principal angles on 2,000 real digits with numpy's singular vectors.

    The fifth and sixth eigenvalues are 2.35 and 1.95, so that five directions are well defined.
    """
    data = training_set(mnist.images, mnist.labels, name="digits")
    settings = ("model.widths=[]", "model.code_dim=5", "batch_size=500", "learning_rate=0.01")
    game = small_game("ae-linear", data, *settings, num_steps=1500)
    engine = Engine(game, data)
    train_through(engine)
    decoder = engine.tensors()["networks/autoencoder/decoder.0.0.weight"].numpy()  # 784,5
    x = mnist.images.reshape(2000, -1) / 255
    directions = np.linalg.svd(x - x.mean(0), full_matrices=False)[2][:5].T
    angles = np.degrees(subspace_angles(decoder, directions))
    assert angles.max() < 5
    untrained = autoencoder_of(small_game("ae-linear", data, *settings)).decoder
    weight = next(m.weight for m in untrained.modules() if isinstance(m, nn.Linear))
    before = np.degrees(subspace_angles(weight.detach().numpy(), directions))
    assert before.min() > 45


@pytest.mark.parametrize(
    ("recipe", "num_hidden"), [("ae-linear", 0), ("ae-dense", 1), ("ae-stacked", 3)]
)
def test_depths(recipe: str, num_hidden: int, digits: TrainingSet) -> None:
    network = autoencoder_of(build_for(recipe_config(recipe), digits))
    encoder = [m for m in network.encoder.modules() if isinstance(m, nn.Linear)]
    assert len(encoder) == num_hidden + 1
    assert sum(isinstance(m, nn.ReLU) for m in network.encoder.modules()) == num_hidden
    assert encoder[-1].out_features < 784


@pytest.mark.parametrize(
    ("recipe", "settings"),
    [
        ("ae-sparse-l1", ("model.code_dim=64", "model.penalty_weight=0.5")),
        ("ae-overcomplete", ("model.code_dim=1000", "model.widths=[]")),
        ("ae-sparse-kl", ("model.code_dim=64", "model.penalty_weight=5")),
    ],
)
def test_a_penalty_makes_codes_sparse(
    recipe: str, settings: tuple[str, ...], digits: TrainingSet
) -> None:
    activity = {}
    for penalty in ("on", "off"):
        switch = () if penalty == "on" else ("model.penalty=none",)
        engine = small_engine(recipe, digits, *settings, *switch, "batch_size=64", num_steps=160)
        train_through(engine)
        trained = trained_from(checkpoint_of(engine))
        codes = trained.encode(digits.images.permute(0, 2, 3, 1).numpy())
        activity[penalty] = codes.abs().mean().item()
        if recipe == "ae-sparse-kl" and penalty == "on":
            assert codes.mean(0).mean().item() == pytest.approx(0.05, abs=0.03)
    assert activity["on"] < 0.6 * activity["off"]


@pytest.mark.parametrize("kind", ["masking", "gaussian"])
def test_a_denoising_autoencoder_denoises(kind: str, digits: TrainingSet) -> None:
    """The output is nearer to the clean image than the input, and than a plain autoencoder's is."""
    level = 0.5
    size = ("model.widths=[128]", "model.code_dim=32", "batch_size=64")
    settings = (*size, f"model.corruption_level={level}")
    engine = small_engine(f"ae-denoising-{kind}", digits, *settings, num_steps=400)
    plain = small_engine("ae-dense", digits, *size, num_steps=400)
    x = digits.batch(torch.arange(500), "unit")
    generator = torch.Generator().manual_seed(9)
    noise = (torch.rand if kind == "masking" else torch.randn)(x.shape, generator=generator)
    noisy = corrupt(x, noise, kind, level)  # type: ignore[arg-type]
    errors = {}
    for name, run in (("denoising", engine), ("plain", plain)):
        train_through(run)
        network = run.lanes[0].modules["autoencoder"]
        with torch.no_grad():
            errors[name] = (network(noisy)[0] - x).square().mean().item()
    assert errors["denoising"] < (noisy - x).square().mean().item()
    assert errors["denoising"] < errors["plain"]


def test_conditional_vae_listens_to_the_class(digits: TrainingSet) -> None:
    engine = small_engine("vae-conditional", digits, "batch_size=64", num_steps=300)
    train_through(engine)
    trained = trained_from(checkpoint_of(engine))
    z = torch.zeros(10, 4)
    images = trained.images(z, torch.eye(10))
    assert len(np.unique(images.reshape(10, -1), axis=0)) == 10


@pytest.mark.parametrize("recipe", ["vae", "vae-gaussian", "vae-conv"])
def test_the_elbo_is_its_two_terms_and_rises(recipe: str, digits: TrainingSet) -> None:
    engine = small_engine(recipe, digits, "batch_size=64", num_steps=160)
    rows: list[dict[str, float]] = []
    train_through(
        engine,
        lambda block: rows.extend(
            dict(zip(block.names, row, strict=True)) for row in block.values.tolist()
        ),
    )
    for row in rows:
        assert row["elbo"] == pytest.approx(row["log_likelihood"] - row["kl"], rel=1e-5)
        assert row["kl"] >= 0
        assert row["loss"] == pytest.approx(-row["elbo"], rel=1e-5)
    assert rows[-1]["elbo"] > rows[0]["elbo"] + 50


def test_beta_weighs_the_kl(digits: TrainingSet) -> None:
    kl = {}
    for beta in (0.1, 20.0):
        engine = small_engine("vae", digits, f"model.beta={beta}", "batch_size=64", num_steps=160)
        last = {}
        train_through(
            engine,
            lambda block, last=last: last.update(
                zip(block.names, block.values[-1].tolist(), strict=True)
            ),
        )
        assert last["loss"] == pytest.approx(beta * last["kl"] - last["log_likelihood"], rel=1e-4)
        kl[beta] = last["kl"]
    assert kl[20.0] < 0.5 * kl[0.1]


def test_reparameterisation(digits: TrainingSet) -> None:
    network = small_game("vae", digits).networks["autoencoder"]
    assert isinstance(network, VAE)
    x, noise = digits.batch(torch.arange(3), "unit"), torch.randn(3, 4)
    with torch.no_grad():
        out, mean, log_variance = network(x, noise)
        torch.testing.assert_close(out, network.decode(mean + (log_variance / 2).exp() * noise))
        torch.testing.assert_close(network(x, torch.zeros(3, 4))[0], network.decode(mean))


def test_priors_are_fitted_to_the_codes() -> None:
    """With two distant clusters, the mixture samples only these; one Gaussian fills the gap."""
    generator = torch.Generator().manual_seed(0)
    side = (torch.rand(4000, generator=generator) < 0.25).float() * 20 - 10
    codes = torch.randn(4000, 3, generator=generator)
    codes[:, 0] += side
    fitted = fit_code_priors(codes, seed=0)
    noise = torch.randn(4000, 3, generator=generator)
    uniform = torch.rand(4000, generator=generator)
    drawn = {p: codes_from_prior(fitted, p, noise, uniform) for p in ("gaussian", "mixture")}
    for found in drawn.values():
        torch.testing.assert_close(found.mean(0), codes.mean(0), rtol=0.1, atol=0.5)
        torch.testing.assert_close(found.std(0), codes.std(0), rtol=0.1, atol=0.1)
    gap = {p: (found[:, 0].abs() < 5).float().mean().item() for p, found in drawn.items()}
    assert gap["mixture"] < 0.01
    assert gap["gaussian"] > 0.2
    assert fitted["mixture/weights"].shape == (10,)


def test_the_order_of_reconstruction_mixture_and_gaussian(mnist: RealSample) -> None:
    """protocols.md: one Gaussian is far worse than reconstructions, a mixture closes the gap."""
    data = training_set(mnist.images, mnist.labels, name="digits")
    settings = ("model.widths=[256]", "model.code_dim=16", "batch_size=100")
    engine = Engine(small_game("ae-dense", data, *settings, num_steps=1500), data)
    train_through(engine)
    checkpoint = checkpoint_of(engine)
    trained = trained_from(checkpoint)
    codes = trained.encode(mnist.images)
    fitted = fit_code_priors(codes, seed=0)
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(2000, 16, generator=generator)
    uniform = torch.rand(2000, generator=generator)
    extractor = EXTRACTORS["digits"].resolve().load()
    real = Moments.of(extractor(mnist.images).values)

    def fid(images: np.ndarray) -> float:
        return frechet_distance(Moments.of(extractor(images).values), real).value

    reconstruction = fid(reconstruct(trained, mnist.images))
    gaussian, mixture = (
        fid(trained.images(codes_from_prior(fitted, prior, noise, uniform)))
        for prior in ("gaussian", "mixture")
    )
    assert reconstruction < mixture < gaussian
    assert gaussian > 2 * reconstruction
    assert mixture - reconstruction < 0.7 * (gaussian - reconstruction)
