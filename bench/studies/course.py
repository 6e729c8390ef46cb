"""The numbers that a course quotes, and why they differ from those at home.

Teams of a course report the FID of pytorch-fid, and precision and recall of
youngjung/improved-precision-and-recall-metric-pytorch: the second layer of 4,096 of torchvision's
VGG16 before its ReLU, images resized to 224 px by Pillow, the first 5,000 images of both sides,
k = 3, and membership in a ball by `<`. Here both are computed as these tools do, beside the metrics
of this package. Then one thing at a time is changed: file format, resizing, extractor, number of
images. A platform whose code is not public may still compute something else.

Shape legend: R real images, F generated images, D feature width.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from bench.errors import InputError, UsageError
from bench.extractors import extractor_row
from bench.extractors.base import Extractor
from bench.extractors.weights_files import HostedWeights
from bench.intake import ImageStream, sanitise
from bench.records.submission import submission_name
from bench.references.lookup import is_known
from bench.runtime.devices import select_device
from bench.runtime.progress import Progress
from bench.scoring.scorer import Scorer
from bench.scoring.settings import ScoreSettings

COURSE = "course"  # the protocol's name on the command line
K = 3
NUM_IMAGES = 5_000  # that the precision and recall tool reads by default
JPEG_QUALITY = 75  # Pillow's default
BLOCK_ROWS = 1_024  # of distances in memory at once
METRICS = ("fid", "precision", "recall")


class CourseValue(NamedTuple):
    """One number: `metric` of `num_images` generated images, as `tool` computes it.

    `changed` says what differs from the course's way, "" for its own number; `difference` is the
    value minus the course's, None for numbers that are not compared.
    """

    metric: str
    tool: str
    value: float
    num_images: int
    changed: str = ""
    difference: float | None = None


@dataclass(frozen=True, kw_only=True)
class _Way:
    """How a number is computed."""

    changed: str = ""
    jpeg: bool = False
    extractor: str
    protocol: str | None = None
    layer: str | None = None
    limit: int | None = None
    strict: bool = True  # membership in a ball by `<`, not `<=`


def precision_recall(
    real: NDArray[np.float32], fake: NDArray[np.float32], *, k: int = K, strict: bool = True
) -> tuple[float, float]:
    """Return precision and recall of F,D generated against R,D real features.

    The radius of a ball is the distance to the k-th neighbour in the same set. With `strict`, a
    point on the surface is outside. Raises `InputError` for fewer than k + 1 rows.

    >>> line = np.arange(8, dtype=np.float32)[:, None]
    >>> precision_recall(line, line + 100)
    (0.0, 0.0)
    >>> precision_recall(line, line[:4] + 0.5)
    (1.0, 0.875)
    """
    sides = [torch.from_numpy(np.asarray(side, np.float64)) for side in (real, fake)]
    if min(map(len, sides)) <= k:
        raise InputError(f"{min(map(len, sides))} images: precision and recall need {k + 1}")
    radii = [
        torch.cat(
            [
                _distances(rows, side).kthvalue(k + 1).values
                for rows in torch.split(side, BLOCK_ROWS)
            ]
        )
        for side in sides
    ]
    shares = []
    for points, centres, radius in ((sides[1], sides[0], radii[0]), (sides[0], sides[1], radii[1])):
        inside = 0
        for rows in torch.split(points, BLOCK_ROWS):
            distances = _distances(rows, centres)
            found = distances < radius if strict else distances <= radius
            inside += int(found.any(1).sum())
        shares.append(inside / len(points))
    return shares[0], shares[1]


def _distances(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.cdist(x, y, compute_mode="use_mm_for_euclid_dist")


def course_values(
    submission: str | Path,
    settings: ScoreSettings,
    *,
    explain: bool = False,
    progress: Progress | None = None,
) -> list[CourseValue]:
    """Return the course's numbers of a submission beside those of this package.

    `settings` name real images as reference; its extractor computes this package's own numbers
    (`digits` for grey images of 28 px, else `inception`). With `explain`, every number of the
    course is computed again with one thing changed. Raises what `Scorer` raises, and `UsageError`
    when the reference holds no images.
    """
    _require_images(settings)
    with tempfile.TemporaryDirectory(prefix="latentbench-course-") as folder:
        return list(_values(submission, settings, Path(folder), explain, progress))


def _values(
    submission: str | Path,
    settings: ScoreSettings,
    folder: Path,
    explain: bool,
    progress: Progress | None,
) -> Iterator[CourseValue]:
    num, own = _size_and_extractor(submission, settings)
    if num < K + 2:
        raise InputError(f"{num} images are too few for these numbers: give at least {K + 2}")
    fid = _Way(extractor="inception", protocol="pytorch-fid")
    balls = _Way(
        extractor="vgg16",
        protocol="improved-precision-recall",
        layer="fc2",
        limit=NUM_IMAGES,
    )
    fid_ways, ball_ways = [fid], [balls]
    jpegs: str | Path = submission
    if explain:
        fewer = max(num // 2, K + 2)
        fid_ways += [
            replace(fid, changed=f"saved as JPEG, quality {JPEG_QUALITY}", jpeg=True),
            replace(fid, changed="resized as clean-fid", protocol="clean-fid"),
            replace(fid, changed="resized as torch-fidelity", protocol="torch-fidelity"),
            replace(fid, changed=f"extractor {own}", extractor=own, protocol=None),
            replace(fid, changed=f"the first {fewer:,} images", limit=fewer),
        ]
        fewer = max(min(num, NUM_IMAGES) // 2, K + 2)
        ball_ways += [
            replace(balls, changed=f"saved as JPEG, quality {JPEG_QUALITY}", jpeg=True),
            replace(balls, changed="resized as torch-fidelity", protocol="torch-fidelity"),
            replace(balls, changed=f"extractor {own}", extractor=own, protocol=None, layer=None),
            replace(balls, changed=f"the first {fewer:,} images", limit=fewer),
            replace(balls, changed="a point on a ball counts as inside", strict=False),
        ]
        jpegs = _as_jpeg(submission, settings, folder / "jpeg")
    done, total = 0, len(fid_ways) + len(ball_ways) + 1

    def step() -> None:
        nonlocal done
        done += 1
        if progress is not None:
            progress("course", done, total)

    base: dict[str, float] = {}
    for way in fid_ways:
        record = _scorer(settings, way, ["fid"]).score(
            jpegs if way.jpeg else submission, limit=way.limit
        )
        found = [("fid", record.value("fid"))]
        yield from _rows(found, "pytorch-fid", record.submission.num_images, way, base)
        step()
    features = _Features(settings)
    for way in ball_ways:
        real = features.of(settings.reference, way)
        fake = features.of(jpegs if way.jpeg else submission, way)
        pair = precision_recall(real, fake, strict=way.strict)
        found = list(zip(METRICS[1:], pair, strict=True))
        yield from _rows(found, "improved-precision-recall", len(fake), way, base)
        step()
    own_way = _Way(extractor=own)
    record = _scorer(settings, own_way, ["fid", f"precision_k{K}", f"recall_k{K}"]).score(
        submission
    )
    for entry in record.values:
        if entry.value is not None:
            metric = entry.metric.removesuffix(f"_k{K}")
            num_scored = record.submission.num_images
            yield CourseValue(metric, f"latentbench, {own}", entry.value, num_scored)
    step()


def _rows(
    found: Sequence[tuple[str, float]], tool: str, num: int, way: _Way, base: dict[str, float]
) -> Iterator[CourseValue]:
    """Yield values; the first of a metric is the course's own."""
    for metric, value in found:
        difference = value - base[metric] if way.changed else None
        base.setdefault(metric, value)
        yield CourseValue(metric, tool, value, num, way.changed, difference)


