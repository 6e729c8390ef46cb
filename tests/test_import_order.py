"""The levels of the two packages, held as data: a file imports files of lower levels only.

Read with `ast`, so that an import inside a function counts as well.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Lowest level first. A name that ends in "." stands for every module below that package.
LEVELS: dict[str, list[list[str]]] = {
    "bench": [
        ["bench.errors"],
        ["bench.intake.", "bench.stats", "bench.perturbations"],
        ["bench.datasets", "bench.metrics.neighbours", "bench.record"],
        ["bench.metrics.base", "bench.extractors.base", "bench.tables"],
        ["bench.metrics.", "bench.extractors.", "bench.features", "bench.plots"],
        ["bench.metrics", "bench.extractors"],
        ["bench.references"],
        ["bench.scoring"],
        ["bench.ladder"],
        ["bench.cli."],
        ["bench.cli"],
        ["bench", "bench.__main__"],
    ],
    "baselines": [],
}
