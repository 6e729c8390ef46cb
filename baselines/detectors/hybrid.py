"""Hybrid detector: a one-class SVM (Schoelkopf et al. 2001) on the codes of an autoencoder.

The autoencoder is trained as in `baselines.detectors.autoencoding`. The SVM has a Gaussian kernel
exp(-gamma |a - b|^2) with gamma = 1 / (Z var) over all entries of the codes (scikit-learn's
"scale") and a fixed nu; nothing is tuned. The published hybrid figures (MNIST 96.3, Fashion-MNIST
91.2) chose gamma and nu in hindsight (Golan & El-Yaniv 2018, section 5). The score is minus the
decision function.

Shape legend: N normal images, B images of a chunk, Z code.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from sklearn.svm import OneClassSVM  # type: ignore[import-untyped]
from torch import Tensor

from baselines.detectors.engine_fits import one_class_config
from baselines.detectors.options import DetectorOptions, options_of
from baselines.detectors.recipe_detector import RecipeDetector, RecipeFamily, Scorer
from baselines.detectors.table import CONV_CPU, SVM_IMAGES, epochs_of
from baselines.sampling.trained import Trained
from bench.anomaly.detectors.base import DetectorSettings

NAME = "ae-oc-svm"


class HybridOptions(DetectorOptions):
    """Options. `nu`: share of normal images outside the boundary. `svm_images`: the SVM reads at
    most this many of them, spread evenly over the set.
    """

    recipe: Literal["ae-conv", "ae-dense"] = "ae-conv"
    epochs: float = Field(epochs_of("ae-conv"), gt=0)
    code_dim: int = Field(32, ge=1)
    width: int | None = Field(None, ge=1)
    learning_rate: float | None = Field(None, gt=0)
    batch_size: int | None = Field(None, ge=2)
    nu: float = Field(0.1, gt=0, le=1)
    svm_images: int = Field(SVM_IMAGES, ge=2)


def fit_svm(codes_NZ: NDArray[np.float64], nu: float) -> OneClassSVM:
    """Fit the SVM to codes. For codes that do not vary gamma is 1."""
    gamma = "scale" if codes_NZ.var() > 0 else 1.0
    return OneClassSVM(kernel="rbf", gamma=gamma, nu=nu).fit(codes_NZ)


def _prepare(options: HybridOptions, trained: Trained, normal: NDArray[np.uint8]) -> Scorer:
    count = min(len(normal), options.svm_images)
    places = np.arange(count) * (len(normal) - 1) // max(count - 1, 1)
    svm = fit_svm(trained.encode(normal[places]).double().numpy(), options.nu)

    def score(images: Tensor) -> Tensor:
        codes = trained.encode(np.ascontiguousarray(images.permute(0, 2, 3, 1).cpu().numpy()))
        return -torch.from_numpy(np.asarray(svm.decision_function(codes.double().numpy())))

    return score


def hybrid(settings: DetectorSettings) -> RecipeDetector:
    options = options_of(HybridOptions, settings, NAME, CONV_CPU)
    model_options = {"code_dim": options.code_dim}
    if options.width is not None and options.recipe == "ae-conv":
        model_options["width"] = options.width
    config = one_class_config(
        options.recipe,
        seed=settings.seed,
        epochs=options.epochs,
        model_options=model_options,
        learning_rate=options.learning_rate,
        batch_size=options.batch_size,
    )
    return RecipeDetector(
        RecipeFamily(
            name=NAME,
            options=options,
            config=config,
            device=settings.device,
            prepare=lambda trained, normal: _prepare(options, trained, normal),
        )
    )
