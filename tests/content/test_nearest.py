"""The searches against their definitions, computed with full matrices."""

from __future__ import annotations

import numpy as np
import pytest

from bench.content.descriptors import descriptors, shifted
from bench.content.nearest import SHIFTS, NearIndex, near_groups, nearest_other
from tests.content.conftest import Known
from tests.content.faults import noise


def least_distances(query: np.ndarray, base: np.ndarray, height: int, width: int) -> np.ndarray:
    matrices = []
    for down, right in SHIFTS:
        moved = shifted(query, down, right, height=height, width=width).astype(np.float64)
        matrices.append(np.linalg.norm(moved[:, None] - base[None].astype(np.float64), axis=2))
    return np.min(matrices, axis=0)


@pytest.mark.parametrize("radius", [0.05, 0.15, 0.4])
def test_pairs_are_all_pairs(known: Known, radius: float) -> None:
    query = descriptors(known.rest[:150, ..., 0])
    base = descriptors(known.train[:600, ..., 0])
    query[7] = 0  # an image without contrast
    base[3] = 0
    d = least_distances(query, base, 28, 28)
    d[7], d[:, 3] = np.inf, np.inf
    found = NearIndex(base).pairs(query, radius, height=28, width=28)
    sure, never = d <= radius - 1e-5, d > radius + 1e-5
    seen = np.zeros_like(sure)
    seen[found.query, found.base] = True
    assert len(found.query) == seen.sum()  # each once
    assert seen[sure].all()
    assert not seen[never].any()
    assert np.abs(d[found.query, found.base] - found.distance).max(initial=0) < 1e-5


def test_searches_in_and_for_nothing() -> None:
    nothing = np.zeros((2, 48), np.float32)
    something = np.eye(48, dtype=np.float32)[:3]
    for base, query in ((nothing, something), (something, nothing), (nothing[:0], something)):
        found = NearIndex(base).pairs(query, 0.5, height=28, width=28)
        assert len(found.query) == len(found.base) == len(found.distance) == 0
    assert len(NearIndex(something).pairs(something, 0.1, height=28, width=28).query) == 3


def test_groups_are_found(known: Known) -> None:
    """Three groups of 5, 3 and 2 noisy copies among 300 different images."""
    images = known.rest[:300].copy()
    for place, size in ((0, 5), (100, 3), (200, 2)):
        images[place : place + size] = noise(np.repeat(images[place : place + 1], size, 0), 3)
    groups = near_groups(descriptors(images[..., 0]), 0.06)
    assert groups.sizes.tolist() == [5, 3, 2]
    assert groups.members(0).tolist() == [0, 1, 2, 3, 4]
    assert groups.members(1).tolist() == [100, 101, 102]
    assert (groups.leader == np.arange(300)).sum() == 300 - 4 - 2 - 1


def test_every_member_is_near_its_leader_and_leaders_are_apart(known: Known) -> None:
    d = descriptors(known.train[..., 0])
    radius = 0.2
    groups = near_groups(d, radius)
    assert np.linalg.norm(d - d[groups.leader], axis=1).max() <= radius + 1e-5
    leaders = np.unique(groups.leader)
    assert np.nanmin(nearest_other(d[leaders])) > radius - 1e-5
    assert groups.sizes.sum() + (np.unique(groups.leader, return_counts=True)[1] == 1).sum() == len(
        d
    )


def test_images_without_contrast_stay_alone() -> None:
    groups = near_groups(np.zeros((4, 48), np.float32), 0.1)
    assert groups.sizes.tolist() == []
    assert np.isnan(nearest_other(np.zeros((4, 48), np.float32))).all()


def test_nearest_other(known: Known) -> None:
    d = descriptors(known.train[:700, ..., 0])
    matrix = np.linalg.norm(d[:, None].astype(np.float64) - d[None], axis=2)
    np.fill_diagonal(matrix, np.inf)
    assert np.abs(nearest_other(d) - matrix.min(axis=1)).max() < 1e-3
