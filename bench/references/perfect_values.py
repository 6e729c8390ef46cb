"""What a perfect submission of the same size would score, shown beside every value.

There are two sources. Where theory gives the expectation for two samples of one distribution
(density, coverage, KID, anomaly AUC), the perfect value is that closed form. A test split by other
writers than the train split need not reach it.

Everywhere else it is the score of held-out real images: a fixed random choice of the same number of
test images, scored by the same code against the same reference. The best possible generator would
submit such images, so this value includes the finite-sample bias of FID and the errors of the
classifier. A metric that compares with the test split would compare these images with themselves;
`fid_test` therefore splits them into two parts and brings the result to the submission's size.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from bench.metrics import METRICS
from bench.metrics.base import SPLITS, Metric, MetricInputs, Sizes, UndefinedMetric
from bench.references.bundle import Reference
from bench.runtime.cache import Cache, cache_key
from bench.runtime.code_digest import code_digest, module_of
from bench.runtime.failures import failure_line
from bench.runtime.provenance import library_versions, version
from bench.statistics.moments import ClassStatistics, Features, FeatureSample, splits_of_keys

MOMENTS_ONLY = "the reference holds the mean and covariance of real images, not single ones"


class PerfectValue(NamedTuple):
    """What a perfect submission scores, None where that is not known."""

    value: float | None
    source: str  # where the value comes from, or why there is none


def metric_inputs(
    reference: Reference, sample: FeatureSample, *, seed: int, device: str
) -> MetricInputs:
    """Return what metrics read when a sample is scored against `reference`."""
    p_NK, classes = sample.features.probabilities, sample.classes
    if classes is None and p_NK is not None and sample.keys is not None:
        classes = ClassStatistics.of(p_NK, splits_of_keys(sample.keys, SPLITS, seed), SPLITS)
    return MetricInputs(
        fake_features=sample.features.values,
        fake_probabilities=p_NK,
        fake_moments_of_all=sample.streamed,
        fake_statistics=classes,
        copy_rate=sample.copy_rate,
        repeated=sample.repeated,
        real_features=reference.train,
        real_moments=reference.train_moments,
        real_is_counted=reference.is_counted,
        real_class_shares=reference.class_shares,
        held_out_features=None if reference.test is None else reference.test.values,
        real_nearest=reference.train_nearest,
        held_out_nearest=reference.test_nearest,
        held_out_moments_of_all=reference.test_moments,
        seed=seed,
        device=device,
    )


def held_out_sample(reference: Reference, n: int, seed: int) -> FeatureSample:
    """Return the features of `n` random images of the reference's test split.

    Raises `ValueError` for a reference without one.
    """
    if reference.test is None:
        raise ValueError("the reference has no held-out images")
    order = np.random.default_rng(seed).permutation(len(reference.test.values))[:n]
    logits = reference.test.logits
    chosen = Features(reference.test.values[order], None if logits is None else logits[order])
    return FeatureSample(chosen, order)


def _finite(value: float) -> float | None:
    """Return a value as a record can hold it: None for one that overflows."""
    return float(value) if math.isfinite(value) else None


def held_out_values(
    reference: Reference,
    metrics: Iterable[Metric],
    n: int,
    *,
    seed: int,
    device: str = "cpu",
    cache: Cache | None = None,
) -> dict[str, float | None]:
    """Return the values of `metrics` on `n` held-out real images, None where one is undefined.

    They are taken from the bundle's manifest if this version of the code built it, else from the
    cache; else they are computed and cached.
    """
    metrics = list(metrics)
    manifest = reference.manifest
    stored = manifest.held_out if manifest.code_version == version() else {}
    values = dict(stored.get(f"{n}:{seed}", {}))
    missing = [metric for metric in metrics if metric.name not in values]
    if not missing:
        return values
    cache = cache or Cache(None)
    key = cache_key(
        {
            "reference": reference.digest,
            "n": n,
            "seed": seed,
            "code": code_digest(
                __name__,
                "bench.metrics",
                *sorted({module_of(metric.compute) for metric in missing}),
            ),
            "libraries": library_versions(),
            "device": device.split(":", maxsplit=1)[0],
            "metrics": sorted(metric.name for metric in missing),
        }
    )
    cached = cache.get("held-out", key)
    if cached is None:
        sample = held_out_sample(reference, n, seed)
        inputs = metric_inputs(reference, sample, seed=seed, device=device)
        computed: dict[str, float | None] = {}
        for metric in missing:
            try:
                computed[metric.name] = _finite(
                    metric.compute(inputs).value
                    if metric.perfect is None
                    else metric.perfect(inputs)
                )
            except UndefinedMetric:
                computed[metric.name] = None
            except Exception:
                if metric.name in METRICS.own:
                    raise
                computed[metric.name] = None  # of another package; the value itself says why
        cache.put("held-out", key, json.dumps(computed, allow_nan=False).encode())
    else:
        computed = json.loads(cached)
    return values | computed


def perfect_values(
    reference: Reference,
    metrics: Iterable[Metric],
    n_fake: int,
    *,
    n_kept: int | None = None,
    seed: int,
    device: str = "cpu",
    cache: Cache | None = None,
) -> dict[str, PerfectValue]:
    """Return the perfect value of each metric for a submission of `n_fake` images, of which the
    features of `n_kept` are known (all when None).

    >>> from bench.metrics import METRICS
    >>> from bench.references.bundle import load_reference
    >>> from bench.references.lookup import find_manifest
    >>> mnist = load_reference(find_manifest("mnist"))
    >>> perfect_values(mnist, [METRICS["anomaly_auc"]], 1000, seed=0)
    {'anomaly_auc': PerfectValue(value=0.5, source='closed form')}
    """
    n_kept = n_fake if n_kept is None else n_kept
    found: dict[str, PerfectValue] = {}
    empirical = []
    for metric in metrics:
        if metric.expected is None:
            empirical.append(metric)
        elif "features" in metric.reads and not len(reference.train):
            found[metric.name] = PerfectValue(None, MOMENTS_ONLY)
        else:
            sizes = Sizes(n_real=len(reference.train), n_fake=n_kept)
            try:
                found[metric.name] = PerfectValue(_finite(metric.expected(sizes)), "closed form")
            except UndefinedMetric as error:
                found[metric.name] = PerfectValue(None, str(error))
            except Exception as error:
                if metric.name in METRICS.own:
                    raise
                found[metric.name] = PerfectValue(None, failure_line(error))
    if not empirical:
        return found
    if reference.test is None:
        none = PerfectValue(None, "the reference has no held-out images")
        return found | {metric.name: none for metric in empirical}
    num_test = len(reference.test.values)
    for n, sees in ((n_fake, "all"), (n_kept, "subset")):
        chosen = [metric for metric in empirical if metric.sees == sees]
        if n > num_test:
            none = PerfectValue(None, f"the reference has {num_test:,} held-out images only")
            found |= {metric.name: none for metric in chosen}
            continue
        values = held_out_values(reference, chosen, n, seed=seed, device=device, cache=cache)
        source = f"{n:,} held-out real images"
        found |= {
            metric.name: PerfectValue(
                _possible(values[metric.name], metric),
                source if metric.perfect is None else "two parts of the held-out images",
            )
            for metric in chosen
        }
    return found


def _possible(value: float | None, metric: Metric) -> float | None:
    """Return a value of `metric`, or its least value when an unbiased estimate lies below that."""
    return value if value is None or metric.least is None else max(value, metric.least)
