"""Interpolation: what lies between two images, in pixels, in the codes, and along the data.

Pairs of images of one class and of two classes are joined by paths of `NUM_BETWEEN` points between
the two ends:

    pixels           (1 - t) x1 + t x2
    linear           decode((1 - t) z1 + t z2)
    spherical        decode(slerp(z1, z2; t)) (Shoemake 1985; White 2016), for Gaussian priors
    along the data   decode of the shortest path in the graph of the `K_GRAPH` nearest codes,
                     resampled to equal steps

Ends are decoded as well, so that a latent path is a reconstruction from end to end.

Shape legend: P pairs, T points of a path with both ends, D dimensions of a code, F features,
H,W,C an image.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.latent.context import Anchors, Context
from bench.latent.values import Absent, LatentMeasure, LatentValue, absent, present
from bench.statistics.intervals import Uncertainty, mean_interval, wilson
from bench.statistics.neighbours.search import nearest_neighbours

NUM_PAIRS = 500
NUM_BETWEEN = 9
K_GRAPH = 10
EPSILON = 1e-4  # step of the perceptual path length
METHOD = "mean over pairs, Hall"
Floats = NDArray[np.floating]

SAME, OTHER, ANY = "same class", "other class", "any pair"
PIXELS, LINEAR, SPHERICAL, ALONG = "pixels", "linear", "spherical", "along the data"
PATHS = (PIXELS, LINEAR, SPHERICAL, ALONG)
ENDS = "ends"

_PAIRS = f"{NUM_PAIRS} pairs a kind, {NUM_BETWEEN} points between the ends"
MANIFOLD_DISTANCE = LatentMeasure(
    name="manifold_distance",
    headline=r".*, (other class|any pair)",
    group="interpolation",
    title="distance to the data",
    definition=f"mean feature distance of the points between to their nearest training image, over "
    f"that of held-out images (1: as near as real images); {_PAIRS}",
    source="this suite; after Bengio et al. 2013, Better Mixing via Deep Representations",
    best="lower",
    needs=frozenset({"encoder"}),
    low=0.0,
)
DEPARTURE = LatentMeasure(
    name="manifold_departure",
    headline=r".*, (other class|any pair)",
    group="interpolation",
    title="distance to the data, over that of the ends",
    definition="mean feature distance of the points between to their nearest training image, over "
    "that of the two ends of the paths as the space makes them (1: a path stays as near as its "
    f"ends); {_PAIRS}",
    source="this suite",
    best="lower",
    needs=frozenset({"encoder"}),
    low=0.0,
)
ANOMALOUS = LatentMeasure(
    name="path_anomalous",
    headline=r".*, (other class|any pair)",
    group="interpolation",
    title="anomalous points",
    definition="share of the points between whose distance to the 5th nearest training image "
    f"exceeds that of 95 % of held-out images; {_PAIRS}",
    source="Ramaswamy et al. 2000 (the detector)",
    best="lower",
    needs=frozenset({"encoder"}),
    low=0.0,
    high=1.0,
)
CONFIDENCE = LatentMeasure(
    name="path_confidence",
    headline=r"linear, (other class|any pair)",
    group="interpolation",
    title="confidence on the path",
    definition=f"mean probability of the most likely class of the points between; {_PAIRS}",
    source="this suite",
    best="higher",
    needs=frozenset({"encoder", "classifier"}),
    low=0.0,
    high=1.0,
)
CHANGES = LatentMeasure(
    name="class_changes",
    headline=r"(pixels|linear), (other class|any pair)",
    group="interpolation",
    title="class changes",
    definition="mean number of changes of the predicted class along a path with its ends; "
    f"{_PAIRS}",
    source="this suite",
    best="lower",
    needs=frozenset({"encoder", "classifier"}),
    low=0.0,
)
STEP_LENGTH = LatentMeasure(
    name="path_length",
    headline=r"(pixels|linear), (other class|any pair)",
    group="interpolation",
    title="length of the path",
    definition="mean squared feature distance of neighbouring points, divided by the squared step "
    f"1 / {NUM_BETWEEN + 1}; {_PAIRS}",
    source="after Karras et al. 2019",
    best="lower",
    needs=frozenset({"encoder"}),
    low=0.0,
)
PPL = LatentMeasure(
    name="perceptual_path_length",
    headline=r"full",
    group="interpolation",
    title="perceptual path length",
    definition="mean squared feature distance of two images whose latents differ by a step of "
    f"{EPSILON:g} on the path between two sampled latents, divided by its square; spherical paths "
    "for Gaussian priors, else linear; full: t uniform on [0, 1], ends: t = 0; images and features "
    f"in float; {NUM_PAIRS} pairs of latents",
    source="Karras et al. 2019, A Style-Based Generator Architecture",
    best="lower",
    needs=frozenset({"prior"}),
    low=0.0,
)
REACHED = LatentMeasure(
    name="pairs_connected",
    headline=r"^$",
    group="interpolation",
    title="pairs that the graph connects",
    definition=f"share of pairs that a path in the graph of the {K_GRAPH} nearest codes connects",
    source="Tenenbaum et al. 2000 (the graph)",
    best="higher",
    needs=frozenset({"encoder"}),
    low=0.0,
    high=1.0,
)
CHAIN_LENGTH = LatentMeasure(
    name="chain_length",
    headline=r"(other class|any pair)",
    group="interpolation",
    title="steps from image to image",
    definition=f"mean number of steps of the shortest path between two images in the graph of the "
    f"{K_GRAPH} nearest codes, over the pairs that it connects",
    source="Tenenbaum et al. 2000 (the graph)",
    best=None,
    needs=frozenset({"encoder"}),
    low=1.0,
)
MEASURES = (
    MANIFOLD_DISTANCE,
    DEPARTURE,
    ANOMALOUS,
    CONFIDENCE,
    CHANGES,
    STEP_LENGTH,
    PPL,
    REACHED,
    CHAIN_LENGTH,
)


def linear(a_PD: Floats, b_PD: Floats, t_T: Floats) -> NDArray[np.float64]:
    """Return points on straight lines: float64 P,T,D.

    >>> linear(np.array([[0.0, 2]]), np.array([[4.0, 0]]), np.array([0.25])).tolist()
    [[[1.0, 1.5]]]
    """
    t = np.asarray(t_T, np.float64)[None, :, None]
    a, b = a_PD[:, None].astype(np.float64), b_PD[:, None].astype(np.float64)
    return np.asarray(a + t * (b - a))


def slerp(a_PD: Floats, b_PD: Floats, t_T: Floats) -> NDArray[np.float64]:
    """Return points of spherical interpolation (Shoemake 1985): float64 P,T,D.

    sin((1 - t) w) / sin(w) a + sin(t w) / sin(w) b, with w the angle between a and b. Vectors in
    one direction, in opposite directions and of length zero have no such arc; their points lie on
    the straight line.

    >>> half = slerp(np.array([[1.0, 0]]), np.array([[0.0, 1]]), np.array([0.5]))
    >>> half.round(4).tolist()
    [[[0.7071, 0.7071]]]
    """
    a, b = a_PD.astype(np.float64), b_PD.astype(np.float64)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosine = np.einsum("pd,pd->p", a, b) / np.where(norms > 0, norms, 1)
    angle = np.arccos(np.clip(cosine, -1, 1))
    sine = np.sin(angle)
    has_arc = (norms > 0) & (sine > 1e-6)
    t = np.asarray(t_T, np.float64)[None]
    w = np.where(has_arc, angle, 1.0)[:, None]
    first = np.where(has_arc[:, None], np.sin((1 - t) * w) / np.sin(w), 1 - t)
    second = np.where(has_arc[:, None], np.sin(t * w) / np.sin(w), t)
    return np.asarray(first[..., None] * a[:, None] + second[..., None] * b[:, None])


def resampled(path_LD: Floats, num: int) -> NDArray[np.float64]:
    """Return `num` points at equal steps of arc length along a path of L points: float64 num,D.

    >>> resampled(np.array([[0.0], [1.0], [4.0]]), 5).ravel().tolist()
    [0.0, 1.0, 2.0, 3.0, 4.0]
    """
    path = np.asarray(path_LD, np.float64)
    lengths = np.linalg.norm(np.diff(path, axis=0), axis=1)
    at = np.concatenate([[0.0], np.cumsum(lengths)])
    wanted = np.linspace(0, at[-1], num)
    if at[-1] == 0:
        return np.repeat(path[:1], num, axis=0)
    return np.stack([np.interp(wanted, at, column) for column in path.T], axis=1)


def shortest_paths(
    codes_ND: NDArray[np.float32], pairs_P2: NDArray[np.int64], k: int = K_GRAPH
) -> list[NDArray[np.int64] | None]:
    """Return the rows on the shortest path of each pair, both ends included; None without a path.

    The graph joins two codes when one is among the k nearest of the other; an edge is as long as
    their Euclidean distance. Raises `Absent` for k codes or fewer.

    >>> line = np.arange(6, dtype=np.float32)[:, None]
    >>> shortest_paths(line, np.array([[0, 3]]), k=1)
    [array([0, 1, 2, 3])]
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import dijkstra

    if len(codes_ND) <= k:
        raise Absent(f"{len(codes_ND)} images are too few for a graph of {k} nearest neighbours")
    codes = np.ascontiguousarray(codes_ND, np.float32)
    nearest = nearest_neighbours(codes, codes, k, exclude_self=True)
    rows = np.repeat(np.arange(len(codes)), nearest.indices.shape[1])
    # an edge of length zero would be none
    lengths = np.maximum(nearest.distances.ravel().astype(np.float64), 1e-12)
    graph = csr_array((lengths, (rows, nearest.indices.ravel())), shape=(len(codes), len(codes)))
    graph = graph.maximum(graph.T)
    starts, which = np.unique(pairs_P2[:, 0], return_inverse=True)
    found: list[NDArray[np.int64] | None] = [None] * len(pairs_P2)
    for number, start in enumerate(starts):
        # the graph is symmetric, and an undirected search would transpose it in every call
        _, before = dijkstra(graph, directed=True, indices=[int(start)], return_predecessors=True)
        for pair in np.flatnonzero(which == number):
            found[pair] = _traced(before[0], int(start), int(pairs_P2[pair, 1]))
    return found


