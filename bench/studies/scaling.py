"""How often a wrong scale is named, on samples of generators that were saved rightly.

Every folder is drawn from in several compositions, saved in several ways, and judged twice: by the
audit of its content and by a score. The levels of a rightly saved image are rounded values; a
uniform offset of half a level makes them continuous again before they are saved in another way.

    saved      what was done with x in -1..1, the generator's output
    rightly    (x + 1) * 127.5, rounded
    unscaled   x * 255, rounded and clipped, as torchvision's save_image does
    clipped    x clipped to 0..1, times 255, cut to an integer
    doubled    (y + 1) * 127.5 of y = (x + 1) / 2
    wrapped    x * 255, cut to an integer and converted to uint8
    inverted   255 minus the level

Shape legend: N images, H rows, W columns, C channels, K classes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import UsageError
from bench.extractors.base import luma
from bench.intake import read_images
from bench.records.score_record import FindingEntry
from bench.runtime.progress import Progress
from bench.scoring.content_audit import audit_content
from bench.scoring.scorer import Scorer
from bench.scoring.settings import ScoreSettings
from bench.studies.study_folder import RECORDS, Row, read_rows, write_page, write_rows
from bench.tables.escaping import markdown_table

U8 = NDArray[np.uint8]
I64 = NDArray[np.int64]
Values = NDArray[np.floating[Any]]  # of pixels, -1 to 1

NOISE_SD = 4.0  # grey levels
ONE, SHARE_OF_ONES = 1, 0.4
MISSING = (3, 8)
MIN_IMAGES = 50  # in a folder; the beginning of a training may show nothing but one class
EARLY = "early"  # begins the name of samples from the beginning of a training
SCALING = ("value-range-", "inverted-polarity")  # how the codes of wrong scales begin
METRIC = "modes_covered"  # the score runs the classifier in any case; its metrics do not matter


def _values(images: U8, rng: np.random.Generator) -> Values:
    """Return continuous values in -1..1 that are saved as `images`."""
    offset = rng.uniform(-0.5, 0.5, images.shape).astype(np.float32)
    offset[images == 0] = 0  # most of these levels were exactly at the end
    offset[images == 255] = 0
    return (images + offset) / np.float32(127.5) - 1


def _rightly(x: Values) -> U8:
    return ((x + 1) * 127.5 + 0.5).clip(0, 255).astype(np.uint8)


def _unscaled(x: Values) -> U8:
    return (x * 255 + 0.5).clip(0, 255).astype(np.uint8)


def _clipped(x: Values) -> U8:
    return (x.clip(0, 1) * 255).astype(np.uint8)


def _doubled(x: Values) -> U8:
    return _rightly((x + 1) / 2)


def _wrapped(x: Values) -> U8:
    return (x * 255).astype(np.int64).astype(np.uint8)


def _inverted(x: Values) -> U8:
    return 255 - _rightly(x)


# The code that names each way of saving, "" for the right one.
SAVED: dict[str, tuple[Callable[[Values], U8], str]] = {
    "rightly": (_rightly, ""),
    "unscaled": (_unscaled, "value-range-tanh"),
    "clipped": (_clipped, "value-range-tanh"),
    "doubled": (_doubled, "value-range-twice"),
    "wrapped": (_wrapped, "value-range-wrapped"),
    "inverted": (_inverted, "inverted-polarity"),
}


def saved(images: U8, how: str, seed: int = 0) -> U8:
    """Return rightly saved images as they would be in another way of `SAVED`.

    >>> saved(np.array([[[[0], [64], [255]]]], np.uint8), "inverted").ravel().tolist()
    [255, 191, 0]
    """
    return SAVED[how][0](_values(images, np.random.default_rng(seed)))


def noisy(images: U8, seed: int = 0) -> U8:
    """Return images with normal noise of sd 4 on their grey levels."""
    noise = np.random.default_rng(seed).normal(0, NOISE_SD, images.shape)
    return np.rint(images + noise).clip(0, 255).astype(np.uint8)


def compositions(labels: I64, num_images: int, seed: int = 0) -> dict[str, I64]:
    """Return positions of `num_images` images for each composition, by predicted class.

    Where a class has too few images, those of other classes take their place.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    num_classes = int(labels.max()) + 1
    rank = np.empty(len(labels), np.int64)  # of an image within its class
    for k in range(num_classes):
        of_class = order[labels[order] == k]
        rank[of_class] = np.arange(len(of_class))
    is_one = labels[order] == ONE
    ones, others = order[is_one], order[~is_one]
    num_ones = min(round(SHARE_OF_ONES * num_images), len(ones))
    found = {
        "balanced": order[np.argsort(rank[order], kind="stable")],
        "40 % ones": np.concatenate([ones[:num_ones], others]),
        "two classes missing": order[~np.isin(labels[order], MISSING)],
    }
    return {name: np.sort(rows[:num_images]) for name, rows in found.items()}


def scaling_codes(findings: Iterable[FindingEntry]) -> list[str]:
    """Return the codes among the findings that are about a wrong scale."""
    return [finding.code for finding in findings if finding.code.startswith(SCALING)]


