"""Pictures of what codes say about images: maps, neighbour rows, variations, reuse.

Each function draws one figure with `bench.plots.latent_maps`, from the codes that the measures
use, and raises `Absent` where a space or the data do not allow it.

Shape legend: N images, Q queries, k neighbours.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bench.latent.context import Context
from bench.latent.invariance import VARIATIONS, varied_codes
from bench.latent.maps import MAPS, two_dimensional
from bench.latent.representation import mapped_codes
from bench.latent.reuse import other_data, require_no_given_class
from bench.latent.values import Absent
from bench.plots.latent_maps import (
    plot_latent_map,
    plot_neighbour_rows,
    plot_reconstructions,
    plot_variation_map,
)
from bench.plots.saving import new_figure
from bench.statistics.neighbours.search import nearest_neighbours

NUM_QUERIES, NUM_SHOWN = 10, 9
NUM_RECONSTRUCTED = 20
UNITS = {"rotation": "degrees", "shift": "px"}


def latent_map(name: str, context: Context) -> Figure:
    """Codes of held-out images on a map, coloured by class."""
    codes, rows = mapped_codes(context)
    if codes.shape[1] == 2 and name != next(iter(MAPS)):
        raise Absent("codes of two dimensions are their own map")
    labels = context.data.test.labels
    figure = new_figure(6.2, 4.6)
    plot_latent_map(
        two_dimensional(name, codes, seed=context.seed),
        None if labels is None else labels[rows],
        ax=figure.subplots(),
        class_names=context.data.class_names,
    )
    return figure


LATENT_MAPS: dict[str, Callable[[Context], Figure]] = {
    f"map-{name}": functools.partial(latent_map, name) for name in MAPS
}


def neighbour_rows(context: Context) -> Figure:
    """Held-out images, one of each class, at the left of their nearest training images."""
    train, test = context.data.train, context.data.test
    codes = context.free_test_codes
    queries = _one_of_each_class(test.labels, len(codes), context.generator("queries"))
    k = min(NUM_SHOWN, len(train.images))
    nearest = nearest_neighbours(codes[queries], context.free_train_codes, k).indices
    agrees = None
    if train.labels is not None and test.labels is not None:
        agrees = train.labels[nearest] == test.labels[queries][:, None]
    figure = new_figure(0.52 * (k + 1) + 0.4, 0.52 * len(queries) + 0.2)
    ax = figure.subplots()
    plot_neighbour_rows(test.images[queries], train.images[nearest], agrees, ax=ax)
    return figure


def _one_of_each_class(
    labels: NDArray[np.int64] | None, num: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return up to 10 rows, of different classes where there are labels."""
    order = rng.permutation(num)
    if labels is None:
        return order[:NUM_QUERIES]
    _, first = np.unique(labels[order], return_index=True)
    return order[first[:NUM_QUERIES]]


def variation_maps(context: Context) -> Figure:
    """Codes of rotated and shifted images, coloured by the rotation and by the shift."""
    drawn = varied_codes(context)
    placed = two_dimensional("pca", drawn.codes, seed=context.seed)
    figure = new_figure(9.6, 4.0)
    for place, (ax, name) in enumerate(zip(figure.subplots(1, 2), VARIATIONS, strict=True)):
        plot_variation_map(placed, drawn.variations[:, place], ax=ax, title=name, unit=UNITS[name])
    return figure


def reused(context: Context) -> Figure:
    """Images of the other data above their reconstructions."""
    context.space.require_decoder()
    require_no_given_class(context)
    images = other_data(context).test.images[:NUM_RECONSTRUCTED]
    figure = new_figure(4.6, 2.0)
    made = context.space.decode(context.space.encode(images))
    plot_reconstructions(images, made, ax=figure.subplots())
    return figure
