"""What a classifier sees in the folder: which classes there are, in what shares, how surely.

    modes_covered    classes whose share is at least 10 % of their share in the reference
    class_kl         KL(folder || reference) of the histograms of predicted classes, nats
    mean_confidence  mean over the images of the largest class probability

After the mode counts of Che et al. 2017 (arXiv:1612.02136) and the mode coverage and KL of
Srivastava et al. 2017 (VEEGAN, arXiv:1705.07761), section 4, with the reference's measured shares
in place of uniform ones. Each image is one count for its most probable class (the first of ties).

Half a count is added to every class of the reference, so that a class that is absent there and
present in the folder costs much but not infinitely much: q_k = (n q_k + 1/2) / (n + K/2), n the
images of the reference. At n = 60,000 and no empty class this moves the KL by less than 1e-4.

A perfect sample of n images does not score 0: the expected class_kl is (K - 1) / (2 n) to first
order, 0.00045 nats for 10,000 images of 10 classes.

Shape legend: N images, K classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError
from bench.metrics.base import Metric, MetricInputs, MetricValue, UndefinedMetric
from bench.stats import ClassStatistics

COVERED_SHARE = 0.1
PRIOR_COUNT = 0.5
MAX_LISTED = 100  # classes whose shares a record lists


def class_shares(p_NK: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of the images per predicted class, float64 K, summing to 1."""
    return np.bincount(p_NK.argmax(axis=1), minlength=p_NK.shape[1]) / len(p_NK)


def modes_covered(shares_K: NDArray[np.float64], reference_K: NDArray[np.float64]) -> int:
    """How many classes of the reference reach 10 % of their reference share.

    Raises `InputError` when the two have different numbers of classes.
    """
    _check_classes(shares_K, reference_K)
    least_K = COVERED_SHARE * reference_K * (1 - 1e-9)  # exactly 10 % counts, rounding or not
    return int(((reference_K > 0) & (shares_K >= least_K)).sum())


def class_kl(
    shares_K: NDArray[np.float64], reference_K: NDArray[np.float64], n_reference: int
) -> float:
    """KL of the folder's class shares to the reference's in nats, the latter with half a count
    added to every class. Raises `InputError` when the two have different numbers of classes.
    """
    _check_classes(shares_K, reference_K)
    counts = reference_K * n_reference + PRIOR_COUNT
    q_K = counts / counts.sum()
    present = shares_K > 0
    return float((shares_K[present] * np.log(shares_K[present] / q_K[present])).sum())


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
    """The shares as a detail of the record, unless there are too many to read."""
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


MODES_COVERED = Metric(
    name="modes_covered",
    title="Modes covered",
    compute=_modes_covered,
    reads=frozenset({"class_shares"}),
    sees="all",
    direction="higher",
    unit="classes",
    citation="Srivastava et al. 2017, arXiv:1705.07761",
    constants={"covered_share": COVERED_SHARE},
)
CLASS_KL = Metric(
    name="class_kl",
    title="KL of class shares",
    compute=_class_kl,
    reads=frozenset({"class_shares"}),
    sees="all",
    direction="lower",
    unit="nats",
    citation="Srivastava et al. 2017, arXiv:1705.07761",
    constants={"prior_count": PRIOR_COUNT},
)
MEAN_CONFIDENCE = Metric(
    name="mean_confidence",
    title="Mean confidence",
    compute=_mean_confidence,
    reads=frozenset(),
    sees="all",
    direction="target",
    unit="probability",
    citation="Che et al. 2017, arXiv:1612.02136",
)
