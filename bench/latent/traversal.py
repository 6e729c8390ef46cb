"""Traversals: what happens to the image when one code changes and the others stay.

Codes of held-out images are set, one dimension at a time, to `NUM_STEPS` values from -2 to 2
standard deviations around the mean. A code of more than `MAX_AXES` dimensions is moved along the
first `NUM_DIRECTIONS` principal directions of the codes instead, by the same multiples of their
standard deviation.

Shape legend: N images, J dimensions or directions, T steps, A attributes, D dimensions of a code,
K categories, C classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.latent.arithmetic import spearman_rows
from bench.latent.attributes import ATTRIBUTES, attributes_of
from bench.latent.context import Context
from bench.latent.space import Codes, Parts
from bench.latent.values import (
    Absent,
    LatentMeasure,
    LatentValue,
    Measured,
    absent,
    attempt,
    present,
)
from bench.statistics.intervals import mean_interval, wilson

REACH = 2.0  # standard deviations
NUM_STEPS = 9
NUM_IMAGES = 50
MAX_AXES = 32
NUM_DIRECTIONS = 10
NUM_BINS = 20
ACTIVE = 0.01
NUM_OF_CATEGORY = 100
Floats = NDArray[np.floating]

CODE_SPEARMAN = LatentMeasure(
    name="code_spearman",
    group="traversal",
    title="best code for the attribute",
    definition="largest absolute mean, over the codes, of Spearman's correlation of a measured "
    f"attribute with the code along its traversal; mean over {NUM_IMAGES} images",
    source="this suite",
    best="higher",
    needs=frozenset({"encoder"}),
    low=0.0,
    high=1.0,
)
CODE_INFORMATION = LatentMeasure(
    name="code_information",
    group="traversal",
    title="information of the best code",
    definition="largest mutual information, over the codes, of the step of a traversal and a "
    f"measured attribute in {NUM_BINS} bins of equal counts, in nats; {NUM_IMAGES} images; it is "
    f"at most log {NUM_STEPS}",
    source="Cover & Thomas 2006",
    best="higher",
    needs=frozenset({"encoder"}),
    low=0.0,
)
PURITY_MADE = LatentMeasure(
    name="category_purity_generated",
    group="traversal",
    title="classes found by the categorical code, in generated images",
    definition=f"share of generated images, {NUM_OF_CATEGORY} for each category, whose predicted "
    "class is the one assigned to their category by the best one-to-one assignment",
    source="Chen et al. 2016; Kuhn 1955 (the assignment)",
    best="higher",
    needs=frozenset({"categories", "classifier"}),
    low=0.0,
    high=1.0,
)
PURITY_READ = LatentMeasure(
    name="category_purity_real",
    group="traversal",
    title="classes found by the categorical code, in real images",
    definition="share of held-out images whose class is the one assigned to the most likely "
    "category that the model reads off them, by the best one-to-one assignment",
    source="Chen et al. 2016 (5 % error on MNIST); Kuhn 1955 (the assignment)",
    best="higher",
    needs=frozenset({"categories", "labels"}),
    low=0.0,
    high=1.0,
)
CODE_KL = LatentMeasure(
    name="code_kl",
    headline=r"all codes",
    group="traversal",
    title="KL term of the ELBO",
    definition="mean over held-out images of KL(q(z_j | x) || N(0, 1)), in nats; all codes summed, "
    "and each code",
    source="Kingma & Welling 2014",
    best=None,
    needs=frozenset({"posterior"}),
    low=0.0,
)
ACTIVE_UNITS = LatentMeasure(
    name="active_units",
    group="traversal",
    title="active units",
    definition=f"number of codes whose posterior mean has a variance above {ACTIVE} over held-out "
    "images (divisor n - 1)",
    source="Burda et al. 2016",
    best=None,
    needs=frozenset({"posterior"}),
    low=0.0,
)
MEASURES = (CODE_SPEARMAN, CODE_INFORMATION, PURITY_MADE, PURITY_READ, CODE_KL, ACTIVE_UNITS)


class Axes(NamedTuple):
    """Directions to move codes along: `directions` float64 J,D of length one, `mean` and `scale`
    float64 J of the codes along them, and a name for each.
    """

    directions: NDArray[np.float64]
    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    names: tuple[str, ...]


def axes_of(codes_ND: Codes, parts: Parts | None = None) -> Axes:
    """Return the dimensions of the codes; of many dimensions, their principal directions.

    Of a latent with categories, these are its continuous codes.
    """
    dim = codes_ND.shape[1]
    codes = codes_ND.astype(np.float64)
    columns = list(range(dim))
    if parts is not None and parts.categories + parts.continuous:
        columns = list(range(parts.noise + parts.categories, dim))
    if not columns:
        raise Absent("the latent has categories and no continuous code")
    if len(columns) <= MAX_AXES:
        chosen = codes[:, columns]
        return Axes(
            np.eye(dim)[columns],
            chosen.mean(axis=0),
            chosen.std(axis=0),
            tuple(f"code {column + 1}" for column in columns),
        )
    mean = codes.mean(axis=0)
    _, _, directions = np.linalg.svd(codes[:2000] - mean, full_matrices=False)
    directions = directions[:NUM_DIRECTIONS]
    along = codes @ directions.T
    names = tuple(f"direction {number + 1}" for number in range(len(directions)))
    return Axes(directions, along.mean(axis=0), along.std(axis=0), names)


def traversed(codes_ND: Floats, axes: Axes, j: int, steps_T: Floats) -> NDArray[np.float64]:
    """Return codes whose coordinate along axis j takes every step, in standard deviations around
    the mean, while the others stay: float64 N,T,D.

    >>> axes = Axes(np.eye(2), np.array([1.0, 0.0]), np.array([2.0, 1.0]), ("a", "b"))
    >>> traversed(np.array([[7.0, 5.0]]), axes, 0, np.array([-1.0, 0.0])).tolist()
    [[[-1.0, 5.0], [1.0, 5.0]]]
    """
    direction = axes.directions[j]
    codes = codes_ND.astype(np.float64)
    without = codes - (codes @ direction)[:, None] * direction
    values = axes.mean[j] + axes.scale[j] * np.asarray(steps_T, np.float64)
    return np.asarray(without[:, None] + values[None, :, None] * direction)


def steps() -> NDArray[np.float64]:
    """Return the steps of a traversal in standard deviations: float64 T."""
    return np.linspace(-REACH, REACH, NUM_STEPS)


def mutual_information(steps_M: NDArray[np.integer], values_M: Floats) -> float:
    """Return the mutual information, in nats, of a step and a value in bins of equal counts.

    Values that are not finite are left out. Raises `Absent` when none is left.

    >>> round(mutual_information(np.repeat([0, 1], 50), np.repeat([0.0, 1.0], 50)), 4)  # log 2
    0.6931
    """
    known = np.isfinite(values_M)
    if not known.any():
        raise Absent("no image has this attribute")
    values, at = values_M[known], steps_M[known]
    edges = np.unique(np.quantile(values, np.linspace(0, 1, NUM_BINS + 1)[1:-1]))
    bins = np.searchsorted(edges, values, side="right")
    table = np.zeros((int(at.max()) + 1, len(edges) + 1))
    np.add.at(table, (at, bins), 1)
    joint = table / table.sum()
    product = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    used = joint > 0
    return float((joint[used] * np.log(joint[used] / product[used])).sum())


class Traversal(NamedTuple):
    """Correlation and information of every axis and attribute: float64 J,A each, NaN where no
    image has the attribute.
    """

    names: tuple[str, ...]
    spearman: NDArray[np.float64]
    information: NDArray[np.float64]
    num_images: int


def measured_traversal(context: Context) -> Traversal:
    """Traverse every code of held-out images and measure the attributes of the images."""
    anchors = context.anchors
    axes = axes_of(context.space.free(anchors.codes), context.space.parts)
    num = min(NUM_IMAGES, len(anchors.codes))
    rows = context.generator("traversal").permutation(len(anchors.codes))[:num]
    codes = context.space.free(anchors.codes[rows])
    given = anchors.codes[rows, codes.shape[1] :]
    spearman = np.full((len(axes.names), len(ATTRIBUTES)), np.nan)
    information = spearman.copy()
    at = np.tile(np.arange(NUM_STEPS), num)
    for j in range(len(axes.names)):
        points = traversed(codes, axes, j, steps())
        points = np.concatenate([points, np.repeat(given[:, None], NUM_STEPS, axis=1)], axis=2)
        images = context.space.decode(points.reshape(num * NUM_STEPS, -1).astype(np.float32))
        values = attributes_of(images)
        for a in range(len(ATTRIBUTES)):
            column = values[:, a].reshape(num, NUM_STEPS)
            complete = column[np.isfinite(column).all(axis=1)]
            if len(complete):
                spearman[j, a] = spearman_rows(complete).mean()
                information[j, a] = mutual_information(at, values[:, a])
    return Traversal(axes.names, spearman, information, num)


def best_assignment(table_KC: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the class of each category in the one-to-one assignment with the largest total, -1
    for categories without one: int64 K.

    >>> best_assignment(np.array([[5, 4], [4, 0]])).tolist()
    [1, 0]
    """
    from scipy.optimize import linear_sum_assignment

    categories, classes = linear_sum_assignment(table_KC, maximize=True)
    found = np.full(len(table_KC), -1, np.int64)
    found[categories] = classes
    return found


