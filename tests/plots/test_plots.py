"""Every plot takes `ax` and returns it; the same data gives the same file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.plots import (
    PlanePoint,
    figure_svg,
    new_figure,
    plot_class_histogram,
    plot_duplicates,
    plot_embedding,
    plot_fid_line,
    plot_grey_histogram,
    plot_images,
    plot_ladder,
    plot_metric_bars,
    plot_pairs,
    plot_precision_recall,
    plot_roc,
    plot_shares,
    save_figure,
)
from bench.statistics.intervals import wilson
from tests.reporting.complete import entry

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (10, 28, 28, 1), np.uint8)
SHARES = np.array([0.06] * 9 + [0.46])
POINTS = RNG.standard_normal((50, 2))
CURVE = np.linspace(0, 1, 20)

PLOTS: dict[str, Callable[[Axes], Axes]] = {
    "ladder": lambda ax: plot_ladder({"blur": [0.0, 1.0]}, ax=ax, title="fid"),
    "images": lambda ax: plot_images(IMAGES, ax=ax, title="samples", captions=["1"] * 10),
    "pairs": lambda ax: plot_pairs(IMAGES, IMAGES, np.arange(10.0), ax=ax),
    "duplicates": lambda ax: plot_duplicates(IMAGES, np.array([10, 2]), ax=ax),
    "classes": lambda ax: plot_class_histogram(SHARES, np.full(10, 0.1), ax=ax),
    "classes alone": lambda ax: plot_class_histogram(SHARES, ax=ax),
    "grey": lambda ax: plot_grey_histogram(np.full(256, 1 / 256), np.full(256, 1 / 256), ax=ax),
    "plane": lambda ax: plot_precision_recall(
        PlanePoint(0.5, 0.6, 0.01, 0.02), ax=ax, perfect=PlanePoint(0.8, 0.9), prd=(CURVE, CURVE)
    ),
    "fid line": lambda ax: plot_fid_line([200, 1000, 2000], [3.0, 1.2, 1.0], 0.8, 400.0, ax=ax),
    "roc": lambda ax: plot_roc(CURVE, CURVE**0.5, ax=ax, auc=0.7),
    "shares": lambda ax: plot_shares(
        ["$a", "b"], {"x": [wilson(1, 2), None], "y": [None, None]}, ax=ax, title="accuracy"
    ),
    "components": lambda ax: plot_embedding(POINTS, POINTS + 1, ax=ax, title="PCA", x="1", y="2"),
    "t-SNE": lambda ax: plot_embedding(POINTS, POINTS + 1, ax=ax, title="t-SNE"),
    "bars": lambda ax: plot_metric_bars(
        ["a", "b"], [entry("fid", 2.0, 0.1), None], ax=ax, best=0, title="fid ↓"
    ),
}


@pytest.mark.parametrize("name", PLOTS)
def test_ax_in_ax_out_and_the_same_svg_twice(name: str) -> None:
    texts = []
    for _ in range(2):
        figure = new_figure(4, 3)
        ax = figure.subplots()
        assert PLOTS[name](ax) is ax
        texts.append(figure_svg(figure))
    assert texts[0] == texts[1]
    assert texts[0].startswith("<svg")
    assert texts[0].rstrip().endswith("</svg>")


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_the_same_figure_is_the_same_file(tmp_path: Path, suffix: str) -> None:
    for name in ("one", "two"):
        figure = Figure()
        PLOTS["plane"](figure.subplots())
        save_figure(figure, tmp_path / f"{name}.{suffix}")
    files = [(tmp_path / f"{name}.{suffix}").read_bytes() for name in ("one", "two")]
    assert files[0] == files[1]
    assert len(files[0]) > 1000
