"""Images with known factors: digits and shapes, drawn as strokes under six independent factors.

An image of 28x28 px is one combination of levels:

    class       10   the digits 1 to 5, an ellipse, a rectangle, a triangle, a cross, an arrow
    x, y         9   position of the centre, -4 to 4 px in steps of 1 px
    scale        8   radius of the circle around the drawing, 4.6 to 7.7 px
    rotation    16   -40 to 40 degrees, clockwise
    thickness    6   width of the stroke, 1 to 2.5 px

There are 622,080 combinations. A split is a part of one seeded permutation of them, so that no
image is repeated and no test image is a training image; the factors of a split are as independent
as draws without replacement are. Rotations stay below 45 degrees because a cross looks the same
after 90 degrees: every factor can be read off every image. The idea is that of dSprites (Matthey
et al. 2017); nothing is downloaded.

A pixel is the share of a unit step that the stroke covers: t / 2 + 1/2 - d, clamped to 0..1, where
d is the distance of its centre from the nearest point of the drawing and t the thickness.

Shape legend: N images, F factors, S segments of a drawing, P pixels of a template.
"""

from __future__ import annotations

import functools
import itertools
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.errors import UsageError

SIDE_PX = 28
TEMPLATE_PX = 20  # side of the square that holds a drawing with its stroke
REACH_PX = 4  # largest shift of the centre along an axis
RADIUS_PX = 7.7  # of the circle around the largest drawing
CLASSES = (
    "one",
    "two",
    "three",
    "four",
    "five",
    "ellipse",
    "rectangle",
    "triangle",
    "cross",
    "arrow",
)


class Factor(NamedTuple):
    """One factor: its name, its unit, and the value of every level, ascending."""

    name: str
    unit: str
    values: tuple[float, ...]


def _steps(low: float, high: float, num: int) -> tuple[float, ...]:
    return tuple(float(value) for value in np.linspace(low, high, num))


FACTORS: tuple[Factor, ...] = (
    Factor("class", "", _steps(0, len(CLASSES) - 1, len(CLASSES))),
    Factor("x", "px", _steps(-REACH_PX, REACH_PX, 2 * REACH_PX + 1)),
    Factor("y", "px", _steps(-REACH_PX, REACH_PX, 2 * REACH_PX + 1)),
    Factor("scale", "share of the largest", _steps(0.6, 1.0, 8)),
    Factor("rotation", "degrees", _steps(-40, 40, 16)),
    Factor("thickness", "px", _steps(1.0, 2.5, 6)),
)
CATEGORICAL = frozenset({"class"})  # factors whose levels have no order
FACTOR_NAMES = tuple(factor.name for factor in FACTORS)
NUM_LEVELS = tuple(len(factor.values) for factor in FACTORS)
NUM_COMBINATIONS = math.prod(NUM_LEVELS)


