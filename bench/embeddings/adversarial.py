"""A rotation of one table onto another without a dictionary (Conneau et al. 2018).

A discriminator learns to tell mapped source vectors from target vectors, and the map learns to
deceive it. After every step the map is moved towards an orthogonal one:
W <- (1 + beta) W - beta (W W^T) W. Some starts fail, so there are several; the one with the best
`fit_criterion`, which needs no labels, is refined.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bench.embeddings.alignment import (
    NUM_FREQUENT,
    NUM_ROUNDS,
    Alignment,
    fit_criterion,
    refine,
)
from bench.errors import InputError, UsageError
from bench.runtime.progress import CountProgress

CHECKED = 2_000  # most frequent words by which starts are compared


@dataclass(frozen=True, kw_only=True)
class AdversarialSettings:
    """The settings of the paper, with fewer steps and a narrower discriminator for a CPU."""

    num_starts: int = 4
    num_steps: int = 4_000  # of the map, each after `steps_per_map` of the discriminator
    check_every: int = 500
    steps_per_map: int = 5
    batch_size: int = 64
    num_hidden: int = 512
    dropout: float = 0.1  # of the discriminator's input
    smoothing: float = 0.2  # of its labels
    learning_rate: float = 0.1
    decay: float = 0.95  # of the learning rate, each `check_every` steps
    beta: float = 0.01
    num_frequent: int = 20_000  # words that batches are drawn from

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value <= 0 and name not in ("dropout", "smoothing"):
                raise UsageError(f"{name} must be above 0, got {value}")


def align_without_dictionary(
    source_SD: NDArray[np.float32],
    target_TD: NDArray[np.float32],
    *,
    settings: AdversarialSettings | None = None,
    seed: int = 0,
    num_frequent: int = NUM_FREQUENT,
    num_rounds: int = NUM_ROUNDS,
    progress: CountProgress | None = None,
) -> Alignment:
    """Return the refined map of the best of several starts; rows are unit vectors, most frequent
    words first. The same seed and the same number of threads give the same map.
    """
    settings = settings or AdversarialSettings()
    if source_SD.shape[1] != target_TD.shape[1]:
        raise InputError(
            f"the tables have {source_SD.shape[1]:,} and {target_TD.shape[1]:,} dimensions; a "
            "rotation needs the same number"
        )
    best: Alignment | None = None
    total = settings.num_starts * settings.num_steps
    for start in range(settings.num_starts):

        def report(step: int, start: int = start) -> None:
            if progress is not None:
                progress(start * settings.num_steps + step, total)

        found_DD = _adversarial_map(source_SD, target_TD, settings, [seed, start], report)
        found = refine(
            source_SD,
            target_TD,
            found_DD,
            num_frequent=min(CHECKED, num_frequent),
            num_rounds=num_rounds,
        )
        if best is None or found.criterion > best.criterion:
            best = found
    if best is None:
        raise AssertionError("there is at least one start")
    return refine(
        source_SD, target_TD, best.rotation, num_frequent=num_frequent, num_rounds=num_rounds
    )


def _adversarial_map(
    source_SD: NDArray[np.float32],
    target_TD: NDArray[np.float32],
    settings: AdversarialSettings,
    entropy: list[int],
    report: Callable[[int], None],
) -> NDArray[np.float64]:
    """Return the map of one start with the best criterion of all its checks."""
    rng = np.random.default_rng(entropy)
    torch_rng = torch.Generator().manual_seed(int(rng.integers(2**62)))
    source = torch.from_numpy(source_SD[: settings.num_frequent])
    target = torch.from_numpy(target_TD[: settings.num_frequent])
    dim = source.shape[1]
    # words of unit length have values of about 1 / sqrt(D): the discriminator needs about 1
    scale = float(dim) ** 0.5
    start_DD = np.linalg.qr(rng.standard_normal((dim, dim)))[0] if entropy[-1] else np.eye(dim)
    w = torch.tensor(start_DD, dtype=torch.float32)
    judge = _Judge(dim, settings, torch_rng)
    rate = settings.learning_rate
    best_DD, best = start_DD, -np.inf

    def batch(table: torch.Tensor) -> torch.Tensor:
        rows = torch.randint(len(table), (settings.batch_size,), generator=torch_rng)
        return table[rows]

    for step in range(1, settings.num_steps + 1):
        for _ in range(settings.steps_per_map):
            moved = scale * batch(source) @ w.T
            judge.learn(moved, scale * batch(target), rate)
        w.requires_grad_()
        loss = judge.loss(scale * batch(source) @ w.T, scale * batch(target), deceive=True)
        (gradient,) = torch.autograd.grad(loss, [w])
        with torch.no_grad():
            w = w.detach() - rate * gradient
            w = (1 + settings.beta) * w - settings.beta * (w @ w.T) @ w
        if step % settings.check_every == 0 or step == settings.num_steps:
            rate *= settings.decay
            u_DD, _, vt_DD = np.linalg.svd(w.numpy().astype(np.float64))
            found_DD = u_DD @ vt_DD
            value = fit_criterion(source_SD[:CHECKED], target_TD[:CHECKED], found_DD)
            if value > best:
                best_DD, best = found_DD, value
            report(step)
    return best_DD


class _Judge:
    """The discriminator: two hidden layers with leaky ReLU, and dropout at its input."""

    def __init__(self, dim: int, settings: AdversarialSettings, rng: torch.Generator) -> None:
        self._settings, self._rng = settings, rng
        sizes = (dim, settings.num_hidden, settings.num_hidden, 1)
        self._weights = [
            ((2 * torch.rand(a, b, generator=rng) - 1) / a**0.5).requires_grad_()
            for a, b in itertools.pairwise(sizes)
        ]
        self._biases = [torch.zeros(size, requires_grad=True) for size in sizes[1:]]

    def learn(self, moved: torch.Tensor, target: torch.Tensor, rate: float) -> None:
        """Take one step towards telling the two apart."""
        parameters = self._weights + self._biases
        gradients = torch.autograd.grad(self.loss(moved, target, deceive=False), parameters)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.sub_(rate * gradient)

    def loss(self, moved: torch.Tensor, target: torch.Tensor, *, deceive: bool) -> torch.Tensor:
        """Return the cross-entropy with smooth labels: 1 for moved source words, or the reverse."""
        x = torch.cat([moved, target])
        keep = torch.rand(x.shape, generator=self._rng) >= self._settings.dropout
        x = x * keep / (1 - self._settings.dropout)
        for weight, bias in zip(self._weights[:-1], self._biases[:-1], strict=True):
            x = nn.functional.leaky_relu(x @ weight + bias, 0.2)
        logits = (x @ self._weights[-1] + self._biases[-1])[:, 0]
        labels = torch.full((len(moved) + len(target),), self._settings.smoothing)
        labels[: len(moved)] = 1 - self._settings.smoothing
        if deceive:
            labels = 1 - labels
        return nn.functional.binary_cross_entropy_with_logits(logits, labels)
