"""Create and write figures; the same figure gives the same bytes."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from bench.runtime.whole_files import write_atomically

SALT = "latentbench"  # fixes the identifiers inside an SVG


def new_figure(width_in: float, height_in: float) -> Figure:
    """Return an empty figure with a transparent background that lays out its axes to fit."""
    return Figure(figsize=(width_in, height_in), layout="constrained", facecolor="none")


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure in the format of the suffix of `path`, whole or not at all."""
    metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
    with mpl.rc_context({"svg.hashsalt": SALT}):
        buffer = io.BytesIO()
        form = path.suffix.removeprefix(".")
        figure.savefig(buffer, format=form, metadata=metadata, dpi=110, bbox_inches="tight")
    write_atomically(path, buffer.getvalue())


@contextmanager
def _any_letters() -> Iterator[None]:
    """Allow letters that matplotlib's font lacks: a browser has them, a PNG shows boxes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def figure_svg(figure: Figure) -> str:
    """Return the figure as SVG without the XML prologue; letters stay text."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": SALT, "svg.fonttype": "none"}), _any_letters():
        figure.savefig(buffer, format="svg", metadata={"Date": None}, dpi=150)
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def figure_png(figure: Figure, *, dpi: int = 150) -> bytes:
    """Return the figure as PNG."""
    buffer = io.BytesIO()
    with _any_letters():
        figure.savefig(buffer, format="png", metadata={"Software": None}, dpi=dpi)
    return buffer.getvalue()
