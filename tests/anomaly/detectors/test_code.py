"""Digests of the code behind a detector."""

from __future__ import annotations

import functools

from bench.anomaly.detectors import DETECTORS, DetectorRow, DetectorSettings
from bench.anomaly.detectors.code import detector_code
from bench.runtime.code_digest import code_digest


def test_detectors_of_this_project() -> None:
    names = ("knn-pixels", "pca", "oc-svm", "ae-conv", "geotrans")
    digests = [detector_code(DETECTORS.find(name)) for name in names]
    assert len(set(digests)) == len(names)
    assert None not in digests
    features = DETECTORS.find("knn-features")
    assert detector_code(features, "digits") != detector_code(features, "hog")


def test_sources_that_are_not_there() -> None:
    row = DetectorRow(name="x", title="t", source="s", make=lambda _: None)  # type: ignore[arg-type, return-value]
    assert detector_code(row) is not None
    row.make.__module__ = "nowhere.at.all"
    assert detector_code(row) is None


def test_a_partial_is_known_by_its_function() -> None:
    def make(_settings: DetectorSettings, _number: int) -> object:
        return object()

    row = DetectorRow(name="x", title="t", source="s", make=functools.partial(make, _number=1))  # type: ignore[arg-type]
    assert detector_code(row) == code_digest(__name__, "bench.statistics.roc")
