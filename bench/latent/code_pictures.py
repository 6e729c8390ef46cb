"""Pictures of what codes say about images: maps, neighbour rows, variations, reuse.

Each is a figure of `bench.plots.latent_maps`, made from the codes that the measures use.

Shape legend: N images, Q queries, k neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bench.latent.context import Context
from bench.latent.invariance import VARIATIONS, varied_codes
from bench.latent.maps import MAPS, two_dimensional
from bench.latent.representation import mapped_codes
from bench.latent.reuse import other_data
from bench.latent.values import Absent, Group
from bench.statistics.neighbours.search import nearest_neighbours

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NUM_QUERIES, NUM_SHOWN = 10, 9
NUM_RECONSTRUCTED = 20
UNITS = {"rotation": "degrees", "shift": "px"}


class CodePicture(NamedTuple):
    """A figure with the name of its file (without suffix), a caption, and its group."""

    name: str
    caption: str
    group: Group
    figure: Figure


def code_pictures(
    context: Context, groups: frozenset[Group] | None = None
) -> Iterator[CodePicture]:
    """Yield the pictures of a space; those that it or the data do not allow are left out."""
    makers = {
        "representation": (_maps, _neighbours),
        "invariance": (_variations,),
        "reuse": (_reuse,),
    }
    for group, functions in makers.items():
        if groups is not None and group not in groups:
            continue
        for maker in functions:
            try:
                yield from maker(context)
            except Absent:
                continue


def _maps(context: Context) -> Iterator[CodePicture]:
    from bench.plots.latent_maps import plot_latent_map
    from bench.plots.saving import new_figure

    codes, rows = mapped_codes(context)
    labels = context.data.test.labels
    for name in MAPS:
        try:
            placed = two_dimensional(name, codes, seed=context.seed)
        except Absent:
            continue
        figure = new_figure(6.2, 4.6)
        plot_latent_map(
            placed,
            None if labels is None else labels[rows],
            ax=figure.subplots(),
            title=f"{context.space.name}, {name}",
            class_names=context.data.class_names,
        )
        caption = f"codes of {len(codes)} held-out images on a map by {name}"
        yield CodePicture(f"map-{name}", caption, "representation", figure)
        if codes.shape[1] == 2:  # codes of two dimensions are their own map
            return


def _neighbours(context: Context) -> Iterator[CodePicture]:
    from bench.plots.latent_maps import plot_neighbour_rows
    from bench.plots.saving import new_figure

    train, test = context.data.train, context.data.test
    codes = context.free_test_codes
    queries = _one_of_each_class(test.labels, len(codes), context.generator("queries"))
    k = min(NUM_SHOWN, len(train.images))
    nearest = nearest_neighbours(codes[queries], context.free_train_codes, k).indices
    agrees = None
    if train.labels is not None and test.labels is not None:
        agrees = train.labels[nearest] == test.labels[queries][:, None]
    figure = new_figure(5.6, 0.52 * len(queries) + 0.4)
    plot_neighbour_rows(
        test.images[queries],
        train.images[nearest],
        agrees,
        ax=figure.subplots(),
        title=f"{context.space.name}: nearest training images",
    )
    caption = (
        f"held-out images at the left, their {k} nearest training images by codes; a frame marks "
        "another class"
    )
    yield CodePicture("neighbours", caption, "representation", figure)


def _one_of_each_class(labels: np.ndarray | None, num: int, rng: np.random.Generator) -> np.ndarray:
    """Return up to 10 rows, of different classes where there are labels."""
    order = rng.permutation(num)
    if labels is None:
        return order[:NUM_QUERIES]
    _, first = np.unique(labels[order], return_index=True)
    return order[first[:NUM_QUERIES]]


def _variations(context: Context) -> Iterator[CodePicture]:
    from bench.plots.latent_maps import plot_variation_map
    from bench.plots.saving import new_figure

    drawn = varied_codes(context)
    placed = two_dimensional("pca", drawn.codes, seed=context.seed)
    figure = new_figure(9.6, 4.0)
    for place, (ax, name) in enumerate(zip(figure.subplots(1, 2), VARIATIONS, strict=True)):
        plot_variation_map(
            placed,
            drawn.variations[:, place],
            ax=ax,
            title=f"{context.space.name}: {name}",
            unit=UNITS[name],
        )
    caption = (
        f"first two principal components of the codes of {len(placed)} rotated and shifted images"
    )
    yield CodePicture("variations", caption, "invariance", figure)


def _reuse(context: Context) -> Iterator[CodePicture]:
    from bench.plots.latent_maps import plot_reconstructions
    from bench.plots.saving import new_figure

    context.space.require_decoder()
    other, space = other_data(context), context.space
    images = other.test.images[:NUM_RECONSTRUCTED]
    if space.num_given:
        raise Absent("the model is given classes, which mean something else on other data")
    figure = new_figure(6.2, 2.9)
    plot_reconstructions(
        images,
        space.decode(space.encode(images)),
        ax=figure.subplots(),
        title=f"{space.name}: {other.name} through a model of {context.data.name}",
    )
    caption = f"images of {other.name} above their reconstructions"
    yield CodePicture("reuse", caption, "reuse", figure)