def _traced(before: NDArray[np.integer], start: int, end: int) -> NDArray[np.int64] | None:
    path = [end]
    while path[-1] != start:
        previous = int(before[path[-1]])
        if previous < 0:
            return None
        path.append(previous)
    return np.array(path[::-1], np.int64)


def pairs_of(
    labels: NDArray[np.int64] | None, num_images: int, num: int, generator: np.random.Generator
) -> dict[str, NDArray[np.int64]]:
    """Return up to `num` random pairs of different images for each kind: int64 P,2.

    With labels the kinds are pairs of one class and of two classes, as far as they exist; without,
    there is one kind.
    """
    if num_images < 2:
        raise Absent("one image has no pair")
    first, second = generator.integers(num_images, size=(2, 60 * num))
    first, second = first[first != second], second[first != second]
    if labels is None:
        return {ANY: np.stack([first, second], axis=1)[:num].astype(np.int64)}
    same = labels[first] == labels[second]
    kinds = {SAME: same, OTHER: ~same}
    found = {
        kind: np.stack([first[rows], second[rows]], axis=1)[:num].astype(np.int64)
        for kind, rows in kinds.items()
    }
    return {kind: pairs for kind, pairs in found.items() if len(pairs) > 1}


def ratio_interval(above_P: Floats, below_P: Floats) -> Uncertainty:
    """Return the ratio of the means of two numbers of each pair, with its interval (delta method).

    >>> found = ratio_interval(np.array([2.0, 4.0]), np.array([1.0, 2.0]))
    >>> found.estimate, found.standard_error
    (2.0, 0.0)
    """
    ratio = float(above_P.mean() / below_P.mean())
    linear_P = ratio + (above_P - ratio * below_P) / below_P.mean()
    return mean_interval(linear_P, len(linear_P), "ratio of means over pairs, Hall")


