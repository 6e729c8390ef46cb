"""Rows by name, and those that other packages add."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata

import pytest

from bench.errors import LatentbenchError, UnknownNameError
from bench.runtime.registry import Registry


@dataclass(frozen=True)
class Fruit:
    name: str


PEAR = Fruit("pear")
NOT_A_FRUIT = "plum"
Basket = Callable[..., Registry[Fruit]]


@pytest.fixture
def basket(monkeypatch: pytest.MonkeyPatch) -> Basket:
    """An apple, and what the entry points given as name=object bring."""

    def make(**entries: str) -> Registry[Fruit]:
        found = [
            metadata.EntryPoint(name, f"tests.runtime.test_registry:{value}", "fruits")
            for name, value in entries.items()
        ]
        monkeypatch.setattr(
            "bench.runtime.registry.metadata.entry_points",
            lambda group: found if group == "fruits" else [],
        )
        return Registry("fruit", "fruits", Fruit, [Fruit("apple")])

    return make


def test_own_rows_come_first_and_others_are_loaded_when_used(basket: Basket) -> None:
    table = basket(pear="PEAR", aronia="MISSING")
    assert list(table) == ["apple", "aronia", "pear"]
    assert len(table) == 3
    assert "aronia" in table
    assert table["pear"] is PEAR
    assert table.find("apple") == Fruit("apple")


def test_an_unknown_name_lists_the_valid_ones(basket: Basket) -> None:
    table = basket(pear="PEAR")
    assert table.get("peach") is None
    with pytest.raises(UnknownNameError, match=r"unknown fruit 'peach'.*Valid: apple, pear"):
        table.find("peach")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("MISSING", "cannot be loaded: AttributeError"),
        ("NOT_A_FRUIT", "is not a Fruit of that name"),
        ("PEAR", "is not a Fruit of that name"),  # whose name is pear
    ],
)
def test_a_broken_package_leaves_the_rest_usable(basket: Basket, value: str, reason: str) -> None:
    table = basket(plum=value, pear="PEAR")
    with pytest.raises(LatentbenchError, match=reason):
        table["plum"]
    loadable = table.loadable()
    assert [row.name for row in loadable.rows] == ["apple", "pear"]
    assert [(one.name, reason in one.reason) for one in loadable.broken] == [("plum", True)]


def test_a_name_of_this_package_cannot_be_taken(basket: Basket) -> None:
    table = basket(apple="PEAR")
    assert table["apple"] == Fruit("apple")
    assert len(table) == 1
    (shadowed,) = table.loadable().broken
    assert shadowed.name == "apple of tests.runtime.test_registry:PEAR"
    assert shadowed.reason == "the name 'apple' is taken"
    assert table.own == ("apple",)


def test_two_rows_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two rows of the table of fruits are named 'apple'"):
        Registry("fruit", "fruits", Fruit, [Fruit("apple"), Fruit("apple")])
