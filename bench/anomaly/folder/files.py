"""The files of judged detectors: scores of every image, figures, and the record."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from scipy.stats import rankdata

from bench.anomaly.fit_and_judge import Judged, Task
from bench.anomaly.folder.labels import KINDS
from bench.anomaly.folder.output_folder import RECORD, remove_earlier
from bench.anomaly.folder.pictures import anomalies_figure, histogram_figure, roc_figure
from bench.anomaly.folder.record import AnomalyRecord
from bench.errors import UsageError
from bench.plots import figure_png, figure_svg
from bench.runtime.whole_files import write_atomically
from bench.tables.escaping import csv_cell

Files = Mapping[str, bytes]  # by name


def files_of(one: Judged, task: Task, names: Sequence[str]) -> Files:
    """Return the files of one detector. `names` are those of all images. Raises what the detector
    raises when it reconstructs images.
    """
    return {
        "scores.csv": _scores_csv(one, task, names).encode(),
        "histogram.svg": figure_svg(histogram_figure(one, task)).encode(),
        "most-anomalous.png": figure_png(anomalies_figure(one, task)),
    }


def _scores_csv(one: Judged, task: Task, names: Sequence[str]) -> str:
    """Return name, label, score and rank of every judged image, in the order of the images."""
    ranks = rankdata(-one.scores, method="min").astype(int)
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["name", "label", "score", "rank"])
    for row, score, rank in zip(
        one.rows.tolist(), one.scores.tolist(), ranks.tolist(), strict=True
    ):
        writer.writerow([csv_cell(names[row]), KINDS[task.labels[row]], repr(score), rank])
    return stream.getvalue()


def write_files(
    out: Path,
    record: AnomalyRecord,
    task: Task,
    judged: Sequence[Judged],
    files: Sequence[Files],
) -> None:
    """Write the files of each judged detector, the curves and the record; each file is whole or
    absent. Raises `UsageError` when `out` cannot be written.
    """
    svg = figure_svg(roc_figure(judged, task))
    try:
        remove_earlier(out, [one.row.name for one in judged])
        for one, contents in zip(judged, files, strict=True):
            for name, content in contents.items():
                write_atomically(out / one.row.name / name, content)
        write_atomically(out / "roc.svg", svg.encode())
        text = record.model_dump_json(indent=1) + "\n"
        write_atomically(out / RECORD, text.encode())
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(
            f"{out}: the results cannot be written there: {reason}; name another folder with --out"
        ) from error
