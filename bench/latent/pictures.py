"""The pictures of one space, as PNG files, one function a picture.

A picture that a space cannot have is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bench.latent.arithmetic import attribute_vector, known_sources, thirds
from bench.latent.attributes import ATTRIBUTES, attributes_of
from bench.latent.code_pictures import LATENT_MAPS, neighbour_rows, reused, variation_maps
from bench.latent.context import Anchors, Context
from bench.latent.interpolation import (
    OTHER,
    PIXELS,
    pairs_of,
    path_points,
    paths_or_reason,
    shortest_paths,
)
from bench.latent.record import PictureEntry
from bench.latent.traversal import axes_of, generated_categories, steps, traversed
from bench.latent.values import Absent, Group
from bench.plots.latent import plot_equations, plot_rows, plot_sheet
from bench.plots.saving import figure_png, new_figure
from bench.runtime.whole_files import write_atomically

INCH_PER_IMAGE = 0.42
MAX_CHAIN = 12
GRID = 15
NUM_SHOWN = 10


class LatentPicture(NamedTuple):
    """A row of the table of pictures: the group it belongs to, its caption, and its function."""

    group: Group
    caption: str
    draw: Callable[[Context], Figure]


def _figure(columns: float, rows: float) -> Figure:
    figure = new_figure(1.6 + columns * INCH_PER_IMAGE, 0.5 + rows * INCH_PER_IMAGE)
    figure.set_layout_engine("compressed")  # for axes of a fixed aspect, so that no name is cut off
    return figure


def _pairs(context: Context, anchors: Anchors, num: int) -> dict[str, NDArray[np.int64]]:
    generator = context.generator("pairs")
    return pairs_of(anchors.labels, len(anchors.images), num, generator)


def interpolation_strips(context: Context) -> Figure:
    """Pixels above codes: two pairs of one class and two of two classes."""
    anchors = context.anchors
    rows: list[NDArray[np.uint8]] = []
    names: list[str] = []
    gaps = []
    for pairs in _pairs(context, anchors, 2).values():
        paths = paths_or_reason(anchors, pairs)
        for number in range(len(pairs)):
            one = pairs[number : number + 1]
            path = paths if isinstance(paths, str) else paths[number : number + 1]
            for name, images in path_points(context, anchors, one, path):
                if isinstance(images, str):
                    continue
                if name != PIXELS or context.space.name != PIXELS:
                    rows.append(images[0])
                    names.append(name)
            gaps.append(len(rows) - 1)
    ax = (figure := _figure(11, len(rows) + len(gaps) / 3)).subplots()
    plot_rows(rows, ax=ax, names=names, gap_after=gaps[:-1])
    return figure


def chains(context: Context) -> Figure:
    """Chains of images between two ends: the shortest path in the graph of nearest codes."""
    anchors = context.anchors
    kinds = _pairs(context, anchors, 40)
    pairs = kinds.get(OTHER, next(iter(kinds.values())))
    found = [path for path in shortest_paths(anchors.codes, pairs) if path is not None]
    found = [path for path in found if 3 <= len(path) <= MAX_CHAIN][:6]
    if not found:
        raise Absent("no chain")
    rows = [anchors.images[path] for path in found]
    columns = max(map(len, rows))
    ax = (figure := _figure(columns, len(rows))).subplots()
    names = [f"{len(path) - 1} steps" for path in found]
    plot_rows(rows, ax=ax, names=names)
    return figure


def attribute_walks(context: Context) -> Figure:
    """One image moved along the vector of every attribute, against it and with it."""
    context.space.require_decoder()
    sources, anchors = known_sources(context), context.anchors
    strengths = np.linspace(-2, 2, 9)
    code = anchors.codes[_typical(anchors, context)]
    rows, names = [], []
    for column, attribute in enumerate(ATTRIBUTES):
        try:
            groups = thirds(sources.attributes[:, column])
        except Absent:
            continue
        generator = context.generator("vector", attribute, 1000)
        vector = attribute_vector(sources.codes, groups.has, groups.without, 1000, generator)
        points = code + strengths[:, None] * vector
        rows.append(context.space.decode(points.astype(np.float32)))
        names.append(attribute)
    if not rows:
        raise Absent("no attribute")
    ax = (figure := _figure(9, len(rows) + 0.4)).subplots()
    plot_rows(rows, ax=ax, names=names, captions=[_signed(s) for s in strengths])
    return figure


def _signed(x: float) -> str:
    return "0" if x == 0 else f"{x:+g}".replace("-", "\N{MINUS SIGN}")


def _typical(anchors: Anchors, context: Context) -> int:
    """Return an image whose thickness is in the middle, and the class 3 if there is one."""
    thickness = attributes_of(anchors.images[:2000])[:, 0]
    distance = np.abs(thickness - np.nanmedian(thickness))
    if anchors.labels is not None:
        wanted = anchors.labels[:2000] == 3
        if wanted.any():
            distance = np.where(wanted, distance, np.inf)
    order = np.argsort(np.where(np.isnan(distance), np.inf, distance))
    return int(order[context.seed % 5] if len(order) > 5 else order[0])


def equations(context: Context) -> Figure:
    """a - b + c in codes and in pixels, with images of three classes."""
    context.space.require_decoder()
    sources = known_sources(context)
    if sources.classes is None:
        raise Absent("there are no classes")
    groups = thirds(sources.attributes[:, 0])
    classes = [
        int(label)
        for label in np.unique(sources.classes)
        if (groups.has & (sources.classes == label)).any()
        and (groups.without & (sources.classes == label)).any()
    ]
    if len(classes) < 2:
        raise Absent("fewer than two classes have thick and thin images")
    generator = context.generator("equations")
    rows, names = [], []
    for _ in range(3):
        first, second = generator.choice(classes, 2, replace=False)
        picked = [
            generator.choice(np.flatnonzero((sources.classes == label) & group), 3)
            for label, group in (
                (first, groups.has),
                (first, groups.without),
                (second, groups.without),
            )
        ]
        a, b, c = (sources.codes[chosen].mean(axis=0) for chosen in picked)
        codes = np.stack([a, b, c, a - b + c]).astype(np.float32)
        pixels = [sources.images[chosen].astype(np.float64).mean(axis=0) for chosen in picked]
        pixels.append(pixels[0] - pixels[1] + pixels[2])
        rows += [
            np.clip(np.rint(np.stack(pixels)), 0, 255).astype(np.uint8),
            context.space.decode(codes),
        ]
        names += ["pixels", "codes"]
    ax = (figure := _figure(6.5, len(rows) + 0.4)).subplots()
    captions = ("thick, class A", "thin, class A", "thin, class B", "thick B?")
    plot_equations(rows, ax=ax, names=names, captions=captions)
    return figure


def traversals(context: Context) -> Figure:
    """One image per row of codes: a code from -2 to 2 standard deviations, the others fixed."""
    context.space.require_decoder()
    anchors = context.anchors
    free = context.space.free(anchors.codes)
    axes = axes_of(free, context.space.parts)
    code = anchors.codes[_typical(anchors, context)][None]
    given = code[:, free.shape[1] :]
    order = np.argsort(-axes.scale)[:NUM_SHOWN]
    rows = []
    for j in order:
        points = traversed(code[:, : free.shape[1]], axes, int(j), steps())[0]
        points = np.concatenate([points, np.repeat(given, len(points), axis=0)], axis=1)
        rows.append(context.space.decode(points.astype(np.float32)))
    ax = (figure := _figure(len(steps()), len(rows) + 0.4)).subplots()
    captions = [f"{_signed(step)} sd" for step in steps()]
    plot_rows(rows, ax=ax, names=[axes.names[j] for j in order], captions=captions)
    return figure


def code_grids(context: Context) -> Figure:
    """The figure of Chen et al. 2016: categories down, random noise and continuous codes across."""
    codes, _ = generated_categories(context, NUM_SHOWN)
    parts = context.space.parts
    assert parts is not None  # noqa: S101  (it has categories)
    panels = [("random noise", codes)]
    first = parts.noise + parts.categories
    across = np.linspace(-2, 2, NUM_SHOWN)
    for j in range(parts.continuous):
        changed = np.repeat(codes[:1], parts.categories * NUM_SHOWN, axis=0)
        changed[:, parts.noise : first] = codes[:, parts.noise : first]
        changed[:, first:] = 0
        changed[:, first + j] = np.tile(across, parts.categories)
        panels.append((f"code {j + 1} from -2 to 2", changed))
    figure = new_figure(3.4 * len(panels), 0.4 + 3.2 * parts.categories / NUM_SHOWN)
    axes = np.ravel(figure.subplots(1, len(panels)))
    for ax, (title, latents) in zip(axes, panels, strict=True):
        images = context.space.decode(latents)
        plot_sheet(images, NUM_SHOWN, ax=ax, x=title, y="category" if ax is axes[0] else "")
    return figure


def manifold(context: Context) -> Figure:
    """A plane of codes, decoded: both codes of a two-dimensional space at equal steps of the
    normal distribution, else the first two principal directions from -2 to 2 standard deviations.
    """
    from scipy.special import ndtri

    context.space.require_decoder()
    codes = context.anchors.codes
    free = context.space.free(codes).astype(np.float64)
    mean = free.mean(axis=0)
    if free.shape[1] == 2:
        directions, scale = np.eye(2), free.std(axis=0)
        across = ndtri(np.linspace(0.02, 0.98, GRID))
        names = ("code 1", "code 2")
    else:
        _, values, directions = np.linalg.svd(free[:2000] - mean, full_matrices=False)
        if len(values) < 2:
            raise Absent("the codes have one dimension")
        scale = values[:2] / np.sqrt(min(len(free), 2000))
        across = np.linspace(-2, 2, GRID)
        names = ("1st principal direction, -2 to 2 sd", "2nd principal direction")
    points = [
        mean + x * scale[0] * directions[0] + y * scale[1] * directions[1]
        for y in across[::-1]
        for x in across
    ]
    grid = np.stack(points)
    given = np.repeat(codes[:1, free.shape[1] :], len(grid), axis=0)
    images = context.space.decode(np.concatenate([grid, given], axis=1).astype(np.float32))
    figure = new_figure(5.4, 5.4)
    plot_sheet(images, GRID, ax=figure.subplots(), x=names[0], y=names[1])
    return figure


def reconstructions_and_samples(context: Context) -> Figure:
    """Held-out images, their reconstructions, and images of sampled latents."""
    rows, names = [], []
    num = min(NUM_SHOWN, len(context.data.test.images))
    rows.append(context.data.test.images[:num])
    names.append("held-out")
    space = context.space
    if space.has("encode") and space.has("decode"):
        rows.append(context.reconstructions[:num])
        names.append("reconstructed")
    elif context.invert:
        test = context.data.test.first(len(context.inversion[0]), context.seed)
        rows[0] = test.images[:num]
        rows.append(space.decode(context.inversion[0][:num]))
        names.append("by inversion")
    num_known = len(rows)
    if space.has("sample_latents"):
        samples = space.decode(space.sample_latents(2 * num, context.seed))
        rows += [samples[:num], samples[num:]]
        names += ["samples", ""]
    if len(rows) < 2:
        raise Absent("the space has neither codes nor latents")
    ax = (figure := _figure(num, len(rows))).subplots()
    plot_rows(rows, ax=ax, names=names, gap_after=[num_known - 1])
    return figure


PICTURES: Mapping[str, LatentPicture] = {
    "interpolation": LatentPicture(
        "interpolation",
        "Between two images: in pixels, in the codes, and along the data. Two pairs of one class, "
        "then two of different classes.",
        interpolation_strips,
    ),
    "chains": LatentPicture(
        "interpolation",
        "Chains of images: the shortest path from the first to the last, over nearest codes.",
        chains,
    ),
    "attributes": LatentPicture(
        "arithmetic",
        "One image moved along the vector of each attribute, from -2 to 2 times its length.",
        attribute_walks,
    ),
    "equations": LatentPicture(
        "arithmetic",
        "Thick A - thin A + thin B, each the mean of three images, in pixels and in codes. The "
        "codes' row shows decoded means.",
        equations,
    ),
    "traversal": LatentPicture(
        "traversal",
        "One code changes from -2 to 2 standard deviations, the others stay.",
        traversals,
    ),
    "categories": LatentPicture(
        "traversal",
        "A row for each category: with random noise, and along each continuous code.",
        code_grids,
    ),
    "manifold": LatentPicture("traversal", "A plane of codes, decoded.", manifold),
    "prior": LatentPicture(
        "prior",
        "Held-out images, their reconstructions, and images of latents drawn from the prior.",
        reconstructions_and_samples,
    ),
    **{
        name: LatentPicture(
            "representation",
            f"Codes of held-out images on a map ({name.removeprefix('map-')}), coloured by class.",
            draw,
        )
        for name, draw in LATENT_MAPS.items()
    },
    "neighbours": LatentPicture(
        "representation",
        "Held-out images at the left, their nearest training images by codes. A frame marks "
        "another class.",
        neighbour_rows,
    ),
    "variations": LatentPicture(
        "invariance",
        "The first two principal components of the codes of rotated and shifted images.",
        variation_maps,
    ),
    "reuse": LatentPicture(
        "reuse", "Images of the other data above their reconstructions.", reused
    ),
}


def draw_pictures(context: Context, folder: Path, groups: Sequence[Group]) -> list[PictureEntry]:
    """Write the pictures of these groups as `folder/NAME.png` and return what they are."""
    drawn: list[PictureEntry] = []
    for name, row in PICTURES.items():
        if row.group not in groups:
            continue
        try:
            figure = row.draw(context)
        except Absent:
            (folder / f"{name}.png").unlink(missing_ok=True)
            continue
        figure.set_facecolor("white")
        write_atomically(folder / f"{name}.png", figure_png(figure, dpi=110))
        drawn.append(PictureEntry(name=name, group=row.group, caption=row.caption))
    return drawn
