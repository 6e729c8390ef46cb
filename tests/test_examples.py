"""Every example in a docstring runs and prints what it says."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLAGS = doctest.ELLIPSIS


def modules() -> list[str]:
    """The modules that hold an example."""
    files = [file for package in ("bench", "baselines") for file in (ROOT / package).rglob("*.py")]
    found = [file.relative_to(ROOT) for file in sorted(files) if ">>> " in file.read_text()]
    return [
        ".".join(file.with_suffix("").parts).removesuffix(".__init__")
        for file in found
        if file.name != "__main__.py"
    ]


@pytest.mark.parametrize("name", modules())
def test_the_examples_of(name: str) -> None:
    found = doctest.testmod(importlib.import_module(name), optionflags=FLAGS)
    assert found.attempted
    assert not found.failed
