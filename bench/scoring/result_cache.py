"""`ResultCache`: the scores, features and report pictures of submissions in the cache.

Entries are found by the digest of the pixels, which is known only once a submission has been read.
A hint maps a path, with the names, sizes and times of its files, to the digest that it had last
time. The hint decides whether features are computed while the files are read or looked up
afterwards. It never decides what is reported: the files are read, checked and digested either way.
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
from bench.intake import ImageStream, SetIdentity, Size, SubmissionSpec, split_array_name
from bench.metrics.base import Metric
from bench.records.score_record import ScoreRecord
from bench.references.sample_cache import cache_sample, cached_sample, sample_key
from bench.runtime import provenance
from bench.runtime.cache import Cache, cache_key
from bench.runtime.npz import arrays_from_bytes, arrays_to_bytes
from bench.runtime.progress import CountProgress
from bench.scoring.scoring_code import picture_code, scoring_code
from bench.scoring.target import Target
from bench.statistics.moments import FeatureSample


class Reading(NamedTuple):
    """The path of a submission, and how its images are read."""

    path: str | Path
    spec: SubmissionSpec | None
    limit: int | None  # images to read, None for all
    resize: Size | None

    def stream(self, progress: CountProgress | None = None) -> ImageStream:
        """Return a stream of the images. Raises as `ImageStream` does."""
        return ImageStream(
            self.path, spec=self.spec, limit=self.limit, resize=self.resize, progress=progress
        )

    def facts(self) -> ContentFacts:
        """Read the images and return what they are like. Raises as the stream does."""
        with self.stream() as stream:
            observer = ContentObserver(max(1, stream.num_images))
            for block in stream:
                observer.add(block)
        stream.report.raise_if_invalid()
        return observer.facts()

    def pixels(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Read the images and return thumbnails of those at `rows` (sorted). Raises as the stream
        does.
        """
        from bench.scoring.detector_scores import pixels_at  # noqa: PLC0415  (only for detectors)

        return pixels_at(self.stream(), rows)[0]

    def key(self) -> str | None:
        """Return a digest of names, sizes and times of the files; None if they cannot be listed."""
        place, array_name = split_array_name(self.path)
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
                **({} if array_name is None else {"array": array_name}),
            }
        )


class Hint(NamedTuple):
    """The pixels that a path is expected to hold."""

    sequence_digest: str
    found: Sequence[ScoreRecord | FeatureSample]  # for each target, from the cache


class ResultCache:
    """Results in `cache` for one choice of metrics, subset, seed and device.

    `detector` identifies the detector named for `anomaly_auc`, see `cache_identity`.
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
        """Return the score of these pixels, None if there is none."""
        data = self._cache.get("scores", self._score_key(target, sequence_digest))
        try:
            return None if data is None else ScoreRecord.model_validate_json(data)
        except ValidationError:  # of another schema
            return None

    def put_record(self, target: Target, record: ScoreRecord) -> None:
        """Store a score."""
        key = self._score_key(target, record.submission.sequence_digest)
        self._cache.put("scores", key, record.model_dump_json().encode())

    def find(
        self, target: Target, sequence_digest: str, num_images: int
    ) -> ScoreRecord | FeatureSample | None:
        """Return the score of these pixels, else their features, else None."""
        record = self.record(target, sequence_digest)
        if record is not None:
            return record
        return self.sample(target, sequence_digest, num_images)

    def sample(self, target: Target, sequence_digest: str, num_images: int) -> FeatureSample | None:
        """Return the features of these pixels, None if there are none."""
        return cached_sample(self._cache, self._sample_key(target, sequence_digest, num_images))

    def exhibits(
        self, target: Target, sequence_digest: str
    ) -> dict[str, NDArray[np.generic]] | None:
        """Return what a page shows of these pixels, None if it is not in the cache."""
        data = self._cache.get("exhibits", self._exhibits_key(target, sequence_digest))
        try:
            return None if data is None else arrays_from_bytes(data, "exhibits")
        except InputError:  # of another version
            return None

    def put_exhibits(
        self, target: Target, sequence_digest: str, exhibits: Mapping[str, NDArray[np.generic]]
    ) -> None:
        """Store what a page shows."""
        key = self._exhibits_key(target, sequence_digest)
        self._cache.put("exhibits", key, arrays_to_bytes(exhibits))

    def put_sample(self, target: Target, identity: SetIdentity, sample: FeatureSample) -> None:
        """Store features."""
        key = self._sample_key(target, identity.sequence_digest, identity.num_images)
        cache_sample(self._cache, key, sample)

    def hint(self, reading: Reading, targets: Sequence[Target]) -> Hint | None:
        """Return what to expect of a path that was read before; None unless the cache holds results
        for every target.
        """
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
        """Return the result of `find` for every target; an empty list if one of them has none."""
        found = [self.find(target, sequence_digest, num_images) for target in targets]
        whole = [one for one in found if one is not None]
        return whole if len(whole) == len(targets) else []

    def put_hint(self, reading: Reading, identity: SetIdentity) -> None:
        """Store the digest of the pixels that a path holds now."""
        key = None if self._cache.root is None else reading.key()
        if key is not None:
            hint = json.dumps([identity.sequence_digest, identity.num_images])
            self._cache.put("hints", key, hint.encode())

    def _score_key(self, target: Target, sequence_digest: str) -> str:
        return cache_key(
            {
                "reference": target.reference.manifest.to_dict(),
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
