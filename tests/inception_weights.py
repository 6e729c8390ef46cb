"""Random weights of InceptionV3 in torch-fidelity's form, and real photographs to try them on.

The published weights cannot be had on a machine without network access, and agreement between two
programs does not need them. torch-fidelity loads these strictly, so names and shapes are its own.
Random classes tell little apart: Inception Scores are a little above 1 only.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_sample_images

from bench.extractors.inception import random_state


def save_random_weights(path: Path, seed: int = 0) -> Path:
    torch.save(random_state(seed), path)
    return path


def photo_crops(num: int, height_px: int, width_px: int, seed: int = 0) -> NDArray[np.uint8]:
    """Random crops of two photographs of 427x640 px: uint8 N,H,W,3."""
    photos = [np.asarray(photo) for photo in load_sample_images().images]
    if height_px > photos[0].shape[0]:  # a portrait format: turn them
        photos = [photo.transpose(1, 0, 2) for photo in photos]
    rng = np.random.default_rng(seed)
    crops = []
    for number in range(num):
        photo = photos[number % 2]
        top = rng.integers(photo.shape[0] - height_px + 1)
        left = rng.integers(photo.shape[1] - width_px + 1)
        crops.append(photo[top : top + height_px, left : left + width_px])
    return np.stack(crops)
