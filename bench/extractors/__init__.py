"""The table of extractors. Rows are light; a network is loaded when its row is asked to."""

from __future__ import annotations

from bench.errors import UnknownNameError
from bench.extractors.base import ExtractorRow

_ROWS = (
    ExtractorRow(
        name="digits",
        title="compact CNN classifier of MNIST digits, penultimate features",
        loader="bench.extractors.compact_cnn:load",
        weights="digits.safetensors",
        sha256="2376dd92bf7cfed22a953f80c5c27e37e0e21c36ce6aee5ee96115d036168da8",
        feature_dim=128,
        num_classes=10,
        side_px=28,
        channels=1,
        citation="trained by baselines.train_extractor on the MNIST train split",
    ),
    ExtractorRow(
        name="fashion",
        title="compact CNN classifier of Fashion-MNIST, penultimate features",
        loader="bench.extractors.compact_cnn:load",
        weights="fashion.safetensors",
        sha256="9b6c729a680ca3046a25cd850ca5d9cc102840e5a7f87636ed29317f8f20812a",
        feature_dim=128,
        num_classes=10,
        side_px=28,
        channels=1,
        citation="trained by baselines.train_extractor on the Fashion-MNIST train split",
    ),
)

EXTRACTORS: dict[str, ExtractorRow] = {row.name: row for row in _ROWS}
if len(EXTRACTORS) != len(_ROWS):
    raise ValueError("two extractors of one name")


def extractor_row(name: str) -> ExtractorRow:
    """The row of that name. Raises `UnknownNameError` listing the valid names."""
    if name not in EXTRACTORS:
        raise UnknownNameError("extractor", name, EXTRACTORS)
    return EXTRACTORS[name]
