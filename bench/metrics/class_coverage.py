"""Class coverage: which classes a classifier sees in the folder, in what shares, how surely.

    modes_covered    classes whose share is at least 10 % of their share in the reference
    class_kl         KL(folder || reference) of the histograms of predicted classes, nats
    mean_confidence  mean over the images of the largest class probability

They follow the mode counts of Che et al. 2017 (arXiv:1612.02136) and the mode coverage and KL of
Srivastava et al. 2017 (VEEGAN, arXiv:1705.07761), section 4, with the reference's measured shares
in place of uniform ones. Each image is one count for its most probable class (the first of ties).

Half a count is added to every class of the reference, so that a class that is absent there and
present in the folder costs much, but not infinitely much: q_k = (n q_k + 1/2) / (n + K/2), where n
is the number of images of the reference. At n = 60,000 without empty classes this changes the KL
by less than 1e-4.

A perfect sample of n images does not score 0: the expected class_kl is (K - 1) / (2 n) to first
order, 0.00045 nats for 10,000 images of 10 classes.

The intervals of modes_covered and class_kl are for the shares of infinitely many images. Wilson's
bounds of every share decide which classes may be covered. `bench.metrics.class_kl_interval` has the
interval of class_kl. mean_confidence has the interval of a mean.

Shape legend: N images, K classes.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError
from bench.metrics.base import Metric, MetricInputs, MetricValue, UndefinedMetric
from bench.metrics.class_kl_interval import kl_interval
from bench.statistics.intervals import Uncertainty, mean_interval, wilson
from bench.statistics.moments import ClassStatistics

COVERED_SHARE = 0.1
PRIOR_COUNT = 0.5
MAX_LISTED = 100  # classes; a record lists no more shares


def class_shares(p_NK: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of the images per predicted class, float64 K, summing to 1.

    >>> class_shares(np.array([[0.9, 0.1], [0.6, 0.4], [0.5, 0.5], [0.2, 0.8]])).tolist()
    [0.75, 0.25]
    """
    return np.bincount(p_NK.argmax(axis=1), minlength=p_NK.shape[1]) / len(p_NK)


def modes_covered(shares_K: NDArray[np.float64], reference_K: NDArray[np.float64]) -> int:
    """Return the number of reference classes that reach 10 % of their reference share.

    Raises `InputError` when the two have different numbers of classes.

    >>> modes_covered(np.array([0.5, 0.47, 0.03]), np.array([0.2, 0.4, 0.4]))
    2
    """
    _check_classes(shares_K, reference_K)
    least_K = COVERED_SHARE * reference_K * (1 - 1e-9)  # exactly 10 % counts, rounding or not
    return int(((reference_K > 0) & (shares_K >= least_K)).sum())


def class_kl(
    shares_K: NDArray[np.float64], reference_K: NDArray[np.float64], n_reference: int
) -> float:
    """Return the KL divergence of the folder's class shares from the reference's, in nats.

    Half a count is added to every class of the reference, which has `n_reference` images. Raises
    `InputError` when the two have different numbers of classes.

    >>> shares, reference = np.array([0.5, 0.5]), np.array([1.0, 0.0])
    >>> round(class_kl(shares, reference, 9), 6)  # reference 0.95 and 0.05; log 0.5 / 0.2179...
    0.830366
    """
    _check_classes(shares_K, reference_K)
    q_K = _smoothed(reference_K, n_reference)
    present = shares_K > 0
    return float((shares_K[present] * np.log(shares_K[present] / q_K[present])).sum())


def _smoothed(reference_K: NDArray[np.float64], n_reference: int) -> NDArray[np.float64]:
    counts = reference_K * n_reference + PRIOR_COUNT
    return np.asarray(counts / counts.sum())


def _check_classes(shares_K: NDArray[np.float64], reference_K: NDArray[np.float64]) -> None:
    if shares_K.shape != reference_K.shape:
        raise InputError(
            f"the folder has {shares_K.size} classes and the reference {reference_K.size}: "
            "both must come from the same extractor"
        )


def _classes(inputs: MetricInputs) -> ClassStatistics:
    classes = inputs.fake_classes
    if classes is None:
        raise UndefinedMetric("the extractor is no classifier: it gives no class probabilities")
    if not np.isfinite(classes.probability_sums).all():
        raise UndefinedMetric("class probabilities hold NaN or infinite values")
    return classes


def _shares(inputs: MetricInputs) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    shares = _classes(inputs).shares
    if inputs.real_class_shares is None:
        raise UndefinedMetric("the reference holds no class shares")
    return shares, inputs.real_class_shares


