"""Inversion: the code of a real image in a model without an encoder, found by search.

Adam minimises the mean squared error of the pixels in [0, 1] over the code, from `NUM_RESTARTS`
latents of the model each (Zhu et al. 2016; Creswell & Bharath 2018), in `NUM_ITERATIONS` steps of
rate `RATE`. The best of all restarts is kept. Categories and a given class stay as they started.

The search is slow, so that it is made for `NUM_INVERTED` held-out images and only if asked for.
What is then measured from these codes describes the search as much as the model; the error says how
well it succeeded.

Shape legend: N images, R restarts, D dimensions of a code.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.latent.space import CheckedSpace, Codes, Images, Labels
from bench.latent.values import Absent

NUM_INVERTED = 200
NUM_RESTARTS = 3
NUM_ITERATIONS = 150
RATE = 0.1
BLOCK = 250  # images searched for together


def invert(
    space: CheckedSpace, images: Images, labels: Labels | None = None, seed: int = 0
) -> tuple[Codes, NDArray[np.float64]]:
    """Return codes float32 N,D of uint8 N,H,W,C and the mean squared error of each, float64 N.

    A model that is given the class gets the labels. Raises `Absent` for a space that has no
    decoder with gradients or no latents to start from.
    """
    for method in ("decode_tensor", "sample_latents"):
        if not space.has(method):
            raise Absent(f"{space.name} has no method {method}, which inversion needs")
    if space.num_given and labels is None:
        raise Absent("the model is given the class of every image, and these have no labels")
    import torch

    codes, errors = [], []
    for start in range(0, len(images), BLOCK):
        part = torch.from_numpy(np.ascontiguousarray(images[start : start + BLOCK]))
        target = part.permute(0, 3, 1, 2).float() / 255
        best = torch.full((len(part),), float("inf"))
        kept: Any = None
        for restart in range(NUM_RESTARTS):
            first = space.sample_latents(len(part), seed + 7919 * (start + restart + 1)).copy()
            if space.num_given and labels is not None:
                one_hot = np.eye(space.num_given, dtype=np.float32)
                first[:, -space.num_given :] = one_hot[labels[start:][: len(part)]]
            z, error = _search(space, target, torch.from_numpy(first))
            kept = z if kept is None else torch.where((error < best)[:, None], z, kept)
            best = torch.minimum(best, error)
        codes.append(kept.numpy())
        errors.append(best.double().numpy())
    return np.concatenate(codes).astype(np.float32), np.concatenate(errors)


def _search(space: CheckedSpace, target: Any, first: Any) -> tuple[Any, Any]:
    import torch

    parts, given = space.parts, space.num_given
    free = torch.ones(first.shape[1])
    if parts is not None:
        free[parts.noise : parts.noise + parts.categories] = 0
    if given:
        free[-given:] = 0
    z = first.clone().requires_grad_()
    optimiser = torch.optim.Adam([z], RATE)

    def errors() -> Any:
        made = space.space.decode_tensor(z)
        return (made - target.to(made.device)).square().flatten(1).mean(1)

    for _ in range(NUM_ITERATIONS):
        (gradient,) = torch.autograd.grad(errors().sum(), [z])
        z.grad = gradient * free
        optimiser.step()
    with torch.no_grad():
        return z.detach().cpu(), errors().cpu()
