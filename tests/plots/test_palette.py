"""Every colour can be told from the background, light and dark."""

from __future__ import annotations

import numpy as np

from bench.plots import OKABE_ITO, THEME


def test_colours() -> None:
    assert len(set(OKABE_ITO)) == 9
    ground = {"light": "#FFFFFF", "dark": "#1A2029"}
    for on_light, on_dark in THEME.items():
        if on_light == "#DDE2E8":  # grid lines are to be pale
            continue
        assert _contrast(on_light, ground["light"]) >= 2.7, on_light
        assert _contrast(on_dark, ground["dark"]) >= 3, on_dark


def _contrast(a: str, b: str) -> float:
    """Return the contrast of two colours as defined by WCAG 2.2."""

    def luminance(colour: str) -> float:
        parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)
