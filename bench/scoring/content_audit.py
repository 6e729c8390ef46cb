"""An audit that also judges the content of the images, from one reading and without a score.

No network runs, so there are no findings about classes.
"""

from __future__ import annotations

from pathlib import Path

from bench.content import (
    ContentObserver,
    Evidence,
    TrainingPixels,
    content_findings,
    with_names,
)
from bench.content.reference import ReferenceContent
from bench.errors import BundleError, InputError
from bench.intake import AuditReport, ImageStream, SubmissionSpec
from bench.records.score_record import FindingEntry
from bench.runtime.progress import CountProgress


def audit_content(
    path: str | Path,
    reference: str | None = None,
    *,
    spec: SubmissionSpec | None = None,
    progress: CountProgress | None = None,
) -> tuple[AuditReport, tuple[FindingEntry, ...]]:
    """Return the report of the audit, and findings about the content of a valid submission.

    `reference` is the name of a bundle or the path of its manifest; without one, only what needs
    no comparison is found. Raises `BundleError` for a bundle without the content of its images, and
    what `audit` raises.
    """
    content, pixels = (None, None) if reference is None else _of_reference(reference)
    with ImageStream(path, spec=spec, progress=progress) as stream:
        observer = ContentObserver(max(1, stream.num_images))
        all_observed = True
        for block in stream:
            if all_observed:
                try:
                    observer.add(block)
                except InputError:  # images of several sizes: the report says so
                    all_observed = False
    report = stream.report
    if not report.valid or report.identity is None or not all_observed:
        return report, ()
    findings = content_findings(Evidence(observer.facts(), content, training_pixels=pixels))
    return report, with_names(findings, report.identity.names)


def _of_reference(name: str) -> tuple[ReferenceContent, TrainingPixels | None]:
    from bench.references.bundle import load_reference
    from bench.references.lookup import find_manifest

    reference = load_reference(find_manifest(name))
    if reference.content is None:
        raise BundleError(
            f"reference {name!r} was built before references stored what their images are like; "
            f"rebuild it: {reference.manifest.command}"
        )
    return reference.content, reference.training_pixels
