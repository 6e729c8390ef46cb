"""One detector fitted and judged: its scores, the numbers read from them, and its cost.

An oracle is tuned on a tenth of the labelled images, with the same share of both kinds, and judged
on the others only, as in Ruff et al. (ICML 2018). The choice of the tenth depends on the labels
only, so that a deterministic oracle is the same for every seed.

Shape legend: N normal images, M labelled ones, H,W,C an image.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.anomaly.detectors import Detector, DetectorRow
from bench.anomaly.detectors.base import Option, StackFitting, Telling
from bench.anomaly.detectors.failures import WatchedSettings, checked_scores
from bench.errors import UsageError
from bench.statistics.roc import RocNumbers, roc_numbers

ORACLE_SHARE = 0.1
ORACLE_SEED = 0

U8 = NDArray[np.uint8]
I64 = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Task:
    """Normal images to learn from (uint8 N,H,W,C), and labelled images (label 1 is anomalous).
    `held_out` are further normal images, from whose scores a cut-off is taken.
    """

    normal: U8
    images: U8
    labels: I64
    held_out: U8 | None = None


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A judged detector. `rows` int64 are the judged images: all except those that an oracle was
    tuned on; `scores` float64 belong to them, and `held_out` to the held-out normal images. Times
    are in seconds.
    """

    row: DetectorRow
    detector: Detector
    rows: I64
    scores: NDArray[np.float64]
    numbers: RocNumbers
    fit_s: float
    score_s: float
    held_out: NDArray[np.float64] | None = None

    @property
    def options(self) -> dict[str, Option]:
        """Every option as it was used, where the detector reports it."""
        return self.detector.settled() if isinstance(self.detector, Telling) else {}


def oracle_rows(labels: I64, share: float = ORACLE_SHARE) -> I64:
    """Return the labelled images that an oracle may see: a fixed random `share` of each kind, at
    least one. Raises `UsageError` when none of a kind would remain.
    """
    rng = np.random.default_rng(ORACLE_SEED)
    chosen = []
    for kind in (0, 1):
        rows = np.flatnonzero(labels == kind)
        num = max(1, math.floor(share * len(rows)))
        if len(rows) < 2:
            raise UsageError(
                f"{len(rows)} {('normal', 'anomalous')[kind]} image{'s' if len(rows) != 1 else ''} "
                "to judge by: an oracle is tuned on one and judged on another; give two or more, "
                "or take a detector without labels"
            )
        chosen.append(rng.permutation(rows)[:num])
    return np.sort(np.concatenate(chosen))


def judge(
    row: DetectorRow,
    task: Task,
    *,
    seed: int,
    device: str,
    extractor: str,
    options: Mapping[str, float | int | str] | None = None,
) -> Judged:
    """Fit a detector to the normal images and judge it on the labelled ones. Raises what the
    detector raises, `UsageError` for options that it never reads, and `LatentbenchError` for scores
    that are not one finite number per image.
    """
    (found,) = judge_stack(
        row, [task], seeds=[seed], device=device, extractor=extractor, options=options
    )
    return found


def judge_stack(
    row: DetectorRow,
    tasks: Sequence[Task],
    *,
    seeds: Sequence[int],
    device: str,
    extractor: str,
    options: Mapping[str, float | int | str] | None = None,
) -> list[Judged]:
    """Fit one detector per task, as one program where the detector supports it, and judge each.
    Each gets an equal share of the time of the fit. Raises what `judge` raises.
    """
    oracles = [oracle_rows(task.labels) if row.labels == "test" else None for task in tasks]
    settings = [
        WatchedSettings(
            seed=seed,
            device=device,
            extractor=extractor,
            options=dict(options or {}),
            oracle_images=None if tuned is None else task.images[tuned],
            oracle_labels=None if tuned is None else task.labels[tuned],
        )
        for task, seed, tuned in zip(tasks, seeds, oracles, strict=True)
    ]
    start = time.perf_counter()
    detectors = [row.make(chosen) for chosen in settings]
    normals = [task.normal for task in tasks]
    first = detectors[0]
    if len(detectors) > 1 and isinstance(first, StackFitting):
        first.fit_stack(detectors[1:], normals)
    else:
        for one, normal in zip(detectors, normals, strict=True):
            one.fit(normal)
    for chosen in settings:
        chosen.require_read(row.name)
    fit_s = (time.perf_counter() - start) / len(detectors)
    return [
        _judged(row, one, task, tuned, fit_s)
        for one, task, tuned in zip(detectors, tasks, oracles, strict=True)
    ]


def _judged(
    row: DetectorRow, detector: Detector, task: Task, tuned: I64 | None, fit_s: float
) -> Judged:
    """Judge a fitted detector on the images that it was not tuned on."""
    rows = np.arange(len(task.labels))
    if tuned is not None:
        rows = np.delete(rows, tuned)
    start = time.perf_counter()
    scores = checked_scores(row.name, detector.scores(task.images[rows]), len(rows))
    score_s = round(time.perf_counter() - start, 4)
    held_out = None
    if task.held_out is not None:
        found = detector.scores(task.held_out)
        held_out = checked_scores(row.name, found, len(task.held_out))
    return Judged(
        row=row,
        detector=detector,
        rows=rows,
        scores=scores,
        numbers=roc_numbers(scores, task.labels[rows]),
        fit_s=round(fit_s, 4),
        score_s=score_s,
        held_out=held_out,
    )
