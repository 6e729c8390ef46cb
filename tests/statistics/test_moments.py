"""Moments against NumPy and their merge laws; softmax; files that are whole or not there."""

from __future__ import annotations

import io
import math
import os
import threading

import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import InputError
from bench.runtime.npz import arrays_from_bytes, arrays_to_bytes
from bench.runtime.whole_files import write_atomically
from bench.statistics.moments import (
    BLOCK,
    ClassStatistics,
    Features,
    FeatureSample,
    Moments,
    score_splits,
    subset_rows,
)


def assert_close(a: Moments, b: Moments, rtol: float = 1e-10) -> None:
    assert a.n == b.n
    scale = np.abs(b.m2).max() + 1e-300
    np.testing.assert_allclose(a.mean, b.mean, rtol=rtol, atol=rtol * np.sqrt(scale))
    np.testing.assert_allclose(a.m2, b.m2, atol=rtol * scale)


# ------------------------------------------------------------------------------------ moments


@pytest.mark.parametrize("n", [2, 7, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 5])
def test_equal_numpy(n):
    f = np.random.default_rng(n).standard_normal((n, 5)).astype(np.float32) * 3 + 20
    got = Moments.of(f)
    assert (got.n, got.dim) == (n, 5)
    np.testing.assert_allclose(got.mean, f.mean(axis=0, dtype=np.float64), rtol=1e-13)
    expected = np.cov(f, rowvar=False, dtype=np.float64)
    np.testing.assert_allclose(got.covariance(), expected, rtol=1e-10, atol=1e-12)


def test_by_hand():
    # columns 1,2,3 and 2,4,9: means 2 and 5; sums of squares 2 and 9+1+16; products 3+0+4
    got = Moments.of(np.array([[1, 2], [2, 4], [3, 9]], np.float32))
    assert got.mean.tolist() == [2, 5]
    assert got.m2.tolist() == [[2, 7], [7, 26]]
    assert got.covariance().tolist() == [[1, 3.5], [3.5, 13]]


def test_far_mean_keeps_its_digits():
    # variance 2/3 around 1e6: the sum-of-squares formula in float32 would lose all of it
    f = np.tile(np.array([[-1.0], [0], [1]], np.float32) + np.float32(1e6), (1000, 1))
    assert Moments.of(f).covariance()[0, 0] == pytest.approx(2000 / 2999, rel=1e-12)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 9), min_size=3, max_size=3), st.integers(0, 2**32 - 1))
def test_merge_laws(sizes, seed):
    rng = np.random.default_rng(seed)
    shards = [rng.standard_normal((n, 3)) * 10 + rng.standard_normal(3) * 100 for n in sizes]
    a, b, c = parts = [Moments.of(shard) for shard in shards]
    whole = Moments.of(np.concatenate(shards))
    assert_close(Moments.merged(parts), whole)
    assert_close(Moments.merged([c, a, b]), whole)  # any order, to rounding
    assert_close(Moments.merged([a, Moments.merged([b, c])]), whole)  # associative, to rounding


def test_same_shards_in_the_same_order_give_the_same_bits():
    f = np.random.default_rng(0).standard_normal((3 * BLOCK, 4)).astype(np.float32)
    shards = [f[i : i + 1000] for i in range(0, len(f), 1000)]
    first, again = (Moments.merged(Moments.of(shard) for shard in shards) for _ in range(2))
    assert first.mean.tobytes() == again.mean.tobytes()
    assert first.m2.tobytes() == again.m2.tobytes()
    blocks = Moments.merged(Moments.of(f[i : i + BLOCK]) for i in range(0, len(f), BLOCK))
    assert blocks.m2.tobytes() == Moments.of(f).m2.tobytes()


