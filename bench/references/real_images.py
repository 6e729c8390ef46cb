"""Real images, given as an array or a path, and what one pass over them finds."""

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
from bench.data.sources import DataSource
from bench.errors import InvalidSubmission
from bench.extractors.base import Extractor
from bench.intake import ImageStream, SetIdentity, Size, audit, image_set_of
from bench.references.feature_extraction import Extraction
from bench.runtime.progress import CountProgress
from bench.statistics.moments import SUBSET_SEED, SUBSET_SIZE, FeatureSample

ARRAY_BLOCK = 512  # images of an array that are passed on together


class Seen(NamedTuple):
    """What one pass over real images finds."""

    samples: list[FeatureSample]  # one for each extractor
    identity: SetIdentity
    facts: ContentFacts


@dataclass(frozen=True)
class RealImages:
    """Real images to build a reference from. A folder may hold a folder for each class."""

    source: NDArray[np.uint8] | Path  # uint8 N,H,W,C; or a folder, zip, npz, npy or idx file
    resize: Size | None = None  # size that images from a path are brought to
    dataset: DataSource | None = None  # the data set that an array was loaded from

    @property
    def data_source(self) -> DataSource | None:
        """Where the images can be read again; None for an array of unknown origin."""
        if isinstance(self.source, Path):
            return DataSource(path=str(self.source.absolute()))
        return self.dataset

    def samples(
        self,
        load: Callable[[], Sequence[Extractor]],
        *,
        subset: int = SUBSET_SIZE,
        progress: CountProgress | None = None,
    ) -> Seen:
        """Decode the images once; return their features by each extractor, and what they are.

        Raises `InvalidSubmission` with every finding, `UsageError`, `NothingFoundError`.
        """
        if isinstance(self.source, np.ndarray):
            images = self.source
            extraction = Extraction(load, len(images), subset=subset, seed=SUBSET_SEED)
            for start in range(0, len(images), ARRAY_BLOCK):
                extraction.add(images[start : start + ARRAY_BLOCK], progress)
            identity = image_set_of(images).identity
            return Seen(extraction.samples(), identity, content_facts(images))
        with ImageStream(self.source, resize=self.resize, classes=True) as stream:
            observer = ContentObserver(stream.num_images)
            extraction = Extraction(load, stream.num_images, subset=subset, seed=SUBSET_SEED)
            identity = extraction.consume(stream, progress, observe=observer.add)
        return Seen(extraction.samples(), identity, observer.facts())

    def facts(self) -> ContentFacts:
        """Return what the pixels are like, without extracting features. Raises as `samples`."""
        if isinstance(self.source, np.ndarray):
            return content_facts(self.source)
        with ImageStream(self.source, resize=self.resize, classes=True) as stream:
            observer = ContentObserver(stream.num_images)
            for block in stream:
                observer.add(block)
        stream.report.raise_if_invalid()
        return observer.facts()

    def pixels(self, facts: ContentFacts) -> TrainingPixels:
        """Return a function from rows to these images."""
        images = self.source
        if isinstance(images, np.ndarray):
            return lambda rows: images[rows]
        source = DataSource(path=str(images))
        return training_pixels(source, facts.hashes, resize=self.resize)

    def identity(self) -> SetIdentity:
        """Return what the images are, without extracting features. Raises as `samples`."""
        if isinstance(self.source, np.ndarray):
            return image_set_of(self.source).identity
        report = audit(self.source, resize=self.resize, keep_pixels=False, classes=True)
        try:
            report.raise_if_invalid()
        except InvalidSubmission as error:
            raise InvalidSubmission(f"the reference: {error}", error.findings) from error
        assert report.identity is not None  # noqa: S101  (a valid report has one)
        return report.identity