def _scorer(settings: ScoreSettings, way: _Way, metrics: list[str]) -> Scorer:
    return Scorer(replace(_with_network(settings, way), metrics=metrics))


def _with_network(settings: ScoreSettings, way: _Way) -> ScoreSettings:
    """Return the settings with the network of this way; only hosted ones take weights."""
    hosted = isinstance(extractor_row(way.extractor).weights, HostedWeights)
    return replace(
        settings,
        extractor=way.extractor,
        protocol=way.protocol,
        layer=way.layer,
        precision=None,
        compiled=False,
        weights=settings.weights if hosted else None,
        unverified_weights=settings.unverified_weights and hosted,
    )


class _Features:
    """Features of the first images of a path, each computed once."""

    def __init__(self, settings: ScoreSettings) -> None:
        self._settings = settings
        self._device = select_device(settings.device)
        self._loaded: dict[tuple[str, str | None, str | None], Extractor] = {}
        self._found: dict[tuple[str, str, str | None], NDArray[np.float32]] = {}

    def of(self, path: str | Path, way: _Way) -> NDArray[np.float32]:
        key = (str(path), way.extractor, way.protocol)
        if key not in self._found:
            self._found[key] = self._computed(path, way)
        return self._found[key][: way.limit]

    def _computed(self, path: str | Path, way: _Way) -> NDArray[np.float32]:
        extractor = self._extractor(way)
        parts: list[NDArray[np.float32]] = []
        with _stream(path, self._settings, limit=NUM_IMAGES) as stream:
            parts.extend(extractor(images).values for images in stream)
        stream.report.raise_if_invalid()
        return np.concatenate(parts)

    def _extractor(self, way: _Way) -> Extractor:
        key = (way.extractor, way.protocol, way.layer)
        if key not in self._loaded:
            choice = _with_network(self._settings, way).extractor_choice
            self._loaded[key] = extractor_row(way.extractor).resolve(choice).load(self._device)
        return self._loaded[key]


