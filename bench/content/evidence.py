"""`Evidence`: everything that the checks of a folder's content may look at.

Shape legend: N images, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bench.content.classes import ClassShares
from bench.content.copies import Copies, TrainingPixels, find_copies
from bench.content.facts import ContentFacts
from bench.content.ink import Ink
from bench.content.nearest import Groups, near_groups
from bench.content.reference import ReferenceContent
from bench.statistics.moments import subset_rows

F64 = NDArray[np.float64]

MIN_REAL, MIN_IMAGES = 50, 20  # in reference and folder, to compare levels and texture
GROUP_SUBSET = 20_000  # images among which groups are searched
DEFAULT_GROUP_RADIUS = 0.05  # without a reference; 0.1 % of 10,000 real digits or clothes have
DEFAULT_GROUP_SHARE = 0.001  # another image within it


@dataclass(frozen=True)
class Evidence:
    """What a scorer knows about the images of a folder.

    `facts` describe the pixels of the folder and `reference` those of real images; without a
    reference, checks that compare with one find nothing. `class_shares` and
    `reference_class_shares` (float64 K, summing to 1) come from the same classifier, whose classes
    `class_names` names in the plural. `training_pixels` returns training images by row, or None
    if they are not on this machine.

    >>> from bench.content import content_facts
    >>> images = np.full((30, 28, 28, 1), 7, np.uint8)
    >>> Evidence(content_facts(images)).facts.is_blank
    True
    """

    facts: ContentFacts
    reference: ReferenceContent | None = None
    class_shares: F64 | None = None
    reference_class_shares: F64 | None = None
    class_names: Sequence[str] | None = None
    training_pixels: TrainingPixels | None = None

    @property
    def level_reference(self) -> ReferenceContent | None:
        """The reference, if both sides have enough images to compare grey levels."""
        if self.reference is None:
            return None
        enough = self.reference.num_train >= MIN_REAL and self.facts.num_images >= MIN_IMAGES
        return self.reference if enough else None

    @property
    def texture_reference(self) -> ReferenceContent | None:
        """The reference, if both sides also have the same size in pixels."""
        return self.level_reference if self.has_size_of_reference else None

    @property
    def has_size_of_reference(self) -> bool:
        """Whether there is a reference whose images have the height and width of the folder's."""
        facts, reference = self.facts, self.reference
        return reference is not None and (facts.height_px, facts.width_px) == (
            reference.height_px,
            reference.width_px,
        )

    @property
    def classes(self) -> ClassShares | None:
        """The class shares of both sides, if they can be compared."""
        if self.class_shares is None or self.reference_class_shares is None:
            return None
        return ClassShares.of(
            self.class_shares, self.reference_class_shares, self.facts.num_images, self.class_names
        )

    @cached_property
    def ink(self) -> Ink:
        """What the pixels tell about the ink of bright images on a black background."""
        return Ink.of(self.facts)

    @cached_property
    def group_rows(self) -> NDArray[np.int64]:
        """Positions of the images among which groups are searched: all, or a random 20,000."""
        chosen = subset_rows(len(self.facts.descriptor_rows), GROUP_SUBSET)
        return self.facts.descriptor_rows[chosen]

    @cached_property
    def groups(self) -> Groups:
        """Groups of near duplicates among the images at `group_rows`."""
        radius = DEFAULT_GROUP_RADIUS if self.reference is None else self.reference.group_radius
        chosen = np.searchsorted(self.facts.descriptor_rows, self.group_rows)
        return near_groups(self.facts.descriptors[chosen].astype(np.float32), radius)

    @cached_property
    def copies(self) -> Copies | None:
        """Copies of training images, if there is a reference of the same size in pixels."""
        if self.reference is None or not self.has_size_of_reference:
            return None
        return find_copies(self.facts, self.reference.copy_base, self.training_pixels)
