"""Inception Score: how certain a classifier is of each image, and how varied its answers are.

    IS = exp(mean_x KL(p(y|x) || p(y)))     natural logarithm, float64

Salimans et al. 2016 (arXiv:1606.03498), section 4. The score is taken over 10 random splits of the
images; the value is their mean, the spread their standard deviation (divisor: splits). With a digit
classifier it is the "MNIST score". It lies between 1 and the number of classes, and the score of a
split of s images cannot exceed s.

The images of a folder are dealt to the splits by a hash of their pixels
(`bench.references.image_deal`), so that the score does not depend on file names. The sizes of the
splits vary by chance, by about 3 % for 10,000 images. torch-fidelity shuffles by position, into
splits of equal sizes with bounds i*N//10; renamed files then give another score, which differs by
about the spread over 3. `inception_score` computes it for images in a given order, and agrees with
torch-fidelity 0.4 (`isc_features_to_metric`, same shuffle and splits) to 1e-12 relative on float64
softmax. The mean KL is the entropy of the mean less the mean of the entropies,
so each probability is read once and 0 log 0 is exactly 0.

The interval is for the expectation at this number of images (the score of a split of s images is
lower by about (K - 1) / (2 s) of the score, which is part of the definition). It comes from the
infinitesimal jackknife: image x changes log IS of its split by KL(p(y|x) || p(y)) - log IS over s,
and pairs of images add -1/2 sum_k (p_k(x) - p_k)(p_k(x') - p_k) / p_k, where p is the mean over
all splits.

Shape legend: N images, K classes, S splits.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.metrics.base import SPLITS, Metric, MetricInputs, MetricValue, UndefinedMetric
from bench.statistics.intervals import Expansion, Uncertainty, normal_interval
from bench.statistics.moments import ClassStatistics, score_splits


class InceptionScore(NamedTuple):
    """Mean and standard deviation (divisor S) of the scores of the splits that hold images."""

    mean: float
    std: float


def inception_score(
    p_NK: NDArray[np.float64], *, splits: int = SPLITS, seed: int = 2020
) -> InceptionScore:
    """Return the score of the class probabilities `p_NK` (float64, rows sum to 1).

    The order is that of `numpy.random.RandomState(seed).permutation(N)`, as in torch-fidelity.
    Raises `UndefinedMetric` when there are fewer images than splits or a value is not finite.

    >>> inception_score(np.eye(4), splits=1)  # certain and varied: as many as classes
    InceptionScore(mean=4.0, std=0.0)
    """
    split_N = score_splits(len(p_NK), splits, seed)
    return score_of(ClassStatistics.of(p_NK, split_N, splits))


def score_of(classes: ClassStatistics) -> InceptionScore:
    """Return the score of class statistics. Raises `UndefinedMetric` as `inception_score` does."""
    splits = len(classes.split_counts)
    if classes.n < splits:
        raise UndefinedMetric(
            f"an Inception Score over {splits} splits needs that many images, got {classes.n}"
        )
    filled = classes.split_counts > 0  # chance may leave a split of few images empty
    count_S = classes.split_counts[filled]
    mean_SK = classes.probability_sums[filled] / count_S[:, None]
    log_SK = np.log(np.maximum(mean_SK, np.finfo(np.float64).tiny))
    entropy_of_mean = -np.einsum("sk,sk->s", mean_SK, log_SK)
    divergence = entropy_of_mean - classes.entropy_sums[filled] / count_S
    scores = np.exp(np.maximum(divergence, 0.0))  # a KL is never negative
    if not np.isfinite(scores).all():
        raise UndefinedMetric("class probabilities hold NaN or infinite values")
    return InceptionScore(float(scores.mean()), float(scores.std()))


def log_score_expansion(p_NK: NDArray[np.float64]) -> Expansion:
    """Return the expansion of the log of one split's score, from all images `p_NK`."""
    tiny = np.finfo(np.float64).tiny
    mean_K = p_NK.mean(axis=0)
    log_ratio_NK = np.log(np.maximum(p_NK, tiny)) - np.log(np.maximum(mean_K, tiny))
    divergence_N = np.einsum("nk,nk->n", p_NK, log_ratio_NK)
    scaled_NK = (p_NK - mean_K) / np.sqrt(np.maximum(mean_K, tiny))
    product_KK = scaled_NK.T @ scaled_NK / len(p_NK)
    pair_square = 0.25 * float((product_KK**2).sum())
    return Expansion(float(divergence_N.var(ddof=1)), pair_square, 0.0, len(p_NK))


def _interval(inputs: MetricInputs, found: MetricValue) -> Uncertainty:
    p_NK, classes = inputs.fake_probabilities, inputs.fake_classes
    if p_NK is None or classes is None or len(p_NK) < 2:
        raise UndefinedMetric("class probabilities of two or more images are needed")
    expansion = log_score_expansion(p_NK)
    filled = classes.split_counts[classes.split_counts > 0]
    variance = sum(expansion.variance(int(n)) for n in filled) / len(filled) ** 2
    error = found.value * math.sqrt(variance * inputs.design_effect(classes.n))
    interval = normal_interval(found.value, error, "infinitesimal jackknife over splits")
    most = max(found.value, p_NK.shape[1])
    return interval._replace(
        low=min(max(interval.low, 1.0), found.value), high=min(interval.high, most)
    )


def _compute(inputs: MetricInputs) -> MetricValue:
    if inputs.fake_classes is None:
        raise UndefinedMetric("the extractor is no classifier: it gives no class probabilities")
    score = score_of(inputs.fake_classes)
    return MetricValue(score.mean, spread=score.std)


INCEPTION_SCORE = Metric(
    name="inception_score",
    title="Inception Score",
    meaning="how sharp and varied a classifier finds the images; reads no real images",
    unit="effective classes",
    citation="Salimans et al. 2016, arXiv:1606.03498",
    direction="higher",
    scale="linear",
    compute=_compute,
    reads=frozenset(),
    uses=frozenset(),
    sees="all",
    depends_on_count=True,
    uncertainty=_interval,
    constants={"splits": SPLITS, "dealt_by": "hash of the pixels"},
)
