"""Rows of the one-class benchmark: single fits, means with intervals, differences.

Each row is one JSON object. Kinds: "class", a detector on one class with one seed; "mean" of a
detector over classes and seeds; "pair", two detectors compared; "contamination", a detector with a
share of one class mixed in; and "contamination-mean", its mean over the pairs of classes.

A row belongs to a variant of a detector: with a budget, on an extractor's features.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.anomaly.benchmark.jobs import Cell
from bench.anomaly.benchmark.mean_auc import FitInfluence, MeanAuc, difference, influence, mean_auc
from bench.anomaly.benchmark.score_files import read_scores
from bench.anomaly.choices import variant
from bench.anomaly.detectors import DETECTORS
from bench.anomaly.detectors.seen import seen_by
from bench.statistics.intervals import holm

Row = dict[str, Any]
I64 = NDArray[np.int64]
Pairs = Sequence[tuple[int, int]]  # normal class, contaminant
UNRECORDED = "not recorded"


class Fit(NamedTuple):
    """A finished fit: what was fitted, its numbers, and the folder of its scores."""

    cell: Cell
    values: Row
    folder: Path


def rows_of(fits: Sequence[Fit], labels: I64, *, pairs: Pairs = ()) -> list[Row]:
    """Return the rows of fits. `labels` are those of the test split, `pairs` those of the
    contamination study. Raises `InputError` for missing scores.
    """
    plain = [fit for fit in fits if fit.cell.contaminant is None]
    mixed = [fit for fit in fits if fit.cell.contaminant is not None]
    rows = [_fit_row("class", fit) for fit in plain]
    means = _means(plain, labels)
    for name, mean in means.items():
        own = [row for row in rows if row["detector"] == name and row["seed"] in mean.seeds]
        rows.append(_mean_row(mean, own))
    rows += _pair_rows({_variant(name, plain): mean for name, mean in means.items()}, plain)
    rows += [_fit_row("contamination", fit) for fit in mixed]
    return rows + _mixed_rows(mixed, labels, pairs)


def _about(cell: Cell) -> Row:
    row = DETECTORS.find(cell.detector)
    seen = seen_by(row, cell.extractor or None, cell.data)
    return {
        "data": cell.data,
        "detector": cell.detector,
        "title": row.title,
        "source": row.source,
        "labels": seen.labels,
        "seen": seen.words,
        "trains": row.trains,
        "seeded": row.seeded,
        "budget": cell.budget,
        "extractor": cell.extractor,
    }


def _fit_row(kind: str, fit: Fit) -> Row:
    cell, values = fit.cell, fit.values
    return {
        "kind": kind,
        **values,
        **_about(cell),
        "normal_class": cell.normal_class,
        "seed": cell.seed,
        "contaminant": cell.contaminant,
        "share": cell.share,
        "device": values.get("device", UNRECORDED),
        "data_digest": values.get("data_digest"),
        "code": values.get("code"),
    }


def _variant(name: str, fits: Sequence[Fit]) -> str:
    cell = next(fit.cell for fit in fits if fit.cell.detector == name)
    return variant(name, cell.budget, cell.extractor)


def _influence(fit: Fit, labels: I64) -> FitInfluence:
    anomalous = (labels != fit.cell.normal_class).astype(np.int64)
    num_scores = fit.values["num_normal"] + fit.values["num_anomalous"]
    scores = read_scores(fit.folder, num_test=len(labels), num_scores=num_scores)
    return influence(scores, anomalous)


def _means(fits: Sequence[Fit], labels: I64) -> dict[str, MeanAuc]:
    """Return the means of detectors that have every class, over the seeds that have every class."""
    found: dict[str, dict[tuple[int, int], FitInfluence]] = {}
    for fit in fits:
        own = found.setdefault(fit.cell.detector, {})
        own[fit.cell.normal_class, fit.cell.seed] = _influence(fit, labels)
    classes = np.unique(labels).tolist()
    means = {}
    for name, own in found.items():
        seeds = {seed for _, seed in own}
        whole = {s for s in seeds if all((c, s) in own for c in classes)}
        if whole:
            means[name] = mean_auc({place: fit for place, fit in own.items() if place[1] in whole})
    return means


def _interval(mean: MeanAuc) -> Row:
    return {
        "auc": mean.auc,
        "standard_error": mean.standard_error,
        "low": mean.low,
        "high": mean.high,
    }


def _over(rows: Sequence[Row], keys: Sequence[str]) -> Row:
    return {key: float(np.mean([row[key] for row in rows])) for key in keys}


def _mean_row(mean: MeanAuc, own: Sequence[Row]) -> Row:
    about = ("data", "detector", "title", "source", "labels", "seen", "trains", "seeded")
    return {
        "kind": "mean",
        **{key: own[0][key] for key in (*about, "budget", "extractor")},
        **_interval(mean),
        "seed_sd": mean.seed_sd,
        "seeds": list(mean.seeds),
        "num_seeds": len(mean.seeds),
        "num_classes": mean.num_classes,
        **_over(own, ("average_precision", "fpr_at_95_tpr", "fit_s", "score_s")),
        "device": "; ".join(sorted({row["device"] for row in own})),
    }


def _pair_rows(means: dict[str, MeanAuc], fits: Sequence[Fit]) -> list[Row]:
    """Return a row for every two variants, the better one second, with p-values adjusted for their
    number.
    """
    ordered = sorted(means, key=lambda name: means[name].auc)
    pairs = list(itertools.combinations(ordered, 2))
    found = [difference(means[first], means[second]) for first, second in pairs]
    adjusted = holm([one.p_value for one in found])
    return [
        {
            "kind": "pair",
            "data": fits[0].cell.data,
            "first": first,
            "second": second,
            "estimate": one.estimate,
            "low": one.low,
            "high": one.high,
            "p_value": one.p_value,
            "p_adjusted": p,
        }
        for (first, second), one, p in zip(pairs, found, adjusted, strict=True)
    ]


def _mixed_rows(fits: Sequence[Fit], labels: I64, pairs: Pairs) -> list[Row]:
    """Return the means over the pairs of classes, of detectors that have all pairs."""
    by_curve: dict[tuple[str, float], dict[tuple[int, int], Fit]] = {}
    for fit in fits:
        cell = fit.cell
        own = by_curve.setdefault((cell.detector, cell.share), {})
        own[cell.normal_class, int(cell.contaminant or 0)] = fit
    rows = []
    for (_, share), own in by_curve.items():
        if len(pairs) < 2 or set(own) != set(pairs):
            continue
        mean = mean_auc(
            {(place, 0): _influence(own[pair], labels) for place, pair in enumerate(pairs)}
        )
        row = {"kind": "contamination-mean", **_about(own[pairs[0]].cell), **_interval(mean)}
        names = ", ".join(f"{normal}+{mixed}" for normal, mixed in pairs)
        rows.append(row | {"share": share, "pairs": names, "num_pairs": len(pairs)})
    return rows
