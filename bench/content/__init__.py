'''What is wrong with a folder of images, from its pixels.

    observer = ContentObserver(num_images)
    for images in blocks:  # uint8 n,H,W,C
        observer.add(images)
    evidence = Evidence(observer.facts(), reference)
    for finding in content_findings(evidence):
        print(finding.severity, finding.message)

A finding is reported if the images differ from real ones by more than real images vary. The files
in the order of the data, each of which imports only those above it:

    statistics   sharpness, noise and others of single images
    descriptors  48 numbers per image, comparable under shifts
    thumbnails   images shrunk to at most 64 px a side
    facts        the summary of a folder
    observer     from blocks of images to the summary
    nearest      pairs and groups of images with near descriptors
    copies       copies of training images
    reference    the summary of real images
    training     training images by row, if they are on this machine
    classes      class shares of a folder and of real images
    ink          what a wrong scale does to bright images on black
    evidence     all that a check may look at
    finding      what a row of the table of findings holds
    shifts       statistics of a folder against those of real images
    findings/    one file per diagnosis, and `FINDINGS`, the table of them
    checking     run every check
    pictures     pictures and curves for a report page

A finding of this package is one file in `findings/` and one line in its table. Another package adds
one through an entry point; it then appears in `latentbench score`, in `latentbench audit --content`
and on the report page. A complete example, the module dark_corners.py:

    """Images whose four corners are much darker than those of the training images."""

    import numpy as np
    from bench.content import ContentFinding, Evidence, Found


    def mean_of_corners(images):  # uint8 n,h,w,C -> float n
        return images[:, [0, 0, -1, -1], [0, -1, 0, -1]].mean(axis=(1, 2))


    def check(evidence: Evidence) -> Found | None:
        pixels = evidence.training_pixels
        real = None if pixels is None else pixels(np.arange(100))  # the first 100
        if real is None:  # there is no reference, or its images are not on this machine
            return None
        own, expected = mean_of_corners(evidence.facts.thumbnails), mean_of_corners(real).mean()
        dark = np.flatnonzero(own < expected - 40)
        if len(dark) < 0.05 * len(own):
            return None
        figures = {"corners": own.mean(), "reference_corners": expected}
        return Found(len(dark), f"{len(dark)} images", figures, evidence.facts.thumbnail_rows[dark])


    DARK_CORNERS = ContentFinding(
        name="dark-corners", severity="warning", check=check,
        message="the corners of the images are darker than those of the data",
        fix="Features see the border as well. Look at the padding of the last layers first.",
    )

and the entry point in the package's pyproject.toml:

    [project.entry-points."latentbench.findings"]
    dark-corners = "dark_corners:DARK_CORNERS"

A check works on the `Evidence` that the one pass over the folder collects: histograms and
statistics of both sides, class shares, groups, copies, and thumbnails, which up to 64 px a side are
the images themselves. There is no second pass: a check that needs another quantity computes it from
the thumbnails, as above. A package that cannot be loaded, or whose check fails, is reported as a
finding `check-skipped`, and the other checks run.
'''

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.runtime.lazy_names import lazy_names

if TYPE_CHECKING:
    from bench.content.checking import content_findings as content_findings
    from bench.content.checking import digest_of_other_packages as digest_of_other_packages
    from bench.content.checking import is_about_content as is_about_content
    from bench.content.checking import with_names as with_names
    from bench.content.classes import CLASS_NAMES as CLASS_NAMES
    from bench.content.copies import TrainingPixels as TrainingPixels
    from bench.content.evidence import Evidence as Evidence
    from bench.content.facts import ContentFacts as ContentFacts
    from bench.content.finding import ContentFinding as ContentFinding
    from bench.content.finding import Found as Found
    from bench.content.findings import FINDINGS as FINDINGS
    from bench.content.observer import ContentObserver as ContentObserver
    from bench.content.observer import content_facts as content_facts
    from bench.content.pictures import content_pictures as content_pictures
    from bench.content.reference import ReferenceContent as ReferenceContent
    from bench.content.reference import reference_content as reference_content
    from bench.content.reference import reference_content_of as reference_content_of
    from bench.content.training import training_pixels as training_pixels

_MODULES = {
    "content_findings": "bench.content.checking",
    "digest_of_other_packages": "bench.content.checking",
    "is_about_content": "bench.content.checking",
    "with_names": "bench.content.checking",
    "CLASS_NAMES": "bench.content.classes",
    "TrainingPixels": "bench.content.copies",
    "Evidence": "bench.content.evidence",
    "ContentFacts": "bench.content.facts",
    "ContentFinding": "bench.content.finding",
    "Found": "bench.content.finding",
    "FINDINGS": "bench.content.findings",
    "ContentObserver": "bench.content.observer",
    "content_facts": "bench.content.observer",
    "content_pictures": "bench.content.pictures",
    "ReferenceContent": "bench.content.reference",
    "reference_content": "bench.content.reference",
    "reference_content_of": "bench.content.reference",
    "training_pixels": "bench.content.training",
}

__all__ = list(_MODULES)
__getattr__, __dir__ = lazy_names(__name__, _MODULES)
