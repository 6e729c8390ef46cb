"""What a detector has seen, by its row, the extractor and the data."""

from __future__ import annotations

import pytest

from bench.anomaly.detectors import DETECTORS
from bench.anomaly.detectors.seen import Seen, extractor_of, seen_by
from bench.errors import UnknownNameError
from bench.extractors import EXTRACTORS
from bench.extractors.base import ComputedWeights


def test_every_extractor_with_trained_weights_says_what_they_learnt() -> None:
    for row in EXTRACTORS.values():
        assert bool(row.learnt) != isinstance(row.weights, ComputedWeights), row.name
    own = {row.name: row.labels_of for row in EXTRACTORS.values() if row.labels_of}
    assert own == {"digits": "mnist", "fashion": "fashion-mnist"}


@pytest.mark.parametrize(
    ("name", "extractor", "data", "expected"),
    [
        ("knn-features", "digits", "mnist", Seen("data", "labels of this data (digits)")),
        ("knn-features", "digits", "fashion-mnist", Seen("outside", "MNIST labels (digits)")),
        ("knn-features", "digits", None, Seen("outside", "MNIST labels (digits)")),
        (
            "mahalanobis-features",
            "inception",
            "mnist",
            Seen("outside", "ImageNet labels (inception)"),
        ),
        ("knn-features", "hog", "mnist", Seen("none", "")),
        ("knn-features", "random-conv", None, Seen("none", "")),
        ("knn-hog", "digits", "mnist", Seen("none", "")),
        ("pca", "digits", "mnist", Seen("none", "")),
        ("oc-svm-oracle", None, "mnist", Seen("test", "test labels")),
        ("knn-features", None, None, Seen("outside", "outside data")),
    ],
)
def test_what_is_seen(name: str, extractor: str | None, data: str | None, expected: Seen) -> None:
    assert seen_by(DETECTORS.find(name), extractor, data) == expected


def test_extractors_of_detectors() -> None:
    found = [
        extractor_of(DETECTORS.find(name), "digits") for name in ("knn-features", "knn-hog", "pca")
    ]
    assert found == ["digits", "hog", None]
    with pytest.raises(UnknownNameError, match="unknown extractor"):
        seen_by(DETECTORS.find("knn-features"), "nonsense")
