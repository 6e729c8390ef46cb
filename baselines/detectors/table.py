"""The rows of the detectors that train a network, and what a budget changes in their options.

A row is data: listing the table imports no network. `make` imports the detector's module at its
first call.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

from baselines.recipes.config import make_config
from baselines.recipes.table import recipe_row
from bench.anomaly.detectors.base import Detector, DetectorRow, DetectorSettings

Constants = dict[str, float | int | str]

EPOCH_IMAGES = 6000
MAX_SIDE_PX = 64  # of the recipes' networks

AUTOENCODER_CPU: Constants = {"epochs": 30}
CONV_CPU: Constants = {"epochs": 10, "width": 16}
VAE_CPU: Constants = {"epochs": 30}
GAN_CPU: Constants = {"epochs": 10, "width": 16}
ANOGAN_CPU: Constants = {**GAN_CPU, "num_steps": 20, "search_rate": 0.2}
DEEP_SVDD_CPU: Constants = {
    "epochs": 20,
    "pretrain_epochs": 20,
    "milestone": 15,
    "warm_up_epochs": 2,
    "learning_rate": 1e-3,
}
GEOTRANS_CPU: Constants = {
    "epochs": 0.25,  # ten classes of MNIST in about 20 core-minutes, 1 epoch in 35
    "width": 1,
    "learning_rate": 2e-3,
    "fit_images": 1000,
}

ELBO_DRAWS = 8
SVM_IMAGES = 10_000
ANOGAN_LAMBDA = 0.1
ANOGAN_STEPS = 500
ANOGAN_RATE = 0.05
NUM_TRANSFORMS = 72


def epochs_of(recipe: str) -> int:
    """Return the length of a recipe in epochs of `EPOCH_IMAGES` images."""
    config = make_config({**recipe_row(recipe).settings, "recipe": recipe})
    return round(config.num_steps * config.batch_size / EPOCH_IMAGES)


def _maker(module: str, function: str) -> Callable[[DetectorSettings], Detector]:
    """Return a maker of detectors that imports its module when it is called. Its `__module__` is
    that module, whose code a result depends on.
    """

    def make(settings: DetectorSettings) -> Detector:
        made: Detector = getattr(importlib.import_module(make.__module__), function)(settings)
        return made

    make.__module__ = f"baselines.detectors.{module}"
    return make


def _recipe_row(
    name: str,
    title: str,
    source: str,
    make: Callable[[DetectorSettings], Detector],
    constants: Constants,
) -> DetectorRow:
    """Return the row of a detector that is a recipe's network."""
    return DetectorRow(
        name=name,
        title=title,
        source=source,
        make=make,
        seeded=True,
        trains=True,
        max_side_px=MAX_SIDE_PX,
        constants=constants,
    )


