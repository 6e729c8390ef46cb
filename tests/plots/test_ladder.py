"""The plot of a ladder shows every value and leaves gaps for missing ones."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from bench.plots import Scale, plot_ladder

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
