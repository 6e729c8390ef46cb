"""What a perfect submission of the same size would score: the yardstick beside every value.

Two sources. Where theory gives the expectation for two samples of one distribution (density,
coverage, KID, anomaly AUC), that closed form, which a test split by other writers than the train
split need not reach. Everywhere else the score of held-out real images:
a fixed random choice of as many test images as the submission has, scored by the same code against
the same reference. Real test images are what the best possible generator would hand in, so this
carries the finite-sample bias of FID and the imperfection of the classifier along. A metric that
compares with the test split cannot be told by that, for it would compare images with themselves:
`fid_test` splits them into two parts and brings the result to the submission's size.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from bench.metrics.base import Metric, MetricInputs, Sizes, UndefinedMetric
from bench.references.bundle import Reference
from bench.runtime.cache import Cache, cache_key
from bench.runtime.code_digest import code_digest, module_of
from bench.runtime.provenance import library_versions, version
from bench.statistics.moments import Features, FeatureSample


class Expected(NamedTuple):
    """An expected value and where it comes from."""

    value: float | None
    source: str


def metric_inputs(
    reference: Reference, sample: FeatureSample, *, seed: int, device: str
) -> MetricInputs:
    """What metrics read when a sample is scored against `reference`."""
    return MetricInputs(
        fake_features=sample.features.values,
        fake_probabilities=sample.features.probabilities,
        fake_moments_of_all=sample.streamed,
        fake_statistics=sample.classes,
        real_features=reference.train,
        real_moments=reference.train_moments,
        real_class_shares=reference.class_shares,
        held_out_features=None if reference.test is None else reference.test.values,
        real_nearest=reference.train_nearest,
        held_out_nearest=reference.test_nearest,
        held_out_moments_of_all=reference.test_moments,
        seed=seed,
        device=device,
    )


def held_out_sample(reference: Reference, n: int, seed: int) -> FeatureSample:
    """Features of `n` random images of the reference's test split."""
    if reference.test is None:
        raise ValueError("the reference has no held-out images")
    order = np.random.default_rng(seed).permutation(len(reference.test.values))[:n]
    logits = reference.test.logits
    chosen = Features(reference.test.values[order], None if logits is None else logits[order])
    return FeatureSample(chosen, order)


def held_out_values(
    reference: Reference,
    metrics: Iterable[Metric],
    n: int,
    *,
    seed: int,
    device: str = "cpu",
    cache: Cache | None = None,
) -> dict[str, float | None]:
    """Values of `metrics` on `n` held-out real images; None where a metric is undefined.

    Taken from the bundle's manifest when this version of the code built it, else from the cache,
    else computed and kept.
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
    kept = cache.get("held-out", key)
    if kept is None:
        sample = held_out_sample(reference, n, seed)
        inputs = metric_inputs(reference, sample, seed=seed, device=device)
        computed: dict[str, float | None] = {}
        for metric in missing:
            try:
                computed[metric.name] = (
                    metric.compute(inputs).value
                    if metric.perfect is None
                    else metric.perfect(inputs)
                )
            except UndefinedMetric:
                computed[metric.name] = None
        cache.put("held-out", key, json.dumps(computed, allow_nan=False).encode())
    else:
        computed = json.loads(kept)
    return values | computed


def _code_of(metrics: Iterable[Metric]) -> str:
    modules = {module_of(metric.compute) for metric in metrics}
    return code_digest(__name__, "bench.metrics", *sorted(modules))


def expected_values(
    reference: Reference,
    metrics: Iterable[Metric],
    n_fake: int,
    *,
    n_kept: int | None = None,
    seed: int,
    device: str = "cpu",
    cache: Cache | None = None,
) -> dict[str, Expected]:
    """The expected value of each metric for a perfect submission of `n_fake` images, of which
    features of `n_kept` are at hand (all when None).
    """
    n_kept = n_fake if n_kept is None else n_kept
    expected: dict[str, Expected] = {}
    empirical = []
    for metric in metrics:
        if metric.expected is None:
            empirical.append(metric)
        else:
            sizes = Sizes(n_real=len(reference.train), n_fake=n_kept)
            try:
                expected[metric.name] = Expected(metric.expected(sizes), "closed form")
            except UndefinedMetric as error:
                expected[metric.name] = Expected(None, str(error))
    if not empirical:
        return expected
    if reference.test is None:
        none = Expected(None, "the reference has no held-out images")
        return expected | {metric.name: none for metric in empirical}
    num_test = len(reference.test.values)
    for n, sees in ((n_fake, "all"), (n_kept, "subset")):
        chosen = [metric for metric in empirical if metric.sees == sees]
        if n > num_test:
            none = Expected(None, f"the reference has {num_test:,} held-out images only")
            expected |= {metric.name: none for metric in chosen}
            continue
        values = held_out_values(reference, chosen, n, seed=seed, device=device, cache=cache)
        source = f"{n:,} held-out real images"
        expected |= {
            metric.name: Expected(
                values[metric.name],
                source if metric.perfect is None else "two parts of the held-out images",
            )
            for metric in chosen
        }
    return expected
