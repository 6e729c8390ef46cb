"""Findings in the order in which they are shown, and how many are shown in full."""

from __future__ import annotations

from bench.intake.findings import Finding
from bench.records.finding_order import by_urgency
from bench.records.score_record import FindingEntry
from bench.tables.console import print_first_findings


def _entry(code: str, severity: str, cost: float | None = None) -> FindingEntry:
    figures = {} if cost is None else {"fid_cost": cost}
    return FindingEntry(
        code=code, severity=severity, count=1, examples=(), message="m", fix="f", figures=figures
    )


MANY = (
    _entry("note", "info", 900.0),
    _entry("cheap", "warning", 1.0),
    _entry("unknown", "warning"),
    _entry("costly", "warning", 50.0),
    _entry("broken", "error"),
)


def _codes(findings: list[FindingEntry]) -> list[str]:
    return [finding.code for finding in findings]


def test_errors_then_costs_three_at_most() -> None:
    first, rest = by_urgency(MANY)
    assert _codes(first) == ["broken", "costly", "cheap"]
    assert _codes(rest) == ["unknown", "note"]


def test_information_is_shown_in_full_only_alone() -> None:
    assert [_codes(part) for part in by_urgency(MANY[:2])] == [["cheap"], ["note"]]
    assert [_codes(part) for part in by_urgency(MANY[:1])] == [["note"], []]
    assert by_urgency([]) == ([], [])


def test_findings_of_the_intake_have_no_figures() -> None:
    finding = Finding("junk-file", "warning", 1, (), "m", "f")
    first, _ = by_urgency([finding, MANY[3]])
    assert _codes(first) == ["costly", "junk-file"]


def test_the_console_names_the_rest(capsys) -> None:
    print_first_findings(MANY)
    err = capsys.readouterr().err
    assert err.count("fix:") == 3
    assert err.index("broken") < err.index("costly") < err.index("cheap")
    assert err.rstrip().endswith("also found: unknown (1), note (1)")