def purity(categories_N: NDArray[np.integer], classes_N: NDArray[np.integer]) -> tuple[int, int]:
    """Return how many images have the class that is assigned to their category, and how many
    images there are.

    >>> purity(np.array([0, 0, 1, 1]), np.array([1, 1, 0, 1]))
    (3, 4)
    """
    table = np.zeros((int(categories_N.max()) + 1, int(classes_N.max()) + 1), np.int64)
    np.add.at(table, (categories_N, classes_N), 1)
    assigned = best_assignment(table)
    return int((assigned[categories_N] == classes_N).sum()), len(classes_N)


def kl_per_code(mean_ND: Floats, log_variance_ND: Floats) -> NDArray[np.float64]:
    """Return KL(N(mean, variance) || N(0, 1)) of every image and code in nats: float64 N,D.

    >>> kl_per_code(np.array([[1.0, 0.0]]), np.zeros((1, 2))).tolist()
    [[0.5, 0.0]]
    """
    mean, log_variance = mean_ND.astype(np.float64), log_variance_ND.astype(np.float64)
    return np.asarray(0.5 * (np.square(mean) + np.exp(log_variance) - 1 - log_variance))


def measure_traversal(context: Context) -> list[LatentValue]:
    """Return every value of this group."""
    return [
        *_attribute_values(context),
        *_category_values(context),
        *_posterior_values(context),
    ]


