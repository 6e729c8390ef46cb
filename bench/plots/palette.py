"""Colours and markers that can be told apart with any colour vision (Okabe and Ito 2008), and the
style of axes. `THEME` maps every colour to its counterpart on a dark page.
"""

from __future__ import annotations

from typing import Literal

from matplotlib.axes import Axes

OKABE_ITO = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
    "#8A8A00",
    "#7F7F7F",
)
MARKERS = "osD^vP*X<"

INK = "#1C2430"  # text and axes
MUTED = "#5A6472"  # auxiliary lines
GRID = "#DDE2E8"
YOURS = OKABE_ITO[0]
REAL = OKABE_ITO[1]

THEME: dict[str, str] = {
    INK: "#E6EAF0",
    MUTED: "#A3ADBA",
    GRID: "#323B47",
    "#0072B2": "#5CB8F2",
    "#D55E00": "#FF9352",
    "#009E73": "#35C79A",
    "#CC79A7": "#E39CC3",
    "#000000": "#FFFFFF",
}


Place = Literal["best", "upper right", "upper left", "upper center", "lower left", "lower right"]


def dress(ax: Axes, *, title: str = "", x: str = "", y: str = "", grid: str = "y") -> Axes:
    """Style axes: title at the left, no frame at the top and right, pale grid lines.

    `grid` names the axes with grid lines: "x", "y", "both" or "" for none.
    """
    if title:
        ax.set_title(title, loc="left", fontsize=10, color=INK, fontweight="bold", parse_math=False)
    ax.set_facecolor("none")
    ax.set_xlabel(x, fontsize=9, color=INK)
    ax.set_ylabel(y, fontsize=9, color=INK)
    ax.tick_params(colors=INK, labelsize=8, length=3, width=0.7, which="both")
    ax.spines[["top", "right"]].set_visible(False)
    for spine in ax.spines.values():
        spine.set_color(MUTED)
        spine.set_linewidth(0.7)
    ax.set_axisbelow(True)
    if grid == "x":
        ax.grid(axis="x", color=GRID, linewidth=0.7)
    elif grid == "y":
        ax.grid(axis="y", color=GRID, linewidth=0.7)
    elif grid:
        ax.grid(color=GRID, linewidth=0.7)
    return ax


def legend(ax: Axes, *, loc: Place = "best", columns: int = 1, beside: bool = False) -> None:
    """Add a legend without a frame; with `beside`, to the right of the axes."""
    ax.legend(
        loc="upper left" if beside else loc,
        bbox_to_anchor=(1.0, 1.0) if beside else None,
        ncols=columns,
        fontsize=8,
        frameon=False,
        labelcolor=INK,
        handlelength=1.6,
    )
