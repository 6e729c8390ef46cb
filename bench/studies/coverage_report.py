"""The page of the study of intervals, from its records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bench.errors import NothingFoundError
from bench.plots import new_figure, save_figure
from bench.plots.coverage import ACCEPTED, plot_coverage
from bench.runtime.whole_files import write_atomically
from bench.statistics.intervals import LEVEL
from bench.studies.coverage_populations import MANY, NUM_REAL

TEXT = f"""Images are drawn from known populations again and again, scored, and the share of \
95 % intervals that hold the true value is counted; {ACCEPTED[0]:.0%} to {ACCEPTED[1]:.0%} is \
accepted. In brackets: Wilson's interval of that share.

- `gaussian`: 16 features with known moments; `digits`: features of MNIST's test images (extractor \
`digits`, 128 features), drawn with replacement with a weight by class, plus a fifth of the spread \
of real digits as noise, so that no two are equal. *Far*: against another reference, standard \
normal features or MNIST's train split. *Same*: the reference is the population itself, so that \
distances are zero.
- The reference is held fixed: an interval is about the draw of the folder. Neighbours, KID and \
PRD see {NUM_REAL:,} of its images, where a real reference has 10,000.
- The truth is known for `fid` and `fid_infinity` (moments), and for `class_kl`, `modes_covered` \
and `mean_confidence` from {MANY:,} images. For the others it is the expectation at this number of \
images, the mean over the same draws.
- *sd* is the deviation of the estimates over the draws, *se* the root mean square of the standard \
errors, *boot* the standard error over the deviation of {{resamples}} bootstrap resamples of one \
draw. Resamples hold copies, which changes metrics of neighbours and the pairs behind `fid`: there \
the bootstrap itself is off, and *sd* is the judge.
- `fid_test` has the interval of `fid` with other moments and is left out.
"""


def render_study(out: Path) -> list[str]:
    """Write README.md and coverage.svg; the cases outside of what is accepted."""
    path = out / "records.jsonl"
    if not path.is_file():
        raise NothingFoundError(f"{path}: no records of a study; run it first")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    first = rows[0]
    lines = [
        "# Do the intervals hold the truth?",
        "",
        f"Made by `latentbench study uncertainty --draws {first['draws']} --seed {first['seed']}`.",
        "",
        TEXT.format(resamples=first["resamples"]),
        "![share of intervals that hold the true value](coverage.svg)",
        "",
    ]
    groups = list(dict.fromkeys((row["population"], row["n"]) for row in rows))
    for population, n in groups:
        chosen = [row for row in rows if (row["population"], row["n"]) == (population, n)]
        lines += [f"## {population}, {n:,} images, {chosen[0]['draws']} draws", ""]
        lines += _table(chosen)
    outside = [row for row in rows if not accepted(row)]
    lines += ["## Outside of what is accepted", ""]
    lines += [
        f"- {row['metric']} on {row['population']}, {row['n']:,} images: {row['covered']:.1%} "
        f"({row['covered_low']:.1%} to {row['covered_high']:.1%})"
        for row in outside
    ] or ["None."]
    lines += ["", "## What the bias correction of FID does", ""]
    lines += _correction([row for row in rows if row["metric"] == "fid"])
    write_atomically(out / "README.md", "\n".join(lines).encode())
    _draw(out, rows, groups)
    return [f"{row['metric']} ({row['population']}, {row['n']})" for row in outside]


def accepted(row: dict[str, Any]) -> bool:
    """Whether the rate is in the band."""
    return bool(ACCEPTED[0] <= row["covered"] <= ACCEPTED[1])


def _table(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        "| metric | true | mean value | mean estimate | sd | se | width | holds | boot |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        ratio = "" if row["bootstrap_ratio"] is None else f"{row['bootstrap_ratio']:.2f}"
        held = f"{row['covered']:.1%} ({row['covered_low']:.1%} to {row['covered_high']:.1%})"
        held += "" if row["num"] == row["draws"] else f", {row['num']} draws have one"
        numbers = [f"{row[key]:.4g}" for key in ("truth", "mean_value", "mean_estimate")]
        numbers += [f"{row[key]:.3g}" for key in ("sd", "mean_se", "mean_width")]
        lines.append(f"| {row['metric']} | {' | '.join(numbers)} | {held} | {ratio} |")
    return [*lines, ""]


def _correction(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        "The same standard error around the value itself, and around the corrected one:",
        "",
        "| population | images | true | mean value | holds | mean corrected | holds |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {row['population']} | {row['n']:,} | {row['truth']:.3f} | {row['mean_value']:.3f} | "
        f"{row['covered_uncorrected']:.1%} | {row['mean_estimate']:.3f} | {row['covered']:.1%} |"
        for row in rows
    ]
    return [*lines, ""]


def _draw(out: Path, rows: list[dict[str, Any]], groups: list[tuple[str, int]]) -> None:
    metrics = list(dict.fromkeys(row["metric"] for row in rows))
    series = {
        f"{population}, {n:,}": {
            row["metric"]: (row["covered"], row["covered_low"], row["covered_high"])
            for row in rows
            if (row["population"], row["n"]) == (population, n)
        }
        for population, n in groups
    }
    figure = new_figure(7.5, 1 + 0.6 * len(metrics))
    figure.set_facecolor("white")
    plot_coverage(metrics, series, ax=figure.subplots(), level=LEVEL)
    save_figure(figure, out / "coverage.svg")
