"""Features of a stream: the same bits whatever the blocks, all of a little, bounded of much."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import numpy as np
import pytest
import scipy.special
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch_fidelity.metric_isc import isc_features_to_metric

from bench.errors import InputError, InvalidSubmission, UsageError
from bench.extractors import EXTRACTORS
from bench.intake import ImageStream, SetIdentity, audit, image_set_of
from bench.metrics.inception_score import score_of
from bench.references.feature_collector import FeatureCollector, joined
from bench.references.feature_extraction import Extraction
from bench.references.sample_cache import cache_sample, cached_sample, sample_key
from bench.runtime.cache import Cache
from bench.statistics.moments import BLOCK, Features, FeatureSample, Moments, subset_rows
from tests.conftest import RealSample, write_pngs

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


# ------------------------------------------------------------------------------ all of a little


def test_up_to_the_subset_everything_is_kept() -> None:
    features = features_of(100)
    sample = collect(features, [1, 40], subset=100)
    np.testing.assert_array_equal(sample.features.values, features.values)
    np.testing.assert_array_equal(sample.features.logits, features.logits)
    assert sample.rows.tolist() == list(range(100))
    assert (sample.n, sample.streamed, sample.classes) == (100, None, None)
    assert sample.moments.m2.tobytes() == Moments.of(features.values).m2.tobytes()


# --------------------------------------------------------------------------- the same bits always


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


# ------------------------------------------------------------------------------------- bad features


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


# ------------------------------------------------------------------------------- bounded in memory


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


# ------------------------------------------------------------------------------- from a stream


class Recorder:
    """An extractor that gives the mean of each channel, and remembers what it was shown."""

    name, digest, device = "recorder", "0" * 64, "cpu"

    def __init__(self, batch_size: int = 64, *, fails: Exception | None = None) -> None:
        self.batch_size = batch_size
        self.fails = fails
        self.seen: list[NDArray[np.uint8]] = []

    def __call__(self, images: NDArray[np.uint8], *, progress: object = None) -> Features:
        self.seen.append(images.copy())
        if self.fails is not None:
            raise self.fails
        if callable(progress):
            progress(len(images), len(images))
        rgb = np.broadcast_to(images, (*images.shape[:3], 3))
        return Features(rgb.mean(axis=(1, 2)).astype(np.float32))


def extraction(extractors: list[Recorder], n: int, *, subset: int = 10_000) -> Extraction:
    return Extraction(lambda: extractors, n, subset=subset, seed=SEED)


class FakeStream:
    """Blocks by hand; `identity_if_read` knows what the images are from the n-th question on."""

    def __init__(self, blocks: list[NDArray[np.uint8]], known_after: int) -> None:
        self.blocks = blocks
        self.identity = image_set_of(np.concatenate(blocks)).identity
        self.known_after = known_after
        self.num_taken = 0
        self.report = SimpleNamespace(
            source="by hand", identity=self.identity, raise_if_invalid=lambda: None
        )

    def identity_if_read(self, timeout_s: float = 0.0) -> SetIdentity | None:
        self.known_after -= 1
        return self.identity if self.known_after < 0 else None

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        for block in self.blocks:
            self.num_taken += 1
            yield block


def blocks_of(mnist: RealSample, *sizes: int) -> list[NDArray[np.uint8]]:
    ends = np.cumsum(sizes)
    return [mnist.images[end - size : end] for size, end in zip(sizes, ends, strict=True)]


def test_every_extractor_sees_every_image_in_order_and_in_full_batches(mnist: RealSample) -> None:
    extractors = [Recorder(20), Recorder(50)]
    seen: list[tuple[int, int]] = []
    taking = extraction(extractors, 130)
    stream = FakeStream(blocks_of(mnist, 30, 30, 30, 30, 10), known_after=99)
    taking.consume(stream, lambda *at: seen.append(at))  # type: ignore[arg-type]
    for extractor, sample in zip(extractors, taking.samples(), strict=True):
        assert [len(images) for images in extractor.seen] == [60, 60, 10]  # none below 50
        np.testing.assert_array_equal(np.concatenate(extractor.seen), mnist.images[:130])
        expected = np.repeat(mnist.images[:130].mean(axis=(1, 2)), 3, axis=1)
        np.testing.assert_allclose(sample.features.values, expected, rtol=1e-6)
    assert seen == sorted(seen)
    assert seen[-1] == (130, 130)


def test_grey_blocks_among_coloured_ones(mnist: RealSample) -> None:
    grey = mnist.images[:10]
    colour = np.repeat(mnist.images[10:20], 3, axis=3)
    colour[..., 2] = 0
    extractor = Recorder(64)
    taking = extraction([extractor], 20)
    taking.add(grey)
    taking.add(colour)
    (sample,) = taking.samples()
    assert [images.shape for images in extractor.seen] == [(20, 28, 28, 3)]
    np.testing.assert_array_equal(extractor.seen[0][:10], np.repeat(grey, 3, axis=3))
    assert (sample.features.values[10:, 2] == 0).all()
    assert (sample.features.values[:10, 2] == sample.features.values[:10, 0]).all()


def test_missing_images_are_told(mnist: RealSample) -> None:
    taking = extraction([Recorder()], 20)
    taking.add(mnist.images[:19])
    with pytest.raises(InputError, match="features of 19 images, expected 20"):
        taking.samples()


def test_a_folder_gives_what_its_array_gives(mnist: RealSample, tmp_path: Path) -> None:
    folder = write_pngs(mnist.images[:70], tmp_path / "x")
    extractor = EXTRACTORS["random-conv"].resolve().load()
    with ImageStream(folder) as stream:
        taking = Extraction(lambda: [extractor], stream.num_images, subset=30, seed=SEED)
        identity = taking.consume(stream)
    (sample,) = taking.samples()
    assert identity.sequence_digest == image_set_of(mnist.images[:70]).identity.sequence_digest
    whole = extractor(mnist.images[:70]).values
    np.testing.assert_allclose(sample.features.values, whole[subset_rows(70, 30)], rtol=1e-5)
    np.testing.assert_allclose(sample.moments.mean, whole.mean(axis=0), rtol=1e-5)


@pytest.mark.parametrize("load_fails", [False, True])
def test_an_invalid_submission_comes_before_what_an_extractor_raises(
    mnist: RealSample, tmp_path: Path, load_fails: bool
) -> None:
    """The extractor fails on the first of many blocks; what is wrong lies at the very end."""
    folder = write_pngs(mnist.images[:1100], tmp_path / "x")
    (folder / "z-torn.png").write_bytes((folder / "00000.png").read_bytes()[:60])
    write_pngs(np.zeros((1, 30, 30, 1), np.uint8), tmp_path / "y")
    (tmp_path / "y" / "00000.png").rename(folder / "zz-large.png")
    (folder / "notes.txt").write_text("x")
    failing = Recorder(fails=UsageError("the network is broken"))

    def load() -> list[Recorder]:
        if load_fails:
            raise UsageError("no weights")
        return [failing]

    with ImageStream(folder) as stream:
        taking = Extraction(load, stream.num_images, subset=100, seed=SEED)
        with pytest.raises(InvalidSubmission) as caught:
            taking.consume(stream)
    assert len(failing.seen) <= 1
    assert caught.value.findings == audit(folder, keep_pixels=False).findings
    codes = {finding.code for finding in caught.value.findings}  # type: ignore[attr-defined]
    assert {"mixed-sizes", "junk-file"} < codes
    assert len(codes) >= 3


def test_a_failing_extractor_is_told_once_the_submission_is_known_to_be_valid(
    mnist: RealSample, tmp_path: Path
) -> None:
    folder = write_pngs(mnist.images[:80], tmp_path / "x")
    failing = Recorder(fails=UsageError("the network is broken"))
    with ImageStream(folder) as stream:
        with pytest.raises(UsageError, match="the network is broken"):
            extraction([failing], 80).consume(stream)
        assert stream.report.valid
        assert stream.report.identity is not None
        assert stream.report.identity.num_images == 80
    assert len(failing.seen) == 1


def test_images_that_an_extractor_does_not_take_are_told_with_their_source(
    tmp_path: Path,
) -> None:
    folder = write_pngs(np.zeros((12, 7, 7, 1), np.uint8), tmp_path / "x")
    extractor = EXTRACTORS["hog"].resolve().load()
    with ImageStream(folder) as stream:
        taking = Extraction(lambda: [extractor], stream.num_images, subset=100, seed=SEED)
        message = f"^{re.escape(str(folder))}: images are 7x7 px .* extractors take 8 to 2048 px"
        with pytest.raises(InputError, match=message):
            taking.consume(stream)


@pytest.mark.parametrize("known_after", [0, 1, 3])
def test_what_is_known_is_not_extracted(mnist: RealSample, known_after: int) -> None:
    """The identity is there before the first block, or while blocks come: from then on nothing is
    computed, but the stream is taken to its end.
    """
    stream = FakeStream(blocks_of(mnist, 30, 30, 30, 30), known_after)
    asked: list[SetIdentity] = []

    def is_known(identity: SetIdentity) -> bool:
        asked.append(identity)
        return True

    extractor = Recorder(30)
    taking = extraction([extractor], 120)
    assert taking.consume(stream, is_known=is_known) == stream.identity  # type: ignore[arg-type]
    assert taking.abandoned
    assert asked == [stream.identity]
    assert stream.num_taken == 4
    assert len(extractor.seen) == max(0, known_after - 1)


def test_a_failure_is_forgiven_when_the_images_are_known(mnist: RealSample) -> None:
    stream = FakeStream(blocks_of(mnist, 30, 30, 30), known_after=2)
    taking = extraction([Recorder(30, fails=UsageError("broken"))], 90)
    taking.consume(stream, is_known=lambda _: True)  # type: ignore[arg-type]
    assert taking.abandoned


def test_what_is_not_known_is_asked_once_and_extracted(mnist: RealSample) -> None:
    stream = FakeStream(blocks_of(mnist, 30, 30, 30), known_after=1)
    asked: list[SetIdentity] = []
    taking = extraction([Recorder(30)], 90)
    taking.consume(stream, is_known=lambda identity: bool(asked.append(identity)))  # type: ignore[arg-type, func-returns-value]
    assert not taking.abandoned
    assert len(asked) == 1
    assert taking.samples()[0].n == 90


# --------------------------------------------------------------------------------- in the cache


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


def test_keys_tell_apart_what_gives_other_features() -> None:
    given_: dict[str, object] = {
        "sequence_digest": "a",
        "num_images": 100,
        "device": "cpu",
        "subset": 50,
        "seed": 1,
    }
    digits, other = EXTRACTORS["digits"].resolve(), EXTRACTORS["random-conv"].resolve()

    def key(extractor: object = digits, **changes: object) -> str:
        return sample_key(extractor, **(given_ | changes))  # type: ignore[arg-type]

    changed = [
        key(),
        key(other),
        key(sequence_digest="b"),
        key(device="cuda"),
        key(subset=51),
        key(seed=2),
        key(subset=100),
    ]
    assert len(set(changed)) == len(changed)
    assert key(device="cuda:0") == key(device="cuda:1")
    # where every image is kept, subset and seed change nothing
    assert key(subset=100) == key(subset=10_000, seed=9)


def test_joined_parts() -> None:
    features = features_of(10)
    parts = [rows(features, 0, 4), rows(features, 4, 10)]
    np.testing.assert_array_equal(joined(parts).values, features.values)
    np.testing.assert_array_equal(joined(parts).logits, features.logits)
    assert joined([features]) is features
