"""Figures made and written: the same figure gives the same bytes."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

SALT = "latentbench"  # of the identifiers inside an SVG


def new_figure(width_in: float, height_in: float) -> Figure:
    """An empty figure that fits its axes to its size, without a background."""
    return Figure(figsize=(width_in, height_in), layout="constrained", facecolor="none")


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure in the format of the name's suffix."""
    metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
    with mpl.rc_context({"svg.hashsalt": SALT}):
        figure.savefig(path, metadata=metadata, dpi=110, bbox_inches="tight")


@contextmanager
def _any_letters() -> Iterator[None]:
    """Names may hold letters that matplotlib's font lacks: a browser has them, a PNG gets boxes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def figure_svg(figure: Figure) -> str:
    """The figure as SVG whose letters are text, without the XML prologue."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": SALT, "svg.fonttype": "none"}), _any_letters():
        figure.savefig(buffer, format="svg", metadata={"Date": None}, dpi=150)
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def figure_png(figure: Figure, *, dpi: int = 150) -> bytes:
    """The figure as PNG."""
    buffer = io.BytesIO()
    with _any_letters():
        figure.savefig(buffer, format="png", metadata={"Software": None}, dpi=dpi)
    return buffer.getvalue()
