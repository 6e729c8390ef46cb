"""Published figures beside ours: by detector, and by class."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from bench.anomaly.benchmark.page import render_benchmark
from bench.anomaly.benchmark.published import PUBLISHED, PUBLISHED_CLASSES
from bench.anomaly.benchmark.records_file import RECORDS
from bench.anomaly.detectors import DETECTORS
from tests.anomaly.benchmark.test_records_file import row_of, written


def test_every_figure_is_of_a_detector_that_is_here() -> None:
    named = {one.detector for one in (*PUBLISHED, *PUBLISHED_CLASSES)} - {None}
    assert named <= set(DETECTORS)


def test_figures_by_class_have_the_published_mean() -> None:
    for classes in PUBLISHED_CLASSES:
        means = [
            mark.auc_percent
            for mark in PUBLISHED
            if (mark.data, mark.method, mark.source, mark.detector)
            == (classes.data, classes.method, classes.source, classes.detector)
        ]
        assert means == [round(float(np.mean(classes.auc_percents)), 1)]


def page_of(out: Path, *detectors: str, data: str = "mnist") -> str:
    """Ten classes, of which class c has an AUC of 90 + c / 2 percent."""
    rows = []
    for name in detectors:
        rows.append(row_of("mean", detector=name, data=data, trains=name == "deep-svdd"))
        for c in range(10):
            auc = 0.90 + c / 200
            rows.append(row_of("class", detector=name, data=data, normal_class=c, auc=auc))
    written(out / RECORDS, *map(json.dumps, rows))
    return render_benchmark(out).read_text()


def test_figures_by_class_stand_in_the_table_of_auc(tmp_path: Path) -> None:
    page = page_of(tmp_path, "deep-svdd", "pca")
    table = page.split("### AUC of each normal class")[1].split("###")[0]
    # Ruff et al. 2018, table 1: digits 0 to 9; ours are 90.0, 90.5, ..., 94.5
    assert (
        "| *published: Deep SVDD, one class, Ruff et al. 2018* | 98.0 | 99.7 | 91.7 | 91.9 | 94.9 |"
        " 88.5 | 98.3 | 94.6 | 93.9 | 96.5 |\n"
        "| *difference* | -8.0 | -9.2 | -0.7 | -0.4 | -2.9 | +4.0 | -5.3 | -1.1 | +0.1 | -2.0 |"
    ) in table
    assert table.index("`deep-svdd`") < table.index("*published") < table.index("`pca`")
    assert page.count("*published: Deep SVDD") == 1  # not beside precision and FPR
    assert "*published: " not in page_of(tmp_path, "pca")
    assert "*published: " not in page_of(tmp_path, "deep-svdd", data="fashion-mnist")


def test_the_page_says_why_kde_has_no_figure(tmp_path: Path) -> None:
    note = "`kde` has no published figure. That of KDE (86.9, Ruff et al. 2018) is compared with "
    assert f"- {note}`kde-exponential`" in page_of(tmp_path, "kde", "kde-exponential")
    assert note not in page_of(tmp_path, "kde-exponential")
    assert note not in page_of(tmp_path, "kde", data="fashion-mnist")  # no figure to speak of
