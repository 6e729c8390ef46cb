"""Sufficient statistics of a set of images: moments, class statistics, and features of a subset.

`Moments` accumulate in float64 by the pairwise update of Chan, Golub and LeVeque (1979), always in
the order given, so the same shards give the same bits.

Shape legend: N samples, D features, K classes, S splits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError

SUBSET_SIZE = 10_000  # images of a larger set whose features are stored
SUBSET_SEED = 2020
BLOCK = 4096  # rows converted to float64 at a time
ENTROPY_BLOCK = 256  # a block and its logarithm fit in the CPU's cache


@dataclass(frozen=True)
class Moments:
    """Count, mean (float64 D) and centred sum of outer products M2 (float64 D,D) of a sample.

    >>> moments = Moments.of(np.array([[0.0, 1], [2, 1], [4, 1]]))
    >>> moments.n, moments.mean.tolist(), moments.covariance().tolist()
    (3, [2.0, 1.0], [[4.0, 0.0], [0.0, 0.0]])
    """

    n: int
    mean: NDArray[np.float64]
    m2: NDArray[np.float64]

    @classmethod
    def of(cls, f_ND: NDArray[np.floating]) -> Moments:
        """Return the moments of the rows of `f_ND` (N,D, any float type).

        Raises `InputError` when a value is not finite, or when the array is not two-dimensional
        with at least one row.
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
        """Return the moments of the union of disjoint samples, merged from left to right.

        Raises `InputError` for no parts, and for parts of different numbers of features.
        """
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
        """Number of features D."""
        return len(self.mean)

    def covariance(self) -> NDArray[np.float64]:
        """Return the sample covariance D,D with divisor n - 1. Raises `InputError` when n < 2."""
        if self.n < 2:
            raise InputError("a covariance needs at least 2 samples")
        return self.m2 / (self.n - 1)


@dataclass(frozen=True)
class Features:
    """The output of an extractor for a set of images.

    `values` are float32 N,D; `logits` are float32 N,K when the extractor is a classifier.
    """

    values: NDArray[np.float32]
    logits: NDArray[np.float32] | None = None

    @property
    def probabilities(self) -> NDArray[np.float64] | None:
        """Softmax of the logits, float64 N,K; None without logits."""
        if self.logits is None:
            return None
        return class_probabilities(self.logits)


