"""Representation: what the codes of images say about their classes and neighbours.

    linear probe    logistic regression (L2 penalty 1/2, on codes divided by the root mean square of
                    all centred columns) trained on 1, 10 or 100 % of the labels, drawn class by
                    class; accuracy on held-out images
    k-NN            majority of the 5 nearest training images; ties go to the lowest class
    separability    share of class pairs that the same regression, trained on the pair, tells apart
                    in 99 % of held-out images
    k-means         K clusters for K classes, best of 4 starts: mutual information over the mean of
                    both entropies (NMI; Strehl & Ghosh 2002) and the adjusted Rand index (ARI;
                    Hubert & Arabie 1985)
    retrieval       share of images of the query's class among its 1, 10, 100 nearest training
                    images, mean over held-out queries
    effective rank  exp of the entropy of the singular values of the centred codes, over their sum
                    (Roy & Vetterli 2007)
    alignment       mean squared distance of two images of one class, codes scaled to length 1;
                    mean over all such pairs (Wang & Isola 2020, alpha 2)
    uniformity      log of the mean of exp(-2 |a - b|^2) over all pairs of such codes (t 2)

One scale for all codes leaves distances and directions as they are: a code that hardly varies stays
small.

Shape legend: N images, M held-out images, D codes, K classes, P pairs.
"""

from __future__ import annotations

import functools
import itertools
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.latent.context import Context
from bench.latent.maps import (
    K_MAP,
    MAPS,
    Map,
    continuity,
    shepard_correlation,
    trustworthiness,
    two_dimensional,
)
from bench.latent.values import (
    Absent,
    Group,
    LatentMeasure,
    LatentValue,
    Measured,
    Need,
    absent,
    attempt,
)
from bench.statistics.intervals import Uncertainty, mean_interval, wilson
from bench.statistics.neighbours.search import nearest_neighbours

LABEL_SHARES = (0.01, 0.1, 1.0)
NUM_NEIGHBOURS = 5
RETRIEVED = (1, 10, 100)
SEPARATED = 0.99  # accuracy from which a pair of classes counts as separated
KMEANS_STARTS = 4
UNIFORMITY_T = 2.0
BLOCK = 1000
MAX_ITERATIONS = 200
NUM_MAPPED = 1000  # held-out images on a map


def _row(
    name: str,
    title: str,
    definition: str,
    source: str,
    *,
    best: Literal["higher", "lower"] | None = "higher",
    needs: frozenset[Need] = frozenset({"encoder", "labels"}),
    bounds: tuple[float | None, float | None] = (0.0, 1.0),
    headline: str = ".*",
) -> LatentMeasure:
    group: Group = "representation"
    return LatentMeasure(
        name=name,
        group=group,
        title=title,
        definition=definition,
        source=source,
        best=best,
        needs=needs,
        headline=headline,
        low=bounds[0],
        high=bounds[1],
    )