AE_DENSE = _recipe_row(
    "ae-dense",
    "reconstruction error of a dense autoencoder",
    "Hinton & Salakhutdinov 2006",
    _maker("autoencoding", "dense"),
    {"epochs": epochs_of("ae-dense"), "cpu epochs": AUTOENCODER_CPU["epochs"], "code_dim": 32},
)
AE_CONV = _recipe_row(
    "ae-conv",
    "reconstruction error of a convolutional autoencoder (DCAE)",
    "Masci et al. 2011; as a detector: Ruff et al. 2018",
    _maker("autoencoding", "conv"),
    {
        "epochs": epochs_of("ae-conv"),
        "cpu epochs": CONV_CPU["epochs"],
        "code_dim": 16,
        "width": 32,
        "cpu width": CONV_CPU["width"],
    },
)
AE_DENOISING = _recipe_row(
    "ae-denoising",
    "reconstruction error of a denoising autoencoder",
    "Vincent et al. 2010",
    _maker("autoencoding", "denoising"),
    {
        "epochs": epochs_of("ae-denoising-gaussian"),
        "cpu epochs": AUTOENCODER_CPU["epochs"],
        "code_dim": 32,
        "gaussian corruption": 0.3,
    },
)
VAE_RECONSTRUCTION = _recipe_row(
    "vae-reconstruction",
    "reconstruction error of a VAE from the posterior mean",
    "An & Cho 2015; Kingma & Welling 2014",
    _maker("variational", "reconstruction"),
    {"epochs": epochs_of("vae"), "cpu epochs": VAE_CPU["epochs"], "latent_dim": 16},
)
VAE_ELBO = _recipe_row(
    "vae-elbo",
    "negative ELBO of a VAE",
    "Kingma & Welling 2014",
    _maker("variational", "elbo"),
    {
        "epochs": epochs_of("vae"),
        "cpu epochs": VAE_CPU["epochs"],
        "latent_dim": 16,
        "draws": ELBO_DRAWS,
    },
)
AE_OC_SVM = _recipe_row(
    "ae-oc-svm",
    "one-class SVM on the codes of a convolutional autoencoder",
    "Andrews et al. 2016; Golan & El-Yaniv 2018, section 5 (CAE-OC-SVM)",
    _maker("hybrid", "hybrid"),
    {
        "epochs": epochs_of("ae-conv"),
        "cpu epochs": CONV_CPU["epochs"],
        "code_dim": 32,
        "nu": 0.1,
        "gamma": "1 / (Z var)",
        "svm_images": SVM_IMAGES,
    },
)
GAN_DISCRIMINATOR = _recipe_row(
    "gan-discriminator",
    "the discriminator's logit of a GAN of normal images",
    "Goodfellow et al. 2014; as a detector: Schlegl et al. 2017, section 3",
    _maker("adversarial", "discriminator"),
    {
        "epochs": epochs_of("dcgan"),
        "cpu epochs": GAN_CPU["epochs"],
        "width": 64,
        "cpu width": GAN_CPU["width"],
    },
)
ANOGAN = _recipe_row(
    "anogan",
    "AnoGAN: search of a GAN's latent space, residual and discrimination loss",
    "Schlegl et al. 2017",
    _maker("adversarial", "anogan"),
    {
        **GAN_DISCRIMINATOR.constants,
        "lambda": ANOGAN_LAMBDA,
        "num_steps": ANOGAN_STEPS,
        "search_rate": ANOGAN_RATE,
        "cpu num_steps": ANOGAN_CPU["num_steps"],
        "cpu search_rate": ANOGAN_CPU["search_rate"],
    },
)

_DEEP_SVDD: Constants = {
    "epochs": 150,
    "pretrain_epochs": 150,
    "batch_size": 200,
    "learning_rate": 1e-4,
    "rep_dim": 32,
    "weight_decay": 0.5e-6,
    "pretrain_weight_decay": 0.5e-3,
    "cpu epochs": DEEP_SVDD_CPU["epochs"],
    "cpu pretrain_epochs": DEEP_SVDD_CPU["pretrain_epochs"],
    "cpu learning_rate": DEEP_SVDD_CPU["learning_rate"],
}
DEEP_SVDD = DetectorRow(
    name="deep-svdd",
    title="one-class Deep SVDD",
    source="Ruff et al. 2018, equation 4",
    make=_maker("deep_svdd", "one_class"),
    seeded=True,
    trains=True,
    constants=_DEEP_SVDD,
)
DEEP_SVDD_SOFT = DetectorRow(
    name="deep-svdd-soft",
    title="soft-boundary Deep SVDD",
    source="Ruff et al. 2018, equation 3",
    make=_maker("deep_svdd", "soft"),
    seeded=True,
    trains=True,
    constants={**_DEEP_SVDD, "nu": 0.1, "warm_up_epochs": 10},
)
GEOTRANS = DetectorRow(
    name="geotrans",
    title="72 geometric transforms told apart by a small WRN-10, Dirichlet score",
    source="Golan & El-Yaniv 2018; Dirichlet: section 4; network: Zagoruyko & Komodakis 2016",
    make=_maker("geotrans", "geotrans"),
    seeded=True,
    trains=True,
    square=True,
    constants={
        "transforms": NUM_TRANSFORMS,
        "network": "WRN-10-2 behind a 5x5 convolution of stride 2 (paper: WRN-10-4, stride 1)",
        "cpu network": "WRN-10-1 behind a 5x5 convolution of stride 2",
        "epochs": 3,
        "cpu epochs": GEOTRANS_CPU["epochs"],
        "fit_images": 6000,
        "cpu fit_images": GEOTRANS_CPU["fit_images"],
    },
)
