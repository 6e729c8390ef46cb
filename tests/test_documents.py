"""The documents: their figures come from committed files, and their links and commands exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.documents import DOCUMENTS, ROOT, filled

README_LINES = 250
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)(?:#([\w-]+))?\)")
LOCAL_ANCHOR = re.compile(r"\]\(#([\w-]+)\)")


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a document."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_shows_the_committed_figures(name: str) -> None:
    text = (ROOT / name).read_text()
    assert text == filled(text), f"{name} differs: run python -m tests.documents"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name: str) -> None:
    path = ROOT / name
    text = path.read_text()
    for target, anchor in LINK.findall(text):
        found = path.parent / target
        assert found.exists(), f"{name} links to {target}"
        if anchor:
            assert anchor in anchors(found), f"{name} links to {target}#{anchor}"
    for anchor in LOCAL_ANCHOR.findall(text):
        assert anchor in anchors(path), f"{name} links to #{anchor}"


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= README_LINES