def _attribute_values(context: Context) -> Iterator[LatentValue]:
    seed = context.seed
    try:
        context.space.require_decoder()
        found = measured_traversal(context)
    except Absent as error:
        for measure in (CODE_SPEARMAN, CODE_INFORMATION):
            for attribute in ATTRIBUTES:
                yield absent(measure, str(error), seed=seed, variant=attribute)
        return
    tables = (CODE_SPEARMAN, np.abs(found.spearman)), (CODE_INFORMATION, found.information)
    for measure, table in tables:
        for a, attribute in enumerate(ATTRIBUTES):
            if np.isnan(table[:, a]).all():
                yield absent(measure, "no image has it", seed=seed, variant=attribute)
                continue
            value = float(np.nanmax(table[:, a]))
            yield present(measure, value, n=found.num_images, seed=seed, variant=attribute)


def generated_categories(context: Context, num: int) -> tuple[Codes, NDArray[np.int64]]:
    """Return `num` latents of each category, float32 K*num,D, and their categories.

    Raises `Absent` for a space without categories.
    """
    parts = context.space.parts
    if parts is None or not parts.categories:
        raise Absent(f"{context.space.name} has no categorical code")
    codes = context.space.sample_latents(num * parts.categories, context.seed).copy()
    categories = np.repeat(np.arange(parts.categories), num)
    codes[:, parts.noise : parts.noise + parts.categories] = 0
    codes[np.arange(len(codes)), parts.noise + categories] = 1
    return codes, categories


def _category_values(context: Context) -> Iterator[LatentValue]:
    def generated() -> Measured:
        codes, categories = generated_categories(context, NUM_OF_CATEGORY)
        classes = context.classes_of(context.space.decode(codes))
        if classes is None:
            raise Absent("there is no classifier")
        right, num = purity(categories, classes)
        return Measured(wilson(right, num), num)

    def real() -> Measured:
        test = context.data.test
        if context.space.parts is None or not context.space.parts.categories:
            raise Absent(f"{context.space.name} has no categorical code")
        if test.labels is None:
            raise Absent(f"{context.data.name} has no labels")
        read = context.space.read_codes(test.images)[0].argmax(axis=1)
        right, num = purity(read, test.labels)
        return Measured(wilson(right, num), num)

    yield attempt(PURITY_MADE, generated, seed=context.seed)
    yield attempt(PURITY_READ, real, seed=context.seed)


def _posterior_values(context: Context) -> Iterator[LatentValue]:
    seed, test = context.seed, context.data.test
    try:
        mean, log_variance = context.space.posterior(test.images, test.labels)
        reason = "a variance needs at least two images" if len(mean) < 2 else ""
    except Absent as error:
        reason = str(error)
    if reason:
        yield absent(CODE_KL, reason, seed=seed, variant="all codes")
        yield absent(ACTIVE_UNITS, reason, seed=seed)
        return
    kl = kl_per_code(mean, log_variance)
    method = "mean over images, Hall"
    total = mean_interval(kl.sum(axis=1), len(kl), method)
    yield present(CODE_KL, total, n=len(kl), seed=seed, variant="all codes")
    for j, column in enumerate(kl.T):
        found = mean_interval(column, len(column), method)
        yield present(CODE_KL, found, n=len(kl), seed=seed, variant=f"code {j + 1}")
    active = int((mean.var(axis=0, dtype=np.float64, ddof=1) > ACTIVE).sum())
    yield present(ACTIVE_UNITS, active, n=len(mean), seed=seed)
