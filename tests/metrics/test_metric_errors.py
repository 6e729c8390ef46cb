"""Standard errors of single metrics: finite differences, brute force, simulation, hand counts."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from bench.metrics import METRICS
from bench.metrics.base import MetricInputs, MetricValue
from bench.metrics.density_coverage import coverage_variance
from bench.metrics.inception_score import inception_score, log_score_expansion
from bench.metrics.kid import expand_kernel, kernel_distance, subset_factors
from bench.metrics.prd import PRDClusters, max_f_beta, prd_curve
from bench.metrics.prd_scores import f_beta_influence
from bench.metrics.vendi import entropy_influence, vendi_score
from bench.statistics.moments import Moments
from bench.statistics.neighbours.search import neighbour_pass


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    with threadpool_limits(1):
        yield


def normal(seed, n, dim, shift=0.0):
    return (np.random.default_rng(seed).standard_normal((n, dim)) + shift).astype(np.float32)


def classes_inputs(p_NK, reference_K=None, n_reference=10_000):
    f = np.zeros((len(p_NK), 1), np.float32)
    moments = Moments(n_reference, np.zeros(1), np.ones((1, 1)))
    return MetricInputs(
        fake_features=f,
        fake_probabilities=p_NK,
        real_features=f,
        real_moments=moments,
        real_class_shares=reference_K,
    )


# -------------------------------------------------------------------------------- kernel distance


@pytest.mark.parametrize(("size", "subsets"), [(150, 10), (60, 4)])
@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_kid_variance_is_that_of_draws(size, subsets, shift):
    """150 fakes, 200 fixed reals, 300 draws: near zero the second order, far away the first."""
    real = normal(0, 200, 3)
    linear, pairs = subset_factors(150, 200, size, subsets)
    values, variances = [], []
    for seed in range(300):
        fake = normal(seed + 1, 150, 3, shift)
        values.append(kernel_distance(fake, real, subsets=subsets, subset_size=size, seed=7).mean)
        if seed % 5 == 0:
            variances.append(
                expand_kernel(fake, real, seed=0).expansion.variance(
                    150, linear=linear, pairs=pairs
                )
            )
    assert np.sqrt(np.mean(variances)) == pytest.approx(np.std(values), rel=0.2)


def test_kernel_expansion_is_its_definition():
    """Influence and centred kernel from whole matrices in float64."""
    x, y = normal(0, 80, 4), normal(1, 50, 4)

    def kernel(a, b):
        return (a.astype(float) @ b.T.astype(float) / 4 + 1) ** 3

    within = kernel(x, x)
    np.fill_diagonal(within, 0)
    mean = within.sum(axis=1) / 79
    influence = 2 * (mean - kernel(x, y).mean(axis=1))
    centred = within - mean[:, None] - mean + mean.mean()
    np.fill_diagonal(centred, 0)
    found, own_excess = expand_kernel(x, y, seed=0)
    assert own_excess == pytest.approx(kernel(x, x).diagonal().mean() - mean.mean(), rel=1e-4)
    assert found.influence_variance == pytest.approx(influence.var(ddof=1), rel=1e-4)
    assert found.pair_square == pytest.approx((centred**2).sum() / (80 * 79), rel=1e-4)
    influence -= influence.mean()
    third = (influence**3).mean() + 4 * influence @ centred @ influence / (80 * 79)
    assert found.third == pytest.approx(third, rel=1e-3)
    assert found.num == 80


# -------------------------------------------------------------------------------- inception score


def test_inception_score_error_is_that_of_the_delete_one_jackknife():
    """One split of 300 images with soft classes, whose first order dominates."""
    rng = np.random.default_rng(0)
    p = rng.dirichlet([0.3, 0.2, 0.2], 300)
    logs = [
        math.log(inception_score(np.delete(p, row, axis=0), splits=1).mean) for row in range(300)
    ]
    jackknife = 299 / 300 * ((np.array(logs) - np.mean(logs)) ** 2).sum()
    assert log_score_expansion(p).variance(300) == pytest.approx(jackknife, rel=0.05)


def test_inception_score_error_where_images_are_certain():
    """One-hot answers of 5 equal classes: the score is exp of the entropy of the counts, which
    has no first order. 10 splits of 40 images, 500 draws.
    """
    rng = np.random.default_rng(0)
    metric = METRICS["inception_score"]
    values, errors = [], []
    for _ in range(500):
        p = np.eye(5)[rng.integers(5, size=400)]
        inputs = classes_inputs(p)
        found = metric.compute(inputs)
        values.append(found.value)
        errors.append(metric.uncertainty(inputs, found).standard_error)
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.15)


# ---------------------------------------------------------------------------- coverage and recall


def held(real, fake):
    found = neighbour_pass(real, fake)
    radius = found.real_nearest.distances[:, 4]
    return found.real_to_fake.distances < radius[:, None], found.real_to_fake.indices


@pytest.mark.parametrize(("n_real", "n_fake"), [(200, 60), (200, 250)])
def test_coverage_variance_is_that_of_draws(n_real, n_fake):
    real = normal(0, n_real, 4)
    nearest = None
    values, variances = [], []
    for seed in range(250):
        found = neighbour_pass(real, normal(seed + 1, n_fake, 4, 0.3), real_nearest=nearest)
        nearest = found.real_nearest
        inside = found.real_to_fake.distances < nearest.distances[:, 4][:, None]
        values.append(inside[:, 0].mean())
        variances.append(coverage_variance(inside, found.real_to_fake.indices, n_fake))
    assert np.sqrt(np.mean(variances)) == pytest.approx(np.std(values), rel=0.15)


def test_coverage_variance_by_hand():
    """Two balls, one fake each, at a share q: each ball (1-q) - (1-2q) = q, so q 2 over 2^2; 1 at
    q = 1 by the parabola of the logarithm through 1.2, 1.4 and 1.6, less 2^2 / 10 fakes.
    """
    inside = np.array([[True, False], [True, False]])
    fakes = np.array([[0, 1], [1, 0]])
    continued = 1.2**3 * 1.6**6 / 1.4**8
    assert continued == pytest.approx(2, rel=0.03)
    assert coverage_variance(inside, fakes, 10) == pytest.approx((continued - 0.4) / 4)


def test_coverage_variance_of_one_fake_in_every_ball():
    """2^14 balls that share a fake would be 2^28 pairs: none, and the jackknife takes over."""
    inside = np.ones((2**14, 1), bool)
    assert coverage_variance(inside, np.zeros((2**14, 1), int), 5) is None


def test_coverage_falls_back_to_the_jackknife(monkeypatch):
    """Delete-one by brute force."""
    monkeypatch.setattr("bench.metrics.density_coverage.MAX_PAIRS", 0)
    real, fake = normal(0, 60, 3), normal(1, 25, 3)
    inputs = MetricInputs(
        fake_features=fake,
        fake_probabilities=None,
        real_features=real,
        real_moments=Moments.of(real),
    )
    metric = METRICS["coverage_k5"]
    found = metric.uncertainty(inputs, metric.compute(inputs))
    inside = [held(real, np.delete(fake, row, axis=0))[0][:, 0].mean() for row in range(25)]
    expected = math.sqrt(((np.array(inside) - np.mean(inside)) ** 2).sum())
    assert found.method == "jackknife"
    assert found.standard_error == pytest.approx(expected, rel=1e-6)


# ----------------------------------------------------------------------------------- other errors


@pytest.mark.parametrize(("n", "dim"), [(60, 5), (12, 30)])
def test_vendi_influence_is_the_derivative(n, dim):
    """A row counted k + 1 times is a weight; steps of one in 2,000."""
    f = normal(0, n, dim, 0.5)
    f[3] = 0  # a row without a direction
    influence = entropy_influence(f)
    assert influence.mean() == pytest.approx(0, abs=1e-12)
    copies = 2000
    for row in (0, 3, n - 1):
        x = f / np.maximum(np.linalg.norm(f, axis=1, keepdims=True), 1e-30)
        x = np.column_stack([x, np.linalg.norm(f, axis=1) == 0]).astype(float)
        entropies = []
        for extra in (1, -1):
            weight = np.full(n, copies / n)
            weight *= (copies - extra) / copies
            weight[row] += extra
            w = np.linalg.eigvalsh((x.T * (weight / copies)) @ x)
            w = w[w > 1e-15]
            entropies.append(-(w * np.log(w)).sum())
        slope = (entropies[0] - entropies[1]) / 2 * copies
        assert influence[row] == pytest.approx(slope, rel=2e-3, abs=2e-3)
    x = np.linalg.norm(f, axis=1) > 0
    assert x.sum() == n - 1
    assert vendi_score(f) > 1


@pytest.mark.parametrize("beta", [8.0, 1 / 8])
def test_prd_influence_is_the_derivative(beta):
    """A generated row more in its cells, with the cells as they are; so many rows that the side
    of every cell is certain.
    """
    rng = np.random.default_rng(0)
    real, fake = (
        np.stack([rng.choice(20, 200_000, p=rng.dirichlet(np.ones(20))) for _ in range(10)])
        for _ in range(2)
    )
    clusters = PRDClusters(real, fake)
    real_RK, fake_RK = clusters.shares()
    influence, runs = f_beta_influence(clusters, beta)
    assert influence.mean() == pytest.approx(0, abs=1e-12)
    assert runs.shape == (10,)

    def score(shares_RK):
        curves = [prd_curve(p, q) for p, q in zip(real_RK, shares_RK, strict=True)]
        return max_f_beta(
            type(curves[0])(
                np.mean([c.precision for c in curves], axis=0),
                np.mean([c.recall for c in curves], axis=0),
            ),
            beta,
        )

    step = 1e-6
    for row in (0, 5, 77):
        shares = []
        for sign in (1, -1):
            moved = fake_RK * (1 - sign * step)
            moved[np.arange(10), fake[:, row]] += sign * step
            shares.append(score(moved))
        slope = (shares[0] - shares[1]) / (2 * step)
        # a cell in two hundred is at the limit of its side: that is where the largest F lies
        assert influence[row] == pytest.approx(slope, abs=0.02)
    assert influence.std() > 0.05


def test_density_is_a_mean_over_images():
    real, fake = normal(0, 100, 3), normal(1, 40, 3)
    inputs = MetricInputs(
        fake_features=fake,
        fake_probabilities=None,
        real_features=real,
        real_moments=Moments.of(real),
    )
    found = METRICS["density_k5"].uncertainty(inputs, METRICS["density_k5"].compute(inputs))
    counts = neighbour_pass(real, fake).num_real_balls / 5
    assert found.standard_error == pytest.approx(counts.std(ddof=1) / math.sqrt(40))
    away = MetricInputs(
        fake_features=fake + np.float32(1e3),
        fake_probabilities=None,
        real_features=real,
        real_moments=Moments.of(real),
    )
    nothing = METRICS["density_k5"].uncertainty(away, MetricValue(0.0))
    # Wilson's upper bound of 0 of 40 is 3.84 / (40 + 3.84); one ball of five each
    assert nothing[2:4] == pytest.approx((0, 3.8415 / 43.8415 / 5), abs=1e-5)


def test_modes_that_may_be_covered():
    """1,000 images of three classes: 100 + 890 + 10, against shares of 0.1, 0.8 and 0.1, a tenth
    of which is 10 images: the third class has just as many, and may have fewer.
    """
    p = np.eye(3)[np.repeat([0, 1, 2], [100, 890, 10])]
    metric = METRICS["modes_covered"]
    inputs = classes_inputs(p, np.array([0.1, 0.8, 0.1]))
    found = metric.uncertainty(inputs, metric.compute(inputs))
    assert (found.estimate, found.low, found.high) == (3, 2, 3)
    # P(Binomial(1000, 0.01) >= 10) = 0.5427
    assert found.standard_error == pytest.approx(math.sqrt(0.5427 * 0.4573), abs=1e-3)


def test_class_kl_by_hand():
    """Shares 1/4 and 3/4 of 400 images against 1/2 and 1/2."""
    p = np.eye(2)[np.repeat([0, 1], [100, 300])]
    metric = METRICS["class_kl"]
    inputs = classes_inputs(p, np.array([0.5, 0.5]), n_reference=10**9)
    found = metric.uncertainty(inputs, metric.compute(inputs))
    kl = 0.25 * math.log(0.5) + 0.75 * math.log(1.5)
    assert found.estimate == pytest.approx(kl - 1 / 800, abs=1e-8)
    variance = 0.25 * math.log(0.5) ** 2 + 0.75 * math.log(1.5) ** 2 - kl**2
    # the shares with the estimated divergence are a little closer to equal
    expected = variance / 400 + 0.5 / 400**2
    assert 0.97 * math.sqrt(expected) < found.standard_error < math.sqrt(expected)


def test_mean_confidence_is_a_mean():
    p = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]])
    metric = METRICS["mean_confidence"]
    inputs = classes_inputs(p)
    found = metric.uncertainty(inputs, metric.compute(inputs))
    assert found.standard_error == pytest.approx(np.std([0.9, 0.6, 0.8], ddof=1) / math.sqrt(3))
