"""An audit with a look at the images: the findings of both, from one reading, without a score.

No network runs, so classes are not looked at.
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
    """The audit's report, and findings about the content of the images of a valid submission.

    `reference` is the name of a bundle or the path of its manifest; without one, only what needs
    no comparison is found. Raises `BundleError` for a bundle that knows nothing of its images,
    and what `audit` raises.
    """
    content, pixels = (None, None) if reference is None else _of_reference(reference)
    with ImageStream(path, spec=spec, progress=progress) as stream:
        observer = ContentObserver(max(1, stream.num_images))
        seen = True
        for block in stream:
            if seen:
                try:
                    observer.add(block)
                except InputError:  # of another size: the report will say so
                    seen = False
    report = stream.report
    if not report.valid or report.identity is None or not seen:
        return report, ()
    findings = content_findings(Evidence(observer.facts(), content, training_pixels=pixels))
    return report, with_names(findings, report.identity.names)


def _of_reference(name: str) -> tuple[ReferenceContent, TrainingPixels | None]:
    from bench.references.bundle import find_manifest, load_reference
    from bench.scoring.target import training_pixels_of

    reference = load_reference(find_manifest(name))
    if reference.content is None:
        raise BundleError(
            f"reference {name!r} was built before references knew their images; "
            f"rebuild it: {reference.manifest.command}"
        )
    return reference.content, training_pixels_of(reference)
