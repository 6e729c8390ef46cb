"""Versions that a record states."""

from __future__ import annotations

from bench.runtime.provenance import LIBRARIES, library_versions


def test_library_versions() -> None:
    found = library_versions()
    assert found.keys() == {"python", *LIBRARIES}
    assert all(version[0].isdigit() for version in found.values())