def _listed(shares_K: NDArray[np.float64]) -> dict[str, list[float]]:
    """Return the shares as a detail of the record, unless there are too many to read."""
    return {"class_shares": shares_K.tolist()} if len(shares_K) <= MAX_LISTED else {}


def _modes_covered(inputs: MetricInputs) -> MetricValue:
    shares, reference = _shares(inputs)
    return MetricValue(
        modes_covered(shares, reference),
        details={**_listed(shares), "classes": int((reference > 0).sum())},
    )


def _class_kl(inputs: MetricInputs) -> MetricValue:
    shares, reference = _shares(inputs)
    return MetricValue(
        class_kl(shares, reference, inputs.real_moments.n),
        details={
            **_listed(shares),
            "absent_from_reference": int(((reference == 0) & (shares > 0)).sum()),
        },
    )


def _mean_confidence(inputs: MetricInputs) -> MetricValue:
    classes = _classes(inputs)
    return MetricValue(classes.confidence / classes.n)


def _modes_interval(inputs: MetricInputs, found: MetricValue) -> Uncertainty:
    """Return the interval from the classes that are surely covered to those that may be."""
    from scipy.stats import binom

    shares, reference = _shares(inputs)
    n = inputs.independent(_classes(inputs).n)
    present = reference > 0
    least = COVERED_SHARE * reference[present] * (1 - 1e-9)
    bounds = [wilson(share * n, n) for share in shares[present]]
    sure = sum(bound.low >= limit for bound, limit in zip(bounds, least, strict=True))
    possible = sum(bound.high >= limit for bound, limit in zip(bounds, least, strict=True))
    likely = np.minimum(shares[present], 1.0)
    chance = np.asarray(binom.sf(np.ceil(least * n) - 1, round(n), likely))
    error = math.sqrt(float((chance * (1 - chance)).sum()))
    return Uncertainty(
        found.value,
        error,
        float(min(sure, found.value)),
        float(max(possible, found.value)),
        "Wilson by class",
    )


def _kl_interval(inputs: MetricInputs, _: MetricValue) -> Uncertainty:
    shares, reference = _shares(inputs)
    num = inputs.independent(_classes(inputs).n)
    return kl_interval(shares, _smoothed(reference, inputs.real_moments.n), num)


def _confidence_interval(inputs: MetricInputs, found: MetricValue) -> Uncertainty:
    p_NK, n = inputs.fake_probabilities, _classes(inputs).n
    if p_NK is None or len(p_NK) < 2:
        raise UndefinedMetric("class probabilities of two or more images are needed")
    num = inputs.independent(n)
    interval = mean_interval(p_NK.max(axis=1), num, "mean over the images, Hall")
    value = min(found.value, 1.0)  # a mean of ones may exceed 1 by rounding
    low, high = max(interval.low, 0.0), min(interval.high, 1.0)
    return interval._replace(estimate=value, low=min(low, value), high=max(high, value))


MODES_COVERED = Metric(
    name="modes_covered",
    title="Modes covered",
    meaning="number of classes that are present",
    unit="classes",
    citation="Srivastava et al. 2017, arXiv:1705.07761",
    direction="higher",
    scale="linear",
    compute=_modes_covered,
    reads=frozenset({"class_shares"}),
    uses=frozenset(),
    sees="all",
    depends_on_count=True,
    uncertainty=_modes_interval,
    constants={"covered_share": COVERED_SHARE},
)
CLASS_KL = Metric(
    name="class_kl",
    title="KL of class shares",
    meaning="how far the class shares are from the real ones",
    unit="nats",
    citation="Srivastava et al. 2017, arXiv:1705.07761",
    direction="lower",
    scale="symlog",
    compute=_class_kl,
    reads=frozenset({"class_shares"}),
    uses=frozenset(),
    sees="all",
    depends_on_count=True,
    uncertainty=_kl_interval,
    constants={"prior_count": PRIOR_COUNT},
    least=0.0,
)
MEAN_CONFIDENCE = Metric(
    name="mean_confidence",
    title="Mean confidence",
    meaning="how sure the classifier is of each image",
    unit="probability",
    citation="Che et al. 2017, arXiv:1612.02136",
    direction="target",
    scale="linear",
    compute=_mean_confidence,
    reads=frozenset(),
    uses=frozenset(),
    sees="all",
    depends_on_count=False,
    uncertainty=_confidence_interval,
)
