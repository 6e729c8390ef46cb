"""Plots: `ax` in, `ax` out, every value drawn, the same file for the same data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bench.plots import (
    OKABE_ITO,
    THEME,
    PlanePoint,
    contact_sheet,
    figure_png,
    figure_svg,
    new_figure,
    pair_sheet,
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
    save_figure,
)
from bench.plots.comparison import shortened
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


def test_colours() -> None:
    assert len(set(OKABE_ITO)) == 9
    ground = {"light": "#FFFFFF", "dark": "#1A2029"}
    for on_light, on_dark in THEME.items():
        if on_light == "#DDE2E8":  # grid lines are to be pale
            continue
        assert _contrast(on_light, ground["light"]) >= 2.7, on_light
        assert _contrast(on_dark, ground["dark"]) >= 3, on_dark


def _contrast(a: str, b: str) -> float:
    """Contrast of two colours after WCAG 2.2."""

    def luminance(colour: str) -> float:
        parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_contact_sheet_holds_every_pixel() -> None:
    sheet = contact_sheet(IMAGES, 4)
    assert sheet.shape == (3 * 30 - 2, 4 * 30 - 2, 4)
    np.testing.assert_array_equal(sheet[:28, :28, 0], IMAGES[0, ..., 0])
    np.testing.assert_array_equal(sheet[60:88, 30:58, 2], IMAGES[9, ..., 0])  # row 2, column 1
    assert not sheet[28:30, :, 3].any()  # gaps are transparent
    assert not sheet[60:, 60:, 3].any()  # and so are places without an image


@pytest.mark.parametrize("shape", [(0, 28, 28, 1), (2, 28, 28, 2)])
def test_what_is_no_picture_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected images"):
        contact_sheet(np.zeros(shape, np.uint8), 4)


def test_pairs_stand_above_each_other() -> None:
    other = 255 - IMAGES
    sheet = pair_sheet(IMAGES, other, 12)
    assert sheet.shape == (56, 10 * 30 - 2, 4)
    np.testing.assert_array_equal(sheet[28:, 30:58, 1], other[1, ..., 0])
    with pytest.raises(ValueError, match="pairs"):
        pair_sheet(IMAGES, other[:3], 12)


def test_histogram_bars_are_the_shares() -> None:
    ax = Figure().subplots()
    plot_class_histogram(SHARES, np.full(10, 0.1), ax=ax)
    np.testing.assert_allclose([bar.get_height() for bar in ax.patches], SHARES)  # type: ignore[attr-defined]
    np.testing.assert_allclose(np.asarray(ax.get_lines()[0].get_ydata()), 0.1)


def test_the_ellipse_reaches_to_the_95_percent_region() -> None:
    ax = Figure().subplots()
    plot_precision_recall(PlanePoint(0.5, 0.6, 0.01, 0.02), ax=ax)
    (ellipse,) = ax.patches
    # chi-square of two degrees has its 95 % quantile at 5.991, whose root is 2.4477
    np.testing.assert_allclose(ellipse.get_width(), 2 * np.sqrt(5.991) * 0.01, rtol=1e-3)  # type: ignore[attr-defined]
    np.testing.assert_allclose(ellipse.get_height(), 2 * np.sqrt(5.991) * 0.02, rtol=1e-3)  # type: ignore[attr-defined]


def test_every_point_is_drawn() -> None:
    ax = Figure().subplots()
    fake = np.concatenate([POINTS, [[np.nan, 0.0]]])
    plot_embedding(fake, POINTS[:20], ax=ax, title="")
    real_path, fake_path = (patch.get_path() for patch in ax.patches)
    starts: NDArray[np.float64] = np.asarray(fake_path.vertices)[::2]
    np.testing.assert_allclose(starts, POINTS)
    assert len(np.asarray(real_path.vertices)) == 40
    low, high = ax.get_xlim()
    assert low < POINTS[:, 0].min()
    assert high > POINTS[:, 0].max()


def test_bars_intervals_and_absent_values() -> None:
    ax = Figure().subplots()
    entries = [entry("fid", 2.0, 0.1), entry("fid", 3.0), None]
    plot_metric_bars(["a", "b", "c"], entries, ax=ax, best=0)
    assert [bar.get_width() for bar in ax.patches] == [2.0, 3.0]  # type: ignore[attr-defined]
    whisker = ax.get_lines()[0]
    np.testing.assert_allclose(np.asarray(whisker.get_xdata()), [2 - 0.196, 2 + 0.196])
    assert [text.get_text() for text in ax.texts] == ["no value"]
    names = [(tick.get_text(), tick.get_fontweight()) for tick in ax.get_yticklabels()]
    assert names == [("a", "bold"), ("b", "normal"), ("c", "normal")]


def test_values_far_apart_are_points_on_a_logarithmic_axis() -> None:
    ax = Figure().subplots()
    plot_metric_bars(["a", "b"], [entry("fid", 0.4, 0.3), entry("fid", 700.0, 5.0)], ax=ax)
    assert ax.get_xscale() == "log"
    assert not ax.patches
    low, high = ax.get_xlim()
    assert 0 < low < 0.25  # what is perfect here
    assert high > 705


def test_names_that_would_be_formulas_or_cannot_be_shown() -> None:
    figure = new_figure(4, 2)
    names = ["$\\frac", "\x00\u202ename", "日本語" * 20]
    plot_metric_bars(names, [entry("fid", 2.0)] * 3, ax=figure.subplots(), title="$x")
    text = figure_svg(figure)
    assert "$\\frac" in text
    assert "\x00" not in text
    assert len(figure_png(figure)) > 1000
    assert shortened("a" * 8 + "-" * 90 + "the-very-end-15") == "aaaaaaaa…the-very-end-15"