ENCODER: frozenset[Need] = frozenset({"encoder"})
SHOWN_MAP = "t-sne"  # in a short table
PROBE = _row(
    "linear_probe",
    "linear probe",
    "held-out accuracy of logistic regression (L2, C = 1, one scale for all codes), trained on a "
    "share of the labels of each class",
    "Alain & Bengio 2017",
)
KNN = _row(
    "knn_accuracy",
    "k-NN accuracy",
    f"held-out accuracy of the majority of the {NUM_NEIGHBOURS} nearest training codes",
    "Cover & Hart 1967",
)
SEPARABILITY = _row(
    "separability",
    "linear separability",
    "share of class pairs that logistic regression separates to 99 % on held-out images",
    "after Karras et al. 2019",
)
NMI = _row(
    "kmeans_nmi",
    "NMI of k-means",
    f"mutual information of k-means clusters (K classes, best of {KMEANS_STARTS} starts) and "
    "classes, over the mean of both entropies",
    "Strehl & Ghosh 2002",
)
ARI = _row(
    "kmeans_ari",
    "ARI of k-means",
    f"adjusted Rand index of k-means clusters (K classes, best of {KMEANS_STARTS} starts)",
    "Hubert & Arabie 1985",
    bounds=(-0.5, 1.0),
)
RETRIEVAL = _row(
    "retrieval_precision",
    "retrieval precision",
    "share of images of the query's class among its k nearest training codes, mean over held-out "
    "queries",
    "Manning et al. 2008",
)
RANK = _row(
    "effective_rank",
    "effective rank",
    "exp of the entropy of the singular values of the centred codes, over their sum",
    "Roy & Vetterli 2007",
    best=None,
    needs=ENCODER,
    bounds=(1.0, None),
)
ALIGNMENT = _row(
    "alignment",
    "alignment",
    "mean squared distance of two images of one class, codes scaled to length 1",
    "Wang & Isola 2020",
    best="lower",
    bounds=(0.0, 4.0),
)
UNIFORMITY = _row(
    "uniformity",
    "uniformity",
    f"log of the mean of exp(-{UNIFORMITY_T:g} d^2) over all pairs, codes scaled to length 1",
    "Wang & Isola 2020",
    best="lower",
    needs=ENCODER,
    bounds=(-4 * UNIFORMITY_T, 0.0),
)
TRUST = _row(
    "map_trustworthiness",
    "trustworthiness of a map",
    f"share of the {K_MAP} neighbours on the map that are near in the codes, by ranks; "
    f"{NUM_MAPPED} held-out images",
    "Venna & Kaski 2001",
    needs=ENCODER,
    headline=SHOWN_MAP,
)
CONTINUITY = _row(
    "map_continuity",
    "continuity of a map",
    f"share of the {K_MAP} neighbours in the codes that are near on the map, by ranks; "
    f"{NUM_MAPPED} held-out images",
    "Venna & Kaski 2001",
    needs=ENCODER,
    headline=SHOWN_MAP,
)
SHEPARD = _row(
    "map_shepard",
    "Shepard correlation of a map",
    f"Spearman correlation of pairwise distances on the map and in the codes; {NUM_MAPPED} "
    "held-out images",
    "Shepard 1962",
    needs=ENCODER,
    headline=SHOWN_MAP,
    bounds=(-1.0, 1.0),
)
MEASURES = (
    PROBE,
    KNN,
    SEPARABILITY,
    NMI,
    ARI,
    RETRIEVAL,
    RANK,
    ALIGNMENT,
    UNIFORMITY,
    TRUST,
    CONTINUITY,
    SHEPARD,
)

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

Codes = NDArray[np.float32]
Labels = NDArray[np.int64]
Floats = NDArray[np.float64]


class Split(NamedTuple):
    """Codes and labels to learn from (N,D and N) and to judge on (M,D and M)."""

    train: Codes
    train_labels: Labels
    test: Codes
    test_labels: Labels

    def scaled(self) -> Split:
        """Return the codes centred and divided by one number for all, both from the train side.

        Raises `Absent` for codes that are not finite or do not vary, and for a single class.
        """
        if not (np.isfinite(self.train).all() and np.isfinite(self.test).all()):
            raise Absent("codes are NaN or infinite")
        if len(np.unique(self.train_labels)) < 2:
            raise Absent("the images have one class; a comparison of classes needs two")
        mean = self.train.mean(axis=0, dtype=np.float64)
        size = np.sqrt(((self.train - mean) ** 2).mean())
        if not size > 0:
            raise Absent("all codes are equal")
        return self._replace(
            train=((self.train - mean) / size).astype(np.float32),
            test=((self.test - mean) / size).astype(np.float32),
        )


def linear_probe(split: Split, share: float = 1.0, *, seed: int = 0) -> Uncertainty:
    """Return the accuracy of logistic regression trained on a share of the labels.

    At least one image of every class is used. Raises `Absent` for codes that do not vary and for a
    single class.
    """
    split = split.scaled()
    chosen = labelled_rows(split.train_labels, share, seed)
    found = _fit(split.train[chosen], split.train_labels[chosen]).predict(split.test)
    return wilson(float((found == split.test_labels).sum()), len(split.test))


