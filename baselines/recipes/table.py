"""The table of recipes: named, complete configurations of reference models.

A row lists what differs from the defaults of `RunConfig`; `latentbench train NAME --dry-run` prints
the complete configuration. Numbers of steps are for a GPU; `--set num_steps=...` shortens them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from baselines.models import model_row
from baselines.recipes.config import RunConfig, make_config, with_settings
from bench.errors import UnknownNameError

EPOCH_64, EPOCH_128 = 938, 469  # steps that see 60,000 images


@dataclass(frozen=True)
class Recipe:
    """One row: name, title, source, and the settings that differ from the defaults."""

    name: str
    title: str
    source: str
    settings: Mapping[str, Any]


AUTOENCODER: dict[str, Any] = {
    "model": "autoencoder",
    "batch_size": 128,
    "num_steps": 30 * EPOCH_128,
    "learning_rate": 1e-3,
    "beta1": 0.9,
}
VAE: dict[str, Any] = {**AUTOENCODER, "model": "vae", "num_steps": 50 * EPOCH_128}
COURSE: dict[str, Any] = {"model": "dense-gan", "num_steps": 50 * EPOCH_64}
DCGAN: dict[str, Any] = {
    "model": "dcgan",
    "batch_size": 128,
    "num_steps": 50 * EPOCH_128,
    "tricks": {"separate-batches": {}},
}
TWO_RATES = {"generator": 2e-4, "discriminator": 4e-4}
TRICKED_DCGAN = {"ema": {}, "spectral-norm": {}, "two-time-scales": TWO_RATES}


def _f_gan(loss: str) -> Recipe:
    return Recipe(
        f"f-gan-{loss}",
        f"the course networks under the f-divergence {loss}",
        "Nowozin et al. 2016",
        {**COURSE, "loss": loss, "learning_rate": 1e-4},
    )


def _course(name: str, title: str, source: str, **settings: Any) -> Recipe:
    return Recipe(name, title, source, {**COURSE, **settings})


def _autoencoder(name: str, title: str, source: str, **options: Any) -> Recipe:
    return Recipe(name, title, source, {**AUTOENCODER, "model_options": options})


def _vae(name: str, title: str, model: str = "vae", **options: Any) -> Recipe:
    return Recipe(
        name,
        title,
        "Kingma & Welling 2014",
        {**VAE, "model": model, "model_options": options},
    )


_ROWS = (
    _autoencoder(
        "ae-linear",
        "linear autoencoder: PCA's subspace",
        "Baldi & Hornik 1989",
        widths=[],
        code_dim=32,
    ),
    _autoencoder(
        "ae-dense", "dense undercomplete autoencoder", "Rumelhart et al. 1986", code_dim=32
    ),
    _autoencoder(
        "ae-stacked",
        "deep autoencoder, three hidden layers a side",
        "Hinton & Salakhutdinov 2006",
        widths=[1024, 512, 256],
        code_dim=32,
    ),
    _autoencoder(
        "ae-overcomplete",
        "code larger than the image, limited by an activity penalty",
        "Ranzato et al. 2007",
        widths=[],
        code_dim=1024,
        code_activation="relu",
        penalty="l1",
        penalty_weight=0.1,
    ),
    _autoencoder(
        "ae-sparse-l1",
        "sparse code by an L1 penalty",
        "Olshausen & Field 1996",
        code_dim=128,
        code_activation="relu",
        penalty="l1",
        penalty_weight=0.2,
    ),
    _autoencoder(
        "ae-sparse-kl",
        "sparse code by KL to a target rate",
        "Ng 2011",
        code_dim=128,
        code_activation="sigmoid",
        penalty="kl",
        penalty_weight=1.0,
        target_rate=0.05,
    ),
    _autoencoder(
        "ae-denoising-masking",
        "denoising, pixels masked with probability nu = 0.25",
        "Vincent et al. 2010",
        code_dim=32,
        corruption="masking",
        corruption_level=0.25,
    ),
    _autoencoder(
        "ae-denoising-gaussian",
        "denoising, Gaussian noise of 0.3",
        "Vincent et al. 2010",
        code_dim=32,
        corruption="gaussian",
        corruption_level=0.3,
    ),
    Recipe(
        "ae-conv",
        "convolutional autoencoder",
        "Masci et al. 2011",
        {**AUTOENCODER, "model": "conv-autoencoder", "model_options": {"code_dim": 16}},
    ),
    _vae("vae", "dense VAE, Bernoulli likelihood"),
    _vae("vae-gaussian", "dense VAE, Gaussian likelihood", likelihood="gaussian"),
    _vae("vae-beta", "dense VAE, beta = 4", beta=4.0),
    _vae("vae-conditional", "dense VAE conditioned on the class", conditional=True),
    _vae("vae-conv", "convolutional VAE", model="conv-vae"),
    Recipe(
        "drlim",
        "contrastive embedding of rotation and shift in three dimensions",
        "Hadsell, Chopra & LeCun 2006",
        {
            "model": "embedding",
            "batch_size": 128,  # pairs
            "num_steps": 10 * EPOCH_128,
            "learning_rate": 1e-3,
            "beta1": 0.9,
        },
    ),
    Recipe(
        "course-gan",
        "the course generator 100-256-512-1024-784, non-saturating loss",
        "Goodfellow et al. 2014",
        COURSE,
    ),
    _course(
        "course-gan-tricks",
        "the course generator with the best tricks we found",
        "Yazici et al. 2019; Heusel et al. 2017",
        tricks={"ema": {}, "two-time-scales": TWO_RATES},
    ),
    _course(
        "dense-gan",
        "a dense GAN with batch norm in the generator",
        "Goodfellow et al. 2014; Ioffe & Szegedy 2015",
        model_options={
            "latent_dim": 64,
            "generator_widths": [128, 256, 512, 1024],
            "discriminator_widths": [512, 256],
            "batch_norm": True,
        },
    ),
    Recipe("dcgan", "DCGAN", "Radford et al. 2016", DCGAN),
    Recipe(
        "dcgan-ema",
        "DCGAN, samples from the averaged generator",
        "Radford et al. 2016; Yazici et al. 2019",
        {**DCGAN, "tricks": {"separate-batches": {}, "ema": {}}},
    ),
    Recipe(
        "dcgan-tricks",
        "DCGAN with the best tricks we found",
        "Radford et al. 2016; Miyato et al. 2018; Yazici et al. 2019; Heusel et al. 2017",
        {
            **DCGAN,
            "model_options": {"batch_norm_discriminator": False},
            "beta2": 0.99,
            "tricks": TRICKED_DCGAN,
        },
    ),
    Recipe(
        "demo-gan",
        "the generator of `latentbench demo`, trained by this engine",
        "Radford et al. 2016; Mirza & Osindero 2014; Miyato et al. 2018",
        {
            **DCGAN,
            "model": "conditional-dcgan",
            "model_options": {"latent_dim": 54, "width": 32, "batch_norm_discriminator": False},
            "beta2": 0.99,
            "tricks": TRICKED_DCGAN,
        },
    ),
    Recipe(
        "conditional-dcgan",
        "DCGAN conditioned on the class",
        "Mirza & Osindero 2014",
        {**DCGAN, "model": "conditional-dcgan"},
    ),
    _course(
        "conditional-dense-gan",
        "the course networks, conditioned on the class",
        "Mirza & Osindero 2014",
        model="conditional-dense-gan",
    ),
    Recipe("infogan", "InfoGAN: 10 categories, 2 codes", "Chen et al. 2016", {
        **DCGAN, "model": "infogan",
    }),
    _course("minimax-gan", "the course networks, saturating loss", "Goodfellow et al. 2014",
            loss="minimax"),
    _course("ls-gan", "the course networks, least squares", "Mao et al. 2017",
            loss="least-squares"),
    _course("hinge-gan", "the course networks, hinge loss, spectral norm", "Miyato et al. 2018",
            loss="hinge", tricks={"spectral-norm": {}}),
    _course(
        "wgan",
        "the course networks, Wasserstein loss with clipping",
        "Arjovsky et al. 2017",
        loss="wasserstein",
        optimiser="rmsprop",
        learning_rate=5e-5,
    ),
    _course(
        "wgan-gp",
        "the course networks, Wasserstein loss with gradient penalty",
        "Gulrajani et al. 2017",
        loss="wgan-gp",
        learning_rate=1e-4,
        beta1=0.0,
        beta2=0.9,
    ),
    *(_f_gan(name) for name in ("kl", "reverse-kl", "pearson", "jensen-shannon", "hellinger")),
)  # fmt: skip

RECIPES: dict[str, Recipe] = {row.name: row for row in _ROWS}
if len(RECIPES) != len(_ROWS):
    raise ValueError("two rows of the table of recipes have one name")
# recipes whose runs can be sampled or reconstruct, and so be scored
IMAGE_RECIPES = tuple(
    name for name, row in RECIPES.items() if model_row(row.settings["model"]).makes_images
)


def recipe_row(name: str) -> Recipe:
    """Return the row of that name. Raises `UnknownNameError`, which lists the valid names."""
    if name not in RECIPES:
        raise UnknownNameError("recipe", name, RECIPES)
    return RECIPES[name]


def recipe_config(
    name: str, *, data: str = "mnist", seed: int = 0, settings: Iterable[str] = ()
) -> RunConfig:
    """Return the complete configuration of a recipe, changed by `key=value` texts.

    Raises `UnknownNameError` for an unknown recipe or setting and `UsageError` for a bad value.

    >>> config = recipe_config("course-gan", seed=3, settings=["tricks.ema=on", "batch_size=32"])
    >>> config.batch_size, config.learning_rate, config.tricks
    (32, 0.0002, {'ema': {'decay': 0.999}})
    """
    row = recipe_row(name)
    raw = {**row.settings, "recipe": name, "data": data, "seed": seed}
    return make_config(with_settings(raw, settings))
