"""The table of findings: its own rows, and rows of other packages that work or are broken."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import bench.content
from bench.content import CLASS_NAMES, FINDINGS, ContentFinding, Evidence, Found, content_facts
from bench.content.checking import CHECK_SKIPPED, digest_of_other_packages, is_about_content
from bench.content.findings import ROWS
from bench.records.score_record import FindingEntry
from bench.runtime.registry import Registry
from tests.content.conftest import by_code


def install(site: Path, group: str, entries: dict[str, str], **modules: str) -> None:
    """Write modules below a folder of `sys.path`, with the metadata that `pip install` leaves."""
    info = site / "toy-1.0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
    lines = [f"{name} = {target}" for name, target in entries.items()]
    (info / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines, ""]))
    for name, source in modules.items():
        (site / f"{name}.py").write_text(source)
    importlib.invalidate_caches()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on `sys.path`; the table of findings looks for entry points again."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    fresh = Registry("finding", FINDINGS.group, ContentFinding, ROWS)
    monkeypatch.setattr("bench.content.checking.FINDINGS", fresh)
    before = set(sys.modules)
    yield folder
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) is not None and str(folder) in str(
            sys.modules[name].__file__
        ):
            del sys.modules[name]


BROKEN = """
from bench.content import ContentFinding, Found

def check(evidence):
    return 1 // 0

FAILS = ContentFinding(name="fails", severity="info", message="m", fix="f", check=check)
HINT = ContentFinding(
    name="hint", severity="info", message="a hint", fix="f", check=lambda evidence: Found(1, "d")
)
"""


def test_a_broken_package_is_reported_and_the_other_checks_run(site: Path) -> None:
    entries = {
        "absent": "no_such_module:ROW",
        "constant-images": "broken:HINT",
        "fails": "broken:FAILS",
        "hint": "broken:HINT",
    }
    install(site, "latentbench.findings", entries, broken=BROKEN)
    images = np.random.default_rng(0).integers(0, 256, (40, 28, 28, 1), np.uint8)
    images[:3] = 7
    found = bench.content.content_findings(Evidence(content_facts(images)))
    assert [one.code for one in found] == [
        "constant-images",
        "exact-duplicates",
        "hint",
        *[CHECK_SKIPPED] * 3,
    ]
    assert found[2].message == "a hint: d"
    messages = {one.message for one in found[3:]}
    assert any("'absent'" in one and "No module named 'no_such_module'" in one for one in messages)
    assert any("'constant-images'" in one and "is taken" in one for one in messages)
    assert any("'fails'" in one and "ZeroDivisionError" in one for one in messages)
    assert {one.severity for one in found[3:]} == {"info"}
    assert all(is_about_content(one) for one in found)


def test_the_digest_is_that_of_the_code_of_other_packages(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert digest_of_other_packages() is None
    digests = set()
    for module, source in {
        "first": BROKEN,
        "second": BROKEN.replace("a hint", "another hint"),
        "third": "1 / 0",
    }.items():
        install(site, "latentbench.findings", {"hint": f"{module}:HINT"}, **{module: source})
        fresh = Registry("finding", FINDINGS.group, ContentFinding, ROWS)
        monkeypatch.setattr("bench.content.checking.FINDINGS", fresh)
        digests.add(digest_of_other_packages())
    assert len(digests) == 3


def test_a_row_explains_away_rows_after_it_only() -> None:
    """`unless` of each row names codes or groups of rows above it in the table."""
    known: set[str] = set()
    for row in ROWS:
        assert set(row.unless) <= known, row.name
        known |= {row.name, row.group}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_texts_of_a_row_are_complete_sentences(row: ContentFinding) -> None:
    assert FINDINGS[row.name] is row
    assert row.message[0].islower()
    assert not row.message.endswith((".", ":"))
    assert row.fix[0].isupper()
    assert row.fix.endswith(".")


def test_an_unknown_severity_is_refused() -> None:
    with pytest.raises(ValueError, match="'x': severity 'fatal' is none of error, warning, info"):
        ContentFinding(
            name="x",
            severity="fatal",  # type: ignore[arg-type]
            message="m",
            fix="f",
            check=lambda evidence: None,
        )


def test_an_entry_overrides_severity_and_names_five_examples() -> None:
    row = ContentFinding(
        name="x", severity="warning", message="what", fix="Try.", check=lambda evidence: None
    )
    entry = row.entry(Found(7, "how much", {"a": 1}, range(7), severity="info"))
    assert entry == FindingEntry(
        code="x",
        severity="info",
        count=7,
        examples=("0", "1", "2", "3", "4"),
        message="what: how much",
        fix="Try.",
        figures={"a": 1.0},
    )


def test_names_of_classes_are_those_of_ten_classes() -> None:
    assert {len(names) for names in CLASS_NAMES.values()} == {10}


def test_only_blank_images_are_not_checked_further() -> None:
    found = by_code(Evidence(content_facts(np.zeros((30, 28, 28, 1), np.uint8))))
    assert set(found) == {"constant-images", "exact-duplicates"}
    assert found["constant-images"].severity == "error"
