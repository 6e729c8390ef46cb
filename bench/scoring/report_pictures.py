"""The pictures and curves of a report page that come from features.

Neighbours and the PRD curve are those that the metrics of the record were computed from, so nothing
is computed twice. Images are the thumbnails among the facts about the content. The names of the
arrays are those of `bench.records.pictures_file`; pictures of the content itself come from
`bench.content.content_pictures`.

Shape legend: N real images, M images of the folder, D features, P points, C components.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import numpy as np
from numpy.typing import NDArray

from bench.content import ContentFacts
from bench.content.thumbnails import thumbnails
from bench.metrics import known_metric
from bench.metrics.base import MetricInputs
from bench.references.bundle import Reference
from bench.statistics.moments import FeatureSample, subset_rows
from bench.statistics.neighbours.results import K_BALL, K_NEAREST

Arrays = dict[str, NDArray[np.generic]]
ImagesByRow = Callable[[NDArray[np.int64]], NDArray[np.uint8] | None]

NUM_EXTREME = 24  # images of highest realism, and of lowest
NUM_NEIGHBOURS = 24  # images shown with their nearest training image
NUM_POINTS = 500  # of each side, in the plane of the principal components
COMPONENTS = 30  # passed on to t-SNE
CURVE_POINTS = 101  # of the PRD and ROC curves


def training_thumbnails(reference: Reference) -> ImagesByRow | None:
    """Return a function from positions among the train features to thumbnails of their images; None
    if their source is not recorded.
    """
    pixels = reference.training_pixels
    if pixels is None:
        return None
    manifest = reference.manifest
    rows = subset_rows(manifest.num_train, manifest.num_subset, manifest.subset_seed)

    def images(positions: NDArray[np.int64]) -> NDArray[np.uint8] | None:
        wanted, places = np.unique(rows[positions], return_inverse=True)
        found = pixels(wanted)
        return None if found is None else thumbnails(found[places])

    return images


def feature_exhibits(
    inputs: MetricInputs,
    sample: FeatureSample,
    metrics: Collection[str],
    *,
    facts: ContentFacts | None = None,
    training_images: ImagesByRow | None = None,
    detector: str | None = None,
) -> Arrays:
    """Return the pictures of a folder with features `sample`, whose `metrics` had a value on
    `inputs`.

    The ROC curve is that of the `detector` used for `anomaly_auc`; it is omitted when the inputs
    lack its scores. Images are the thumbnails of `facts`, and omitted without it.
    `training_images` returns the images of train features by position, for nearest neighbours.
    """
    arrays = _components(inputs)
    used = {work for name in metrics if (row := known_metric(name)) for work in row.uses}
    if "prd" in used:
        curve = inputs.prd.thinned(CURVE_POINTS)
        arrays |= {"prd_precision": curve.precision, "prd_recall": curve.recall}
    near = "neighbours" in used
    if near and (detector is None or inputs.detector_scores is not None):
        arrays |= _roc(inputs)
    if near and facts is not None:
        shown = np.flatnonzero(np.isin(sample.rows, facts.thumbnail_rows))
        if len(shown):
            arrays |= _extremes(inputs, sample, shown, facts)
            chosen = np.sort(np.random.default_rng(inputs.seed).permutation(shown)[:NUM_NEIGHBOURS])
            if training_images is not None:
                arrays |= _neighbours(inputs, sample, chosen, facts, training_images)
    return arrays


def _thumbnails(facts: ContentFacts, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return the thumbnails of the images at `rows`, which must have one."""
    return facts.thumbnails[np.searchsorted(facts.thumbnail_rows, rows)]


def _components(inputs: MetricInputs) -> Arrays:
    """Return both sides in the leading principal components of the real images' features."""
    rng = np.random.default_rng(inputs.seed)
    real, fake = (
        side[np.sort(rng.permutation(len(side))[:NUM_POINTS])].astype(np.float64)
        for side in (inputs.real_features, inputs.fake_features)
    )
    if min(real.shape) < 2 or not np.isfinite(fake).all():
        return {}
    mean = real.mean(axis=0)
    centred = real - mean
    _, _, axes_CD = np.linalg.svd(centred, full_matrices=False)
    axes_CD = axes_CD[:COMPONENTS]
    # the sign of an axis is arbitrary: make its largest entry positive, so that runs agree
    largest = np.abs(axes_CD).argmax(axis=1)
    axes_CD = axes_CD * np.sign(axes_CD[np.arange(len(axes_CD)), largest])[:, None]
    return {
        "pca_real": (centred @ axes_CD.T).astype(np.float32),
        "pca_fake": ((fake - mean) @ axes_CD.T).astype(np.float32),
    }


def _roc(inputs: MetricInputs) -> Arrays:
    """Return the ROC curve of `anomaly_auc`: of the named detector, or of the distance to the 5th
    nearest train image.
    """
    held_out, named = inputs.held_out_nearest, inputs.detector_scores
    normal: NDArray[np.floating]
    anomalous: NDArray[np.floating]
    if named is not None:
        normal, anomalous = np.sort(named.of_held_out), np.sort(named.of_folder)
    elif held_out is None or len(inputs.real_features) < K_NEAREST:
        return {}
    else:
        normal, anomalous = (
            np.sort(nearest.distances[:, K_NEAREST - 1])
            for nearest in (held_out, inputs.neighbours.fake_to_real)
        )
    if not len(normal) or not len(anomalous):
        return {}
    places = np.linspace(0, len(normal), CURVE_POINTS).round().astype(int)
    thresholds = np.concatenate([[-np.inf], normal])[places][::-1]
    curves = {
        "roc_false_positives": 1 - np.searchsorted(normal, thresholds, "right") / len(normal),
        "roc_true_positives": 1 - np.searchsorted(anomalous, thresholds, "right") / len(anomalous),
    }
    # both ends: nothing is above +inf, everything above -inf
    return {name: np.concatenate([[0.0], curve]) for name, curve in curves.items()}


def _extremes(
    inputs: MetricInputs,
    sample: FeatureSample,
    shown: NDArray[np.int64],
    facts: ContentFacts,
) -> Arrays:
    if len(inputs.real_features) <= K_BALL:
        return {}
    realism = inputs.neighbours.realism
    order = shown[np.argsort(realism[shown], kind="stable")]
    ends: Mapping[str, NDArray[np.int64]] = {
        "worst": order[:NUM_EXTREME],
        "best": order[::-1][:NUM_EXTREME],
    }
    arrays: Arrays = {}
    for name, chosen in ends.items():
        arrays[f"{name}_images"] = _thumbnails(facts, sample.rows[chosen])
        arrays[f"{name}_realism"] = realism[chosen].astype(np.float32)
    return arrays


def _neighbours(
    inputs: MetricInputs,
    sample: FeatureSample,
    chosen: NDArray[np.int64],
    facts: ContentFacts,
    training_images: ImagesByRow,
) -> Arrays:
    nearest = inputs.neighbours.fake_to_real
    images = _thumbnails(facts, sample.rows[chosen])
    training = training_images(nearest.indices[chosen, 0])
    if training is None or training.shape != images.shape:
        return {}
    return {
        "neighbour_images": images,
        "neighbour_training_images": training,
        "neighbour_distances": nearest.distances[chosen, 0],
    }
