"""`content_findings`: run every check of the table `FINDINGS` on the evidence about a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from bench.content.evidence import Evidence
from bench.content.finding import ContentFinding
from bench.content.findings import FINDINGS, ROWS
from bench.intake.codes import SEVERITIES
from bench.records.score_record import FindingEntry
from bench.runtime.code_digest import code_digest, module_of

CHECK_SKIPPED = "check-skipped"  # the code of a check in another package that could not run


def content_findings(evidence: Evidence) -> tuple[FindingEntry, ...]:
    """Return what is wrong with the images of a folder, errors first.

    The examples of a finding are positions of images in the folder, counted from 0; `with_names`
    replaces them by names. A check of another package that cannot be loaded, or that raises an
    exception, becomes a finding of severity "info", and the other checks run.

    >>> import numpy as np
    >>> from bench.content import content_facts
    >>> images = np.full((30, 28, 28, 1), 7, np.uint8)
    >>> [finding.code for finding in content_findings(Evidence(content_facts(images)))]
    ['constant-images', 'exact-duplicates']
    """
    rows, broken = FINDINGS.loadable()
    found: list[FindingEntry] = []
    skipped = [_skipped(one.name, one.reason) for one in broken]
    seen: set[str] = set()
    for row in rows:
        if seen.intersection(row.unless):
            continue
        if evidence.facts.is_blank and not row.checks_blank_images:
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
            seen |= {row.name, row.group} - {""}
    found.sort(key=lambda entry: SEVERITIES.index(entry.severity))  # stable
    return (*found, *skipped)


def _entry(row: ContentFinding, evidence: Evidence) -> FindingEntry | None:
    found = row.check(evidence)
    return None if found is None else row.entry(found)


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