def labelled_rows(labels: Labels, share: float, seed: int) -> NDArray[np.int64]:
    """Return the rows of a random share of each class, at least one row each, ascending.

    >>> labelled_rows(np.array([0] * 200 + [1] * 20), 0.01, seed=0).tolist()
    [6, 105, 203]
    """
    rng = np.random.default_rng(seed)
    found = []
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        found.append(rng.permutation(rows)[: max(1, round(share * len(rows)))])
    return np.sort(np.concatenate(found))


def _fit(codes: Codes, labels: Labels) -> LogisticRegression:
    from sklearn.exceptions import ConvergenceWarning  # type: ignore[import-untyped]
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(max_iter=MAX_ITERATIONS, tol=1e-3).fit(codes, labels)


def separability(split: Split) -> Uncertainty:
    """Return the share of class pairs that a linear classifier separates to 99 %."""
    split = split.scaled()
    separated = []
    for pair in itertools.combinations(np.unique(split.train_labels), 2):
        learns, judged = np.isin(split.train_labels, pair), np.isin(split.test_labels, pair)
        if not judged.any():
            continue
        found = _fit(split.train[learns], split.train_labels[learns]).predict(split.test[judged])
        separated.append(bool((found == split.test_labels[judged]).mean() >= SEPARATED))
    if not separated:
        raise Absent("no held-out images of two classes")
    return wilson(float(sum(separated)), len(separated))


class Neighbourhood(NamedTuple):
    """Labels of the nearest training images of every held-out image M,k, and its own M."""

    found: Labels
    own: Labels


def neighbourhood(split: Split, k: int = max(RETRIEVED)) -> Neighbourhood:
    """Return the labels of the k nearest training codes (Euclidean) of every held-out code.

    Raises `Absent` for codes that are not finite.
    """
    if not (np.isfinite(split.train).all() and np.isfinite(split.test).all()):
        raise Absent("codes are NaN or infinite")
    nearest = nearest_neighbours(split.test, split.train, k)
    return Neighbourhood(split.train_labels[nearest.indices], split.test_labels)


def knn_accuracy(near: Neighbourhood, k: int = NUM_NEIGHBOURS) -> Uncertainty:
    """Return the accuracy of the majority of the k nearest; ties go to the lowest class.

    >>> near = Neighbourhood(np.array([[1, 0, 1], [0, 1, 2]]), np.array([1, 2]))
    >>> knn_accuracy(near, k=3).estimate
    0.5
    """
    _require(near, k)
    num = int(max(near.found.max(), near.own.max())) + 1
    votes = np.zeros((len(near.own), num), np.int64)
    rows = np.arange(len(near.own))
    for column in near.found[:, :k].T:
        votes[rows, column] += 1
    right = (votes.argmax(axis=1) == near.own).sum()
    return wilson(float(right), len(near.own))


def retrieval_precision(near: Neighbourhood, k: int) -> Uncertainty:
    """Return the mean share of images of the query's class among its k nearest.

    >>> near = Neighbourhood(np.array([[1, 0], [2, 2]]), np.array([1, 2]))
    >>> retrieval_precision(near, k=2).estimate
    0.75
    """
    _require(near, k)
    shares = (near.found[:, :k] == near.own[:, None]).mean(axis=1)
    return mean_interval(shares, len(shares), "mean over queries")


def _require(near: Neighbourhood, k: int) -> None:
    if near.found.shape[1] < k:
        raise Absent(f"{near.found.shape[1]} training images; {k} neighbours are needed")
    if len(near.own) < 2:
        raise Absent(f"{len(near.own)} held-out images; at least 2 are needed")


def cluster(codes: Codes, num_clusters: int, *, seed: int = 0) -> Labels:
    """Return the cluster of every code by k-means, the best of 4 starts."""
    from sklearn.cluster import KMeans  # type: ignore[import-untyped]
    from sklearn.exceptions import ConvergenceWarning

    if len(np.unique(codes, axis=0)) < num_clusters:
        raise Absent(f"fewer than {num_clusters} different codes; k-means needs one per cluster")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = KMeans(num_clusters, n_init=KMEANS_STARTS, random_state=seed % 2**32)
        return np.asarray(model.fit_predict(codes), np.int64)


