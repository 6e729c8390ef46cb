"""Class shares: the test and the threshold, and what a student reads."""

from __future__ import annotations

import numpy as np
import pytest

from bench.content.classes import CLASS_NAMES, class_findings

EVEN = np.full(10, 0.1)


def shares(**by_class: float) -> np.ndarray:
    """Given shares for some classes (k0=..), the rest evenly."""
    given = {int(name[1:]): value for name, value in by_class.items()}
    rest = (1 - sum(given.values())) / (10 - len(given))
    return np.array([given.get(k, rest) for k in range(10)])


@pytest.mark.parametrize("share", [0.2, 0.4, 0.9])
def test_too_many_ones(share: float) -> None:
    findings = class_findings(shares(k1=share), EVEN, 1_000, CLASS_NAMES["digits"])
    finding = next(one for one in findings if one.code == "class-imbalance")
    assert f"{100 * share:.0f} % of the images are ones, expected 10 %" in finding.message
    assert finding.figures["share_1"] == share
    # total variation: what class 1 has too much
    assert finding.figures["total_variation"] == pytest.approx(share - 0.1)


def test_missing_classes() -> None:
    finding = class_findings(shares(k3=0, k7=0.002), EVEN, 1_000, CLASS_NAMES["digits"])[0]
    assert finding.code == "missing-classes"
    assert finding.figures["missing"] == 2
    assert "threes (0 images, expected 100), sevens (2 images, expected 100)" in finding.message


def test_a_missing_class_of_few_images_is_chance() -> None:
    """With 40 images, e^-4 = 1.8 % of all folders lack a given class of 10 %."""
    assert class_findings(shares(k3=0), EVEN, 40) == []


def test_large_and_insignificant_or_significant_and_small_is_silent() -> None:
    assert class_findings(shares(k1=0.14), EVEN, 100) == []  # 1.3 standard errors
    assert class_findings(shares(k1=0.105), EVEN, 1_000_000) == []  # 5 % of the share


def test_chance_is_silent() -> None:
    """2,000 multinomial draws of 1,000 images: the test alone lets 1 in 10,000 through."""
    draws = np.random.default_rng(0).multinomial(1_000, EVEN, 2_000) / 1_000
    assert sum(bool(class_findings(draw, EVEN, 1_000)) for draw in draws) <= 1


def test_other_classifiers_and_very_many_classes_are_left_out() -> None:
    assert class_findings(EVEN, np.full(9, 1 / 9), 1_000) == []
    many = np.zeros(1_000)
    many[0] = 1
    assert class_findings(many, np.full(1_000, 1e-3), 1_000) == []
