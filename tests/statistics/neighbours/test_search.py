"""The neighbour pass against brute force in float64, scikit-learn, and itself under change.

Distances are defined as float64 sums of squared differences, rooted and rounded to float32; ties
go to the lower index. `brute_pass` below writes that definition down with full matrices.
"""

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from bench.errors import InputError
from bench.statistics.neighbours import bounds, scan
from bench.statistics.neighbours.results import NearestNeighbours
from bench.statistics.neighbours.search import nearest_neighbours, neighbour_pass

DEVICES = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])
FIELDS = ("in_real_ball", "in_fake_ball", "num_real_balls", "realism")
NEAREST = ("real_nearest", "fake_nearest", "fake_to_real", "real_to_fake")


def brute_distances(x, y):
    diff = x.astype(np.float64)[:, None] - y.astype(np.float64)[None]
    return np.sqrt((diff**2).sum(-1)).astype(np.float32)


def brute_nearest(d, k, exclude_self=False):
    d = d.copy()
    if exclude_self:
        np.fill_diagonal(d, np.inf)
    k = min(k, d.shape[1] - exclude_self)
    order = np.argsort(d, axis=1, kind="stable")[:, :k]
    return NearestNeighbours(np.take_along_axis(d, order, 1), order)


def brute_pass(real, fake):
    d_rf = brute_distances(real, fake)
    n, m = d_rf.shape
    out = {
        "real_nearest": brute_nearest(brute_distances(real, real), 5, True),
        "fake_nearest": brute_nearest(brute_distances(fake, fake), 5, True),
        "fake_to_real": brute_nearest(d_rf.T, 5),
        "real_to_fake": brute_nearest(d_rf, 5),
        "in_real_ball": np.zeros(m, bool),
        "in_fake_ball": np.zeros(n, bool),
        "num_real_balls": np.zeros(m, int),
        "realism": np.full(m, np.nan, np.float32),
    }
    if n > 3:
        r3 = out["real_nearest"].distances[:, 2]
        out["in_real_ball"] = (d_rf <= r3[:, None]).any(0)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where((d_rf == 0) & (r3[:, None] == 0), 1, r3[:, None] / d_rf)
        out["realism"] = ratio[r3 <= np.median(r3)].max(0).astype(np.float32)
    if n > 5:
        out["num_real_balls"] = (d_rf < out["real_nearest"].distances[:, 4:5]).sum(0)
    if m > 3:
        out["in_fake_ball"] = (d_rf <= out["fake_nearest"].distances[:, 2]).any(1)
    return out


def assert_pass(actual, expected):
    for name in NEAREST:
        found, wanted = getattr(actual, name), expected[name]
        np.testing.assert_array_equal(found.distances, wanted.distances, err_msg=name)
        np.testing.assert_array_equal(found.indices, wanted.indices, err_msg=name)
        assert found.distances.dtype == np.float32
        assert found.indices.dtype == np.int64
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(actual, name), expected[name], err_msg=name)


def same(a, b):
    assert_pass(a, {name: getattr(b, name) for name in NEAREST + FIELDS})


