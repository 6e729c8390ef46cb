"""What the two studies of `inception` share: untrained weights, and how a study was measured."""

from __future__ import annotations

import platform
from pathlib import Path

import torch

from bench.extractors.inception import random_state
from bench.studies.study_folder import Row
from bench.tables.numbers import counted

UNTRAINED = "random, untrained (seed 0): read ratios and orders of magnitude only"


def random_weights_file(folder: Path) -> Path:
    """Write untrained weights, for a machine without the published ones; return the file."""
    path = folder / "random-inception.pth"
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(random_state(), path)
    return path


def circumstances(weights: str, command: str) -> Row:
    """Return the fields of every row that say how it was measured."""
    return {
        "weights": weights,
        "command": command,
        "torch": torch.__version__,
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
    }


def circumstances_text(row: Row) -> str:
    """Return the paragraph of a page that says how its rows were measured."""
    return (
        f"Made by `{row['command']}` with {counted(row['num_images'], 'image')} in each set, on "
        f"{row['machine']} with {counted(row['threads'], 'thread')}, torch {row['torch']}. "
        f"Weights: **{row['weights']}**. One run; every row uses the same images."
    )
