"""The perturbation ladder: does a score notice damage, and does more damage score worse?

Held-out real images are damaged in nine ways at five rising levels (`bench.data.perturbations`) and
scored like any submission. FID must rise strictly along every ladder; the other metrics are shown
beside it, because each is blind to something. The report is rebuilt from its records alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from bench.data.datasets import load_dataset
from bench.data.perturbations import NUM_LEVELS, PERTURBATIONS, RealImages
from bench.errors import InputError, UsageError
from bench.metrics import known_metric
from bench.plots import Scale, plot_ladder, save_figure
from bench.records.score_record import ScoreRecord, read_records
from bench.runtime.whole_files import write_atomically
from bench.scoring.scorer import Scorer

UNDAMAGED = "none"
SEPARATOR = "@"  # submission names are NAME@LEVEL, levels 0 to 5
RECORDS = "records.jsonl"
COMMAND = "command.txt"

Ladder = dict[str, list[float | None]]  # perturbation -> values at levels 0 to 5
Progress = Callable[[str, int, int], None]


def run_ladder(
    scorer: Scorer, real: RealImages, *, seed: int = 0, progress: Progress | None = None
) -> list[ScoreRecord]:
    """Records of the undamaged images and of every perturbation at every level, in that order.

    Each level draws from its own generator seeded by (`seed`, row, level), so a level does not
    depend on those before it.
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
    """The values of one metric by perturbation, the undamaged value first in each.

    Raises `InputError` when a level is missing.
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
    """The perturbations along which the values do not rise strictly."""
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
    """Run the ladder on a data set's test split against the reference of the same name; write
    `records.jsonl` and `command.txt` into `out`, replacing earlier ones when all is done.
    """
    pool = load_dataset(data, "test", data_root=data_root, download=download)
    if num_images > len(pool.images):
        raise UsageError(f"{data} has {len(pool.images)} test images, fewer than {num_images}")
    chosen = np.random.default_rng(seed).permutation(len(pool.images))[:num_images]
    mixed_in = load_dataset(other, "test", data_root=data_root, download=download).images
    real = RealImages(pool.images, pool.labels, chosen, mixed_in)
    records = run_ladder(Scorer(reference=data), real, seed=seed, progress=progress)
    command = f"latentbench ladder --data {data} --other {other} -n {num_images} --seed {seed}"
    lines = "".join(record.model_dump_json() + "\n" for record in records)
    write_atomically(out / RECORDS, lines.encode())
    write_atomically(out / COMMAND, f"{command}\n".encode())


def write_report(out: Path) -> list[str]:
    """Write `README.md` and `ladder.svg` into `out` from its `records.jsonl` and `command.txt`.

    Returns the perturbations along which FID does not rise strictly.
    """
    records = read_records(out / RECORDS)
    try:
        command = (out / COMMAND).read_text().strip()
    except OSError as error:
        raise InputError(f"{out / COMMAND}: the study has no command: {error}") from error
    metrics = [entry.metric for entry in records[0].values]
    ladders = {metric: ladder_of(records, metric) for metric in metrics}
    expected = {entry.metric: entry.expected for entry in records[0].values}
    _figure(ladders, expected, out / "ladder.svg")
    failed = not_rising(ladders["fid"])
    write_atomically(out / "README.md", _page(records[0], ladders, failed, command).encode())
    return failed


def _figure(ladders: dict[str, Ladder], expected: dict[str, float | None], path: Path) -> None:
    num_columns = 3
    num_rows = -(-len(ladders) // num_columns)
    figure = Figure(figsize=(4.2 * num_columns, 2.9 * num_rows), layout="constrained")
    axes = figure.subplots(num_rows, num_columns, squeeze=False).ravel()
    for ax, (metric, ladder) in zip(axes, ladders.items(), strict=False):
        row = known_metric(metric)
        scale: Scale = "linear" if row is None else row.scale
        plot_ladder(ladder, ax=ax, title=metric, expected=expected[metric], scale=scale)
    for ax in axes[len(ladders) :]:
        ax.set_axis_off()
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False)
    save_figure(figure, path)


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _page(base: ScoreRecord, ladders: dict[str, Ladder], failed: list[str], command: str) -> str:
    verdict = (
        "FID rises strictly along all of them."
        if not failed
        else f"**FID does not rise strictly along: {', '.join(failed)}.**"
    )
    lines = [
        f"# Perturbation ladder: {base.reference.name}, extractor `{base.extractor.name}`",
        "",
        f"{base.submission.num_images:,} held-out real images, damaged in {len(PERTURBATIONS)} "
        f"ways at {NUM_LEVELS} rising levels and scored like a submission. {verdict}",
        "",
        f"Made by `{command}` (device: {base.device}; weights `{base.extractor.digest[:12]}`, "
        f"reference `{base.reference.digest[:12]}`); rebuilt from `{RECORDS}` beside this page.",
        "",
        "![every metric over the levels](ladder.svg)",
        "",
        "Dashed: the value of a perfect submission. Level 0 is the undamaged images.",
    ]
    for metric, ladder in ladders.items():
        lines += ["", f"## {metric}", ""]
        lines.append("| perturbation | levels | " + " | ".join(str(i) for i in range(6)) + " |")
        lines.append("|---|---|" + "---:|" * 6)
        for name, values in ladder.items():
            row = PERTURBATIONS[name]
            levels = ", ".join(f"{level:g}" for level in row.levels)
            cells = " | ".join(_cell(value) for value in values)
            lines.append(f"| {name} | {levels} {row.unit} | {cells} |")
    return "\n".join(lines) + "\n"
