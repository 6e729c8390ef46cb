"""What a cached result depends on."""

from __future__ import annotations

from importlib import resources

import pytest

from bench.runtime import provenance
from bench.runtime.provenance import SHOWS_ONLY, library_versions, source_digest


@pytest.mark.parametrize(
    ("file", "matters"),
    [
        ("neighbours/search.py", True),
        ("metrics/kid.py", True),
        ("extractors/compact_cnn.py", True),
        ("intake/pixels.py", True),
        ("stats.py", True),
        ("expected.py", True),
        ("record.py", True),
        ("scoring.py", True),
        ("verbs/score.py", False),
        ("console.py", False),
        ("plots/curves.py", False),
        ("reporting/page.py", False),
        ("comparing/judgement.py", False),
    ],
)
def test_the_digest_covers_what_values_depend_on(
    file: str, matters: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = provenance._sources(resources.files("bench"))
    assert file in sources
    changed = sources | {file: sources[file] + b"#"}
    before = source_digest.__wrapped__()
    monkeypatch.setattr(provenance, "_sources", lambda folder: changed)
    assert (source_digest.__wrapped__() != before) is matters


def test_what_only_shows_exists() -> None:
    sources = provenance._sources(resources.files("bench"))
    for name in SHOWS_ONLY:
        assert any(source.startswith(name) for source in sources), name


def test_library_versions() -> None:
    assert {"python", "torch", "numpy"} <= set(library_versions())
