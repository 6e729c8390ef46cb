"""Real images: an array, or anything that can be streamed, and what is kept of one pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.content import (
    ContentFacts,
    ContentObserver,
    TrainingPixels,
    content_facts,
    training_pixels,
)
from bench.errors import InvalidSubmission
from bench.extractors.base import Extractor
from bench.intake import ImageStream, SetIdentity, Size, audit, image_set_of
from bench.references.feature_extraction import Extraction
from bench.runtime.progress import CountProgress
from bench.statistics.moments import SUBSET_SEED, SUBSET_SIZE, FeatureSample

ARRAY_BLOCK = 512  # images of an array that are handed on together


class Seen(NamedTuple):
    """What is kept of real images: features for each extractor, identity, what is in the pixels."""

    samples: list[FeatureSample]
    identity: SetIdentity
    facts: ContentFacts


@dataclass(frozen=True)
class RealImages:
    """Where real images come from: an array uint8 N,H,W,C, or a path to stream."""

    source: NDArray[np.uint8] | Path
    resize: Size | None = None

    def samples(
        self,
        load: Callable[[], Sequence[Extractor]],
        *,
        subset: int = SUBSET_SIZE,
        progress: CountProgress | None = None,
    ) -> Seen:
        """What each extractor makes of the images, and what the images are, from one decoding.

        Raises `InvalidSubmission` with every finding, `UsageError`, `NothingFoundError`.
        """
        if isinstance(self.source, np.ndarray):
            images = self.source
            extraction = Extraction(load, len(images), subset=subset, seed=SUBSET_SEED)
            for start in range(0, len(images), ARRAY_BLOCK):
                extraction.add(images[start : start + ARRAY_BLOCK], progress)
            identity = image_set_of(images).identity
            return Seen(extraction.samples(), identity, content_facts(images))
        with ImageStream(self.source, resize=self.resize) as stream:
            observer = ContentObserver(stream.num_images)
            extraction = Extraction(load, stream.num_images, subset=subset, seed=SUBSET_SEED)
            identity = extraction.consume(stream, progress, observe=observer.add)
        return Seen(extraction.samples(), identity, observer.facts())

    def facts(self) -> ContentFacts:
        """What is in the pixels, without extracting anything. Raises as `samples` does."""
        if isinstance(self.source, np.ndarray):
            return content_facts(self.source)
        with ImageStream(self.source, resize=self.resize) as stream:
            observer = ContentObserver(stream.num_images)
            for block in stream:
                observer.add(block)
        stream.report.raise_if_invalid()
        return observer.facts()

    def pixels(self, facts: ContentFacts) -> TrainingPixels:
        """The images again, by row."""
        images = self.source
        if isinstance(images, np.ndarray):
            return lambda rows: images[rows]
        return training_pixels(images, facts.hashes, resize=self.resize)

    def identity(self) -> SetIdentity:
        """What the images are, without extracting anything."""
        if isinstance(self.source, np.ndarray):
            return image_set_of(self.source).identity
        report = audit(self.source, resize=self.resize, keep_pixels=False)
        try:
            report.raise_if_invalid()
        except InvalidSubmission as error:
            raise InvalidSubmission(f"the reference: {error}", error.findings) from error
        assert report.identity is not None  # noqa: S101  (a valid report has one)
        return report.identity
