"""The study's report: rows of records.jsonl to Markdown, means with intervals over seeds.

Every interval is Student's t over seeds at 95 %; with one seed there is none.
"""

from __future__ import annotations

import itertools
import math
import string
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from scipy import stats

from baselines.recipes import RECIPES
from baselines.study.rows import DIVERGED, Row
from baselines.study.work import METRICS
from bench.datasets import DATASETS

Groups = Mapping[tuple[str, str], list[Row]]  # rows by recipe and sampling
GRIDS_A_ROW = 4
HEADER = """# Reference baselines

Every recipe, trained, sampled and scored by one command, which resumes:

    python -m baselines.study --out reports/baselines

Mean over seeds ± half of the 95 % interval (Student's t). `perfect` is what as many held-out real
images score. `checkers` is the power of the samples' spectrum at the highest frequency over that
one step below: above 1 there is a checkerboard. Cost is what the training of a run took: seconds
of one core on a CPU (processor time, so other work beside it does not count), seconds by the clock
on a GPU, a stack's shared among its runs. Each number is in [records.jsonl](records.jsonl), with
the signature of its score.
"""


def interval(values: list[float]) -> tuple[float, float | None]:
    """Mean and half width of the 95 % interval over seeds; None for a single value."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, None
    spread = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return mean, float(stats.t.ppf(0.975, len(values) - 1)) * spread


def _number(value: float) -> str:
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.3g}"


def _cell(values: list[float | None]) -> str:
    """Mean and half width, both with the decimals that give the latter two digits, 4 at most."""
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


def _budget(rows: list[Row], marks: Mapping[str, str]) -> str:
    """As "6.4 % a": the share of the steps, and the mark of how the recipe was narrowed."""
    share = min(row["share"] for row in rows)
    narrowings = sorted({row["narrowing"] for row in rows if row["narrowing"]})
    steps = "full" if share >= 1 else f"{100 * share:.2g} %"
    return " ".join([steps, *(f"<sup>{marks[one]}</sup>" for one in narrowings)])


def _marks(rows: list[Row]) -> dict[str, str]:
    """A letter for each way in which recipes were narrowed, in the order of the rows."""
    narrowings = dict.fromkeys(row["narrowing"] for row in rows if row["narrowing"])
    return dict(zip(narrowings, string.ascii_lowercase, strict=False))


def _shortened(marks: Mapping[str, str]) -> list[str]:
    """What the marks of shortened budgets mean."""
    said = (
        "**Shortened budgets**: runs marked with a percentage had that share of the recipe's "
        "steps. They say what the recipe comes to so early, not how good it is in the end."
    )
    if not marks:
        return [said, ""]
    told = "; ".join(f"<sup>{mark}</sup> {narrowing}" for narrowing, mark in marks.items())
    return [
        f"{said} Those with a letter were made smaller as well, so that a core sees digits within "
        f"a minute or two: {told}.",
        "",
    ]


def render(rows: list[Row], grids: Path) -> str:
    """The report as Markdown, in the order of the tables whatever that of the rows; `grids` is the
    folder of pictures beside it.
    """
    places = {name: place for place, name in enumerate([*DATASETS, *RECIPES])}
    rows = sorted(rows, key=lambda row: (places[row["data"]], places[row["recipe"]], row["seed"]))
    lines, marks = [HEADER], _marks(rows)
    if any(row["share"] < 1 for row in rows):
        lines += _shortened(marks)
    by_data: dict[str, dict[tuple[str, str], list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        by_data[row["data"]][row["recipe"], row["sampling"]].append(row)
    for data, groups in by_data.items():
        lines += _table(data, groups, marks)
        lines += _targets(groups)
        lines += _pictures(data, groups, grids)
    return "\n".join(lines) + "\n"


def _table(data: str, groups: Groups, marks: Mapping[str, str]) -> list[str]:
    columns = ["recipe", "sampling", "seeds", "steps", *METRICS, "checkers", "accepted", "cost, s"]
    lines = [
        f"## {data}",
        "",
        f"| {' | '.join(columns)} |",
        "|---|---|" + "---:|" * (len(METRICS) + 5),
    ]
    scored = [row for rows in groups.values() for row in rows if "values" in row]
    if scored:
        perfect = [_cell([scored[0]["perfect"].get(metric)]) for metric in METRICS]
        lines.append(f"| *perfect* | | | | {' | '.join(perfect)} | | | |")
    for (recipe, sampling), rows in groups.items():
        if sampling == DIVERGED:
            reasons = "; ".join(f"seed {row['seed']}: {row['reason']}" for row in rows)
            budget = _budget(rows, marks)
            lines.append(f"| {recipe} | diverged: {reasons} | {len(rows)} | {budget} |")
            continue
        cells = [_cell([row["values"].get(metric) for row in rows]) for metric in METRICS]
        rates = [row.get("acceptance_rate") for row in rows]
        accepted = "" if all(rate in (None, 1.0) for rate in rates) else _cell(rates)
        checkers = _cell([row.get("checkerboard_ratio") for row in rows])
        seconds = _cell([_cost_s(row) for row in rows])
        lines.append(
            f"| {recipe} | {sampling} | {len(rows)} | {_budget(rows, marks)} | {' | '.join(cells)} "
            f"| {checkers} | {accepted} | {seconds} |"
        )
    devices = sorted({row["device"] for row in scored})
    images = sorted({row["num_images"] for row in scored})
    return [*lines, "", f"{', '.join(f'{n:,}' for n in images)} images; {', '.join(devices)}.", ""]


def _cost_s(row: Row) -> float | None:
    """Processor time on a CPU, the clock's on a GPU."""
    cost: float | None = row["train_cpu_s" if row["device"].startswith("cpu") else "train_s"]
    return cost


