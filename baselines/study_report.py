"""The study's report: rows of records.jsonl to Markdown, means with intervals over seeds.

Every interval is Student's t over seeds at 95 %; with one seed there is none.
"""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

METRICS = (
    "fid",
    "precision_k3",
    "recall_k3",
    "density_k5",
    "coverage_k5",
    "inception_score",
    "modes_covered",
)
HEADER = """# Reference baselines

Every recipe, trained, sampled and scored by one command, which resumes:

    python -m baselines.study --out reports/baselines

Mean over seeds ± half of the 95 % interval (Student's t). `perfect` is what as many held-out real
images score. `checkers` is the power of the samples' spectrum at the highest frequency over that
one step below: above 1 there is a checkerboard. Cost is seconds of training for each run, on the
device named. Each number is in [records.jsonl](records.jsonl), with the signature of its score.
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
    present = [value for value in values if value is not None]
    if not present:
        return "none"
    mean, half = interval(present)
    return _number(mean) if half is None else f"{_number(mean)} ± {_number(half)}"


def _budget(rows: list[dict[str, Any]]) -> str:
    share = min(row["share"] for row in rows)
    return "full" if share >= 1 else f"{100 * share:.2g} %"


def render(rows: list[dict[str, Any]], grids: Path) -> str:
    """The report as Markdown; `grids` is the folder of pictures beside it."""
    lines = [HEADER]
    if any(row["share"] < 1 for row in rows):
        lines.append(
            "**Shortened budgets**: runs marked with a percentage had that share of the recipe's "
            "steps. They show that everything works, not how good a recipe is.\n"
        )
    by_data: dict[str, dict[tuple[str, str], list[dict[str, Any]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for row in rows:
        by_data[row["data"]][row["recipe"], row["sampling"]].append(row)
    for data, groups in by_data.items():
        lines += _table(data, groups)
        lines += _pictures(data, groups, grids)
    return "\n".join(lines) + "\n"


def _table(data: str, groups: dict[tuple[str, str], list[dict[str, Any]]]) -> list[str]:
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
        if sampling == "diverged":
            reasons = "; ".join(f"seed {row['seed']}: {row['reason']}" for row in rows)
            lines.append(f"| {recipe} | diverged: {reasons} | {len(rows)} | {_budget(rows)} |")
            continue
        cells = [_cell([row["values"].get(metric) for row in rows]) for metric in METRICS]
        rates = [row.get("acceptance_rate") for row in rows]
        accepted = "" if all(rate in (None, 1.0) for rate in rates) else _cell(rates)
        checkers = _cell([row.get("checkerboard_ratio") for row in rows])
        seconds = _cell([row["train_s"] for row in rows])
        lines.append(
            f"| {recipe} | {sampling} | {len(rows)} | {_budget(rows)} | {' | '.join(cells)} "
            f"| {checkers} | {accepted} | {seconds} |"
        )
    devices = sorted({row["device"] for row in scored})
    images = sorted({row["num_images"] for row in scored})
    return [*lines, "", f"{', '.join(f'{n:,}' for n in images)} images; {', '.join(devices)}.", ""]


def _pictures(
    data: str, groups: dict[tuple[str, str], list[dict[str, Any]]], grids: Path
) -> list[str]:
    lines = [f"### Samples, {data}, seed 0", ""]
    for recipe, sampling in groups:
        name = f"{data}-{recipe}-{sampling}.png"
        if (grids / name).is_file():
            lines += [f"{recipe}, {sampling}:", "", f"![{recipe} {sampling}](grids/{name})", ""]
    return lines
