"""What is kept of a set of images: features of some or all, moments and class statistics of all.

`Moments` accumulate in float64 by Chan, Golub and LeVeque's pairwise update (1979), always in the
order given, so that the same shards give the same bits; files are npz without pickle, written to a
temporary name and moved into place.

Shape legend: N samples, D features, K classes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError

SUBSET_SIZE = 10_000  # images whose features are kept of a larger set
SUBSET_SEED = 2020
BLOCK = 4096  # rows turned to float64 at a time
ENTROPY_BLOCK = 256  # a block and its logarithm stay in the cache


@dataclass(frozen=True)
class Moments:
    """Count, mean (float64 D) and centred sum of outer products M2 (float64 D,D) of a sample."""

    n: int
    mean: NDArray[np.float64]
    m2: NDArray[np.float64]

    @classmethod
    def of(cls, f_ND: NDArray[np.floating]) -> Moments:
        """Moments of the rows of `f_ND` (N,D; any float type). Raises `InputError` when a value
        is not finite or the array is not two-dimensional with at least one row.
        """
        if f_ND.ndim != 2 or len(f_ND) == 0:
            raise InputError(f"features must have shape N,D with N >= 1, got {f_ND.shape}")
        return cls.merged(cls._of_block(f_ND[i : i + BLOCK]) for i in range(0, len(f_ND), BLOCK))

    @classmethod
    def _of_block(cls, f_ND: NDArray[np.floating]) -> Moments:
        x = f_ND.astype(np.float64)
        if not np.isfinite(x).all():
            raise InputError("features hold NaN or infinite values")
        mean = x.mean(axis=0)
        x -= mean
        return cls(len(x), mean, x.T @ x)

    @classmethod
    def merged(cls, parts: Iterable[Moments]) -> Moments:
        """Moments of the union of disjoint samples, merged from left to right."""
        total: Moments | None = None
        for part in parts:
            total = part if total is None else total._plus(part)
        if total is None:
            raise InputError("no moments to merge")
        return total

    def _plus(self, other: Moments) -> Moments:
        if self.mean.shape != other.mean.shape:
            raise InputError(
                f"moments of {len(self.mean)} and {len(other.mean)} features cannot be merged"
            )
        n = self.n + other.n
        delta = other.mean - self.mean
        mean = self.mean + delta * (other.n / n)
        m2 = self.m2 + other.m2 + np.outer(delta, delta) * (self.n * other.n / n)
        return Moments(n, mean, m2)

    @property
    def dim(self) -> int:
        return len(self.mean)

    def covariance(self) -> NDArray[np.float64]:
        """Sample covariance D,D with divisor n - 1. Raises `InputError` when n < 2."""
        if self.n < 2:
            raise InputError("a covariance needs at least 2 samples")
        return self.m2 / (self.n - 1)


@dataclass(frozen=True)
class Features:
    """What an extractor gives for a set of images: `values` float32 N,D and, when it is a
    classifier, `logits` float32 N,K.
    """

    values: NDArray[np.float32]
    logits: NDArray[np.float32] | None = None

    @property
    def probabilities(self) -> NDArray[np.float64] | None:
        """Softmax of the logits, float64 N,K."""
        if self.logits is None:
            return None
        return class_probabilities(self.logits)


def class_probabilities(logits_NK: NDArray[np.floating]) -> NDArray[np.float64]:
    """Softmax, float64 N,K."""
    p_NK = logits_NK.astype(np.float64)
    p_NK -= p_NK.max(axis=1, keepdims=True)
    np.exp(p_NK, out=p_NK)
    p_NK /= p_NK.sum(axis=1, keepdims=True)
    return p_NK


@dataclass(frozen=True)
class ClassStatistics:
    """What class metrics need of any number of images, without their probabilities.

    Images are dealt to S splits by the shuffle of `score_splits`. By split: `split_counts` images
    (S), `probability_sums` (S,K), `entropy_sums` in nats (S). `predicted_counts` (K) are images by
    most likely class, `confidence` the sum of the largest probabilities.
    """

    split_counts: NDArray[np.int64]
    probability_sums: NDArray[np.float64]
    entropy_sums: NDArray[np.float64]
    predicted_counts: NDArray[np.int64]
    confidence: float

    @classmethod
    def of(cls, p_NK: NDArray[np.float64], split_N: NDArray[np.int64], splits: int) -> Self:
        """Statistics of the rows of `p_NK` (float64, rows sum to 1) in their splits."""
        member_SN = (np.arange(splits)[:, None] == split_N).astype(np.float64)
        return cls(
            split_counts=np.bincount(split_N, minlength=splits),
            probability_sums=member_SN @ p_NK,
            entropy_sums=member_SN @ _entropy(p_NK),
            predicted_counts=np.bincount(p_NK.argmax(axis=1), minlength=p_NK.shape[1]),
            confidence=float(p_NK.max(axis=1).sum()),
        )

    def plus(self, other: Self) -> Self:
        """Statistics of the union of two disjoint samples."""
        return type(self)(
            self.split_counts + other.split_counts,
            self.probability_sums + other.probability_sums,
            self.entropy_sums + other.entropy_sums,
            self.predicted_counts + other.predicted_counts,
            self.confidence + other.confidence,
        )

    @property
    def n(self) -> int:
        return int(self.split_counts.sum())

    @property
    def shares(self) -> NDArray[np.float64]:
        """Share of the images by predicted class, summing to 1."""
        return self.predicted_counts / self.n


def _entropy(p_NK: NDArray[np.float64]) -> NDArray[np.float64]:
    """Entropy of each row in nats. The floor under the logarithm makes 0 log 0 zero."""
    entropy_N = np.empty(len(p_NK))
    for start in range(0, len(p_NK), ENTROPY_BLOCK):
        p = p_NK[start : start + ENTROPY_BLOCK]
        log_p = np.maximum(p, np.finfo(np.float64).tiny)
        np.log(log_p, out=log_p)
        entropy_N[start : start + ENTROPY_BLOCK] = -np.einsum("nk,nk->n", p, log_p)
    return entropy_N


def score_splits(n: int, splits: int, seed: int) -> NDArray[np.int64]:
    """Which split each of `n` images is dealt to, int64 N: positions i*n//splits of the order
    `numpy.random.RandomState(seed).permutation(n)`, as torch-fidelity's Inception Score does.
    """
    order = np.random.RandomState(seed).permutation(n)
    bounds = np.arange(splits + 1) * n // splits
    split_N = np.empty(n, np.int64)
    split_N[order] = np.repeat(np.arange(splits), np.diff(bounds))
    return split_N


def subset_rows(n: int, size: int, seed: int = SUBSET_SEED) -> NDArray[np.int64]:
    """The fixed random choice of `size` of `n` images that stands for all of them where every
    image is too many, sorted; all of them when there are no more.
    """
    if n <= size:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).permutation(n)[:size])


@dataclass(frozen=True)
class FeatureSample:
    """What is kept of the features of `n` images, however many they are.

    `features` are those of the images at `rows` (int64, sorted; all images when there are few),
    `classes` covers all images when the extractor is a classifier. `streamed` are the moments of
    all images when some features were let go.
    """

    features: Features
    rows: NDArray[np.int64]
    classes: ClassStatistics | None = None
    streamed: Moments | None = None

    @property
    def n(self) -> int:
        return len(self.rows) if self.streamed is None else self.streamed.n

    @cached_property
    def moments(self) -> Moments:
        """Moments of all images."""
        return Moments.of(self.features.values) if self.streamed is None else self.streamed