def _contingency(a: Labels, b: Labels) -> Floats:
    _, rows = np.unique(a, return_inverse=True)
    _, columns = np.unique(b, return_inverse=True)
    table = np.zeros((rows.max() + 1, columns.max() + 1))
    np.add.at(table, (rows, columns), 1)
    return table


def normalised_mutual_information(a: Labels, b: Labels) -> float:
    """Return the mutual information over the mean of both entropies; 1 for two constant labels.

    >>> normalised_mutual_information(np.array([0, 0, 1, 1]), np.array([5, 5, 3, 3]))
    1.0
    """
    joint = _contingency(a, b) / len(a)
    entropies = [_entropy(joint.sum(axis=axis)) for axis in (0, 1)]
    if sum(entropies) == 0:
        return 1.0
    shared = sum(entropies) - _entropy(joint.ravel())
    return float(min(max(shared / (sum(entropies) / 2), 0.0), 1.0))


def adjusted_rand_index(a: Labels, b: Labels) -> float:
    """Return the Rand index less its expectation, over its largest value less that.

    >>> round(adjusted_rand_index(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])), 12)
    -0.5
    """
    table = _contingency(a, b)
    together = (table * (table - 1)).sum() / 2
    rows, columns = (
        (sums * (sums - 1)).sum() / 2 for sums in (table.sum(axis=0), table.sum(axis=1))
    )
    expected = rows * columns / (len(a) * (len(a) - 1) / 2)
    largest = (rows + columns) / 2
    return 1.0 if largest == expected else float((together - expected) / (largest - expected))


def _entropy(shares: Floats) -> float:
    positive = shares[shares > 0]
    return float(-(positive * np.log(positive)).sum())


def effective_rank(codes: Codes) -> float:
    """Return the effective rank of the centred codes (Roy & Vetterli 2007), between 1 and D.

    >>> round(effective_rank(np.array([[1, 0], [-1, 0], [0, 1], [0, -1]], np.float32)), 6)
    2.0
    """
    centred = codes - codes.mean(axis=0, dtype=np.float64)
    small = centred.T @ centred if codes.shape[1] <= len(codes) else centred @ centred.T
    eigenvalues = np.linalg.eigvalsh(small)
    noise = eigenvalues.max() * 1e-12  # rounding of an eigenvalue that is 0
    singular = np.sqrt(np.where(eigenvalues > noise, eigenvalues, 0))
    if not singular.sum() > 0:
        raise Absent("all codes are equal")
    return float(np.exp(_entropy(singular / singular.sum())))


def unit_codes(codes: Codes) -> Codes:
    """Return the codes scaled to length 1. Raises `Absent` when a code is 0."""
    lengths = np.linalg.norm(codes.astype(np.float64), axis=1)
    if not (np.isfinite(lengths).all() and (lengths > 0).all()):
        raise Absent("a code is 0 or not finite, so that it has no direction")
    unit: Codes = (codes / lengths[:, None]).astype(np.float32)
    return unit


def alignment(codes: Codes, labels: Labels) -> float:
    """Return the mean squared distance of two different images of one class on the unit sphere.

    In closed form: the mean over pairs of n unit vectors with sum s is 2 (n^2 - |s|^2) / n(n - 1).

    >>> alignment(np.array([[2.0, 0], [0, 3], [1, 0]], np.float32), np.array([0, 0, 1]))
    2.0
    """
    unit = unit_codes(codes).astype(np.float64)
    total, pairs = 0.0, 0
    for label in np.unique(labels):
        members = unit[labels == label]
        n = len(members)
        total += n**2 - float((members.sum(axis=0) ** 2).sum())
        pairs += n * (n - 1) // 2
    if not pairs:
        raise Absent("no two images have one class")
    return max(0.0, total / pairs)


