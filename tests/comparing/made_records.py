"""Records to compare, with values and intervals made by hand."""

from __future__ import annotations

from pathlib import Path

from bench.comparing.comparison import Comparison
from bench.records.score_record import IntervalEntry, ScoreRecord, ScoreValue, write_record
from bench.statistics.intervals import Uncertainty, normal_interval
from tests.records.test_score_record import record

DIRECTIONS = {"fid": "lower", "recall_k3": "higher", "density_k5": "target", "kid_poly3": "lower"}


def value(
    metric: str, number: float | None, interval: Uncertainty | None = None, **more: object
) -> ScoreValue:
    fields = {
        "metric": metric,
        "value": number,
        "reason": None if number is not None else "too few images, got 1",
        "direction": DIRECTIONS.get(metric, "lower"),
        "expected": 1.0 if metric == "density_k5" else None,
        "unit": "x",
        "n_real": 100,
        "n_fake": 1000,
        "interval": None if interval is None else IntervalEntry(**interval._asdict(), level=0.95),
    }
    return ScoreValue.model_validate(fields | more)


def scored(*values: ScoreValue, images: str = "", name: str = "samples") -> ScoreRecord:
    """A record of some images; other `images` are another draw."""
    made = record(name, values)
    digest = (images or "c").ljust(64, "0")
    return made.model_copy(
        update={"submission": made.submission.model_copy(update={"sequence_digest": digest})}
    )


def normal(metric: str, number: float, error: float, **more: object) -> ScoreValue:
    return value(metric, number, normal_interval(number, error, "test"), **more)


def changed(**update: object) -> ScoreRecord:
    return record().model_copy(update=update)


def written(folder: Path, base: ScoreRecord, new: ScoreRecord) -> list[str]:
    for name, each in (("base.json", base), ("new.json", new)):
        write_record(each, folder / name)
    return [str(folder / "base.json"), str(folder / "new.json")]


def pair_of(name: str = "samples") -> tuple[ScoreRecord, ScoreRecord]:
    base = scored(normal("fid", 9.0, 0.1), value("prd_f8", 0.5), name=name)
    new = scored(normal("fid", 9.6, 0.1), value("prd_f8", 0.4), name=name, images="d")
    return base, new


def only(comparison: Comparison):
    (change,) = comparison.changes
    return change
