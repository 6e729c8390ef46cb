"""The page and the figure of the study of the intervals, made from its records."""

from __future__ import annotations

from pathlib import Path

from bench.plots import new_figure, save_figure
from bench.plots.coverage import ACCEPTED, plot_coverage
from bench.statistics.intervals import LEVEL
from bench.studies.coverage_populations import MANY, NUM_REAL
from bench.studies.study_folder import Row, read_rows, write_page
from bench.tables.escaping import markdown_table

FIGURE = "coverage.svg"
GENERATOR = (
    "images of a trained model, drawn without replacement from the folder SAMPLES, whose features "
    "are the population; the reference is MNIST's train split"
)
TEXT = f"""Images are drawn many times from known populations and scored. The tables give the \
share of 95 % intervals that hold the true value; {ACCEPTED[0]:.1%} to {ACCEPTED[1]:.1%} is \
accepted. In brackets: Wilson's interval of that share.

- `gaussian`: 16 features with known moments. `digits`: features of MNIST's test images (extractor \
`digits`, 128 features), drawn with replacement with a weight for each class, plus noise with a \
fifth of the spread of real digits, so that no two are equal. *Far*: the reference differs \
(standard normal features, or MNIST's train split). *Same*: the reference is the population \
itself, so distances are zero. `generator`: {{source}}.
- The reference is held fixed: an interval describes the draw of the folder. Neighbours, KID and \
PRD use {NUM_REAL:,} reference images; a real reference has 10,000.
- The truth is known for `fid` and `fid_infinity` from the moments, and for `class_kl`, \
`modes_covered` and `mean_confidence` from {MANY:,} images. For the others it is the expectation \
at this number of images, estimated by the mean over the same draws.
- *sd*: standard deviation of the estimates over the draws. *se*: root mean square of the standard \
errors. *boot*: standard error relative to the standard deviation of {{resamples}} bootstrap \
resamples of one draw. Resamples contain copies, which changes metrics of neighbours and the pairs \
behind `fid`. The bootstrap is wrong there; compare with *sd* instead.
- `fid_test` is omitted: it is `fid` with other moments and has the same interval.
"""


def write_report(out: Path) -> list[str]:
    """Write README.md and coverage.svg into `out`; return the cases that are not accepted."""
    rows = read_rows(out)
    first = rows[0]
    generated = any(row["population"].startswith("generator") for row in rows)
    lines = [
        "# Do the intervals hold the truth?",
        "",
        f"Made by `latentbench study uncertainty --num-draws {first['draws']} "
        f"--seed {first['seed']}{' --samples SAMPLES' if generated else ''}`.",
        "",
        TEXT.format(
            resamples=first["resamples"],
            source=GENERATOR if generated else "images of a trained model (not measured here)",
        ),
        f"![share of intervals that hold the true value]({FIGURE})",
        "",
    ]
    groups = list(dict.fromkeys((row["population"], row["n"]) for row in rows))
    for population, n in groups:
        chosen = [row for row in rows if (row["population"], row["n"]) == (population, n)]
        lines += [f"## {population}, {n:,} images, {chosen[0]['draws']} draws", ""]
        lines += [*_table(chosen), ""]
    outside = [row for row in rows if not accepted(row)]
    lines += ["## Not accepted", ""]
    lines += [
        f"- {row['metric']} on {row['population']}, {row['n']:,} images: {row['covered']:.1%} "
        f"({row['covered_low']:.1%} to {row['covered_high']:.1%})"
        for row in outside
    ] or ["None."]
    lines += [
        "",
        "## What the bias correction of FID does",
        "",
        "The same standard error around the value itself, and around the corrected value:",
        "",
        *_correction([row for row in rows if row["metric"] == "fid"]),
    ]
    write_page(out, lines)
    _draw(out, rows, groups)
    return [f"{row['metric']} ({row['population']}, {row['n']})" for row in outside]


def accepted(row: Row) -> bool:
    """Tell whether the rate of a row lies in the accepted range."""
    return bool(ACCEPTED[0] <= row["covered"] <= ACCEPTED[1])


def _table(rows: list[Row]) -> list[str]:
    heads = ["metric", "true", "mean value", "mean estimate", "sd", "se", "width", "holds", "boot"]
    cells = []
    for row in rows:
        ratio = "" if row["bootstrap_ratio"] is None else f"{row['bootstrap_ratio']:.2f}"
        held = f"{row['covered']:.1%} ({row['covered_low']:.1%} to {row['covered_high']:.1%})"
        held += "" if row["num"] == row["draws"] else f", of {row['num']} draws with an interval"
        numbers = [f"{row[key]:.4g}" for key in ("truth", "mean_value", "mean_estimate")]
        numbers += [f"{row[key]:.3g}" for key in ("sd", "mean_se", "mean_width")]
        cells.append([row["metric"], *numbers, held, ratio])
    return markdown_table(heads, cells)


def _correction(rows: list[Row]) -> list[str]:
    heads = ["population", "images", "true", "mean value", "holds", "mean corrected", "holds"]
    cells = [
        [
            row["population"],
            f"{row['n']:,}",
            f"{row['truth']:.3f}",
            f"{row['mean_value']:.3f}",
            f"{row['covered_uncorrected']:.1%}",
            f"{row['mean_estimate']:.3f}",
            f"{row['covered']:.1%}",
        ]
        for row in rows
    ]
    return markdown_table(heads, cells)


def _draw(out: Path, rows: list[Row], groups: list[tuple[str, int]]) -> None:
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
    save_figure(figure, out / FIGURE)
