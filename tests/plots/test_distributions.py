"""Histograms and embeddings show every value."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bench.plots import plot_class_histogram, plot_embedding

SHARES = np.array([0.06] * 9 + [0.46])
POINTS = np.random.default_rng(0).standard_normal((50, 2))


def test_histogram_bars_are_the_shares() -> None:
    ax = Figure().subplots()
    plot_class_histogram(SHARES, np.full(10, 0.1), ax=ax)
    np.testing.assert_allclose([bar.get_height() for bar in ax.patches], SHARES)  # type: ignore[attr-defined]
    np.testing.assert_allclose(np.asarray(ax.get_lines()[0].get_ydata()), 0.1)


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