def uniformity(codes: Codes) -> float:
    """Return the log of the mean Gaussian potential of all pairs of different images (t = 2).

    >>> round(uniformity(np.array([[1.0, 0], [-1, 0]], np.float32)), 6)  # |a - b|^2 = 4
    -8.0
    """
    unit = unit_codes(codes)
    n = len(unit)
    if n < 2:
        raise Absent(f"{n} images; uniformity needs at least 2")
    total = 0.0
    for start in range(0, n, BLOCK):
        block = unit[start : start + BLOCK]
        squared = np.maximum(2 - 2 * (block @ unit.T), 0)
        np.exp(np.float32(-UNIFORMITY_T) * squared, out=squared)
        total += float(squared.sum(dtype=np.float64))
        own = np.arange(len(block))
        total -= float(squared[own, start + own].sum(dtype=np.float64))
    return float(np.log(total / (n * (n - 1))))


def mapped_codes(context: Context) -> tuple[Codes, NDArray[np.int64]]:
    """Return the codes of the held-out images on a map, and their rows: at most 1,000."""
    codes = context.free_test_codes
    rows = np.arange(len(codes))
    if len(codes) > NUM_MAPPED:
        rows = np.sort(context.generator("map").permutation(len(codes))[:NUM_MAPPED])
    return codes[rows], rows


def measure_representation(context: Context) -> list[LatentValue]:
    """Return every value of this group."""
    data, seed = context.data, context.seed

    @functools.cache
    def split() -> Split:
        _ = data.num_classes
        assert data.train.labels is not None  # noqa: S101  (num_classes has looked)
        assert data.test.labels is not None  # noqa: S101
        return Split(
            context.free_train_codes,
            data.train.labels,
            context.free_test_codes,
            data.test.labels,
        )

    @functools.cache
    def near() -> Neighbourhood:
        k = min(max(RETRIEVED), len(split().train))
        return neighbourhood(split(), k)

    @functools.cache
    def clusters() -> Labels:
        return cluster(split().test, len(np.unique(split().train_labels)), seed=seed)

    def judged(value: float | Uncertainty) -> Measured:
        return Measured(value, len(split().test))

    def separated() -> Measured:
        num = len(np.unique(split().train_labels))
        return Measured(separability(split()), num * (num - 1) // 2)

    def rank() -> Measured:
        codes = context.free_test_codes
        return Measured(effective_rank(codes), len(codes))

    def spread() -> Measured:
        codes = context.free_test_codes
        return Measured(uniformity(codes), len(codes))

    def aligned() -> Measured:
        return judged(alignment(split().test, split().test_labels))

    found = [
        attempt(
            PROBE,
            functools.partial(lambda s: judged(linear_probe(split(), s, seed=seed)), share),
            seed=seed,
            variant=f"{share:.0%} of the labels",
        )
        for share in LABEL_SHARES
    ]
    found += [
        attempt(KNN, lambda: judged(knn_accuracy(near())), seed=seed),
        attempt(SEPARABILITY, separated, seed=seed),
        attempt(
            NMI,
            lambda: judged(normalised_mutual_information(clusters(), split().test_labels)),
            seed=seed,
        ),
        attempt(
            ARI, lambda: judged(adjusted_rand_index(clusters(), split().test_labels)), seed=seed
        ),
    ]
    found += [
        attempt(
            RETRIEVAL,
            functools.partial(lambda k: judged(retrieval_precision(near(), k)), k),
            seed=seed,
            variant=f"{k} nearest",
        )
        for k in RETRIEVED
    ]
    found += [
        attempt(RANK, rank, seed=seed),
        attempt(ALIGNMENT, aligned, seed=seed),
        attempt(UNIFORMITY, spread, seed=seed),
    ]
    return found + [value for name in MAPS for value in _map_values(context, name)]


def _map_values(context: Context, name: str) -> list[LatentValue]:
    """Return how faithful one map is."""
    rows = ((TRUST, trustworthiness), (CONTINUITY, continuity), (SHEPARD, shepard_correlation))
    seed = context.seed
    try:
        codes, _ = mapped_codes(context)
        placed: Map = two_dimensional(name, codes, seed=seed)
    except Absent as error:
        return [absent(row, str(error), seed=seed, variant=name) for row, _ in rows]

    def judge(measure: Callable[[Codes, Map], float]) -> Measured:
        return Measured(measure(codes, placed), len(codes))

    return [
        attempt(row, functools.partial(judge, measure), seed=seed, variant=name)
        for row, measure in rows
    ]
