"""Rules that keep a submission off the ranking; staff can switch each of them off."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence

from bench.errors import UnknownNameError
from bench.intake import sanitise
from bench.ranking.store import Entry
from bench.records.score_record import FindingEntry

COPIES = "copied-training-images"
SPEC = "spec"  # applied by the audit: without it, submissions are scored whatever the spec says


def _copies(entry: Entry, _others: Sequence[Entry]) -> str | None:
    found = [finding for finding in _findings(entry) if finding.code == COPIES]
    return found[0].message if found else None


def _twins(entry: Entry, others: Sequence[Entry]) -> str | None:
    """The earliest of equal submissions stays; among those of one moment, none does."""
    if entry.record is None:
        return None
    same = [
        other
        for other in others
        if other.team != entry.team
        and other.record is not None
        and other.record.submission.pixel_digest == entry.record.submission.pixel_digest
        and other.received <= entry.received
    ]
    names = ", ".join(sanitise(other.team) for other in same)
    return f"the same images as {names}" if same else None


def _content(entry: Entry, _others: Sequence[Entry]) -> str | None:
    found = [f for f in _findings(entry) if f.severity == "error" and f.code != COPIES]
    return found[0].message if found else None


def _findings(entry: Entry) -> tuple[FindingEntry, ...]:
    return entry.findings if entry.record is None else entry.record.findings


RULES: dict[str, Callable[[Entry, Sequence[Entry]], str | None]] = {
    "copies": _copies,
    "twins": _twins,
    "content": _content,
}
SUMMARIES = {
    "copies": "copies of training images",
    "twins": "the same pixels as an earlier submission of another team",
    "content": "a fault of the images that makes their score meaningless",
}


def disqualified(entries: Sequence[Entry], *, without: Collection[str] = ()) -> dict[int, str]:
    """Return the reasons why submissions are not ranked, by their number.

    A decision of staff goes before all rules. Raises `UnknownNameError` for a rule in `without`
    that does not exist.
    """
    for name in without:
        if name not in RULES:
            raise UnknownNameError("rule", name, (SPEC, *RULES))
    reasons: dict[int, list[str]] = defaultdict(list)
    for entry in entries:
        if entry.record is None:
            continue
        if entry.decision is not None:
            if entry.decision.verdict == "disqualified":
                reasons[entry.id].append(entry.decision.reason)
            continue
        for name, rule in RULES.items():
            found = None if name in without else rule(entry, entries)
            if found is not None:
                reasons[entry.id].append(found)
    return {number: "; ".join(found) for number, found in reasons.items()}
