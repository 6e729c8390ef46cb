"""A detector whose network belongs to a recipe: trained by the engine, scored in full chunks.

A family adds two functions. `prepare` turns the trained network (and the normal images) into a
function uint8 B,C,H,W -> scores B. `restore` turns it into a function uint8 B,C,H,W -> uint8
B,C,H,W, the reconstructions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from baselines.detectors.chunks import (
    CHUNK,
    ImageSize,
    finite_scores,
    in_chunks,
    require_alike,
)
from baselines.detectors.engine_fits import fit_recipes
from baselines.detectors.options import DetectorOptions, told
from baselines.detectors.together import require_together
from baselines.recipes.config import RunConfig
from baselines.sampling.trained import Trained
from bench.anomaly.detectors.base import Detector, Option

Scorer = Callable[[Tensor], Tensor]
Prepare = Callable[[Trained, NDArray[np.uint8]], Scorer]


@dataclass(frozen=True, kw_only=True)
class RecipeFamily:
    """What is trained, where, and how it scores. `chunk` images are scored at a time. `options` are
    those from which `config` was made.
    """

    name: str
    options: DetectorOptions
    config: RunConfig
    device: str
    prepare: Prepare
    chunk: int = CHUNK


class RecipeDetector:
    """See `bench.anomaly.detectors.base.Detector` and `StackFitting`."""

    def __init__(self, family: RecipeFamily) -> None:
        self.family = family
        self.trained: Trained | None = None
        self._size: ImageSize | None = None
        self._scorer: Scorer | None = None

    def fit(self, normal: NDArray[np.uint8]) -> None:
        """Train on uint8 N,H,W,C."""
        fit_together([self], [normal])

    def fit_stack(self, others: Sequence[Detector], normals: Sequence[NDArray[np.uint8]]) -> None:
        """Train this detector on the first of `normals` and each of the others on its own: stacked
        on a GPU, in turns on a CPU. Raises `UsageError` for detectors of another kind.
        """
        fit_together([self, *others], normals)

    def scores(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return scores, float64 M for uint8 M,H,W,C of the fitted size."""
        family = self.family
        require_alike(images, self._size, family.name)
        assert self._scorer is not None  # noqa: S101  (set with the size)
        found = in_chunks(images, self._scorer, device=family.device, size=family.chunk)
        return finite_scores(found, family.name)

    def settled(self) -> dict[str, Option]:
        """Return the options, with the recipe's setting for those that are None."""
        config = self.family.config
        of_model = {
            k: v for k, v in config.model_options.items() if isinstance(v, int | float | str)
        }
        return {
            **of_model,
            "recipe": config.recipe,
            "train_steps": config.num_steps,
            "batch_size": config.batch_size,
            "learning_rate": config.learning_rate,
            **told(self.family.options),
        }

    def take_up(self, trained: Trained, normal: NDArray[np.uint8]) -> None:
        """Use a network that was trained on these normal images for scoring."""
        self.trained = trained
        self._scorer = self.family.prepare(trained, normal)
        _, height, width, channels = normal.shape
        self._size = (height, width, channels)


class ReconstructingDetector(RecipeDetector):
    """Adds `reconstructions`; see `bench.anomaly.detectors.base.Reconstructing`."""

    def __init__(self, family: RecipeFamily, restore: Callable[[Trained, Tensor], Tensor]) -> None:
        super().__init__(family)
        self._restore = restore

    def reconstructions(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return reconstructions as the detector sees them, uint8 M,H,W,C."""
        family = self.family
        require_alike(images, self._size, family.name)
        trained = self.trained
        assert trained is not None  # noqa: S101  (set with the size)
        found = in_chunks(
            images, lambda x: self._restore(trained, x), device=family.device, size=family.chunk
        )
        return np.ascontiguousarray(found.permute(0, 2, 3, 1).numpy())


def fit_together(
    detectors: Sequence[Detector],
    normals: Sequence[NDArray[np.uint8]],
    *,
    stack: bool | None = None,
) -> None:
    """Fit detectors of one row, each to its own normal images; see `fit_recipes` for `stack`."""
    own = require_together(
        RecipeDetector, detectors, normals, lambda each: (each.family.name, each.family.options)
    )
    trained = fit_recipes(
        [each.family.config for each in own],
        normals,
        own[0].family.name,
        device=own[0].family.device,
        stack=stack,
    )
    for each, network, normal in zip(own, trained, normals, strict=True):
        each.take_up(network, normal)
