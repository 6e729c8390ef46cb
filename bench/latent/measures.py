"""The table of all measures, and the groups that they belong to.

>>> MEASURES["active_units"].group
'traversal'
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from bench.latent import (
    arithmetic,
    disentanglement,
    interpolation,
    invariance,
    prior,
    representation,
    reuse,
    traversal,
)
from bench.latent.context import Context
from bench.latent.values import Group, LatentMeasure, LatentValue


class MeasuredGroup(NamedTuple):
    """A group: what it measures in a few words, its rows, and the function that measures them."""

    title: str
    measures: tuple[LatentMeasure, ...]
    measure: Callable[[Context], list[LatentValue]]


GROUPS: Mapping[Group, MeasuredGroup] = {
    "interpolation": MeasuredGroup(
        "Interpolation", interpolation.MEASURES, interpolation.measure_interpolation
    ),
    "arithmetic": MeasuredGroup("Arithmetic", arithmetic.MEASURES, arithmetic.measure_arithmetic),
    "traversal": MeasuredGroup("Traversal", traversal.MEASURES, traversal.measure_traversal),
    "prior": MeasuredGroup("Prior and reconstruction", prior.MEASURES, prior.measure_prior),
    "disentanglement": MeasuredGroup(
        "Disentanglement", disentanglement.MEASURES, disentanglement.measure_disentanglement
    ),
    "representation": MeasuredGroup(
        "Representation", representation.MEASURES, representation.measure_representation
    ),
    "invariance": MeasuredGroup("Invariance", invariance.MEASURES, invariance.measure_invariance),
    "reuse": MeasuredGroup("Reuse on other data", reuse.MEASURES, reuse.measure_reuse),
}

_ROWS = [row for group in GROUPS.values() for row in group.measures]
MEASURES: Mapping[str, LatentMeasure] = {row.name: row for row in _ROWS}
if len(MEASURES) != len(_ROWS):
    raise ValueError("two measures of a latent space have one name")