def _stream(path: str | Path, settings: ScoreSettings, limit: int | None = None) -> ImageStream:
    return ImageStream(path, limit=limit, resize=settings.size)


def _size_and_extractor(submission: str | Path, settings: ScoreSettings) -> tuple[int, str]:
    """Return the number of images, and the extractor of this package's own numbers."""
    shape: tuple[int, ...] = ()
    with _stream(submission, settings) as stream:
        for images in stream:
            shape = images.shape[1:]
    stream.report.raise_if_invalid()
    usual = "digits" if shape[:2] == (28, 28) else "inception"
    return stream.report.num_files, settings.extractor or usual


def _as_jpeg(submission: str | Path, settings: ScoreSettings, folder: Path) -> Path:
    """Save the images as JPEG files, under names in the same order."""
    folder.mkdir(parents=True)
    number = 0
    with _stream(submission, settings) as stream:
        for images in stream:
            for image in images:
                shown = image[..., 0] if image.shape[2] == 1 else image
                Image.fromarray(shown).save(folder / f"{number:08d}.jpg", quality=JPEG_QUALITY)
                number += 1
    return folder


def _require_images(settings: ScoreSettings) -> None:
    reference = str(settings.reference)
    if is_known(reference) and "/" not in reference:
        raise UsageError(
            f"--protocol {COURSE} needs the real images, and {sanitise(reference)!r} holds their "
            "features only: give a folder or file of real images as --reference, such as "
            "MNIST/raw/train-images-idx3-ubyte.gz"
        )
    if settings.weights is not None and Path(settings.weights).is_file():
        raise UsageError(
            f"--protocol {COURSE} needs the weights of two networks: give the folder that holds "
            "both files as --weights"
        )


def document(submission: str | Path, values: Sequence[CourseValue]) -> dict[str, object]:
    """Return the values as a JSON document."""
    return {
        "submission": sanitise(submission_name(submission)),
        "protocol": COURSE,
        "values": [value._asdict() for value in values],
    }
