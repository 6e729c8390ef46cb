"""`ContentCache`: what the pixels of submissions are like, in memory and in the cache.

Facts are found by the digest of the pixels in their order. Those of the latest submission stay in
memory, so that a scorer without a cache has them as well.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.content import (
    CLASS_NAMES,
    ContentFacts,
    ContentObserver,
    Evidence,
    content_findings,
    content_pictures,
    is_about_content,
)
from bench.errors import InputError
from bench.records.score_record import FindingEntry, ScoreRecord
from bench.runtime.cache import Cache, cache_key
from bench.runtime.code_digest import code_digest
from bench.runtime.npz import arrays_from_bytes, arrays_to_bytes
from bench.scoring.target import Target
from bench.statistics.moments import ClassStatistics

KIND = "content"


class Judgement(NamedTuple):
    """The evidence about a submission, and the findings that it gives."""

    evidence: Evidence
    findings: tuple[FindingEntry, ...]


class ContentCache:
    """Facts about submissions, stored in `cache`, and the findings that they give."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._last: tuple[str, ContentFacts] | None = None
        self._judgements: dict[str, Judgement] = {}  # of that submission

    def put(self, sequence_digest: str, facts: ContentFacts) -> None:
        """Store the facts of a submission; they stay in memory until the next one."""
        self._remember(sequence_digest, facts)
        self._cache.put(KIND, _key(sequence_digest), arrays_to_bytes(facts.arrays()))

    def facts(self, sequence_digest: str) -> ContentFacts | None:
        """Return the facts of these pixels, None if they are not stored."""
        if self._last is not None and self._last[0] == sequence_digest:
            return self._last[1]
        data = self._cache.get(KIND, _key(sequence_digest))
        if data is None:
            return None
        try:
            facts = ContentFacts.of(arrays_from_bytes(data, "content facts"))
        except InputError:  # of another version
            return None
        self._remember(sequence_digest, facts)
        return facts

    def _remember(self, sequence_digest: str, facts: ContentFacts) -> None:
        self._last = sequence_digest, facts
        self._judgements.clear()

    def judgement(
        self, target: Target, sequence_digest: str, classes: ClassStatistics | None
    ) -> Judgement | None:
        """Return what is wrong with these pixels and their `classes`, compared with the reference
        of `target`; None if their facts are not stored. Targets that share a reference share it.
        """
        facts = self.facts(sequence_digest)
        if facts is None:
            return None
        content = target.reference.content
        shares, real_shares = _shares(target, classes)
        key = "none" if content is None else content.digest
        key += "" if shares is None else shares.tobytes().hex()
        if key not in self._judgements:
            evidence = Evidence(
                facts,
                content,
                class_shares=shares,
                reference_class_shares=real_shares,
                class_names=CLASS_NAMES.get(target.extractor.name),
                training_pixels=target.reference.training_pixels,
            )
            self._judgements[key] = Judgement(evidence, content_findings(evidence))
        return self._judgements[key]

    def exhibits(
        self, target: Target, sequence_digest: str, classes: ClassStatistics | None
    ) -> dict[str, NDArray[np.generic]]:
        """Return what a page shows of these pixels; empty if their facts are not stored."""
        judgement = self.judgement(target, sequence_digest, classes)
        return {} if judgement is None else content_pictures(*judgement)


def content_findings_of(record: ScoreRecord) -> tuple[FindingEntry, ...]:
    """Return those findings of a record that are about content."""
    return tuple(finding for finding in record.findings if is_about_content(finding))


def _shares(
    target: Target, classes: ClassStatistics | None
) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
    """Return the class shares of the submission and of the reference; None unless both exist."""
    real = target.reference.class_shares
    return (None, None) if classes is None or real is None else (classes.shares, real)


def _key(sequence_digest: str) -> str:
    return cache_key({"images": sequence_digest, "code": code_digest(ContentObserver.__module__)})
