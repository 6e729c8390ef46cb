"""What the cache holds of submissions: scores, features, and a hint of where to look first.

Scores and features are found by the digest of the pixels, which is known only when a submission
has been read. The hint maps a path with the names, sizes and times of its files to the digest it
had last time. It decides whether features are computed while the files are read or looked up
afterwards, never what is reported: the files are read, checked and digested all the same.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from bench.content import ContentFacts, ContentObserver, digest_of_other_packages
from bench.errors import InputError
from bench.intake import ImageStream, SetIdentity, Size, SubmissionSpec
from bench.metrics.base import Metric
from bench.records.score_record import ScoreRecord
from bench.references.feature_extraction import cached_sample, keep_sample, sample_key
from bench.runtime import provenance
from bench.runtime.cache import Cache, cache_key
from bench.runtime.progress import CountProgress
from bench.runtime.whole_files import arrays_from_bytes, arrays_to_bytes
from bench.scoring.detector_scores import pixels_at
from bench.scoring.scoring_code import picture_code, scoring_code
from bench.scoring.target import Target
from bench.statistics.moments import FeatureSample


class Reading(NamedTuple):
    """A path and how it is read."""

    path: str | Path
    spec: SubmissionSpec | None
    limit: int | None
    resize: Size | None

    def stream(self, progress: CountProgress | None = None) -> ImageStream:
        return ImageStream(
            self.path, spec=self.spec, limit=self.limit, resize=self.resize, progress=progress
        )

    def facts(self) -> ContentFacts:
        """What is in the pixels, from reading them. Raises as the stream does."""
        with self.stream() as stream:
            observer = ContentObserver(max(1, stream.num_images))
            for block in stream:
                observer.add(block)
        stream.report.raise_if_invalid()
        return observer.facts()

    def pixels(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Thumbnails of the images at `rows` (sorted), from reading them again. Raises as the
        stream does.
        """
        return pixels_at(self.stream(), rows)[0]

    def key(self) -> str | None:
        """Digest of the names, sizes and times of the files, None when they cannot be listed."""
        place = Path(self.path)
        try:
            if place.is_dir():
                with os.scandir(place) as entries:
                    stats = sorted((entry.name, entry.stat()) for entry in entries)
            else:
                stats = [(place.name, place.stat())]
        except (OSError, ValueError):
            return None
        return cache_key(
            {
                "path": os.fsencode(place.absolute()).hex(),
                "files": [
                    [os.fsencode(name).hex(), stat.st_size, stat.st_mtime_ns]
                    for name, stat in stats
                ],
                "spec": None if self.spec is None else self.spec.model_dump(mode="json"),
                "limit": self.limit,
                "resize": self.resize,
            }
        )


class Hint(NamedTuple):
    """The pixels to expect, and what the cache holds of them for each target."""

    sequence_digest: str
    found: Sequence[ScoreRecord | FeatureSample]


class ResultCache:
    """Scores and features in `cache` for one choice of metrics, subset, seed and device; `detector`
    is what the named detector of `anomaly_auc` is known by.
    """

    def __init__(
        self,
        cache: Cache,
        metrics: Sequence[Metric],
        *,
        subset: int,
        seed: int,
        device: str,
        detector: Mapping[str, str] | None = None,
    ) -> None:
        self._cache = cache
        self._metrics = list(metrics)
        self._subset, self._seed, self._device = subset, seed, device
        self._detector = dict(detector or {})
        self._findings = digest_of_other_packages()

    def record(self, target: Target, sequence_digest: str) -> ScoreRecord | None:
        """The score of these pixels."""
        data = self._cache.get("scores", self._score_key(target, sequence_digest))
        try:
            return None if data is None else ScoreRecord.model_validate_json(data)
        except ValidationError:  # of another schema
            return None

    def put_record(self, target: Target, record: ScoreRecord) -> None:
        key = self._score_key(target, record.submission.sequence_digest)
        self._cache.put("scores", key, record.model_dump_json().encode())

    def find(
        self, target: Target, sequence_digest: str, num_images: int
    ) -> ScoreRecord | FeatureSample | None:
        """The score of these pixels, or else their features."""
        record = self.record(target, sequence_digest)
        if record is not None:
            return record
        return self.sample(target, sequence_digest, num_images)

    def sample(self, target: Target, sequence_digest: str, num_images: int) -> FeatureSample | None:
        """The features of these pixels."""
        return cached_sample(self._cache, self._sample_key(target, sequence_digest, num_images))

    def exhibits(
        self, target: Target, sequence_digest: str
    ) -> dict[str, NDArray[np.generic]] | None:
        """What a page shows of these pixels."""
        data = self._cache.get("exhibits", self._exhibits_key(target, sequence_digest))
        try:
            return None if data is None else arrays_from_bytes(data, "exhibits")
        except InputError:  # of another version
            return None

    def put_exhibits(
        self, target: Target, sequence_digest: str, exhibits: Mapping[str, NDArray[np.generic]]
    ) -> None:
        key = self._exhibits_key(target, sequence_digest)
        self._cache.put("exhibits", key, arrays_to_bytes(exhibits))

    def put_sample(self, target: Target, identity: SetIdentity, sample: FeatureSample) -> None:
        key = self._sample_key(target, identity.sequence_digest, identity.num_images)
        keep_sample(self._cache, key, sample)

    def hint(self, reading: Reading, targets: Sequence[Target]) -> Hint | None:
        """What to expect of a path that was read before, if the cache can serve every target."""
        key = None if self._cache.root is None else reading.key()
        data = None if key is None else self._cache.get("hints", key)
        if data is None:
            return None
        sequence_digest, num_images = json.loads(data)
        found = self.find_all(targets, sequence_digest, num_images)
        return Hint(sequence_digest, found) if found else None

    def find_all(
        self, targets: Sequence[Target], sequence_digest: str, num_images: int
    ) -> list[ScoreRecord | FeatureSample]:
        """What `find` finds for every target; nothing when one of them has nothing."""
        found = [self.find(target, sequence_digest, num_images) for target in targets]
        whole = [one for one in found if one is not None]
        return whole if len(whole) == len(targets) else []

    def put_hint(self, reading: Reading, identity: SetIdentity) -> None:
        key = None if self._cache.root is None else reading.key()
        if key is not None:
            hint = json.dumps([identity.sequence_digest, identity.num_images])
            self._cache.put("hints", key, hint.encode())

    def _score_key(self, target: Target, sequence_digest: str) -> str:
        return cache_key(
            {
                "reference": target.reference.manifest.model_dump(mode="json"),
                "extractor": target.extractor.digest,
                "settings": dict(target.extractor.settings),
                "compiled": target.extractor.compiled,
                "metrics": [metric.name for metric in self._metrics],
                "seed": self._seed,
                "subset": self._subset,
                "code": scoring_code(target.extractor, self._metrics),
                "libraries": provenance.library_versions(),
                "device": self._device.split(":", maxsplit=1)[0],
                "images": sequence_digest,
                **self._detector,
                **({} if self._findings is None else {"findings": self._findings}),
            }
        )

    def _exhibits_key(self, target: Target, sequence_digest: str) -> str:
        score = self._score_key(target, sequence_digest)
        return cache_key({"score": score, "code": picture_code()})

    def _sample_key(self, target: Target, sequence_digest: str, num_images: int) -> str:
        return sample_key(
            target.extractor,
            sequence_digest=sequence_digest,
            num_images=num_images,
            device=self._device,
            subset=self._subset,
            seed=self._seed,
        )
