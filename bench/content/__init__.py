"""What is wrong with a folder of images, from its pixels.

`ContentObserver` looks at every image once while a folder is read and leaves `ContentFacts`, a few
compact arrays; `ReferenceContent` holds the same of real images; `judge_content` makes findings of
the two: blank and repeated images, collapse, classes, range and polarity of the values, blur,
noise, traces of JPEG, and copies of training images. Limits are relative to how real images vary.

Each file imports those above it only:

    codes        every code: severity, message, fix
    descriptors  48 numbers an image, compared under shifts
    statistics   sharpness, noise and others, an image at a time
    thumbnails   small pictures of images
    facts        what is kept of a folder
    observer     from blocks of images to facts
    nearest      pairs and groups of images with near descriptors
    copies       copies of training images
    reference    the content of real images
    repeats, levels, classes, texture   findings of one kind each
    judging      all findings
    showing      pictures and curves for a page
    training     training images, where they are at hand
"""

from __future__ import annotations

from bench.content.classes import CLASS_NAMES
from bench.content.codes import CONTENT_CODES
from bench.content.copies import TrainingPixels
from bench.content.facts import ContentFacts
from bench.content.judging import ContentJudgement, content_findings, judge_content, with_names
from bench.content.observer import ContentObserver, content_facts
from bench.content.reference import ReferenceContent, reference_content, reference_content_of
from bench.content.showing import content_exhibits
from bench.content.training import source_of, training_pixels

__all__ = [
    "CLASS_NAMES",
    "CONTENT_CODES",
    "ContentFacts",
    "ContentJudgement",
    "ContentObserver",
    "ReferenceContent",
    "TrainingPixels",
    "content_exhibits",
    "content_facts",
    "content_findings",
    "judge_content",
    "reference_content",
    "reference_content_of",
    "source_of",
    "training_pixels",
    "with_names",
]