def _mean(groups: Groups, recipe: str, sampling: str, metric: str) -> float:
    """Over seeds; NaN where nothing was scored or a seed has no value."""
    values = [row["values"].get(metric) for row in groups.get((recipe, sampling), [])]
    return math.nan if not values or None in values else float(np.mean(values))


def _targets(groups: Groups) -> list[str]:
    """What the baselines are meant to show, and whether these runs do: means over seeds."""
    fid = {
        name: _mean(groups, recipe, sampling, "fid")
        for name, recipe, sampling in (
            ("DCGAN", "dcgan", "plain"),
            ("the plain course generator", "course-gan", "plain"),
            ("the course generator with tricks", "course-gan-tricks", "plain"),
            ("an autoencoder sampled from one Gaussian", "ae-dense", "prior-gaussian"),
            ("from a mixture", "ae-dense", "prior-mixture"),
            ("its reconstructions", "ae-dense", "reconstruction"),
        )
    }
    dcgan, course, tricks, gaussian, mixture, rebuilt = fid
    real: dict[str, float | None] = next(
        (row["perfect"] for rows in groups.values() for row in rows if "perfect" in row), {}
    )
    found = [
        (
            f"{metric} of DCGAN, at least .90 of what real images have",
            _mean(groups, "dcgan", "plain", metric) / (real.get(metric) or math.nan),
            0.9,
        )
        for metric in ("recall_k3", "coverage_k5")
    ]
    coverage = [
        _mean(groups, name, "plain", "coverage_k5") for name in ("course-gan-tricks", "course-gan")
    ]
    found += [
        (
            "FID of the course generator over that with tricks, at least 2",
            fid[course] / fid[tricks],
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
        if all(map(math.isfinite, values)):
            told = ", ".join(f"{name} {_number(fid[name])}" for name in order)
            rises = all(one < other for one, other in itertools.pairwise(values))
            lines.append(f"- FID rises: {told}, {'reached' if rises else '**not reached**'}")
    return ["### What they should show", "", *lines, ""] if lines else []


def _pictures(data: str, groups: Groups, grids: Path) -> list[str]:
    """The grids, four beside each other, each under its name."""
    found = [
        (f"{recipe}<br>{sampling}", f"![{recipe} {sampling}](grids/{name})")
        for recipe, sampling in groups
        if (grids / (name := f"{data}-{recipe}-{sampling}.png")).is_file()
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