def run_study(
    out: Path,
    samples: Sequence[Path],
    *,
    reference: str = "mnist",
    num_images: int = 1_000,
    seed: int = 0,
    progress: Progress | None = None,
) -> None:
    """Judge every folder or array of `samples` in all ways, and write the records to `out`.

    Samples that the records hold already are left out, so that a second run resumes. Raises
    `UsageError` if there are no samples, and what reading them raises.
    """
    if not samples:
        raise UsageError(
            "study scaling needs samples: name one or more folders of generated images"
        )
    rows = read_rows(out) if (out / RECORDS).is_file() else []
    scorer = Scorer(ScoreSettings(reference=reference, metrics=METRIC, use_cache=False))
    for number, path in enumerate(samples):
        if not any(row["samples"] == path.stem for row in rows):
            rows += _judged(path, scorer, reference, num_images, seed)
            write_rows(out, rows)
        if progress is not None:
            progress("judge", number + 1, len(samples))


def _judged(
    path: Path, scorer: Scorer, reference: str, num_images: int, seed: int
) -> Iterator[Row]:
    report = read_images(path)
    assert report.images is not None  # noqa: S101 - read_images raises otherwise
    images = luma(report.images.images)
    features = scorer.targets[0].network(images)
    assert features.logits is not None  # noqa: S101 - the reference has classes
    chosen = compositions(features.logits.argmax(axis=1), num_images, seed)
    folders = {name: (rows, False) for name, rows in chosen.items() if len(rows) >= MIN_IMAGES}
    folders["noise of sd 4"] = (chosen["balanced"], True)
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary) / "samples.npy"
        for composition, (rows, has_noise) in folders.items():
            for how, (_, expected) in SAVED.items():
                judged = saved(images[rows], how, seed)
                np.save(file, noisy(judged, seed) if has_noise else judged)
                audited = scaling_codes(audit_content(file, reference)[1])
                scored = scaling_codes(scorer.score(file).findings)
                yield {
                    "samples": path.stem,
                    "digest": report.images.pixel_digest,
                    "composition": composition,
                    "saved": how,
                    "num_images": len(rows),
                    "expected": expected,
                    "audit": audited,
                    "score": scored,
                }


def is_right(row: Mapping[str, object]) -> bool:
    """Return whether audit and score name what was done, and nothing else about the scale."""
    expected = [row["expected"]] if row["expected"] else []
    return row["audit"] == row["score"] == expected


def figures(rows: Sequence[Row]) -> dict[str, float]:
    """Return shares over all rows: `named` of the wrong scales, `alarms` of the right ones, and
    `equal` answers of audit and score, with the numbers of both kinds of folders.

    >>> row = {"expected": "value-range-tanh", "audit": ["value-range-tanh"], "score": []}
    >>> figures([row])["named"], figures([row])["equal"]
    (0.0, 0.0)
    """
    wrong = [row for row in rows if row["expected"]]
    right = [row for row in rows if not row["expected"]]
    alarms = sum(bool(row["audit"] or row["score"]) for row in right)
    return {
        "num_wrong": len(wrong),
        "num_right": len(right),
        "named": sum(map(is_right, wrong)) / max(len(wrong), 1),
        "alarms": alarms / max(len(right), 1),
        "equal": sum(row["audit"] == row["score"] for row in rows) / max(len(rows), 1),
    }


def write_report(out: Path) -> None:
    """Write README.md of a study whose records are in `out`."""
    rows = read_rows(out)
    trained = [row for row in rows if not row["samples"].startswith(EARLY)]
    early = [row for row in rows if row["samples"].startswith(EARLY)]
    lines = [
        "# Which wrong scales are found",
        "",
        "Samples of generators, saved rightly and in five wrong ways, in several compositions. A "
        "folder counts as named if `audit --content` and `score` both name the way in which it was "
        "saved, and nothing else about its scale. Noise was added after saving.",
        "",
        "    latentbench study scaling SAMPLES... --out reports/scaling",
        "",
        *_table(trained),
        "",
        _summary(trained),
        "",
        "Samples: " + ", ".join(sorted({row["samples"] for row in trained})) + ".",
    ]
    if early:
        lines += [
            "",
            "## At the beginning of training",
            "",
            "Images of generators after a twentieth of their steps. Wrong scales need not be named "
            "here, but right ones must not be mistaken.",
            "",
            *_table(early),
            "",
            "Samples: " + ", ".join(sorted({row["samples"] for row in early})) + ".",
        ]
    write_page(out, lines)


def _table(rows: Sequence[Row]) -> list[str]:
    names = list(dict.fromkeys(row["composition"] for row in rows))
    cells = []
    for how, (_, code) in SAVED.items():
        cell = [how, f"`{code}`" if code else "nothing"]
        for name in names:
            some = [row for row in rows if row["saved"] == how and row["composition"] == name]
            cell.append(f"{sum(map(is_right, some))} of {len(some)}")
        cells.append(cell)
    return markdown_table(["saved", "to be found", *names], cells)


def _summary(rows: Sequence[Row]) -> str:
    found = figures(rows)
    return (
        f"Named: {100 * found['named']:.1f} % of {found['num_wrong']:.0f} wrong folders. Wrong "
        f"alarms: {100 * found['alarms']:.1f} % of {found['num_right']:.0f} right ones. Audit and "
        f"score agree on {100 * found['equal']:.1f} %."
    )
