"""Plots: every function draws on the axes `ax` and returns them.

Colours can be told apart with any kind of colour vision (Okabe & Ito 2008). The same data gives the
same SVG file, byte by byte.

>>> import numpy as np
>>> from bench.plots import new_figure, plot_class_histogram
>>> ax = plot_class_histogram(np.array([0.4, 0.6]), ax=new_figure(4, 3).subplots())
>>> ax.get_xlabel()
'class'
"""

from __future__ import annotations

from bench.plots.comparison import plot_metric_bars
from bench.plots.curves import (
    PlanePoint,
    is_ellipse_visible,
    plot_fid_line,
    plot_precision_recall,
)
from bench.plots.distributions import plot_class_histogram, plot_embedding, plot_grey_histogram
from bench.plots.images import (
    contact_sheet,
    pair_sheet,
    plot_duplicates,
    plot_images,
    plot_pairs,
)
from bench.plots.ladder import Scale, plot_ladder
from bench.plots.palette import MARKERS, OKABE_ITO, THEME
from bench.plots.roc import plot_roc
from bench.plots.saving import figure_png, figure_svg, new_figure, save_figure
from bench.plots.shares import plot_shares

__all__ = [
    "MARKERS",
    "OKABE_ITO",
    "THEME",
    "PlanePoint",
    "Scale",
    "contact_sheet",
    "figure_png",
    "figure_svg",
    "is_ellipse_visible",
    "new_figure",
    "pair_sheet",
    "plot_class_histogram",
    "plot_duplicates",
    "plot_embedding",
    "plot_fid_line",
    "plot_grey_histogram",
    "plot_images",
    "plot_ladder",
    "plot_metric_bars",
    "plot_pairs",
    "plot_precision_recall",
    "plot_roc",
    "plot_shares",
    "save_figure",
]
