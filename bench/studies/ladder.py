"""The perturbation ladder: does a score notice damage, and does more damage score worse?

Held-out real images are damaged in nine ways at five rising levels (`bench.data.perturbations`) and
scored like any submission. FID must rise strictly along every ladder. The other metrics are
recorded as well, because each of them is blind to some kind of damage.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.data.datasets import load_dataset
from bench.data.perturbations import NUM_LEVELS, PERTURBATIONS, RealImages
from bench.errors import InputError, UsageError
from bench.records.score_record import ScoreRecord
from bench.runtime.progress import Progress
from bench.runtime.whole_files import write_atomically
from bench.scoring.scorer import Scorer
from bench.studies.study_folder import RECORDS

UNDAMAGED = "none"
SEPARATOR = "@"  # submissions are named PERTURBATION@LEVEL, with levels 0 to 5
COMMAND = "command.txt"

Ladder = dict[str, list[float | None]]  # perturbation -> values at levels 0 to 5


def run_ladder(
    scorer: Scorer, real: RealImages, *, seed: int = 0, progress: Progress | None = None
) -> list[ScoreRecord]:
    """Return the records of the undamaged images and of every perturbation at every level.

    Each level has its own generator, seeded by `seed`, perturbation and level, so a level does not
    depend on the levels before it.
    """
    total = 1 + NUM_LEVELS * len(PERTURBATIONS)
    records = [scorer.score_images(real.images, name=f"{UNDAMAGED}{SEPARATOR}0")]
    for row, perturbation in enumerate(PERTURBATIONS.values()):
        for number, level in enumerate(perturbation.levels, start=1):
            if progress is not None:
                progress("ladder", len(records), total)
            rng = np.random.default_rng([seed, row, number])
            images = perturbation.apply(real, level, rng)
            name = f"{perturbation.name}{SEPARATOR}{number}"
            records.append(scorer.score_images(images, name=name))
    return records


def ladder_of(records: Sequence[ScoreRecord], metric: str) -> Ladder:
    """Return the values of one metric by perturbation, each list starting with the undamaged value.

    Raises `InputError` for a missing level or metric, or a record that is not part of a ladder.
    """
    values: dict[tuple[str, int], float | None] = {}
    for record in records:
        name, _, level = record.submission.name.rpartition(SEPARATOR)
        if not level.isdecimal():
            raise InputError(f"{record.submission.name!r} is not the record of a ladder")
        found = {entry.metric: entry.value for entry in record.values}
        if metric not in found:
            raise InputError(f"record {record.submission.name!r} holds no {metric!r}")
        values[name, int(level)] = found[metric]
    ladder: Ladder = {}
    try:
        for name in PERTURBATIONS:
            ladder[name] = [values[UNDAMAGED, 0]] + [
                values[name, level] for level in range(1, NUM_LEVELS + 1)
            ]
    except KeyError as error:
        raise InputError(f"the ladder lacks the record of {error}") from error
    return ladder


def not_rising(ladder: Ladder) -> list[str]:
    """Return the perturbations along which the values do not rise strictly.

    >>> not_rising({"blur": [1.0, 2.0, 2.0], "noise": [1.0, 2.0, 3.0], "crop": [1.0, None, 3.0]})
    ['blur', 'crop']
    """
    return [
        name
        for name, values in ladder.items()
        if any(a is None or b is None or not a < b for a, b in itertools.pairwise(values))
    ]


def run_study(
    out: Path,
    *,
    data: str,
    other: str,
    data_root: Path | None = None,
    download: bool = False,
    num_images: int = 5_000,
    seed: int = 0,
    progress: Progress | None = None,
) -> None:
    """Run the ladder on the test split of a data set, against the reference of the same name.

    `other` is the data set whose images one perturbation mixes in. `records.jsonl` and
    `command.txt` in `out` are replaced once everything has been scored. Raises `UsageError` when
    the test split has fewer than `num_images` images.
    """
    pool = load_dataset(data, "test", data_root=data_root, download=download)
    if num_images > len(pool.images):
        raise UsageError(
            f"{data} has {len(pool.images)} test images, fewer than the {num_images} asked for; "
            "lower --num-images"
        )
    chosen = np.random.default_rng(seed).permutation(len(pool.images))[:num_images]
    mixed_in = load_dataset(other, "test", data_root=data_root, download=download).images
    real = RealImages(pool.images, pool.labels, chosen, mixed_in)
    records = run_ladder(Scorer(reference=data), real, seed=seed, progress=progress)
    command = f"latentbench ladder --data {data} --other {other} -n {num_images} --seed {seed}"
    lines = "".join(record.model_dump_json() + "\n" for record in records)
    write_atomically(out / RECORDS, lines.encode())
    write_atomically(out / COMMAND, f"{command}\n".encode())