def test_moments_refuse():
    with pytest.raises(InputError, match="shape N,D"):
        Moments.of(np.zeros((0, 3)))
    with pytest.raises(InputError, match="shape N,D"):
        Moments.of(np.zeros(3))
    with pytest.raises(InputError, match="NaN or infinite"):
        Moments.of(np.array([[1.0, np.nan]]))
    with pytest.raises(InputError, match="at least 2 samples"):
        Moments.of(np.ones((1, 2))).covariance()
    with pytest.raises(InputError, match="no moments"):
        Moments.merged([])
    with pytest.raises(InputError, match="2 and 3 features"):
        Moments.merged([Moments.of(np.ones((2, 2))), Moments.of(np.ones((2, 3)))])


# -------------------------------------------------------------------------------- probabilities


def test_probabilities_are_a_float64_softmax():
    logits = (np.random.default_rng(0).standard_normal((20, 7)) * 50).astype(np.float32)
    logits[0] = [1e4, -1e4, 0, 0, 0, 0, 0]  # exp would overflow without the shift
    p = Features(np.zeros((20, 1), np.float32), logits).probabilities
    assert p is not None
    assert p.dtype == np.float64
    np.testing.assert_allclose(p, scipy.special.softmax(logits.astype(float), axis=1), rtol=1e-12)
    assert Features(np.zeros((20, 1), np.float32)).probabilities is None


# ---------------------------------------------------------------------- what stands for many images


