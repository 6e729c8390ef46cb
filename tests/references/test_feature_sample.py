"""The sample of features that a stream leaves: moments of all images, a subset of them."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import scipy.special
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_fidelity.metric_isc import isc_features_to_metric

from bench.errors import InputError
from bench.metrics.inception_score import score_of
from bench.references.feature_collector import FeatureCollector, joined
from bench.references.sample_cache import cache_sample, cached_sample
from bench.runtime.cache import Cache
from bench.statistics.moments import BLOCK, Features, FeatureSample, Moments, subset_rows

SEED = 2020


def features_of(n: int, d: int = 5, k: int | None = 4, seed: int = 0) -> Features:
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((n, d)).astype(np.float32) * 3 + 10
    return Features(
        values, None if k is None else rng.standard_normal((n, k)).astype(np.float32) * 2
    )


def rows(features: Features, start: int, stop: int) -> Features:
    logits = None if features.logits is None else features.logits[start:stop]
    return Features(features.values[start:stop], logits)


def collect(features: Features, cuts: list[int], *, subset: int, seed: int = SEED) -> FeatureSample:
    """The sample of `features`, given in blocks that end at `cuts`."""
    n = len(features.values)
    collector = FeatureCollector("x", n, subset=subset, seed=seed)
    bounds = [0, *cuts, n]
    for start, stop in itertools.pairwise(bounds):
        collector.add(rows(features, start, stop))
    return collector.sample()


def bits(sample: FeatureSample) -> list[bytes]:
    """Everything that a sample holds."""
    arrays = [sample.features.values, sample.rows, sample.moments.mean, sample.moments.m2]
    if sample.features.logits is not None:
        arrays.append(sample.features.logits)
    found = [array.tobytes() for array in arrays]
    if sample.classes is not None:
        found += [np.asarray(value).tobytes() for value in vars(sample.classes).values()]
    return found


def test_up_to_the_subset_everything_is_kept() -> None:
    features = features_of(100)
    sample = collect(features, [1, 40], subset=100)
    np.testing.assert_array_equal(sample.features.values, features.values)
    np.testing.assert_array_equal(sample.features.logits, features.logits)
    assert sample.rows.tolist() == list(range(100))
    assert (sample.n, sample.streamed, sample.classes) == (100, None, None)
    assert sample.moments.m2.tobytes() == Moments.of(features.values).m2.tobytes()


@settings(deadline=None, max_examples=60)
@given(
    st.integers(2, 120).flatmap(
        lambda n: st.tuples(st.just(n), st.lists(st.integers(1, n - 1), max_size=12).map(sorted))
    ),
    st.integers(2, 130),
    st.booleans(),
)
def test_the_sample_does_not_depend_on_how_the_images_came(
    n_cuts: tuple[int, list[int]], subset: int, is_classifier: bool
) -> None:
    """Blocks of 16 in place of 4,096, so that a few images make many."""
    n, cuts = n_cuts
    features = features_of(n, k=3 if is_classifier else None, seed=n)
    with (
        patch("bench.references.feature_collector.BLOCK", 16),
        patch("bench.statistics.moments.BLOCK", 16),
    ):
        whole = collect(features, [], subset=subset)
        assert bits(collect(features, cuts, subset=subset)) == bits(whole)
        assert whole.moments.mean.tobytes() == Moments.of(features.values).mean.tobytes()
        assert whole.moments.m2.tobytes() == Moments.of(features.values).m2.tobytes()
    assert whole.n == n
    np.testing.assert_array_equal(whole.rows, subset_rows(n, subset))
    np.testing.assert_array_equal(whole.features.values, features.values[whole.rows])
    assert (whole.classes is None) == (not is_classifier or n <= subset)


@pytest.mark.parametrize("n", [BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 5])
@pytest.mark.parametrize("step", [64, 512, 5000])
def test_beyond_the_subset_moments_are_those_of_all(n: int, step: int) -> None:
    features = features_of(n)
    sample = collect(features, list(range(step, n, step)), subset=100)
    everything = Moments.of(features.values)
    assert sample.streamed is not None
    assert sample.streamed.n == sample.n == n
    assert sample.streamed.mean.tobytes() == everything.mean.tobytes()
    assert sample.streamed.m2.tobytes() == everything.m2.tobytes()
    np.testing.assert_array_equal(sample.rows, subset_rows(n, 100))
    np.testing.assert_array_equal(sample.features.values, features.values[sample.rows])
    assert features.logits is not None
    np.testing.assert_array_equal(sample.features.logits, features.logits[sample.rows])


@pytest.mark.parametrize("seed", [2020, 7])
def test_class_statistics_are_those_of_all(seed: int) -> None:
    """SciPy's softmax and a plain loop over the splits, on every logit."""
    n, splits = 2 * BLOCK + 77, 10
    features = features_of(n, k=23)
    assert features.logits is not None
    classes = collect(features, list(range(300, n, 300)), subset=50, seed=seed).classes
    assert classes is not None
    p = scipy.special.softmax(features.logits.astype(np.float64), axis=1)
    entropy = scipy.special.entr(p).sum(axis=1)
    order = np.random.RandomState(seed).permutation(n)
    for i in range(splits):
        part = order[i * n // splits : (i + 1) * n // splits]
        assert classes.split_counts[i] == len(part)
        np.testing.assert_allclose(classes.probability_sums[i], p[part].sum(axis=0), rtol=1e-12)
        assert classes.entropy_sums[i] == pytest.approx(entropy[part].sum(), rel=1e-12)
    np.testing.assert_array_equal(
        classes.predicted_counts, np.bincount(p.argmax(axis=1), minlength=23)
    )
    assert classes.confidence == pytest.approx(p.max(axis=1).sum(), rel=1e-13)
    assert classes.n == n


def test_inception_score_of_a_stream_is_that_of_torch_fidelity_on_all() -> None:
    n = BLOCK + 1900
    features = features_of(n, d=2, k=101)
    classes = collect(features, list(range(512, n, 512)), subset=64).classes
    assert classes is not None
    assert features.logits is not None
    expected = isc_features_to_metric(torch.from_numpy(features.logits))
    got = score_of(classes)
    assert got.mean == pytest.approx(expected["inception_score_mean"], rel=1e-12)
    assert got.std == pytest.approx(expected["inception_score_std"], rel=1e-9)


def damaged(value: float, what: str) -> Features:
    features = features_of(10)
    array = features.values if what == "features" else features.logits
    assert array is not None
    array[3, 1] = array[7, 0] = array[7, 1] = value  # two images
    return features


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("what", ["features", "logits"])
@pytest.mark.parametrize("subset", [5, 100])
def test_values_that_are_not_finite(value: float, what: str, subset: int) -> None:
    collector = FeatureCollector("net", 30, subset=subset, seed=SEED)
    collector.add(features_of(10))
    with pytest.raises(
        InputError, match=f"'net' gave {what} that are NaN or infinite for 2 of 10 "
    ):
        collector.add(damaged(value, what))


@pytest.mark.parametrize("subset", [5, 100])
@pytest.mark.parametrize(
    ("first", "then", "message"),
    [
        ((5, 4), (6, 4), "6 features and 4 logits after 5 features and 4 logits"),
        ((5, 4), (5, 3), "5 features and 3 logits after 5 features and 4 logits"),
        ((5, 4), (5, None), "5 features and 0 logits after 5 features and 4 logits"),
        ((5, None), (5, 4), "5 features and 4 logits after 5 features and 0 logits"),
    ],
)
def test_dimensions_that_change(
    subset: int, first: tuple[int, int], then: tuple[int, int], message: str
) -> None:
    collector = FeatureCollector("net", 30, subset=subset, seed=SEED)
    collector.add(features_of(10, *first))
    with pytest.raises(
        InputError, match=f"'net' gave {message}; every image must have the same number"
    ):
        collector.add(features_of(10, *then))


@pytest.mark.parametrize("subset", [5, 10_000])
def test_missing_images_and_too_many(subset: int) -> None:
    collector = FeatureCollector("net", BLOCK + 100, subset=subset, seed=SEED)
    collector.add(features_of(BLOCK + 99))
    with pytest.raises(InputError, match="'net': features of 4,195 images, expected 4,196"):
        collector.sample()
    with pytest.raises(InputError, match="'net': features of 4,197 images or more, expected 4,196"):
        collector.add(features_of(2))
    collector.add(features_of(1))
    assert collector.sample().n == BLOCK + 100
    with pytest.raises(InputError, match="features of 0 images, expected 0"):
        FeatureCollector("net", 0, subset=subset, seed=SEED).sample()


def test_what_is_let_go_is_not_held_by_what_is_kept() -> None:
    """Rows of a block are copies: a view would keep the whole block alive."""
    collector = FeatureCollector("net", 40_000, subset=1_000, seed=SEED)
    for start in range(0, 40_000, 500):
        collector.add(features_of(500, d=64, k=10, seed=start))
    arrays = [part.values for part in collector._stored]
    arrays += [part.logits for part in collector._stored if part.logits is not None]
    assert all(array.base is None or array.base.nbytes == array.nbytes for array in arrays)
    assert sum(array.nbytes for array in arrays) <= 1_000 * (64 + 10) * 4
    waiting = sum(len(part.values) for part in collector._waiting)
    assert waiting == 40_000 % BLOCK


MEASURE = """
import resource, sys
import numpy as np
from bench.references.feature_collector import FeatureCollector
from bench.statistics.moments import Features

n = int(sys.argv[1])
rng = np.random.default_rng(0)
block = Features(rng.random((500, 64), np.float32), rng.random((500, 64), np.float32))
collector = FeatureCollector("net", n, subset=2_000, seed=0)
for _ in range(n // 500):
    collector.add(Features(block.values.copy(), block.logits.copy()))
assert collector.sample().n == n
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def test_memory_does_not_grow_with_the_number_of_images() -> None:
    """80,000 images more would be 41 MB if they were kept; what grows is the choice of split and
    row, 8 bytes an image each for a few arrays.
    """
    peaks = [
        int(
            subprocess.run(
                [sys.executable, "-c", MEASURE, str(n)],
                capture_output=True,
                check=True,
                cwd=Path(__file__).parents[2],
            ).stdout
        )
        for n in (20_000, 100_000)
    ]
    assert peaks[1] - peaks[0] < 12e6


@pytest.mark.parametrize("subset", [20, 1000])
@pytest.mark.parametrize("k", [None, 4])
def test_samples_survive_the_cache(tmp_path: Path, subset: int, k: int | None) -> None:
    sample = collect(features_of(100, k=k), [30], subset=subset)
    cache = Cache(tmp_path)
    assert cached_sample(cache, "a" * 64) is None
    cache_sample(cache, "a" * 64, sample)
    again = cached_sample(cache, "a" * 64)
    assert again is not None
    assert bits(again) == bits(sample)
    assert (again.n, again.streamed is None, again.classes is None) == (
        sample.n,
        sample.streamed is None,
        sample.classes is None,
    )


def test_joined_parts() -> None:
    features = features_of(10)
    parts = [rows(features, 0, 4), rows(features, 4, 10)]
    np.testing.assert_array_equal(joined(parts).values, features.values)
    np.testing.assert_array_equal(joined(parts).logits, features.logits)
    assert joined([features]) is features
