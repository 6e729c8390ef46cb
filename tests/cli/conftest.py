"""A working folder of its own for every test of a verb."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.baselines.conftest import _verbs

__all__ = ["_verbs"]


@pytest.fixture
def workdir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Change into an empty folder and return it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
