"""Plots: `ax` in, `ax` out, every value drawn, the same file for the same data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from bench.plots import OKABE_ITO, Scale, plot_ladder, save_figure

CURVES: dict[str, list[float | None]] = {"blur": [-0.002, 0.5, 3.0], "noise": [-0.002, None, 40.0]}


@pytest.mark.parametrize("scale", ["linear", "symlog"])
def test_every_value_is_drawn_and_visible(scale: Scale) -> None:
    ax = Figure().subplots()
    assert plot_ladder(CURVES, ax=ax, title="kid", expected=0.0, scale=scale) is ax
    blur, noise, expected = ax.get_lines()
    np.testing.assert_array_equal(blur.get_ydata(), CURVES["blur"])
    np.testing.assert_array_equal(np.isnan(np.asarray(noise.get_ydata())), [False, True, False])
    assert blur.get_color() != noise.get_color()
    assert expected.get_linestyle() == "--"
    bottom, top = ax.get_ylim()
    assert bottom < -0.002
    assert top > 40
    if scale == "symlog":
        assert bottom >= -0.01


def test_nine_curves_have_nine_colours() -> None:
    assert len(set(OKABE_ITO)) == 9


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_the_same_figure_is_the_same_file(tmp_path: Path, suffix: str) -> None:
    for name in ("one", "two"):
        figure = Figure()
        plot_ladder(CURVES, ax=figure.subplots(), title="kid")
        save_figure(figure, tmp_path / f"{name}.{suffix}")
    files = [(tmp_path / f"{name}.{suffix}").read_bytes() for name in ("one", "two")]
    assert files[0] == files[1]
    assert len(files[0]) > 1000
