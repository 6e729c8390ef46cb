"""Class shares: the statistical tests, the thresholds and the texts."""

from __future__ import annotations

import numpy as np
import pytest

from bench.content.classes import CLASS_NAMES, ClassShares
from bench.content.finding import Found
from bench.content.findings.class_imbalance import CLASS_IMBALANCE, class_imbalance
from bench.content.findings.missing_classes import MISSING_CLASSES, missing_classes

EVEN = np.full(10, 0.1)


def shares(**by_class: float) -> np.ndarray:
    """Return the given shares of some classes (k0=...), and even shares of the others."""
    given = {int(name[1:]): value for name, value in by_class.items()}
    rest = (1 - sum(given.values())) / (10 - len(given))
    return np.array([given.get(k, rest) for k in range(10)])


def shares_of(own: np.ndarray, num_images: int, expected: np.ndarray = EVEN) -> ClassShares:
    found = ClassShares.of(own, expected, num_images, CLASS_NAMES["digits"])
    assert found is not None
    return found


def findings(own: np.ndarray, num_images: int) -> list[Found]:
    classes = shares_of(own, num_images)
    found = (missing_classes(classes), class_imbalance(classes))
    return [one for one in found if one is not None]


@pytest.mark.parametrize("share", [0.2, 0.4, 0.9])
def test_too_many_ones(share: float) -> None:
    found = class_imbalance(shares_of(shares(k1=share), 1_000))
    assert found is not None
    assert f"{100 * share:.0f} % of the images are ones, expected 10 %" in found.detail
    others = "also threes {0} (10 %), fours {0} (10 %)".format(f"{100 * (1 - share) / 9:.0f} %")
    assert (others in found.detail) == (share > 0.5)  # by less than DIFFERENCE before
    assert found.figures["share_1"] == share
    # total variation: the share that class 1 has in excess
    assert found.figures["total_variation"] == pytest.approx(share - 0.1)
    assert CLASS_IMBALANCE.entry(found).code == "class-imbalance"


def test_missing_classes() -> None:
    found = missing_classes(shares_of(shares(k3=0, k7=0.002), 1_000))
    assert found is not None
    assert found.figures["missing"] == 2
    assert "threes (0 images, expected 100), sevens (2 images, expected 100)" in found.detail
    assert MISSING_CLASSES.entry(found).code == "missing-classes"


def test_a_missing_class_is_not_named_twice() -> None:
    uneven = class_imbalance(shares_of(shares(k3=0, k1=0.4), 1_000))
    assert uneven is not None
    assert "share_1" in uneven.figures
    assert "share_3" not in uneven.figures


def test_a_missing_class_of_few_images_is_chance() -> None:
    """With 40 images, e^-4 = 1.8 % of all folders lack a given class of 10 %."""
    assert findings(shares(k3=0), 40) == []


def test_a_difference_must_be_both_large_and_significant() -> None:
    assert findings(shares(k1=0.14), 100) == []  # 1.3 standard errors
    assert findings(shares(k1=0.105), 1_000_000) == []  # 5 % of the share


def test_chance_is_silent() -> None:
    """2,000 multinomial draws of 1,000 images: the test alone rejects 1 in 10,000."""
    draws = np.random.default_rng(0).multinomial(1_000, EVEN, 2_000) / 1_000
    assert sum(bool(findings(draw, 1_000)) for draw in draws) <= 1


def test_other_classifiers_and_very_many_classes_are_left_out() -> None:
    assert ClassShares.of(EVEN, np.full(9, 1 / 9), 1_000) is None
    many = np.zeros(1_000)
    many[0] = 1
    assert ClassShares.of(many, np.full(1_000, 1e-3), 1_000) is None