def features(kind, n, m, d, seed=0):
    """Two sets of a kind that strains one thing; float32."""
    rng = np.random.default_rng(seed)
    real, fake = rng.normal(size=(n, d)), rng.normal(size=(m, d))
    if kind == "integers":  # every distance exact, many ties and duplicates
        real, fake = rng.integers(-2, 3, (n, d)), rng.integers(-2, 3, (m, d))
    elif kind == "equal":
        real, fake = np.ones((n, d)), np.ones((m, d))
    elif kind == "far":  # spread 1e-3 around 1,000: float32 products alone see nothing
        real, fake = 1e3 + 1e-3 * real, 1e3 + 1e-3 * fake
    elif kind == "collapsed":  # near-duplicates of 4 modes; float32 products alone see nothing
        modes = rng.normal(size=(4, d))
        fake = modes[rng.integers(0, 4, m)] + 1e-6 * fake
        real = np.concatenate([real[: n // 2], modes[rng.integers(0, 4, n - n // 2)]])
    elif kind == "copies":
        fake = real[rng.integers(0, n, m)]
    elif kind == "outlier":  # one norm that widens every rounding bound
        real[0] *= 1e4
    elif kind == "giant":  # beside it the squares of everything else leave float32
        real[0] = 1e20
    return real.astype(np.float32), fake.astype(np.float32)


KINDS = ["normal", "integers", "equal", "far", "collapsed", "copies", "outlier", "giant"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n", "m", "d"), [(50, 40, 3), (300, 170, 8), (130, 260, 64)])
def test_equals_brute_force(kind, n, m, d):
    real, fake = features(kind, n, m, d)
    assert_pass(neighbour_pass(real, fake), brute_pass(real, fake))


@pytest.mark.parametrize("kind", ["normal", "integers", "equal"])
@pytest.mark.parametrize(
    ("n", "m"), [(1, 1), (1, 6), (2, 1), (3, 4), (4, 3), (5, 6), (6, 5), (7, 7)]
)
def test_few_rows(kind, n, m):
    """N = 1, N = k and N = k + 1 on either side: what exists is returned, what does not holds
    nothing.
    """
    real, fake = features(kind, n, m, 2)
    assert_pass(neighbour_pass(real, fake), brute_pass(real, fake))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tile_rows", [1, 7, 64, 1000])
def test_tile_changes_nothing(kind, tile_rows):
    real, fake = features(kind, 120, 90, 16)
    same(neighbour_pass(real, fake, tile_rows=tile_rows), neighbour_pass(real, fake))


def test_stored_neighbours_of_the_reals_give_the_same_pass():
    real, fake = features("normal", 200, 150, 8)
    stored = nearest_neighbours(real, real, 6, exclude_self=True)
    same(neighbour_pass(real, fake, real_nearest=stored), neighbour_pass(real, fake))
    with pytest.raises(InputError, match=r"stored neighbours.*\(200, 6\).*\(199, 5\)"):
        neighbour_pass(real[1:], fake, real_nearest=stored)


small = st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 6), st.integers(0, 99))


@settings(deadline=None, max_examples=40)
@given(sizes=small, kind=st.sampled_from(KINDS), tile_rows=st.integers(1, 50))
def test_any_size_and_tile_equals_brute_force(sizes, kind, tile_rows):
    n, m, d, seed = sizes
    real, fake = features(kind, n, m, d, seed)
    assert_pass(neighbour_pass(real, fake, tile_rows=tile_rows), brute_pass(real, fake))


@settings(deadline=None, max_examples=25)
@given(sizes=small, kind=st.sampled_from(["normal", "integers", "copies"]))
def test_permutation_permutes(sizes, kind):
    n, m, d, seed = sizes
    real, fake = features(kind, n, m, d, seed)
    rng = np.random.default_rng(seed)
    p, q = rng.permutation(n), rng.permutation(m)
    before, after = neighbour_pass(real, fake), neighbour_pass(real[p], fake[q])
    for name, at in zip(FIELDS, (q, p, q, q), strict=True):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name)[at])
    for name, rows, base in zip(NEAREST, (p, q, q, p), (p, q, p, q), strict=True):
        old, new = getattr(before, name), getattr(after, name)
        np.testing.assert_array_equal(new.distances, old.distances[rows])
        if kind == "normal":  # without ties the neighbours themselves are the same
            np.testing.assert_array_equal(base[new.indices], old.indices[rows])


@settings(deadline=None, max_examples=25)
@given(sizes=small, shift=st.integers(-1000, 1000), power=st.integers(-30, 30))
def test_shift_and_common_scale(sizes, shift, power):
    """Integers shift exactly, powers of two scale exactly: so must everything else."""
    n, m, d, seed = sizes
    real, fake = features("integers", n, m, d, seed)
    scale = np.float32(2.0**power)
    before = neighbour_pass(real, fake)
    after = neighbour_pass((real + shift) * scale, (fake + shift) * scale)
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
    for name in NEAREST:
        np.testing.assert_array_equal(getattr(after, name).indices, getattr(before, name).indices)
        np.testing.assert_array_equal(
            getattr(after, name).distances, getattr(before, name).distances * scale
        )


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_features_whose_squares_leave_float32(scale):
    real, fake = features("normal", 60, 50, 4)
    real, fake = (real * scale).astype(np.float32), (fake * scale).astype(np.float32)
    assert_pass(neighbour_pass(real, fake), brute_pass(real, fake))


