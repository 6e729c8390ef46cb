"""Random weights of InceptionV3 in torch-fidelity's form.

The published weights cannot be had on a machine without network access, and agreement between two
programs does not need them. torch-fidelity loads these strictly, so names and shapes are its own.
Random classes tell little apart: Inception Scores are a little above 1 only.
"""

from __future__ import annotations

from pathlib import Path

import torch

from bench.extractors.inception import random_state


def save_random_weights(path: Path, seed: int = 0) -> Path:
    torch.save(random_state(seed), path)
    return path
