"""Figures and images as pictures that a page embeds as data URIs.

An SVG is shown in an `img` element: its identifiers and styles do not leak into the page, it can
neither run scripts nor fetch anything, and a media query of its own adapts its colours to a light
or dark page. A figure whose SVG would be large becomes a PNG on white.
"""

from __future__ import annotations

import base64
import re
from typing import NamedTuple
from urllib.parse import quote

from matplotlib.figure import Figure

from bench.plots import THEME, figure_png, figure_svg

MAX_SVG_BYTES = 60_000
_SAFE = " !$'()*+,-./:;=?@[]_~{}|"  # characters that a data URI may hold unquoted
_LONG_DECIMAL = re.compile(r"(?<![\w#.])(-?\d+\.\d{3,})(?![\w.])")
_TAG = re.compile(r"<[^>]*>")  # coordinates stand inside tags, readable text between them
_METADATA = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)
_FONT = re.compile(r"'DejaVu Sans'[^;\"]*")


class Picture(NamedTuple):
    """A picture of the page. `alt` describes it to readers who cannot see it."""

    uri: str
    alt: str
    caption: str
    width_px: int
    height_px: int
    opaque: bool = False  # needs a white background
    pixels: bool = False  # few large pixels that must not be smoothed


def themed_svg(svg: str) -> str:
    """Return the SVG with the colours of both themes, system fonts and rounded coordinates."""
    svg = _METADATA.sub("", svg)
    svg = _TAG.sub(lambda tag: _LONG_DECIMAL.sub(_rounded, tag.group()), svg)
    svg = _FONT.sub("system-ui, sans-serif", svg)
    light, dark = [], []
    for position, (on_light, on_dark) in enumerate(THEME.items()):
        svg = re.sub(
            rf"((?:fill|stroke): ){on_light}", rf"\1var(--c{position})", svg, flags=re.IGNORECASE
        )
        light.append(f"--c{position}:{on_light}")
        dark.append(f"--c{position}:{on_dark}")
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
    """Return a figure as an SVG picture, or as PNG when the SVG would exceed 60 kB."""
    width, height = (round(side * 96) for side in figure.get_size_inches())
    svg = themed_svg(figure_svg(figure))
    uri = "data:image/svg+xml," + quote(svg, safe=_SAFE)
    if len(uri) <= MAX_SVG_BYTES:
        return Picture(uri, alt, caption, width, height)
    figure.set_facecolor("white")
    return Picture(png_uri(figure_png(figure)), alt, caption, width, height, opaque=True)


def png_uri(data: bytes) -> str:
    """Return a PNG as a data URI."""
    return data_uri("image/png", data)


def data_uri(kind: str, data: bytes) -> str:
    """Return bytes of the media type `kind` as a data URI.

    >>> data_uri("text/plain", b"ok")
    'data:text/plain;base64,b2s='
    """
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