def test_swapping_the_sets_swaps_the_result():
    real, fake = features("normal", 90, 70, 5)
    there, back = neighbour_pass(real, fake), neighbour_pass(fake, real)
    np.testing.assert_array_equal(there.in_real_ball, back.in_fake_ball)
    np.testing.assert_array_equal(there.real_to_fake.indices, back.fake_to_real.indices)


def test_realism_is_at_least_one_exactly_in_a_kept_ball():
    real, fake = features("normal", 200, 300, 3)
    found = neighbour_pass(real, fake)
    r3 = found.real_nearest.distances[:, 2]
    kept = r3 <= np.median(r3)
    inside = (brute_distances(real[kept], fake) <= r3[kept, None]).any(0)
    np.testing.assert_array_equal(found.realism >= 1, inside)


def test_realism_by_hand():
    # reals at 0, 1, 2, 3, 10: radii (k = 3) 3, 2, 2, 3, 9; median 3 prunes the last. The fake at 5
    # has distances 5, 4, 3, 2: max(3/5, 2/4, 2/3, 3/2) = 1.5; the pruned ball would give 9/5. The
    # fake at 2 coincides with a real.
    real = np.array([[0], [1], [2], [3], [10]], np.float32)
    found = neighbour_pass(real, np.array([[5], [2]], np.float32))
    np.testing.assert_array_equal(found.realism, np.float32([1.5, np.inf]))


def test_negative_zero_is_zero():
    x = np.array([[0.0, 1], [-0.0, 1], [3, 1]], np.float32)
    found = nearest_neighbours(x, x, 2, exclude_self=True)
    np.testing.assert_array_equal(found.distances, [[0, 3], [0, 3], [3, 3]])
    np.testing.assert_array_equal(found.indices, [[1, 2], [0, 2], [0, 1]])


