"""Pictures as data URIs that a page carries in itself.

An SVG stands in an `img` element: its identifiers and styles stay its own, it can neither run
scripts nor fetch anything, and its colours follow the light or dark page by a media query of its
own. A figure whose SVG would be large goes as PNG on white.
"""

from __future__ import annotations

import base64
import re
from typing import NamedTuple
from urllib.parse import quote

from matplotlib.figure import Figure

from bench.plots import THEME, figure_png, figure_svg

MAX_SVG_BYTES = 60_000
_SAFE = " !$'()*+,-./:;=?@[]_~{}|"  # what a data URI carries as it is
_LONG_DECIMAL = re.compile(r"(?<![\w#.])(-?\d+\.\d{3,})(?![\w.])")
_TAG = re.compile(r"<[^>]*>")  # coordinates stand inside tags; the text between them is read
_METADATA = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)
_FONT = re.compile(r"'DejaVu Sans'[^;\"]*")


class Picture(NamedTuple):
    """A picture on the page. `alt` says what it shows to those who do not see it; `opaque` that
    it needs a white ground.
    """

    uri: str
    alt: str
    caption: str
    width_px: int
    height_px: int
    opaque: bool = False
    pixels: bool = False  # of few large pixels, not to be smoothed


def themed_svg(svg: str) -> str:
    """The SVG with colours of both themes, system fonts, and coordinates with no more digits than a
    screen shows.
    """
    svg = _METADATA.sub("", svg)
    svg = _TAG.sub(lambda tag: _LONG_DECIMAL.sub(_rounded, tag.group()), svg)
    svg = _FONT.sub("system-ui, sans-serif", svg)
    light, dark = [], []
    for number, (on_light, on_dark) in enumerate(THEME.items()):
        svg = re.sub(
            rf"((?:fill|stroke): ){on_light}", rf"\1var(--c{number})", svg, flags=re.IGNORECASE
        )
        light.append(f"--c{number}:{on_light}")
        dark.append(f"--c{number}:{on_dark}")
    style = (
        f"<style>:root{{{';'.join(light)}}}"
        f"@media (prefers-color-scheme:dark){{:root{{{';'.join(dark)}}}}}"
        "text{fill:var(--c0)}</style>"
    )
    end = svg.index(">") + 1
    return " ".join((svg[:end] + style + svg[end:]).split())


def _rounded(found: re.Match[str]) -> str:
    return f"{float(found.group()):.2f}".rstrip("0").rstrip(".")


def picture_of(figure: Figure, *, alt: str, caption: str = "") -> Picture:
    """A figure as SVG, or as PNG when that would be large."""
    width, height = (round(side * 96) for side in figure.get_size_inches())
    svg = themed_svg(figure_svg(figure))
    uri = "data:image/svg+xml," + quote(svg, safe=_SAFE)
    if len(uri) <= MAX_SVG_BYTES:
        return Picture(uri, alt, caption, width, height)
    figure.set_facecolor("white")
    return Picture(png_uri(figure_png(figure)), alt, caption, width, height, opaque=True)


def png_uri(data: bytes) -> str:
    return data_uri("image/png", data)


def data_uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
