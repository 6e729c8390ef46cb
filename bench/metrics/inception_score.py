"""Inception Score: how certain a classifier is of each image, and how varied its answers are.

    IS = exp(mean_x KL(p(y|x) || p(y)))     natural logarithm, float64

Salimans et al. 2016 (arXiv:1606.03498), section 4. Over 10 splits of the shuffled images with
bounds i*N//10; the value is their mean, the spread their standard deviation (divisor 10). With a
digit classifier it is the "MNIST score". Between 1 and the number of classes; a split of s images
cannot exceed s.

Agrees with torch-fidelity 0.4 (`isc_features_to_metric`, same shuffle and splits) to 1e-12
relative on float64 softmax. The mean KL is the entropy of the mean less the mean of the entropies,
so that each probability is read once and 0 log 0 is exactly 0.

Shape legend: N images, K classes, S splits.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.metrics.base import Metric, MetricInputs, MetricValue, UndefinedMetric

SPLITS = 10
BLOCK = 256  # rows whose entropy is taken at a time


class InceptionScore(NamedTuple):
    """Mean and standard deviation (divisor S) of the scores of the splits."""

    mean: float
    std: float


def inception_score(
    p_NK: NDArray[np.float64], *, splits: int = SPLITS, seed: int = 2020
) -> InceptionScore:
    """Score of the class probabilities `p_NK` (float64, rows sum to 1).

    The order is that of `numpy.random.RandomState(seed).permutation(N)`, as in torch-fidelity.
    Raises `UndefinedMetric` when there are fewer images than splits or a value is not finite.
    """
    n = len(p_NK)
    if n < splits:
        raise UndefinedMetric(f"an Inception Score over {splits} splits needs as many images: {n}")
    order = np.random.RandomState(seed).permutation(n)  # torch-fidelity's generator
    bounds = np.arange(splits + 1) * n // splits
    sizes = np.diff(bounds)
    member_SN = np.zeros((splits, n))
    member_SN[np.repeat(np.arange(splits), sizes), order] = np.repeat(1 / sizes, sizes)
    entropy_of_mean = _entropy(member_SN @ p_NK)
    mean_entropy = member_SN @ _entropy(p_NK)
    scores = np.exp(np.maximum(entropy_of_mean - mean_entropy, 0.0))  # a KL is never negative
    if not np.isfinite(scores).all():
        raise UndefinedMetric("class probabilities hold NaN or infinite values")
    return InceptionScore(float(scores.mean()), float(scores.std()))


def _entropy(p_NK: NDArray[np.float64]) -> NDArray[np.float64]:
    """Entropy of each row in nats. The floor under the logarithm makes 0 log 0 zero."""
    entropy_N = np.empty(len(p_NK))
    for start in range(0, len(p_NK), BLOCK):  # a block and its logarithm stay in the cache
        p = p_NK[start : start + BLOCK]
        log_p = np.maximum(p, np.finfo(np.float64).tiny)
        np.log(log_p, out=log_p)
        entropy_N[start : start + BLOCK] = -np.einsum("nk,nk->n", p, log_p)
    return entropy_N


def _compute(inputs: MetricInputs) -> MetricValue:
    if inputs.fake_probabilities is None:
        raise UndefinedMetric("the extractor is no classifier: it gives no class probabilities")
    score = inception_score(inputs.fake_probabilities, seed=inputs.seed)
    return MetricValue(score.mean, spread=score.std)


INCEPTION_SCORE = Metric(
    name="inception_score",
    title="Inception Score",
    compute=_compute,
    reads=frozenset(),
    direction="higher",
    unit="effective classes",
    citation="Salimans et al. 2016, arXiv:1606.03498",
    constants={"splits": SPLITS},
)
