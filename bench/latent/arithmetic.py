"""Arithmetic with codes: attribute vectors and analogies (Radford et al. 2016, section 6).

The vector of an attribute is the difference of two mean codes. For a class, of the images of that
class and of the others; for a measured attribute (`bench.latent.attributes`), of the third of the
images where it is largest and of the third where it is smallest. Images and codes are training
images and their codes; without an encoder, latents and what is measured on their images.

A vector is added, `STRENGTHS` times, to the codes of held-out images: of another class, or from the
lowest third. An image has gained a measured attribute when it exceeds the middle of the two thirds,
and a class when the classifier sees it.

Shape legend: N images, D dimensions of a code, S strengths, K classes, A attributes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.latent.attributes import ATTRIBUTES, attributes_of
from bench.latent.context import Context
from bench.latent.space import Codes
from bench.latent.values import Absent, LatentMeasure, LatentValue, absent, present
from bench.statistics.intervals import mean_interval, wilson

STRENGTHS = (0.0, 0.5, 1.0, 1.5, 2.0)
AVERAGES = (3, 1000)  # images of each side of a vector; of 3, only strengths 0 and 1 are measured
NUM_MOVED = 500  # held-out images that a vector is added to
NUM_CLASS_MOVED = 50  # of them for each class
NUM_ANALOGIES = 500
CLASS = "class"
Floats = NDArray[np.floating]

GAINED = LatentMeasure(
    name="attribute_gained",
    headline=r"[a-z]+(, s = 1)?",
    group="arithmetic",
    title="gains the attribute",
    definition="share of held-out images without an attribute that have it after its vector is "
    f"added s times; {NUM_MOVED} images, vectors of averages of up to {AVERAGES[-1]} unless said "
    "otherwise",
    source="Radford et al. 2016; Larsen et al. 2016",
    best="higher",
    needs=frozenset({"encoder"}),
    low=0.0,
    high=1.0,
)
KEPT = LatentMeasure(
    name="class_kept",
    headline=r"[a-z]+(, s = 1)?",
    group="arithmetic",
    title="keeps its class",
    definition="share of these images whose predicted class is that of the reconstruction at s = 0",
    source="this suite",
    best="higher",
    needs=frozenset({"encoder", "classifier"}),
    low=0.0,
    high=1.0,
)
MOVED_FID = LatentMeasure(
    name="moved_fid",
    headline=r"class(, s = 1)?",
    group="arithmetic",
    title="FID of the moved images",
    definition=f"FID of the {NUM_MOVED} moved images against all held-out images",
    source="Heusel et al. 2017",
    best="lower",
    needs=frozenset({"encoder"}),
    low=0.0,
)
SLOPE = LatentMeasure(
    name="attribute_slope",
    headline=r"[a-z]+",
    group="arithmetic",
    title="change of the attribute per step",
    definition="mean over images of the least-squares slope of the attribute over s = "
    f"{', '.join(f'{s:g}' for s in STRENGTHS)}, over the difference of the two groups' means (1: "
    "the vector moves an image from one group to the other)",
    source="this suite",
    best=None,
    needs=frozenset({"encoder"}),
)
MONOTONICITY = LatentMeasure(
    name="attribute_monotonicity",
    headline=r"[a-z]+",
    group="arithmetic",
    title="monotonicity of the attribute",
    definition="mean over images of Spearman's correlation of the attribute with s",
    source="this suite",
    best="higher",
    needs=frozenset({"encoder"}),
    low=-1.0,
    high=1.0,
)
ANALOGY = LatentMeasure(
    name="analogy_solved",
    headline=r"[a-z]+, means of 3",
    group="arithmetic",
    title="analogies solved",
    definition="share of analogies a - b + c with a, b of one class and c of another, where a has "
    "the attribute and b and c have not, whose image has the attribute and the class of c by the "
    f"classifier; {NUM_ANALOGIES} analogies of single images, or of means of 3 or up to 1,000",
    source="Mikolov et al. 2013; Radford et al. 2016",
    best="higher",
    needs=frozenset({"encoder", "labels", "classifier"}),
    low=0.0,
    high=1.0,
)
ANALOGY_NEAREST = LatentMeasure(
    name="analogy_nearest",
    headline=r"[a-z]+, means of 3",
    group="arithmetic",
    title="analogies with the nearest mean code",
    definition="share of the analogies whose code is nearest to the mean code of the expected "
    "class with the attribute, among the mean codes of all classes with and without it",
    source="Mikolov et al. 2013",
    best="higher",
    needs=frozenset({"encoder", "labels"}),
    low=0.0,
    high=1.0,
)
MEASURES = (GAINED, KEPT, MOVED_FID, SLOPE, MONOTONICITY, ANALOGY, ANALOGY_NEAREST)


@dataclass(frozen=True)
class Thirds:
    """Which images have a measured attribute: bool N each, and the middle between the two means.

    `gap` is the difference of the means of the two groups. An image without a value is in neither.
    """

    without: NDArray[np.bool_]
    has: NDArray[np.bool_]
    middle: float
    gap: float


def thirds(values_N: Floats) -> Thirds:
    """Return the third with the largest values and that with the smallest.

    Raises `Absent` when no image has a value, or the two thirds do not differ.

    >>> found = thirds(np.arange(6.0))
    >>> found.without.tolist(), found.middle, found.gap
    ([True, True, False, False, False, False], 2.5, 4.0)
    """
    known = values_N[np.isfinite(values_N)]
    if len(known) < 3:
        raise Absent("fewer than three images have this attribute")
    low, high = np.quantile(known, [1 / 3, 2 / 3])
    if not low < high:
        raise Absent("the attribute is the same for most images")
    without, has = values_N <= low, values_N >= high
    means = float(values_N[without].mean()), float(values_N[has].mean())
    return Thirds(without, has, sum(means) / 2, means[1] - means[0])


def attribute_vector(
    codes_ND: Floats,
    has_N: NDArray[np.bool_],
    without_N: NDArray[np.bool_],
    num: int,
    generator: np.random.Generator,
) -> NDArray[np.float64]:
    """Return the mean code of up to `num` images that have the attribute, less that of up to `num`
    images without it: float64 D.

    >>> codes = np.array([[0.0, 1], [2, 1], [4, 4]])
    >>> has = np.array([False, True, True])
    >>> attribute_vector(codes, has, ~has, 10, np.random.default_rng(0)).tolist()
    [3.0, 1.5]
    """
    means = []
    for rows in (np.flatnonzero(has_N), np.flatnonzero(without_N)):
        if not len(rows):
            raise Absent("no image has the attribute, or all have")
        chosen = rows if len(rows) <= num else generator.choice(rows, num, replace=False)
        means.append(codes_ND[chosen].mean(axis=0, dtype=np.float64))
    return np.asarray(means[0] - means[1])


def slopes(values_NS: Floats, strengths: Floats) -> NDArray[np.float64]:
    """Return the least-squares slope of each row over the strengths: float64 N.

    >>> slopes(np.array([[1.0, 3.0, 5.0]]), np.array([0.0, 1.0, 2.0])).tolist()
    [2.0]
    """
    centred = np.asarray(strengths, np.float64) - np.mean(strengths)
    return np.asarray(values_NS @ centred / np.square(centred).sum())


def spearman_rows(values_NS: Floats) -> NDArray[np.float64]:
    """Return Spearman's correlation of each row with rising positions: float64 N.

    Ties have their mean rank. A constant row has correlation 0.

    >>> spearman_rows(np.array([[1.0, 2, 9], [3, 2, 1], [5, 5, 5]])).tolist()
    [1.0, -1.0, 0.0]
    """
    from scipy.stats import rankdata

    ranks = rankdata(values_NS, axis=1)
    ranks -= ranks.mean(axis=1, keepdims=True)
    steps = np.arange(values_NS.shape[1], dtype=np.float64)
    steps -= steps.mean()
    norm = np.sqrt(np.square(ranks).sum(axis=1) * np.square(steps).sum())
    found = np.divide(ranks @ steps, norm, out=np.zeros(len(ranks)), where=norm > 0)
    return np.asarray(found, np.float64)


class Known(NamedTuple):
    """Images with codes, and what is known about them: classes int64 N or None, attributes N,A."""

    images: NDArray[np.uint8]
    codes: Codes
    classes: NDArray[np.int64] | None
    attributes: NDArray[np.float64]


def known_sources(context: Context) -> Known:
    """Return the images that vectors are made of."""
    source = context.train_anchors
    return Known(source.images, source.codes, source.labels, attributes_of(source.images))


def known_targets(context: Context) -> Known:
    """Return the images that vectors are added to."""
    target = context.anchors
    return Known(target.images, target.codes, target.labels, attributes_of(target.images))


class Moved(NamedTuple):
    """Images moved along a vector: `features` float32 N,S,F; `gained` bool N,S; `values` float64
    N,S of a measured attribute, or None; `classes` int64 N,S, or None without a classifier.
    """

    features: NDArray[np.float32]
    gained: NDArray[np.bool_]
    values: NDArray[np.float64] | None
    classes: NDArray[np.int64] | None
    gap: float


def _seen(
    context: Context, images_NSHWC: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.int64] | None]:
    """Return features N,S,F and classes N,S of moved images; no classes without a classifier."""
    shape = images_NSHWC.shape[:2]
    features = context.data.features(images_NSHWC.reshape(-1, *images_NSHWC.shape[2:]))
    try:
        classes = context.data.probabilities(features).argmax(axis=1).reshape(shape)
    except Absent:
        classes = None
    return features.values.reshape(*shape, -1), classes


def moved_images(
    context: Context,
    codes_ND: Codes,
    vector_D: NDArray[np.float64],
    strengths: Sequence[float] = STRENGTHS,
) -> NDArray[np.uint8]:
    """Return the images of codes moved along a vector by every strength: uint8 N,S,H,W,C."""
    points = codes_ND[:, None] + np.array(strengths)[None, :, None] * vector_D
    images = context.space.decode(points.reshape(-1, points.shape[2]).astype(np.float32))
    return images.reshape(*points.shape[:2], *images.shape[1:])


def moved_by_attribute(
    context: Context, sources: Known, targets: Known, attribute: str, average: int
) -> Moved:
    """Move held-out images without a measured attribute along its vector."""
    column = ATTRIBUTES.index(attribute)
    groups = thirds(sources.attributes[:, column])
    generator = context.generator("vector", attribute, average)
    vector = attribute_vector(sources.codes, groups.has, groups.without, average, generator)
    without = np.flatnonzero(thirds(targets.attributes[:, column]).without)
    rows = context.generator("moved", attribute).permutation(without)[:NUM_MOVED]
    images = moved_images(context, targets.codes[rows], vector, strengths_of(average))
    values = attributes_of(images.reshape(-1, *images.shape[2:]))[:, column]
    values = values.reshape(images.shape[:2])
    features, classes = _seen(context, images)
    return Moved(features, values > groups.middle, values, classes, groups.gap)


def moved_by_class(context: Context, sources: Known, targets: Known, average: int) -> Moved:
    """Move held-out images of other classes along the vector of each class in turn.

    Raises `Absent` without labels or a classifier.
    """
    if sources.classes is None or targets.classes is None:
        raise Absent("there are no classes")
    features, gained, found = [], [], []
    for label in np.unique(sources.classes):
        generator = context.generator("vector", CLASS, int(label), average)
        own = sources.classes == label
        if own.all():
            raise Absent("all images have one class")
        vector = attribute_vector(sources.codes, own, ~own, average, generator)
        others = np.flatnonzero(targets.classes != label)
        rows = context.generator("moved", CLASS, int(label)).permutation(others)[:NUM_CLASS_MOVED]
        seen, classes = _seen(
            context, moved_images(context, targets.codes[rows], vector, strengths_of(average))
        )
        if classes is None:
            raise Absent("there is no classifier")
        features.append(seen)
        found.append(classes)
        gained.append(classes == label)
    return Moved(np.concatenate(features), np.concatenate(gained), None, np.concatenate(found), 1.0)


def strengths_of(average: int) -> tuple[float, ...]:
    """Return the strengths at which a vector of means of `average` images is measured."""
    return STRENGTHS if average == AVERAGES[-1] else (0.0, 1.0)


def _moved_values(context: Context, moved: Moved, name: str, average: int) -> Iterator[LatentValue]:
    num, seed = len(moved.gained), context.seed
    for position, strength in enumerate(strengths_of(average)):
        variant = f"{name}, s = {strength:g}"
        share = wilson(int(moved.gained[:, position].sum()), num)
        yield present(GAINED, share, n=num, seed=seed, variant=variant)
        if moved.values is not None:
            if moved.classes is None:
                yield absent(KEPT, "there is no classifier", seed=seed, variant=variant)
            else:
                kept = moved.classes[:, position] == moved.classes[:, 0]
                share = wilson(int(kept.sum()), num)
                yield present(KEPT, share, n=num, seed=seed, variant=variant)
        yield _fid_value(context, moved.features[:, position], variant, seed)
    if moved.values is None or average != AVERAGES[-1]:
        return
    complete = moved.values[np.isfinite(moved.values).all(axis=1)]
    if len(complete) < 2:
        reason = "fewer than two images have this attribute at every strength"
        for measure in (SLOPE, MONOTONICITY):
            yield absent(measure, reason, seed=seed, variant=name)
        return
    per_step = slopes(complete, np.array(STRENGTHS)) / moved.gap
    for measure, numbers in ((SLOPE, per_step), (MONOTONICITY, spearman_rows(complete))):
        found = mean_interval(numbers, len(numbers), "mean over images, Hall")
        yield present(measure, found, n=len(numbers), seed=seed, variant=name)


def _fid_value(
    context: Context, features: NDArray[np.float32], variant: str, seed: int
) -> LatentValue:
    from bench.metrics.frechet import frechet_distance_to_features  # loads torch

    distance = frechet_distance_to_features(context.data.test_moments, features).value
    return present(MOVED_FID, distance, n=len(features), seed=seed, variant=variant)


def measure_arithmetic(context: Context) -> list[LatentValue]:
    """Return every value of this group."""
    seed = context.seed
    try:
        context.space.require_decoder()
        sources, targets = known_sources(context), known_targets(context)
    except Absent as error:
        return [
            absent(measure, str(error), seed=seed, variant=name)
            for measure in MEASURES
            for name in (*ATTRIBUTES, *([CLASS] if measure in (GAINED, MOVED_FID) else []))
        ]
    values: list[LatentValue] = []
    for average in AVERAGES:
        suffix = "" if average == AVERAGES[-1] else f", means of {average}"
        for name in (CLASS, *ATTRIBUTES):
            try:
                moved = (
                    moved_by_class(context, sources, targets, average)
                    if name == CLASS
                    else moved_by_attribute(context, sources, targets, name, average)
                )
            except Absent as error:
                others = [] if name == CLASS else [KEPT, SLOPE, MONOTONICITY]
                if average != AVERAGES[-1]:
                    others = others[:1]
                values += [
                    absent(measure, str(error), seed=seed, variant=f"{name}{suffix}")
                    for measure in (GAINED, MOVED_FID, *others)
                ]
                continue
            values += _moved_values(context, moved, f"{name}{suffix}", average)
    return [*values, *_analogy_values(context, sources)]


class Analogies(NamedTuple):
    """The codes of a - b + c, float64 N,D, the classes of c, and the mean codes of every class
    without and with the attribute, float64 K,2,D (NaN where there is no image).
    """

    codes: NDArray[np.float64]
    expected: NDArray[np.int64]
    means: NDArray[np.float64]


def analogies(
    sources: Known, groups: Thirds, average: int, generator: np.random.Generator
) -> Analogies:
    """Return `NUM_ANALOGIES` analogies between two random classes.

    Each of a, b and c is the mean of `average` random codes of its class, with or without the
    attribute. Raises `Absent` when fewer than two classes have images of both kinds.
    """
    if sources.classes is None:
        raise Absent("there are no classes")
    rows = {
        (int(label), has): np.flatnonzero((sources.classes == label) & group)
        for label in np.unique(sources.classes)
        for has, group in ((False, groups.without), (True, groups.has))
    }
    complete = [k for k, has in rows if has and len(rows[k, True]) and len(rows[k, False])]
    if len(complete) < 2:
        raise Absent("fewer than two classes have images with and without the attribute")

    def mean(label: int, *, has: bool) -> NDArray[np.float64]:
        own = rows[label, has]
        chosen = own if average >= len(own) else generator.choice(own, average, replace=False)
        return np.asarray(sources.codes[chosen].mean(axis=0, dtype=np.float64))

    codes, expected = [], []
    for _ in range(NUM_ANALOGIES):
        first, second = generator.choice(complete, 2, replace=False)
        codes.append(mean(first, has=True) - mean(first, has=False) + mean(second, has=False))
        expected.append(second)
    num_classes, dim = int(sources.classes.max()) + 1, sources.codes.shape[1]
    means = np.full((num_classes, 2, dim), np.nan)
    for (label, has), own in rows.items():
        if len(own):
            means[label, int(has)] = sources.codes[own].mean(axis=0, dtype=np.float64)
    return Analogies(np.stack(codes), np.array(expected, np.int64), means)


def nearest_mean(codes_ND: Floats, means_K2D: Floats) -> NDArray[np.int64]:
    """Return class and attribute of the mean nearest to each code: int64 N,2."""
    flat = means_K2D.reshape(-1, means_K2D.shape[2])
    known = np.flatnonzero(np.isfinite(flat).all(axis=1))
    distances = (
        np.square(codes_ND).sum(axis=1)[:, None]
        - 2 * codes_ND @ flat[known].T
        + np.square(flat[known]).sum(axis=1)
    )
    return np.stack(np.divmod(known[distances.argmin(axis=1)], 2), axis=1)


def _analogy_values(context: Context, sources: Known) -> Iterator[LatentValue]:
    seed = context.seed
    for attribute in ATTRIBUTES:
        column = ATTRIBUTES.index(attribute)
        for average, suffix in ((1, ""), (3, ", means of 3"), (1000, ", means of 1,000")):
            variant = f"{attribute}{suffix}"
            try:
                groups = thirds(sources.attributes[:, column])
                generator = context.generator("analogies", attribute, average)
                found = analogies(sources, groups, average, generator)
            except Absent as error:
                for measure in (ANALOGY, ANALOGY_NEAREST):
                    yield absent(measure, str(error), seed=seed, variant=variant)
                continue
            nearest = nearest_mean(found.codes, found.means)
            right = (nearest[:, 0] == found.expected) & (nearest[:, 1] == 1)
            num = len(right)
            share = wilson(int(right.sum()), num)
            yield present(ANALOGY_NEAREST, share, n=num, seed=seed, variant=variant)
            images = context.space.decode(found.codes.astype(np.float32))
            classes = context.classes_of(images)
            if classes is None:
                yield absent(ANALOGY, "there is no classifier", seed=seed, variant=variant)
                continue
            has = attributes_of(images)[:, column] > groups.middle
            share = wilson(int((has & (classes == found.expected)).sum()), num)
            yield present(ANALOGY, share, n=num, seed=seed, variant=variant)