def test_class_statistics_by_hand():
    # images 0 and 2 in the first split, 1 in the second; entropies 0, log 2 and log 2
    p = np.array([[1.0, 0, 0], [0, 0.5, 0.5], [0.5, 0.5, 0]])
    got = ClassStatistics.of(p, np.array([0, 1, 0]), 2)
    assert got.split_counts.tolist() == [2, 1]
    assert got.probability_sums.tolist() == [[1.5, 0.5, 0], [0, 0.5, 0.5]]
    np.testing.assert_allclose(got.entropy_sums, [math.log(2), math.log(2)], rtol=1e-15)
    assert got.predicted_counts.tolist() == [2, 1, 0]  # the first of ties
    assert got.confidence == 2
    assert (got.n, got.shares.tolist()) == (3, [2 / 3, 1 / 3, 0])


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 700), st.integers(1, 699), st.integers(1, 6), st.integers(1, 4))
def test_class_statistics_of_parts_add_up(n, cut, k, splits):
    rng = np.random.default_rng(n)
    p = rng.dirichlet(np.full(k, 0.3), n)
    split = rng.integers(0, splits, n)
    cut = min(cut, n - 1)
    whole = ClassStatistics.of(p, split, splits)
    parts = ClassStatistics.of(p[:cut], split[:cut], splits).plus(
        ClassStatistics.of(p[cut:], split[cut:], splits)
    )
    np.testing.assert_array_equal(parts.split_counts, whole.split_counts)
    np.testing.assert_array_equal(parts.predicted_counts, whole.predicted_counts)
    np.testing.assert_allclose(parts.probability_sums, whole.probability_sums, atol=1e-10)
    np.testing.assert_allclose(parts.entropy_sums, whole.entropy_sums, atol=1e-10)
    assert parts.confidence == pytest.approx(whole.confidence, rel=1e-12)
    assert whole.split_counts.tolist() == [(split == i).sum() for i in range(splits)]
    np.testing.assert_allclose(
        whole.entropy_sums,
        [scipy.special.entr(p[split == i]).sum() for i in range(splits)],
        atol=1e-10,
    )


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 500), st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_images_are_dealt_to_splits_as_torch_fidelity_does(n, splits, seed):
    dealt = score_splits(n, splits, seed)
    order = np.random.RandomState(seed).permutation(n)
    for i in range(splits):
        part = order[i * n // splits : (i + 1) * n // splits]
        np.testing.assert_array_equal(np.flatnonzero(dealt == i), np.sort(part))


def test_the_fixed_choice_of_many():
    assert subset_rows(5, 5).tolist() == subset_rows(5, 9).tolist() == [0, 1, 2, 3, 4]
    chosen = subset_rows(1000, 10)
    # pinned: NumPy promises that PCG64 gives the same permutation for good
    assert chosen.tolist() == sorted(np.random.default_rng(2020).permutation(1000)[:10].tolist())
    assert len(set(chosen.tolist())) == 10
    assert subset_rows(1000, 10, seed=1).tolist() != chosen.tolist()
    # a larger choice holds the smaller one, so that scores of two sizes are of one sample
    assert set(chosen) < set(subset_rows(1000, 11))


def test_every_image_is_as_likely_to_be_chosen():
    # 400 draws of 30 of 100: each image 120 times, standard deviation sqrt(400 * .3 * .7) = 9.2
    counts = np.bincount(
        np.concatenate([subset_rows(100, 30, seed) for seed in range(400)]), minlength=100
    )
    assert abs(counts - 120).max() < 4.5 * 9.2


def test_moments_of_a_sample_are_those_of_all_images():
    values = np.arange(6, dtype=np.float32).reshape(3, 2)
    kept = FeatureSample(Features(values), np.arange(3))
    assert (kept.n, kept.moments.mean.tolist()) == (3, [2, 3])
    streamed = Moments(7, np.array([9.0, 9.0]), np.eye(2))
    reduced = FeatureSample(Features(values), np.arange(3), streamed=streamed)
    assert (reduced.n, reduced.moments) == (7, streamed)


# --------------------------------------------------------------------------------------- files


@pytest.mark.parametrize("compress", [False, True])
def test_arrays_survive(compress):
    arrays = {
        "mean": np.array([0.1, math.pi]),
        "n": np.array(60_000),
        "names": np.array(["a", "bc"]),
        "empty": np.zeros((0, 3), np.float32),
    }
    data = arrays_to_bytes(arrays, compress=compress)
    assert data == arrays_to_bytes(arrays, compress=compress)
    got = arrays_from_bytes(data, "x.npz")
    assert list(got) == list(arrays)
    for name, array in arrays.items():
        assert got[name].dtype == array.dtype
        np.testing.assert_array_equal(got[name], array)


def test_nothing_is_pickled_or_unpickled():
    objects = np.array([{"a": 1}], dtype=object)
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        arrays_to_bytes({"x": objects})
    buffer = io.BytesIO()
    np.savez(buffer, x=objects)
    with pytest.raises(InputError, match=r"bad.npz: array .x.: it holds Python objects"):
        arrays_from_bytes(buffer.getvalue(), "bad.npz")


def test_a_single_array_is_not_an_archive():
    buffer = io.BytesIO()
    np.save(buffer, np.arange(3))
    with pytest.raises(InputError, match=r"one.npz: expected an npz archive"):
        arrays_from_bytes(buffer.getvalue(), "one.npz")


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=40) | st.integers(0, 2**32 - 1))
def test_damage_is_an_input_error(damage):
    if isinstance(damage, int):  # up to three bytes of a good archive changed
        rng = np.random.default_rng(damage)
        data = bytearray(arrays_to_bytes({"a": np.arange(5.0)}, compress=bool(damage % 2)))
        data[: rng.integers(8) * 10 or None]
        for at in rng.integers(len(data), size=3):
            data[at] = rng.integers(256)
    else:
        data = bytearray(damage)
    try:
        arrays_from_bytes(bytes(data), "x.npz")
    except InputError as error:
        assert str(error).startswith("x.npz: ")  # noqa: PT017  damage may also go unnoticed


def test_write_is_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "new" / "file.bin"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"

    def fail(descriptor: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, b"three")
    assert path.read_bytes() == b"two"
    assert [p.name for p in path.parent.iterdir()] == ["file.bin"]


def test_threads_do_not_share_a_temporary_file(tmp_path):
    path = tmp_path / "file.bin"
    errors: list[Exception] = []

    def write(value: int) -> None:
        try:
            for _ in range(20):
                write_atomically(path, bytes([value]) * 1000)
        except OSError as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(value,)) for value in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(set(path.read_bytes())) == 1
    assert len(path.read_bytes()) == 1000