@pytest.mark.parametrize(
    "name", ["equal", "half duplicates", "near-duplicates of 10 modes", "lattice"]
)
def test_thousands_of_ties_stay_bounded(name):
    """3,000 x 128 each; exact answers, in about a second (never asserted)."""
    rng = np.random.default_rng(0)
    n, d = 3000, 128
    rows = {
        "equal": lambda: np.ones((n, d)),
        "half duplicates": lambda: np.concatenate(
            [np.ones((n // 2, d)), rng.normal(size=(n // 2, d))]
        ),
        "near-duplicates of 10 modes": lambda: (
            np.repeat(rng.normal(size=(10, d)), n // 10, axis=0) + 1e-5 * rng.normal(size=(n, d))
        ),
        "lattice": lambda: rng.integers(0, 2, (n, d)),
    }[name]().astype(np.float32)
    found = neighbour_pass(rows, rows[: n // 2])
    assert found.in_real_ball.all()
    assert not found.fake_to_real.distances[:, 0].any()
    some = np.arange(0, n, 250)
    wanted = brute_nearest(
        np.where(some[:, None] == np.arange(n), np.inf, brute_distances(rows[some], rows)), 5
    )
    np.testing.assert_array_equal(found.real_nearest.distances[some], wanted.distances)
    np.testing.assert_array_equal(found.real_nearest.indices[some], wanted.indices)


@pytest.mark.parametrize("k", [1, 5, 40])
@pytest.mark.parametrize("exclude_self", [False, True])
def test_equals_scikit_learn(k, exclude_self):
    x, y = features("normal", 400, 150, 12)
    query = x if exclude_self else y
    found = nearest_neighbours(query, x, k, exclude_self=exclude_self)
    peer = NearestNeighbors(n_neighbors=k, algorithm="kd_tree").fit(x.astype(np.float64))
    distances, indices = peer.kneighbors(None if exclude_self else y.astype(np.float64))
    np.testing.assert_array_equal(found.indices, indices)
    np.testing.assert_allclose(found.distances, distances, rtol=1e-7)


def test_more_neighbours_than_rows():
    x, y = features("normal", 4, 3, 2)
    assert nearest_neighbours(y, x, 10).indices.shape == (3, 4)
    assert nearest_neighbours(x, x, 10, exclude_self=True).indices.shape == (4, 3)
    assert nearest_neighbours(x[:1], x[:1], 2, exclude_self=True).indices.shape == (1, 0)


def test_read_only_and_other_layouts_are_accepted():
    x, y = features("normal", 40, 30, 4)
    wanted = nearest_neighbours(y, x, 3)
    x.setflags(write=False)
    for query, base in ((y, x), (np.asfortranarray(y), x), (y.astype(np.float64), x)):
        np.testing.assert_array_equal(nearest_neighbours(query, base, 3).indices, wanted.indices)


@pytest.mark.parametrize(
    ("real", "fake", "match"),
    [
        (np.zeros(3), np.zeros((2, 3)), r"real features must have shape N,D.*got \(3,\)"),
        (np.zeros((2, 3)), np.zeros((0, 3)), r"fake features must have shape.*got \(0, 3\)"),
        (np.full((2, 3), np.nan), np.zeros((2, 3)), "real features hold NaN or infinite"),
        (np.zeros((2, 3)), np.zeros((2, 4)), "4 and 3 features per row"),
    ],
)
def test_unfit_features_raise(real, fake, match):
    with pytest.raises(InputError, match=match):
        neighbour_pass(real.astype(np.float32), fake.astype(np.float32))


def test_unfit_arguments_raise():
    x, y = features("normal", 4, 3, 2)
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        nearest_neighbours(y, x, 0)
    with pytest.raises(InputError, match="exclude_self needs query and base to be the same rows"):
        nearest_neighbours(y, x, 1, exclude_self=True)


def test_the_precision_of_products_is_strict_and_restored():
    real, fake = features("normal", 300, 200, 32)
    wanted = neighbour_pass(real, fake)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        same(neighbour_pass(real, fake), wanted)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tile_rows", [None, 96])
@pytest.mark.parametrize("device", DEVICES)
def test_device_and_threads_change_nothing(kind, tile_rows, device):
    """Other kernels sum products in another order; the answers are those of the CPU's default."""
    real, fake = features(kind, 500, 400, 64)
    wanted = neighbour_pass(real, fake)
    before = torch.get_num_threads()
    torch.set_num_threads(1 if before > 1 else 2)
    try:
        same(neighbour_pass(real, fake, device=device, tile_rows=tile_rows), wanted)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tile_rows", [1, 16])
def test_settling_pairs_early_changes_nothing(kind, tile_rows, monkeypatch):
    real, fake = features(kind, 120, 90, 16)
    monkeypatch.setattr(scan, "PENDING_PAIRS", 40)
    monkeypatch.setattr(bounds, "EXACT_ENTRIES", 100)
    assert_pass(neighbour_pass(real, fake, tile_rows=tile_rows), brute_pass(real, fake))


# VmHWM, unlike ru_maxrss, does not start from the peak of the process that ran the subprocess.
MEMORY = """
import re
from pathlib import Path
import numpy as np
from bench.statistics.neighbours.search import neighbour_pass

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])

rng = np.random.default_rng(0)
real, fake = (rng.normal(size=(6000, 16)).astype(np.float32) for _ in range(2))
neighbour_pass(real[:500], fake[:500])
before = peak()
neighbour_pass(real, fake)
print((peak() - before) // 1024)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_no_matrix_of_all_pairs():
    """6,000 x 6,000 float32 is 137 MiB; the pass stays below half of one such matrix."""
    done = subprocess.run(
        [sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True, timeout=120
    )
    assert 0 <= int(done.stdout) < 68
