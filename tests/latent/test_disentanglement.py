"""Disentanglement scores against scikit-learn, written-out loops, and hand-derived values."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sklearn.linear_model import Lasso
from sklearn.metrics import mutual_info_score

from bench.data.factors import FACTOR_NAMES, draw_levels
from bench.latent.disentanglement import (
    Factors,
    Information,
    dci_boosting,
    dci_from_importances,
    dci_lasso,
    factor_vae,
    mig,
    modularity,
    mutual_information,
    sap,
)
from bench.latent.values import Absent

ORDERED = (False, True, True, True, True, True)


@pytest.fixture(scope="module")
def factors() -> Factors:
    return Factors(draw_levels(4000, seed=0), FACTOR_NAMES, ORDERED)


@pytest.fixture(scope="module")
def equal(factors: Factors) -> np.ndarray:
    """Codes equal to the factors, standardised."""
    z = factors.levels - factors.levels.mean(axis=0)
    return (z / z.std(axis=0)).astype(np.float32)


@pytest.fixture(scope="module")
def rotated(equal: np.ndarray) -> np.ndarray:
    rotation, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(6, 6)))
    return (equal @ rotation).astype(np.float32)


def full_grid() -> tuple[np.ndarray, Factors]:
    """Every combination of levels once, so that the factors are independent exactly."""
    levels = np.array(list(itertools.product(range(4), range(5), range(3), range(10))))
    names = ("kind", "a", "b", "c")
    return levels.astype(np.float32), Factors(levels, names, (False, True, True, True))


def test_codes_that_are_the_factors_of_a_full_grid_score_exactly_1() -> None:
    codes, factors = full_grid()
    information = mutual_information(codes, factors)
    assert mig(information) == pytest.approx(1, abs=1e-12)
    assert modularity(information) == pytest.approx(1, abs=1e-12)
    assert sap(codes, factors) > 0.97  # the second best code is right by chance
    assert factor_vae(codes, factors).estimate == 1
    np.testing.assert_allclose(
        information.shared, np.diag(np.log([4, 5, 3, 10])), rtol=0, atol=1e-12
    )


def test_codes_that_are_the_factors_score_1_on_the_drawn_data(
    factors: Factors, equal: np.ndarray
) -> None:
    information = mutual_information(equal, factors)
    assert mig(information) > 0.98
    assert modularity(information) > 0.999
    assert sap(equal, factors) > 0.98
    assert factor_vae(equal, factors).estimate == 1
    lasso = dci_lasso(equal, factors)
    assert min(lasso[:3]) > 0.99
    boosting = dci_boosting(equal, factors)
    assert min(boosting[:3]) > 0.98


def test_a_rotation_scores_far_lower(factors: Factors, rotated: np.ndarray) -> None:
    information = mutual_information(rotated, factors)
    assert mig(information) < 0.2
    assert sap(rotated, factors) < 0.3
    for found in (dci_lasso(rotated, factors), dci_boosting(rotated, factors)):
        assert found.disentanglement < 0.5
        assert found.completeness < 0.5
    # a rotation loses nothing, which a linear map can show
    assert dci_lasso(rotated, factors).informativeness > 0.99


def test_a_shuffled_code_is_named_by_its_position_only(factors: Factors, equal: np.ndarray) -> None:
    order = [3, 0, 5, 1, 4, 2]
    assert mig(mutual_information(-2 * equal[:, order], factors)) == pytest.approx(
        mig(mutual_information(equal, factors)), abs=0.01
    )


def test_mutual_information_against_scikit_learn(factors: Factors, rotated: np.ndarray) -> None:
    found = mutual_information(rotated, factors)
    for d in range(6):
        column = rotated[:, d].astype(np.float64)
        edges = np.linspace(column.min(), column.max(), 21)[1:-1]
        binned = np.digitize(column, edges)
        for f in range(6):
            expected = mutual_info_score(binned, factors.levels[:, f])
            # a value on an edge may fall into either bin
            assert found.shared[d, f] == pytest.approx(expected, abs=2e-3)
    shares = np.bincount(factors.levels[:, 0]) / 4000
    assert found.entropies[0] == pytest.approx(-(shares * np.log(shares)).sum(), rel=1e-12)


def test_mig_and_modularity_by_hand() -> None:
    # factor 1: (0.6 - 0.2) / 0.8 = 0.5; factor 2: (0.4 - 0.1) / 0.5 = 0.6; mean 0.55
    information = Information(np.array([[0.6, 0.1], [0.2, 0.4]]), np.array([0.8, 0.5]))
    assert mig(information) == pytest.approx(0.55)
    # code 1: 1 - 0.01 / 0.36; code 2: 1 - 0.04 / 0.16
    assert modularity(information) == pytest.approx((1 - 1 / 36 + 0.75) / 2)
    # F - 1 = 2 divides: 1 - (0.09 + 0.04) / (0.36 * 2)
    three = Information(np.array([[0.6, 0.3, 0.2]]), np.ones(3))
    assert modularity(three) == pytest.approx(1 - 0.13 / 0.72)


def test_sap_of_ordered_factors_is_a_gap_of_squared_correlations() -> None:
    rng = np.random.default_rng(0)
    levels = rng.integers(0, 8, (500, 2))
    codes = (levels @ [[1.0, 0.5, 0.1], [0.2, 1.0, 0.3]] + rng.normal(size=(500, 3))).astype("f4")
    squared = np.corrcoef(codes.T, levels.T)[:3, 3:] ** 2
    best = np.sort(squared, axis=0)
    expected = (best[-1] - best[-2]).mean()
    factors = Factors(levels, ("a", "b"), (True, True))
    assert sap(codes, factors) == pytest.approx(expected, abs=1e-6)


def test_sap_of_a_category_is_the_accuracy_of_thresholds_above_chance() -> None:
    """One code is the class, the other one is right in half of the cases where it is told."""
    levels = np.arange(3000)[:, None] % 3
    noise = np.random.default_rng(1).normal(size=3000)
    told = np.where(levels[:, 0] == 2, 1.0, 0.0)  # tells class 2 from the others
    codes = np.stack([levels[:, 0], told + 1e-6 * noise], axis=1).astype(np.float32)
    # the second code: class 2 always, classes 0 and 1 half of the time by the noise
    # balanced accuracy (0.5 + 0.5 + 1) / 3 = 2/3, above chance (2/3 - 1/3) / (2/3) = 1/2
    found = sap(codes, Factors(levels, ("kind",), (False,)))
    assert found == pytest.approx(0.5, abs=0.03)


def test_the_factor_vae_score_of_codes_without_information_is_chance(factors: Factors) -> None:
    codes = np.random.default_rng(0).normal(size=(4000, 6)).astype(np.float32)
    found = factor_vae(codes, factors)
    assert found.estimate < 0.3
    assert found.low < 1 / 6 + 0.1


def test_the_factor_vae_score_ignores_scales(factors: Factors, equal: np.ndarray) -> None:
    """With noise in the codes, a fixed factor leaves some variance in its code, and only the ratio
    to its variance in all images tells it from the codes of small scale.
    """
    noise = 0.3 * np.random.default_rng(0).normal(size=equal.shape)
    codes = ((equal + noise) * [1, 100, 0.01, 5, 3, 1000]).astype(np.float32)
    assert factor_vae(codes, factors).estimate == 1


def test_dci_by_hand() -> None:
    importances = np.array([[3.0, 1.0], [0.0, 4.0]])
    # rows: (3/4, 1/4) and (0, 1), each half of all importance; 1 - H_2 = 1 - 0.811278 and 1
    # columns: (1, 0) and (1/5, 4/5): 1 and 1 - 0.721928
    found = dci_from_importances(importances, 0.5)
    assert found.disentanglement == pytest.approx((1 - 0.8112781245 + 1) / 2)
    assert found.completeness == pytest.approx((1 + 1 - 0.7219280949) / 2)
    assert found.informativeness == 0.5


def test_entropies_of_codes_are_to_base_f_and_of_factors_to_base_d() -> None:
    # three codes, two factors: the first code is split evenly, 1 - H_2 = 0, and has 2 of 6
    # columns (1/3, 0, 2/3): 1 - H_3 = 1 - 0.636514 / 1.098612
    found = dci_from_importances(np.array([[1.0, 1.0], [0.0, 2.0], [2.0, 0.0]]), 0.5)
    assert found.disentanglement == pytest.approx(4 / 6)
    assert found.completeness == pytest.approx(
        (0.4206198357 + 1 - (np.log(3) - 2 / 3 * np.log(2)) / np.log(3)) / 2
    )


def test_a_factor_that_no_code_tells_has_completeness_0() -> None:
    found = dci_from_importances(np.array([[1.0, 0.0], [0.0, 0.0]]), 0.5)
    assert (found.disentanglement, found.completeness) == (1.0, 0.5)


def test_lasso_importances_against_scikit_learn(factors: Factors, rotated: np.ndarray) -> None:
    found = dci_lasso(rotated, factors)
    order = np.random.default_rng(0).permutation(4000)[:2000]
    z = (rotated - rotated.mean(0)) / rotated.std(0)
    v = factors.levels[:, 3].astype(float)
    v = (v - v.mean()) / v.std()
    expected = np.abs(Lasso(0.01, tol=1e-6, max_iter=100_000).fit(z[order], v[order]).coef_)
    np.testing.assert_allclose(found.importances[:, 2], expected, atol=2e-3)


@pytest.mark.parametrize("score", [mutual_information, sap, factor_vae, dci_lasso, dci_boosting])
def test_codes_that_do_not_vary_have_no_score(score, factors: Factors) -> None:
    constant = np.ones((4000, 6), np.float32)
    with pytest.raises(Absent, match="0 of 6 codes vary"):
        score(constant, factors)
    constant[:, 2] = np.arange(4000)
    with pytest.raises(Absent, match="1 of 6 codes vary"):
        score(constant, factors)
    bad = np.random.default_rng(0).normal(size=(4000, 6)).astype(np.float32)
    bad[7, 2] = np.nan
    with pytest.raises(Absent, match="NaN or infinite"):
        score(bad, factors)
    with pytest.raises(Absent, match="at least 200"):
        score(bad[:50], factors._replace(levels=factors.levels[:50]))


def test_a_constant_code_beside_others_changes_nothing(factors: Factors, equal: np.ndarray) -> None:
    more = np.concatenate([equal, np.full((4000, 3), 7, np.float32)], axis=1)
    assert mig(mutual_information(more, factors)) == mig(mutual_information(equal, factors))
    assert dci_lasso(more, factors)[:3] == dci_lasso(equal, factors)[:3]


def test_a_factor_with_one_level_has_no_information(equal: np.ndarray) -> None:
    levels = np.zeros((4000, 2), np.int64)
    with pytest.raises(Absent, match="same level"):
        mutual_information(equal, Factors(levels, ("a", "b"), (True, True)))


def test_many_codes_are_not_boosted(factors: Factors) -> None:
    codes = np.random.default_rng(0).normal(size=(4000, 129)).astype(np.float32)
    with pytest.raises(Absent, match="at most 128"):
        dci_boosting(codes, factors)