def draw_factors(levels: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Return the images of level numbers N,F (in the order of `FACTORS`): uint8 N,28,28,1.

    Raises `UsageError` for levels that do not exist.

    >>> image = draw_factors(np.array([[8, 4, 4, 7, 8, 0]]))[0, :, :, 0]  # a thin cross
    >>> image.shape, int((image > 0).any(axis=1).sum())
    ((28, 28), 16)
    """
    levels = np.asarray(levels)
    if levels.ndim != 2 or levels.shape[1] != len(FACTORS) or levels.dtype.kind not in "iu":
        raise UsageError(
            f"levels {levels.dtype} {levels.shape}: expected integers N,{len(FACTORS)}"
        )
    if len(levels) and ((levels < 0).any() or (levels >= NUM_LEVELS).any()):
        raise UsageError(f"a level lies outside its factor, which has {NUM_LEVELS} levels")
    label, x, y, scale, rotation, thickness = levels.T
    templates = _templates()[label, scale, rotation, thickness]
    images = np.zeros((len(levels), SIDE_PX, SIDE_PX, 1), np.uint8)
    for top in range(2 * REACH_PX + 1):
        for left in range(2 * REACH_PX + 1):
            here = np.flatnonzero((y == top) & (x == left))
            rows, columns = slice(top, top + TEMPLATE_PX), slice(left, left + TEMPLATE_PX)
            images[here, rows, columns, 0] = templates[here]
    return images


def draw_levels(num: int, *, seed: int = 0, from_end: bool = False) -> NDArray[np.int64]:
    """Return `num` different combinations of levels, int64 N,F, from a seed.

    They are the first ones of a permutation of all combinations, or with `from_end` the last ones.
    Raises `UsageError` unless `num` lies between 1 and the number of combinations.
    """
    if not 1 <= num <= NUM_COMBINATIONS:
        raise UsageError(
            f"{num} images of the factor data: expected 1 to {NUM_COMBINATIONS}, "
            "the number of different images"
        )
    order = np.random.default_rng(seed).permutation(NUM_COMBINATIONS)
    chosen = order[-num:] if from_end else order[:num]
    return np.stack(np.unravel_index(chosen, NUM_LEVELS), axis=1).astype(np.int64)


@functools.cache
def _templates() -> NDArray[np.uint8]:
    """Return every drawing at the centre: uint8 class, scale, rotation, thickness, 20, 20."""
    _, _, _, scales, rotations, thicknesses = (np.array(factor.values) for factor in FACTORS)
    templates = np.empty(
        (len(CLASSES), len(scales), len(rotations), len(thicknesses), TEMPLATE_PX, TEMPLATE_PX),
        np.uint8,
    )
    half_widths = (thicknesses / 2 + 0.5)[:, None, None]
    for label, name in enumerate(CLASSES):
        segments = _segments(name)
        for s, scale in enumerate(scales):
            for r, degrees in enumerate(rotations):
                distance = _distance(segments * (RADIUS_PX * scale), degrees)
                covered = np.clip(half_widths - distance, 0, 1)
                templates[label, s, r] = np.floor(covered * 255 + 0.5).astype(np.uint8)
    return templates


def _distance(segments_S22: NDArray[np.float64], degrees: float) -> NDArray[np.float64]:
    """Return the distance of every pixel of a template from the drawing, turned clockwise."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turned = segments_S22 @ np.array([[cos, sin], [-sin, cos]])  # y points down
    centres = np.arange(TEMPLATE_PX) - (TEMPLATE_PX - 1) / 2
    points = np.stack(np.meshgrid(centres, centres), axis=-1).reshape(-1, 1, 2)
    start, along = turned[:, 0], turned[:, 1] - turned[:, 0]
    offset = points - start
    length2 = np.maximum((along**2).sum(axis=-1), 1e-12)
    share = np.clip((offset * along).sum(axis=-1) / length2, 0, 1)
    gap = offset - share[..., None] * along
    nearest: NDArray[np.float64] = (gap**2).sum(axis=-1).min(axis=1)
    return np.sqrt(nearest).reshape(TEMPLATE_PX, TEMPLATE_PX)


Point = tuple[float, float]


def _arc(centre: Point, radii: Point, start: float, stop: float) -> list[Point]:
    """Return points of an elliptic arc; 0 degrees is to the right and 90 degrees is down."""
    (x, y), (rx, ry) = centre, radii
    num = max(3, round(abs(stop - start) / 20) + 1)
    angles = np.radians(np.linspace(start, stop, num))
    return [(x + rx * math.cos(angle), y + ry * math.sin(angle)) for angle in angles]


# Strokes of every class inside the unit circle, y down.
STROKES: dict[str, tuple[list[Point], ...]] = {
    "one": ([(-0.35, -0.55), (0.1, -0.95), (0.1, 0.95)],),
    "two": ([*_arc((0, -0.45), (0.5, 0.5), -170, 30), (-0.55, 0.83), (0.55, 0.83)],),
    "three": (
        [*_arc((0, -0.45), (0.48, 0.47), -150, 90), *_arc((0, 0.46), (0.53, 0.46), -90, 150)],
    ),
    "four": ([(0.25, 0.95), (0.25, -0.95), (-0.6, 0.35), (0.65, 0.35)],),
    "five": (
        [(0.5, -0.86), (-0.42, -0.86), (-0.48, -0.1), *_arc((0, 0.33), (0.54, 0.54), -130, 150)],
    ),
    "ellipse": (_arc((0, 0), (0.95, 0.5), 0, 360),),
    "rectangle": ([(-0.85, -0.5), (0.85, -0.5), (0.85, 0.5), (-0.85, 0.5), (-0.85, -0.5)],),
    "triangle": ([(0, -0.95), (0.75, 0.6), (-0.75, 0.6), (0, -0.95)],),
    "cross": ([(-0.95, 0), (0.95, 0)], [(0, -0.95), (0, 0.95)]),
    "arrow": ([(-0.95, 0), (0.95, 0)], [(0.4, -0.55), (0.95, 0), (0.4, 0.55)]),
}  # fmt: skip


def _segments(name: str) -> NDArray[np.float64]:
    """Return the line segments of a class, S,2,2: start and end, each x,y."""
    pairs = [pair for stroke in STROKES[name] for pair in itertools.pairwise(stroke)]
    return np.array(pairs, np.float64)
