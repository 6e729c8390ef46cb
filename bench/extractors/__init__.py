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
        sha256="ecc1b2fd6364726dfe3982713743261f3ebe6d268971e4ce850f795dee6ba1c6",
        feature_dim=128,
        num_classes=10,
        side_px=28,
        citation="trained by baselines.train_extractor on the MNIST train split",
    ),
    ExtractorRow(
        name="fashion",
        title="compact CNN classifier of Fashion-MNIST, penultimate features",
        loader="bench.extractors.compact_cnn:load",
        weights="fashion.safetensors",
        sha256="0" * 64,
        feature_dim=128,
        num_classes=10,
        side_px=28,
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
