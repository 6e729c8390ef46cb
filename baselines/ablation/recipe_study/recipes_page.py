"""The page of the study: rows of records.jsonl as Markdown, with means and intervals over seeds.

Every interval is Student's t over seeds at 95 %; with one seed there is none.
"""

from __future__ import annotations

import itertools
import math
import string
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import stats

from baselines.ablation.recipe_study.rows import DIVERGED, PLAIN, Row
from baselines.ablation.recipe_study.sampled_runs import SCORED_METRICS
from baselines.recipes.table import RECIPES
from bench.data.datasets import DATASETS

TARGET_DATA = "mnist"  # the data set of the expected results
_WORDS = {
    "elbo": "ELBO",
    "log_likelihood": "log-likelihood",
    "kl": "KL",
    "mutual_information": "mutual information at least",
}


class Group(NamedTuple):
    """Key of the rows that may be averaged: seeds of one recipe, sampling and budget."""

    recipe: str
    sampling: str
    share: float
    narrowing: str
    num_images: int


Groups = Mapping[Group, list[Row]]
GRIDS_A_ROW = 4
HEADER = """# Reference baselines

Every recipe is trained, sampled and scored by one command, which resumes:

    {command}

Values are means over seeds ± half of the 95 % interval (Student's t). `perfect` is the score of the
same number of held-out real images. `checkers` is the power of the samples' spectrum at the highest
frequency over that one step below; above 1 there is a checkerboard pattern. Cost is the training
time of a run: processor seconds of one core on a CPU, which do not count other work, and wall-clock
seconds on a GPU, shared equally by the runs of a stack. All numbers are in
[records.jsonl](records.jsonl), with the signatures of their scores.
"""


class Interval(NamedTuple):
    """A mean over seeds and half of its 95 % interval; None for a single seed."""

    mean: float
    half: float | None


def interval(values: list[float]) -> Interval:
    """Return the mean over seeds with Student's t interval."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return Interval(mean, None)
    spread = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return Interval(mean, float(stats.t.ppf(0.975, len(values) - 1)) * spread)


def _number(value: float) -> str:
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.3g}"


def _cell(values: list[float | None]) -> str:
    """Return mean and half width; the latter shows two digits, but at most 4 decimals."""
    present = [value for value in values if value is not None]
    if not present:
        return "none"
    mean, half = interval(present)
    if half is None:
        return _number(mean)
    if half == 0:
        return f"{_number(mean)} ± 0"
    places = min(max(1 - math.floor(math.log10(half)), 0), 4)
    return f"{mean:.{places}f} ± {half:.{places}f}"


def _budget(row: Row, marks: Mapping[str, str]) -> str:
    """Return a text such as "6.4 % a": the share of the steps and the mark of the narrowing."""
    steps = "full" if row.share >= 1 else f"{100 * row.share:.2g} %"
    return f"{steps} <sup>{marks[row.narrowing]}</sup>" if row.narrowing else steps


def _marks(rows: list[Row]) -> dict[str, str]:
    """Return a letter for each narrowing, in the order of the rows."""
    narrowings = dict.fromkeys(row.narrowing for row in rows if row.narrowing)
    return dict(zip(narrowings, string.ascii_lowercase, strict=False))


def _budget_notes(rows: list[Row], marks: Mapping[str, str]) -> list[str]:
    """Return the explanation of the marks of shortened and narrowed budgets."""
    lines: list[str] = []
    if any(row.share < 1 for row in rows):
        lines += [
            "**Shortened budgets**: runs marked with a percentage had that share of the recipe's "
            "steps. They show the beginning of training, not how good a recipe is in the end.",
            "",
        ]
    if marks:
        texts = [f"<sup>{mark}</sup> {narrowing}" for narrowing, mark in marks.items()]
        lines += [f"**Narrowed for a CPU**: runs marked with a letter: {'; '.join(texts)}.", ""]
    return lines


def picture_name(row: Row) -> str:
    """Return the file name of a row's samples."""
    return f"{row.data}-{row.recipe}-{row.sampling}.png"