def class_probabilities(logits_NK: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the softmax of each row, float64 N,K.

    >>> class_probabilities(np.array([[0.0, 0.0], [1000.0, 0.0]])).tolist()
    [[0.5, 0.5], [1.0, 0.0]]
    """
    p_NK = logits_NK.astype(np.float64)
    p_NK -= p_NK.max(axis=1, keepdims=True)
    np.exp(p_NK, out=p_NK)
    p_NK /= p_NK.sum(axis=1, keepdims=True)
    return p_NK


@dataclass(frozen=True)
class ClassStatistics:
    """Sums over the class probabilities of any number of images, from which class metrics follow.

    Images are assigned to S splits by the shuffle of `score_splits`. Each split has its
    `split_counts` (images, S), `probability_sums` (S,K) and `entropy_sums` (nats, S). Over all
    images, `predicted_counts` (K) counts them by most likely class, and `confidence` is the sum of
    their largest probabilities.
    """

    split_counts: NDArray[np.int64]
    probability_sums: NDArray[np.float64]
    entropy_sums: NDArray[np.float64]
    predicted_counts: NDArray[np.int64]
    confidence: float

    @classmethod
    def of(cls, p_NK: NDArray[np.float64], split_N: NDArray[np.int64], splits: int) -> Self:
        """Return the statistics of the rows of `p_NK` (float64, rows sum to 1) by split."""
        member_SN = (np.arange(splits)[:, None] == split_N).astype(np.float64)
        return cls(
            split_counts=np.bincount(split_N, minlength=splits),
            probability_sums=member_SN @ p_NK,
            entropy_sums=member_SN @ _entropy(p_NK),
            predicted_counts=np.bincount(p_NK.argmax(axis=1), minlength=p_NK.shape[1]),
            confidence=float(p_NK.max(axis=1).sum()),
        )

    def plus(self, other: Self) -> Self:
        """Return the statistics of the union of two disjoint samples."""
        return type(self)(
            self.split_counts + other.split_counts,
            self.probability_sums + other.probability_sums,
            self.entropy_sums + other.entropy_sums,
            self.predicted_counts + other.predicted_counts,
            self.confidence + other.confidence,
        )

    @property
    def n(self) -> int:
        """Number of images."""
        return int(self.split_counts.sum())

    @property
    def shares(self) -> NDArray[np.float64]:
        """Share of the images by predicted class (K), summing to 1."""
        return self.predicted_counts / self.n


def _entropy(p_NK: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the entropy of each row in nats. A floor under the logarithm makes 0 log 0 zero."""
    entropy_N = np.empty(len(p_NK))
    for start in range(0, len(p_NK), ENTROPY_BLOCK):
        p = p_NK[start : start + ENTROPY_BLOCK]
        log_p = np.maximum(p, np.finfo(np.float64).tiny)
        np.log(log_p, out=log_p)
        entropy_N[start : start + ENTROPY_BLOCK] = -np.einsum("nk,nk->n", p, log_p)
    return entropy_N


def score_splits(n: int, splits: int, seed: int) -> NDArray[np.int64]:
    """Return the split of each of `n` images, int64 N.

    Split i holds the positions i*n//splits to (i+1)*n//splits of the order
    `numpy.random.RandomState(seed).permutation(n)`, as in torch-fidelity's Inception Score.

    >>> np.bincount(score_splits(10, 3, seed=2020)).tolist()
    [3, 3, 4]
    """
    order = np.random.RandomState(seed).permutation(n)
    bounds = np.arange(splits + 1) * n // splits
    split_N = np.empty(n, np.int64)
    split_N[order] = np.repeat(np.arange(splits), np.diff(bounds))
    return split_N


_STEP = np.uint64(0x9E3779B97F4A7C15)  # of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014)
_MIX = ((30, np.uint64(0xBF58476D1CE4E5B9)), (27, np.uint64(0x94D049BB133111EB)))


def mixed(key_N: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the random numbers of SplitMix64 from the states `key_N`.

    >>> hex(int(mixed(np.zeros(1, np.uint64))[0]))  # the first output of the seed 0
    '0xe220a8397b1dcdaf'
    """
    z = key_N + _STEP
    for shift, factor in _MIX:
        z = (z ^ (z >> np.uint64(shift))) * factor
    return np.asarray(z ^ (z >> np.uint64(31)))


def splits_of_keys(key_N: NDArray[np.uint64], splits: int, seed: int) -> NDArray[np.int64]:
    """Return the split of each image, int64 N, from a key of its pixels.

    Unlike `score_splits` it does not depend on the order. The sizes of splits vary by chance.
    """
    shift = np.array([seed], np.int64).astype(np.uint64)
    return (mixed(mixed(key_N) + shift) % np.uint64(splits)).astype(np.int64)


def subset_rows(n: int, size: int, seed: int = SUBSET_SEED) -> NDArray[np.int64]:
    """Return the fixed random choice of `size` of `n` images, sorted; all rows when n <= size.

    >>> subset_rows(3, 5).tolist()
    [0, 1, 2]
    """
    if n <= size:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).permutation(n)[:size])


@dataclass(frozen=True)
class FeatureSample:
    """The stored features of a set of images of any size.

    `features` are those of the images at `rows` (int64, sorted; all images of a small set).
    `classes` covers all images of a folder of which some features were not stored, when the
    extractor is a classifier; `keys` (uint64) are those of the pixels of the images at `rows`, from
    which they are dealt to splits. `streamed` holds the moments of
    all images when the features of some were not stored. `copy_rate` is the probability that two
    of the images are equal in every pixel; `repeated` (bool) says which of the images at `rows`
    are copies of an earlier one, None when no image is.
    """

    features: Features
    rows: NDArray[np.int64]
    classes: ClassStatistics | None = None
    streamed: Moments | None = None
    copy_rate: float = 0.0
    repeated: NDArray[np.bool_] | None = None
    keys: NDArray[np.uint64] | None = None

    @property
    def n(self) -> int:
        """Number of images, stored or not."""
        return len(self.rows) if self.streamed is None else self.streamed.n

    @cached_property
    def moments(self) -> Moments:
        """Moments of all images."""
        return Moments.of(self.features.values) if self.streamed is None else self.streamed
