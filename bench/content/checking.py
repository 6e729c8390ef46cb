"""`content_findings`: run every check of the table `FINDINGS` on the evidence about a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from bench.content.evidence import Evidence
from bench.content.finding import ContentFinding
from bench.content.findings import FINDINGS, ROWS
from bench.records.finding_order import urgency
from bench.records.score_record import FindingEntry
from bench.runtime.code_digest import code_digest, module_of

CHECK_SKIPPED = "check-skipped"  # the code of a check in another package that could not run


def content_findings(evidence: Evidence) -> tuple[FindingEntry, ...]:
    """Return what is wrong with the images of a folder: errors first, and of one severity those
    first that cost the most FID, as estimated by `ContentFinding.cost`.

    The examples of a finding are positions of images in the folder, counted from 0; `with_names`
    replaces them by names. A finding that another one explains is folded into that one: its code
    ends the message of the other. A check of another package that cannot be loaded, or that raises
    an exception, becomes a finding of severity "info", and the other checks run.

    >>> import numpy as np
    >>> from bench.content import content_facts
    >>> images = np.full((30, 28, 28, 1), 7, np.uint8)
    >>> [finding.code for finding in content_findings(Evidence(content_facts(images)))]
    ['constant-images', 'exact-duplicates']
    """
    rows, broken = FINDINGS.loadable()
    found: list[FindingEntry] = []
    skipped = [_skipped(one.name, one.reason) for one in broken]
    seen: dict[str, str] = {}  # code or group -> code of the finding
    folded: dict[str, list[str]] = {}  # code of a finding -> codes of those that it explains
    for row in rows:
        if evidence.facts.is_blank and not row.checks_blank_images:
            continue
        explained_by = next((seen[name] for name in row.unless if name in seen), None)
        if explained_by is not None:
            if row in ROWS and row.check(evidence) is not None:
                folded.setdefault(explained_by, []).append(row.name)
            continue
        try:
            entry = _entry(row, evidence)
        except Exception as error:
            if row in ROWS:
                raise
            skipped.append(_skipped(row.name, f"{type(error).__name__}: {error}"))
            continue
        if entry is not None:
            found.append(entry)
            seen |= {name: row.name for name in (row.group, row.name) if name not in ("", *seen)}
    found = [_with_folded(entry, folded.get(entry.code, [])) for entry in found]
    return (*sorted(found, key=urgency), *skipped)


def _entry(row: ContentFinding, evidence: Evidence) -> FindingEntry | None:
    found = row.check(evidence)
    return None if found is None else row.entry(found)


def _with_folded(entry: FindingEntry, codes: list[str]) -> FindingEntry:
    """Return a finding that names the findings it explains."""
    if not codes:
        return entry
    message = f"{entry.message}; this also explains {', '.join(codes)}"
    return entry.model_copy(update={"message": message})


def _skipped(name: str, reason: str) -> FindingEntry:
    return FindingEntry(
        code=CHECK_SKIPPED,
        severity="info",
        count=1,
        examples=(),
        message=f"the check {name!r} of another package did not run: {reason}",
        fix="The other checks ran. Update or uninstall the package that provides this one.",
    )


def is_about_content(finding: FindingEntry) -> bool:
    """Return whether `content_findings` made a finding, by its code."""
    return finding.code in FINDINGS or finding.code == CHECK_SKIPPED


def with_names(findings: Iterable[FindingEntry], names: Sequence[str]) -> tuple[FindingEntry, ...]:
    """Return the findings with the names of images as examples in place of their positions."""
    return tuple(
        finding.model_copy(
            update={"examples": tuple(names[int(place)] for place in finding.examples)}
        )
        for finding in findings
    )


def digest_of_other_packages() -> str | None:
    """Return a digest of the checks that other packages add, or None if there are none.

    A cached record is valid only for the checks that it was made with. The digest covers the names
    of the checks, their code, and the reasons why others cannot be loaded.
    """
    rows, broken = FINDINGS.loadable()
    others = [row for row in rows if row not in ROWS]
    if not others and not broken:
        return None
    code = code_digest(*sorted({module_of(row.check) for row in others}))
    names = sorted(row.name for row in others)
    return hashlib.sha256(repr([names, broken, code]).encode()).hexdigest()
