"""The ellipse of precision and recall has the stated size."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from bench.plots import PlanePoint, is_ellipse_visible, plot_precision_recall


def test_the_ellipse_reaches_to_the_95_percent_region() -> None:
    ax = Figure().subplots()
    plot_precision_recall(PlanePoint(0.5, 0.6, 0.01, 0.02), ax=ax)
    (ellipse,) = ax.patches
    # chi-square of two degrees has its 95 % quantile at 5.991, whose root is 2.4477
    np.testing.assert_allclose(ellipse.get_width(), 2 * np.sqrt(5.991) * 0.01, rtol=1e-3)  # type: ignore[attr-defined]
    np.testing.assert_allclose(ellipse.get_height(), 2 * np.sqrt(5.991) * 0.02, rtol=1e-3)  # type: ignore[attr-defined]


def test_an_ellipse_that_nobody_sees_is_not_drawn() -> None:
    """A point covers 0.015 of the axes; a standard error of 0.004 reaches 0.0098."""
    for error, visible in ((0.004, False), (0.0081, False), (0.0083, True), (None, False)):
        point = PlanePoint(0.5, 0.6, error, error)
        ax = Figure().subplots()
        plot_precision_recall(point, ax=ax)
        assert bool(ax.patches) == is_ellipse_visible(point) == visible