def render(rows: list[Row], grids: Path, command: str) -> str:
    """Return the page as Markdown.

    Recipes are in the order of their table, removed ones last, whatever the order of the rows.
    `grids` is the folder of pictures; `command` is printed as the one that made the page.
    """
    places = {name: place for place, name in enumerate([*DATASETS, *RECIPES])}
    last = len(places)
    rows = sorted(
        rows,
        key=lambda row: (places.get(row.data, last), places.get(row.recipe, last), row.seed),
    )
    marks = _marks(rows)
    lines = [HEADER.format(command=command), *_budget_notes(rows, marks)]
    by_data: dict[str, dict[Group, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        group = Group(row.recipe, row.sampling, row.share, row.narrowing, row.num_images)
        by_data[row.data][group].append(row)
    for data, groups in by_data.items():
        lines += _table(data, groups, marks)
        lines += _terms(groups)
        if data == TARGET_DATA:
            lines += _targets(groups)
        lines += _pictures(data, groups, grids)
    return "\n".join(lines) + "\n"


def _table(data: str, groups: Groups, marks: Mapping[str, str]) -> list[str]:
    columns = [
        "recipe",
        "sampling",
        "seeds",
        "steps",
        *SCORED_METRICS,
        "checkers",
        "accepted",
        "cost, s",
    ]
    lines = [
        f"## {data}",
        "",
        f"| {' | '.join(columns)} |",
        "|---|---|" + "---:|" * (len(SCORED_METRICS) + 5),
    ]
    scored = [row for rows in groups.values() for row in rows if row.sampling != DIVERGED]
    if scored:
        perfect = [_cell([scored[0].perfect.get(metric)]) for metric in SCORED_METRICS]
        lines.append(f"| *perfect* | | | | {' | '.join(perfect)} | | | |")
    for group, rows in groups.items():
        budget = _budget(rows[0], marks)
        if group.sampling == DIVERGED:
            reasons = "; ".join(f"seed {row.seed}: {row.reason}" for row in rows)
            lines.append(f"| {group.recipe} | diverged: {reasons} | {len(rows)} | {budget} |")
            continue
        cells = [_cell([row.values.get(metric) for row in rows]) for metric in SCORED_METRICS]
        rates = [row.acceptance_rate for row in rows]
        accepted = "" if all(rate in (None, 1.0) for rate in rates) else _cell(rates)
        checkers = _cell([row.checkerboard_ratio for row in rows])
        seconds = _cell([_cost_s(row) for row in rows])
        lines.append(
            f"| {group.recipe} | {group.sampling} | {len(rows)} | {budget} | {' | '.join(cells)} "
            f"| {checkers} | {accepted} | {seconds} |"
        )
    devices = sorted({row.device for row in scored})
    images = sorted({row.num_images for row in scored})
    return [*lines, "", f"{', '.join(f'{n:,}' for n in images)} images; {', '.join(devices)}.", ""]


def _cost_s(row: Row) -> float | None:
    """Return processor time on a CPU and wall-clock time on a GPU, in seconds."""
    return row.train_cpu_s if row.device.startswith("cpu") else row.train_s


def _terms(groups: Groups) -> list[str]:
    """Return the lines of ELBOs and bounds on the mutual information."""
    lines: list[str] = []
    for group, rows in groups.items():
        terms = dict.fromkeys(name for row in rows for name in row.terms)
        if terms and group.sampling == PLAIN:
            cells = {name: _cell([row.terms.get(name) for row in rows]) for name in terms}
            terms_text = ", ".join(f"{_WORDS[name]} {cell}" for name, cell in cells.items())
            lines.append(f"- {group.recipe}: {terms_text}")
    title = "### Bounds in nats per image: VAEs on test images, InfoGAN on its samples"
    return [title, "", *lines, ""] if lines else []


def _means(groups: Groups) -> Callable[[str, str, str], Interval]:
    """Return a function of recipe, sampling and metric that gives the mean over seeds; NaN if
    nothing was scored, a seed has no value, or the rows have several budgets.
    """
    by_name: dict[tuple[str, str], list[list[Row]]] = defaultdict(list)
    for group, rows in groups.items():
        by_name[group.recipe, group.sampling].append(rows)

    def mean(recipe: str, sampling: str, metric: str) -> Interval:
        found = by_name.get((recipe, sampling), [])
        values = [row.values.get(metric) for row in found[0]] if len(found) == 1 else []
        present = [value for value in values if value is not None]
        return interval(present) if present and None not in values else Interval(math.nan, None)

    return mean


def _targets(groups: Groups) -> list[str]:
    """Return the lines on expected results and whether the means over seeds reach them."""
    mean = _means(groups)
    fid = {
        name: mean(recipe, sampling, "fid")
        for name, recipe, sampling in (
            ("DCGAN", "dcgan", PLAIN),
            ("the plain course generator", "course-gan", PLAIN),
            ("the course generator with tricks", "course-gan-tricks", PLAIN),
            ("an autoencoder sampled from one Gaussian", "ae-dense", "prior-gaussian"),
            ("from a mixture", "ae-dense", "prior-mixture"),
            ("its reconstructions", "ae-dense", "reconstruction"),
        )
    }
    dcgan, course, tricks, gaussian, mixture, rebuilt = fid
    real: dict[str, float | None] = next(
        (row.perfect for rows in groups.values() for row in rows if row.perfect), {}
    )
    found = [
        (
            f"{metric} of {name}, at least .90 of what real images have",
            mean(recipe, PLAIN, metric).mean / (real.get(metric) or math.nan),
            0.9,
        )
        for name, recipe in ((dcgan, "dcgan"), ("DCGAN with tricks", "dcgan-tricks"))
        for metric in ("recall_k3", "coverage_k5")
    ]
    coverage = [
        mean(name, PLAIN, "coverage_k5").mean for name in ("course-gan-tricks", "course-gan")
    ]
    found += [
        (
            "FID of the course generator over that with tricks, at least 2",
            fid[course].mean / fid[tricks].mean,
            2,
        ),
        (
            "coverage of the course generator with tricks over that without, at least 2",
            coverage[0] / coverage[1] if coverage[1] else math.nan,
            2,
        ),
    ]
    lines = [
        f"- {what}: {value:.2f}, {'reached' if value >= least else '**not reached**'}"
        for what, value, least in found
        if math.isfinite(value)
    ]
    for order in ((dcgan, course, gaussian), (rebuilt, mixture, gaussian)):
        values = [fid[name] for name in order]
        if all(math.isfinite(value.mean) for value in values):
            means = ", ".join(f"{name} {_number(fid[name].mean)}" for name in order)
            lines.append(f"- FID rises: {means}: {_risen(values)}")
    ends = [fid[name].mean for name in (gaussian, mixture, rebuilt)]
    if all(map(math.isfinite, ends)) and ends[0] > ends[2]:
        closed = (ends[0] - ends[1]) / (ends[0] - ends[2])
        lines.append(
            f"- a mixture closes {closed:.0%} of the gap between one Gaussian and reconstructions; "
            "in Ghosh et al. 2020 it closes all of it"
        )
    return ["### Expected results", "", *lines, ""] if lines else []


def _risen(values: list[Interval]) -> str:
    """Return whether means rise, and whether their intervals are separate."""
    pairs = list(itertools.pairwise(values))
    if not all(one.mean < other.mean for one, other in pairs):
        return "**not reached**"
    if all(one.mean + (one.half or 0) < other.mean - (other.half or 0) for one, other in pairs):
        return "reached"
    return "reached by the means; their intervals overlap"


def _pictures(data: str, groups: Groups, grids: Path) -> list[str]:
    """Return the tables of sample grids, four in a row, each under its name."""
    names = {(rows[0].recipe, rows[0].sampling): picture_name(rows[0]) for rows in groups.values()}
    found = [
        (f"{recipe}<br>{sampling}", f"![{recipe} {sampling}](grids/{name})")
        for (recipe, sampling), name in names.items()
        if (grids / name).is_file()
    ]
    lines = [f"### Samples, {data}, seed 0", ""]
    for start in range(0, len(found), GRIDS_A_ROW):
        row = found[start : start + GRIDS_A_ROW]
        lines += [
            f"| {' | '.join(title for title, _ in row)} |",
            f"|{'---|' * len(row)}",
            f"| {' | '.join(picture for _, picture in row)} |",
            "",
        ]
    return lines
