"""Traversals, categorical purity, the ELBO's terms and the MMD against independent computations."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from sklearn.feature_selection import mutual_info_classif
from sklearn.metrics import mutual_info_score

from bench.latent import prior, traversal
from bench.latent.context import Context
from bench.latent.data import LabelledImages, LatentData
from bench.latent.prior import block_mmd, measure_prior, median_distance, mmd_unbiased
from bench.latent.space import Parts, PcaSpace, Posterior, checked
from bench.latent.traversal import (
    axes_of,
    best_assignment,
    kl_per_code,
    measure_traversal,
    mutual_information,
    purity,
    traversed,
)
from bench.latent.values import Absent
from tests.conftest import RealSample


@pytest.fixture(scope="module")
def digits(mnist: RealSample) -> LatentData:
    train = LabelledImages(mnist.images[:600], mnist.labels[:600])
    test = LabelledImages(mnist.images[600:1700], mnist.labels[600:1700])
    return LatentData("mnist", train, test)


def test_kl_against_torch() -> None:
    rng = np.random.default_rng(0)
    mean, log_variance = rng.standard_normal((2, 20, 3))
    q = torch.distributions.Normal(
        torch.from_numpy(mean), torch.from_numpy(np.exp(log_variance / 2))
    )
    p = torch.distributions.Normal(torch.zeros(()).double(), torch.ones(()).double())
    expected = torch.distributions.kl_divergence(q, p).numpy()
    np.testing.assert_allclose(kl_per_code(mean, log_variance), expected, rtol=1e-10)


def test_mutual_information_against_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    steps = np.tile(np.arange(9), 200)
    values = steps + rng.standard_normal(len(steps)) * 2
    edges = np.quantile(values, np.linspace(0, 1, 21)[1:-1])
    expected = mutual_info_score(steps, np.searchsorted(edges, values, side="right"))
    assert mutual_information(steps, values) == pytest.approx(expected, rel=1e-12)
    # and near an estimate without bins
    other = mutual_info_classif(values[:, None], steps, random_state=0)[0]
    assert expected == pytest.approx(other, abs=0.15)
    with pytest.raises(Absent):
        mutual_information(steps, np.full(len(steps), np.nan))


def test_the_best_assignment_is_the_best_of_all_permutations() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        table = rng.integers(0, 30, (5, 5))
        found = best_assignment(table)
        best = max(
            sum(table[row, column] for row, column in enumerate(order))
            for order in itertools.permutations(range(5))
        )
        assert table[np.arange(5), found].sum() == best


def test_purity_counts_a_category_without_a_class_as_wrong() -> None:
    # 3 categories, 2 classes: category 2 has no class of its own
    assert purity(np.array([0, 0, 1, 2, 2]), np.array([0, 0, 1, 1, 1])) == (4, 5)
    assert purity(np.array([0, 0, 1, 1]), np.array([0, 0, 0, 0])) == (2, 4)


def test_a_traversal_changes_one_coordinate() -> None:
    codes = np.random.default_rng(0).standard_normal((6, 4)).astype(np.float32)
    axes = axes_of(codes)
    points = traversed(codes, axes, 2, np.array([-2.0, 0.0, 2.0]))
    expected = codes[:, 2].mean(dtype=float) + np.array([-2, 0, 2]) * codes[:, 2].std(dtype=float)
    np.testing.assert_allclose(points[:, :, 2], np.repeat(expected[None], 6, axis=0), rtol=1e-6)
    for other in (0, 1, 3):
        np.testing.assert_allclose(points[:, :, other], codes[:, [other]].repeat(3, axis=1))


def test_many_dimensions_are_traversed_along_principal_directions() -> None:
    rng = np.random.default_rng(0)
    codes = rng.standard_normal((400, 60)) * 0.1
    codes[:, 7] += 5 * rng.standard_normal(400)
    axes = axes_of(codes.astype(np.float32))
    assert len(axes.names) == traversal.NUM_DIRECTIONS
    assert abs(axes.directions[0, 7]) > 0.99
    assert axes.scale[0] == pytest.approx(codes[:, 7].std(), rel=0.01)


def test_of_a_latent_with_categories_only_continuous_codes_are_traversed() -> None:
    codes = np.random.default_rng(0).standard_normal((9, 8)).astype(np.float32)
    assert axes_of(codes, Parts(3, 3, 2)).names == ("code 7", "code 8")
    with pytest.raises(Absent, match="no continuous code"):
        axes_of(codes, Parts(5, 3, 0))


class Categorical:
    """Decodes a category to a real digit of that class, and reads it off by looking it up."""

    name, prior = "categorical", "gaussian"
    parts = Parts(2, 10, 1)

    def __init__(self, data: LatentData, shift: int = 3, right: float = 1.0) -> None:
        labels = data.train.labels
        assert labels is not None
        first = [np.flatnonzero(labels == k)[0] for k in range(10)]
        self.first = data.train.images[first]
        self.known = {
            image.tobytes(): int(label)
            for image, label in zip(data.test.images, data.test.labels, strict=True)
        }
        self.shift, self.right = shift, right

    def decode(self, codes: np.ndarray) -> np.ndarray:
        return self.first[(codes[:, 2:12].argmax(axis=1) + self.shift) % 10]

    def sample_latents(self, n: int, seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        categories = np.eye(10)[rng.integers(10, size=n)]
        rest = rng.standard_normal((n, 2)), categories, rng.uniform(-1, 1, (n, 1))
        return np.concatenate(rest, axis=1).astype(np.float32)

    def read_codes(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        labels = np.array([self.known[image.tobytes()] for image in images])
        wrong = np.arange(len(labels)) >= self.right * len(labels)
        read = np.where(wrong, (labels + 1) % 10, labels)
        return np.eye(10, dtype=np.float32)[(read + self.shift) % 10], np.zeros((len(images), 1))


def test_categories_in_another_order_are_pure(digits: LatentData) -> None:
    values = {v.key: v for v in measure_traversal(Context(checked(Categorical(digits)), digits))}
    assert values["category_purity_generated"].value == 1
    assert values["category_purity_real"].value == 1
    partly = Context(checked(Categorical(digits, right=0.8)), digits)
    values = {v.key: v for v in measure_traversal(partly)}
    assert values["category_purity_real"].value == pytest.approx(0.8, abs=0.001)
    # nothing is drawn by the continuous code
    assert values["code_spearman (ink)"].value == 0
    assert values["code_information (ink)"].value == pytest.approx(0, abs=1e-12)


class Gaussian:
    """A posterior with one active code out of three, and codes that fit the prior, or do not."""

    name, prior = "gaussian", "gaussian"

    def __init__(self, offset: float = 0.0) -> None:
        self.offset = offset

    def posterior(self, images: np.ndarray) -> Posterior:
        rng = np.random.default_rng(len(images))
        mean = np.zeros((len(images), 3), np.float32)
        mean[:, 0] = 0.8 * rng.standard_normal(len(images)) + self.offset
        mean[:, 1] = 0.05 * rng.standard_normal(len(images))  # variance 0.0025: not active
        log_variance = np.zeros((len(images), 3), np.float32)
        log_variance[:, 0] = np.log(0.36)
        return Posterior(mean, log_variance)

    def encode(self, images: np.ndarray) -> np.ndarray:
        return self.posterior(images).mean

    def sample_latents(self, n: int, seed: int) -> np.ndarray:
        return np.random.default_rng(seed).standard_normal((n, 3)).astype(np.float32)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        images = np.zeros((len(codes), 28, 28, 1), np.uint8)
        images[:, 10:18, 10:18, 0] = np.clip(128 + 40 * codes[:, :1, None], 0, 255)
        return images


def test_active_units_and_the_prior_of_a_known_posterior(
    digits: LatentData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prior, "BLOCK", 100)
    fitting, shifted = (Context(checked(Gaussian(offset)), digits) for offset in (0.0, 2.0))
    values = {v.key: v for v in [*measure_traversal(fitting), *measure_prior(fitting)]}
    assert values["active_units"].value == 1
    # KL of code 1: (0.64 + 0.36 - 1 - log 0.36) / 2 on average, of code 3: 0
    assert values["code_kl (code 1)"].value == pytest.approx(-np.log(0.36) / 2, abs=0.05)
    assert values["code_kl (code 3)"].value == 0
    mmd, far = values["prior_mmd"], {v.key: v for v in measure_prior(shifted)}["prior_mmd"]
    assert mmd.low is not None
    assert mmd.high is not None
    assert mmd.low < 0 < mmd.high
    assert far.low is not None
    assert far.low > 0.1
    assert values["inversion_error"].reason == "gaussian has an encoder"


def test_mmd_against_the_double_sum() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((12, 3)), rng.standard_normal((9, 3)) + 0.5

    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.exp(-((a - b) ** 2).sum() / (2 * 1.7**2)))

    within = sum(kernel(a, b) for a, b in itertools.permutations(x, 2)) / (12 * 11)
    within += sum(kernel(a, b) for a, b in itertools.permutations(y, 2)) / (9 * 8)
    across = np.mean([kernel(a, b) for a in x for b in y])
    assert mmd_unbiased(x, y, 1.7) == pytest.approx(within - 2 * across, rel=1e-10)
    assert median_distance(np.array([[0.0], [3.0], [4.0]])) == 3.0
    with pytest.raises(Absent, match="fewer than two blocks"):
        block_mmd(x, y, 1.0)


def test_what_a_space_does_not_have_is_absent_with_the_reason(digits: LatentData) -> None:
    context = Context(checked(PcaSpace(digits.train.images, 5)), digits)
    values = {v.key: v for v in measure_traversal(context)}
    assert values["active_units"].value is None
    assert "posterior" in values["active_units"].reason
    assert "no categorical code" in values["category_purity_real"].reason
    assert values["code_spearman (ink)"].value is not None
