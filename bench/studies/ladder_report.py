"""The page and the figure of a perturbation ladder, made from its records alone."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from bench.data.perturbations import NUM_LEVELS, PERTURBATIONS
from bench.errors import InputError, reason_of
from bench.metrics import known_metric
from bench.plots import Scale, plot_ladder, save_figure
from bench.records.score_record import ScoreRecord, ScoreValue, read_records
from bench.studies.ladder import COMMAND, Ladder, ladder_of, not_rising
from bench.studies.study_folder import RECORDS, write_page
from bench.tables.directions import LEGEND
from bench.tables.escaping import markdown_table
from bench.tables.numbers import listed, number
from bench.tables.presentation import first_entries, heading

FIGURE = "ladder.svg"


def write_report(out: Path) -> list[str]:
    """Write `README.md` and `ladder.svg` into `out` from its `records.jsonl` and `command.txt`.

    Returns the perturbations along which FID does not rise strictly. Raises `InputError` when
    `command.txt` is missing or the ladder is incomplete.
    """
    records = read_records(out / RECORDS)
    try:
        command = (out / COMMAND).read_text().strip()
    except OSError as error:
        raise InputError(
            f"{out / COMMAND}: cannot be read: {reason_of(error)}; run the study again"
        ) from error
    first = first_entries(records)
    ladders = {metric: ladder_of(records, metric) for metric in first}
    _draw(ladders, first, out / FIGURE)
    failed = not_rising(ladders["fid"])
    write_page(out, _page(records[0], ladders, failed, command))
    return failed


def _draw(ladders: dict[str, Ladder], undamaged: dict[str, ScoreValue], path: Path) -> None:
    num_columns = 3
    num_rows = -(-len(ladders) // num_columns)
    layout = ConstrainedLayoutEngine(h_pad=0.12, w_pad=0.1)
    figure = Figure(figsize=(4.2 * num_columns, 2.7 * num_rows), layout=layout)
    axes = figure.subplots(num_rows, num_columns, squeeze=False).ravel()
    for ax, (metric, ladder) in zip(axes, ladders.items(), strict=False):
        row = known_metric(metric)
        scale: Scale = "linear" if row is None else row.scale
        entry = undamaged[metric]
        plot_ladder(ladder, ax=ax, title=heading(entry), expected=entry.expected, scale=scale)
    for ax in axes[: max(len(ladders) - num_columns, 0)]:
        ax.set_xlabel("")
    for ax in axes[len(ladders) :]:
        ax.set_axis_off()
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False)
    save_figure(figure, path)


def _page(
    base: ScoreRecord, ladders: dict[str, Ladder], failed: list[str], command: str
) -> list[str]:
    verdict = (
        "FID rises strictly along all of them."
        if not failed
        else f"**FID does not rise strictly along {listed(failed)}.**"
    )
    lines = [
        f"# Perturbation ladder: {base.reference.name}, extractor `{base.extractor.name}`",
        "",
        f"{base.submission.num_images:,} held-out real images are damaged in {len(PERTURBATIONS)} "
        f"ways at {NUM_LEVELS} rising levels and scored like a submission. {verdict}",
        "",
        f"Made by `{command}` (device: {base.device}; weights `{base.extractor.digest[:12]}`, "
        f"reference `{base.reference.digest[:12]}`). Rebuilt from `{RECORDS}` in this folder.",
        "",
        f"![every metric over the levels]({FIGURE})",
        "",
        f"Level 0 is the undamaged images. Dashed: the value of a perfect submission. {LEGEND}.",
    ]
    heads = ["perturbation", "levels", *(str(level) for level in range(NUM_LEVELS + 1))]
    for metric, ladder in ladders.items():
        rows = []
        for name, values in ladder.items():
            row = PERTURBATIONS[name]
            levels = ", ".join(f"{level:g}" for level in row.levels)
            rows.append([name, f"{levels} {row.unit}", *map(number, values)])
        lines += ["", f"## {metric}", "", *markdown_table(heads, rows, num_text=2)]
    return lines
