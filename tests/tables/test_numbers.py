"""Numbers, intervals and shares as text."""

from __future__ import annotations

import pytest

from bench.tables.numbers import (
    bounds,
    centre_text,
    corrected_text,
    expected_text,
    fixed,
    number,
    percent,
    value_text,
    value_with_interval,
)
from tests.records.test_score_record import value
from tests.reporting.complete import entry, interval


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (None, "-"),
        (0.0, "0"),
        (10.0, "10"),
        (2.0304, "2.03"),
        (0.000193, "0.000193"),
        (12345.6, "12346"),
        (1e9, "1e+09"),
        (-0.5, "-0.5"),
    ],
)
def test_numbers(given: float | None, text: str) -> None:
    assert number(given) == text


def test_decimals_follow_the_interval() -> None:
    # half of it is 1.96 * 0.38 = 0.745: one decimal; 0.0294: two; 588: none
    assert value_with_interval(entry("fid", 27.7, 0.38)) == "27.7 [27.0, 28.4]"
    assert value_with_interval(entry("fid", 1.2345, 0.015)) == "1.234 [1.205, 1.264]"
    assert value_with_interval(entry("fid", 12345.678, 300)) == "12346 [11758, 12934]"
    assert value_text(entry("modes_covered", 10.0, 0.1)) == "10"
    assert value_with_interval(value(number=1.5)) == "1.5"
    assert value_with_interval(value(number=None, reason="few")) == "none"
    assert bounds(interval(10.0, 0.0)) == "[10, 10]"
    assert value_with_interval(entry("kid_poly3", -0.0004, 0.003)) == "0.000 [-0.006, 0.005]"


def test_a_perfect_value_has_the_decimals_of_the_value() -> None:
    # half the interval is 0.745 and justifies one decimal; expected is 0.25
    assert expected_text(entry("fid", 27.7, 0.38)) == "0.25"  # one decimal would read 0.2
    assert expected_text(entry("fid", 5256.0, 215.0)) == "0.25"  # and none 0
    assert expected_text(entry("fid", 0.4, 0.002)) == fixed(0.25, 4)
    assert expected_text(entry("fid", 27.7)) == "0.25"
    whole = entry("fid", 27.7, 0.38).model_copy(update={"expected": 10.0})
    assert expected_text(whole) == "10"


def test_the_centre_is_named_when_it_is_not_the_value() -> None:
    plain = entry("fid", 27.7, 0.38)
    assert centre_text(plain) == centre_text(entry("fid", 27.7)) == ""
    assert centre_text(plain.model_copy(update={"value": 29.2})) == "27.7"


def test_a_value_outside_its_interval_is_followed_by_the_corrected_one() -> None:
    plain = entry("fid", 27.7, 0.38)  # 26.96 to 28.44
    inside = plain.model_copy(update={"value": 28.4})
    outside = plain.model_copy(update={"value": 29.2})
    assert corrected_text(plain) == corrected_text(inside) == corrected_text(entry("fid", 29)) == ""
    assert corrected_text(outside) == "27.7"
    assert value_with_interval(outside) == "29.2 (27.7) [27.0, 28.4]"


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0 %"),
        (0.0004, "less than 0.1 %"),
        (0.069, "6.9 %"),
        (0.4, "40 %"),
        (0.996, "99.6 %"),
        (0.99999, "nearly 100 %"),
        (1.0, "100 %"),
    ],
)
def test_percent(share: float, text: str) -> None:
    assert percent(share) == text