class Path(NamedTuple):
    """What is measured on the paths of P pairs, each float64 P."""

    distance: NDArray[np.float64]  # of the points between to the nearest training image, mean
    end_distance: NDArray[np.float64]  # of the two ends
    anomalous: NDArray[np.float64]  # share of the points between
    confidence: NDArray[np.float64] | None
    changes: NDArray[np.float64] | None
    length: NDArray[np.float64]


def changes_along(classes_PT: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return how often the class changes along each path: int64 P.

    >>> changes_along(np.array([[3, 3, 8, 3], [1, 1, 1, 1]])).tolist()
    [2, 0]
    """
    return np.asarray((np.diff(classes_PT, axis=1) != 0).sum(axis=1))


def squared_steps(features_PTF: Floats) -> NDArray[np.float64]:
    """Return the mean squared distance of neighbouring points over the squared step 1 / (T - 1).

    >>> squared_steps(np.array([[[0.0], [1.0], [3.0]]])).tolist()  # (1 + 4) / 2 over (1 / 2)^2
    [10.0]
    """
    steps = np.diff(features_PTF.astype(np.float64), axis=1)
    num = features_PTF.shape[1] - 1
    return np.asarray(np.square(steps).sum(axis=2).mean(axis=1) * num**2)


def path_points(
    context: Context,
    anchors: Anchors,
    pairs_P2: NDArray[np.int64],
    paths: Sequence[NDArray[np.int64] | None] | str,
) -> Iterator[tuple[str, NDArray[np.uint8] | str]]:
    """Yield the name of each kind of path with its images uint8 P,T,H,W,C, or with the reason why
    there are none. `paths` are the shortest paths of the pairs, or the reason why there are none;
    along the data there are the pairs that have one.
    """
    t = np.linspace(0, 1, NUM_BETWEEN + 2)
    first, second = pairs_P2.T
    shape = anchors.images.shape[1:]
    flat = anchors.images.reshape(len(anchors.images), -1)
    pixels = linear(flat[first], flat[second], t)
    yield PIXELS, np.rint(pixels).astype(np.uint8).reshape(len(pairs_P2), len(t), *shape)
    if not context.space.has("decode"):
        for name in (LINEAR, SPHERICAL, ALONG):
            yield name, f"{context.space.name} has no decoder"
        return
    a, b = anchors.codes[first], anchors.codes[second]

    def decoded(points: NDArray[np.float64]) -> NDArray[np.uint8]:
        images = context.space.decode(points.reshape(-1, points.shape[2]).astype(np.float32))
        return images.reshape(*points.shape[:2], *images.shape[1:])

    yield LINEAR, decoded(linear(a, b, t))
    if context.space.prior == "gaussian":
        yield SPHERICAL, decoded(spherical(context, a, b, t))
    else:
        yield SPHERICAL, "the prior of the latents is not standard normal"
    if isinstance(paths, str):
        yield ALONG, paths
        return
    points = [resampled(anchors.codes[path], len(t)) for path in paths if path is not None]
    yield ALONG, decoded(np.stack(points)) if points else "the graph connects no pair"


def spherical(context: Context, a: Floats, b: Floats, t: Floats) -> NDArray[np.float64]:
    """Return spherical paths of the noise; categories and a given class are joined linearly."""
    parts, given = context.space.parts, context.space.num_given
    num = parts.noise if parts is not None else a.shape[1] - given
    rest = linear(a[:, num:], b[:, num:], t)
    return np.concatenate([slerp(a[:, :num], b[:, :num], t), rest], axis=2)


def measured_path(context: Context, images_PTHWC: NDArray[np.uint8]) -> Path:
    """Return what is measured on paths of images."""
    num, length = images_PTHWC.shape[:2]
    features = context.data.features(images_PTHWC.reshape(-1, *images_PTHWC.shape[2:]))
    distances = context.data.distances(features.values).reshape(num, length, -1)
    confidence = changes = None
    try:
        p = context.data.probabilities(features).reshape(num, length, -1)
        confidence = p[:, 1:-1].max(axis=2).mean(axis=1)
        changes = changes_along(p.argmax(axis=2)).astype(np.float64)
    except Absent:
        pass
    between = distances[:, 1:-1]
    return Path(
        distance=between[..., 0].mean(axis=1, dtype=np.float64),
        end_distance=distances[:, [0, -1], 0].mean(axis=1, dtype=np.float64),
        anomalous=(between[..., -1] > context.data.anomaly_threshold).mean(axis=1),
        confidence=confidence,
        changes=changes,
        length=squared_steps(features.values.reshape(num, length, -1)),
    )


def perceptual_path_length(
    context: Context, num: int = NUM_PAIRS
) -> Mapping[str, NDArray[np.float64] | str]:
    """Return the perceptual path length of each pair for "full" and "ends", or the reason."""
    space = context.space
    if not space.has("sample_latents"):
        reason = f"{space.name} has no distribution of latents"
    elif not space.has("decode_tensor"):
        reason = "8-bit images are too coarse for a step of 1e-4: no method decode_tensor"
    elif not hasattr(context.data.network, "forward"):
        reason = f"extractor {context.data.extractor_name} takes 8-bit images only"
    else:
        return _path_lengths(context, num)
    return {"full": reason, "ends": reason}


def _path_lengths(context: Context, num: int) -> Mapping[str, NDArray[np.float64]]:
    import torch

    z1 = context.space.sample_latents(num, context.seed + 1)
    z2 = context.space.sample_latents(num, context.seed + 2)
    forward = getattr(context.data.network, "forward")  # noqa: B009  (only networks have it)
    uniform = context.generator("perceptual path length").random(num)
    found = {}
    for kind, start in (("full", uniform * (1 - EPSILON)), ("ends", np.zeros(num))):
        points = [_at(context, z1, z2, t) for t in (start, start + EPSILON)]
        lengths = []
        for rows in np.array_split(np.arange(num), -(-num // 100)):
            with torch.no_grad():
                f1, f2 = (
                    forward(255 * context.space.space.decode_tensor(torch.from_numpy(z[rows])))[0]
                    for z in points
                )
            lengths.append((f1.double() - f2.double()).square().sum(1).cpu().numpy())
        found[kind] = np.concatenate(lengths) / EPSILON**2
    return found


def _at(context: Context, a: Floats, b: Floats, t_P: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the point of each pair at its own t: float32 P,D."""
    gaussian = context.space.prior == "gaussian"
    points = [
        spherical(context, a[i : i + 1], b[i : i + 1], t_P[i : i + 1])
        if gaussian
        else linear(a[i : i + 1], b[i : i + 1], t_P[i : i + 1])
        for i in range(len(t_P))
    ]
    return np.concatenate(points)[:, 0].astype(np.float32)


def measure_interpolation(context: Context) -> list[LatentValue]:
    """Return every value of this group."""
    seed = context.seed
    values = []
    for kind, lengths in perceptual_path_length(context).items():
        values.append(
            absent(PPL, lengths, seed=seed, variant=kind)
            if isinstance(lengths, str)
            else present(
                PPL,
                mean_interval(lengths, len(lengths), METHOD),
                n=len(lengths),
                seed=seed,
                variant=kind,
            )
        )
    try:
        anchors = context.anchors
        reference = float(context.data.test_distances[:, 0].mean(dtype=np.float64))
        pairs_by_kind = pairs_of(
            anchors.labels, len(anchors.images), NUM_PAIRS, context.generator("pairs")
        )
    except Absent as error:
        return [*values, *_without(str(error), seed)]
    if not pairs_by_kind:
        return [*values, *_without("there are fewer than two pairs of images", seed)]
    for kind, pairs in pairs_by_kind.items():
        paths = paths_or_reason(anchors, pairs)
        for name, images in path_points(context, anchors, pairs, paths):
            if isinstance(images, str):
                values += _absent_path(name, kind, images, seed)
                continue
            if len(images) < 2:
                values += _absent_path(name, kind, "the graph connects one pair only", seed)
                continue
            values += _path_values(measured_path(context, images), name, kind, reference, seed)
        values += _chain_values(paths, kind, seed)
    return values


def _path_values(
    path: Path, name: str, kind: str, reference: float, seed: int
) -> list[LatentValue]:
    rows: list[tuple[LatentMeasure, NDArray[np.float64] | None, str]] = [
        (ANOMALOUS, path.anomalous, f"{name}, {kind}"),
        (CONFIDENCE, path.confidence, f"{name}, {kind}"),
        (CHANGES, path.changes, f"{name}, {kind}"),
        (STEP_LENGTH, path.length, f"{name}, {kind}"),
    ]
    if reference > 0:
        rows.insert(0, (MANIFOLD_DISTANCE, path.distance / reference, f"{name}, {kind}"))
        if name == LINEAR:
            ends = path.end_distance / reference
            rows.insert(1, (MANIFOLD_DISTANCE, ends, f"{ENDS}, {kind}"))
        values = []
    else:
        reason = "every held-out image is a training image: their distance is 0"
        values = [absent(MANIFOLD_DISTANCE, reason, seed=seed, variant=f"{name}, {kind}")]
    variant = f"{name}, {kind}"
    if path.end_distance.mean() > 0:
        found = ratio_interval(path.distance, path.end_distance)
        num = len(path.distance)
        values.append(present(DEPARTURE, found, n=num, seed=seed, variant=variant))
    else:
        reason = "every end is a training image: its distance is 0"
        values.append(absent(DEPARTURE, reason, seed=seed, variant=variant))
    for measure, numbers, variant in rows:
        if numbers is None:
            values.append(absent(measure, "there is no classifier", seed=seed, variant=variant))
            continue
        found = mean_interval(numbers, len(numbers), METHOD)
        values.append(present(measure, found, n=len(numbers), seed=seed, variant=variant))
    return values


def paths_or_reason(
    anchors: Anchors, pairs_P2: NDArray[np.int64]
) -> list[NDArray[np.int64] | None] | str:
    """Return the shortest path of each pair, or the reason why there is no graph."""
    try:
        return shortest_paths(anchors.codes, pairs_P2)
    except Absent as error:
        return str(error)


def _chain_values(
    paths: Sequence[NDArray[np.int64] | None] | str, kind: str, seed: int
) -> list[LatentValue]:
    if isinstance(paths, str):
        measures = (REACHED, CHAIN_LENGTH)
        return [absent(measure, paths, seed=seed, variant=kind) for measure in measures]
    steps = np.array([len(path) - 1 for path in paths if path is not None], np.float64)
    values = [
        present(REACHED, wilson(len(steps), len(paths)), n=len(paths), seed=seed, variant=kind)
    ]
    if len(steps) < 2:
        reason = "the graph connects fewer than two pairs"
        return [*values, absent(CHAIN_LENGTH, reason, seed=seed, variant=kind)]
    found = mean_interval(steps, len(steps), METHOD)
    return [*values, present(CHAIN_LENGTH, found, n=len(steps), seed=seed, variant=kind)]


def _absent_path(name: str, kind: str, reason: str, seed: int) -> list[LatentValue]:
    return [
        absent(measure, reason, seed=seed, variant=f"{name}, {kind}")
        for measure in (MANIFOLD_DISTANCE, DEPARTURE, ANOMALOUS, CONFIDENCE, CHANGES, STEP_LENGTH)
    ]


def _without(reason: str, seed: int) -> list[LatentValue]:
    paths = [value for name in PATHS for value in _absent_path(name, ANY, reason, seed)]
    return [*paths, *_chain_values(reason, ANY, seed)]
