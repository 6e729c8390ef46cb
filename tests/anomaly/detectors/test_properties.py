"""What every detector of the table promises.

Those of the entry-point group train networks, and promise it in
tests/baselines/detectors/test_every_detector.py.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.anomaly.detectors import DETECTORS, DetectorSettings
from bench.anomaly.detectors.base import OnFeatures, Reconstructing
from bench.errors import InputError, LatentbenchError, UnknownNameError, UsageError
from tests.baselines.detectors.conftest import SHORTEST
from tests.conftest import _sample

NUM_NORMAL = 60


class Properties(NamedTuple):
    """`tolerance` is how far batch and order may move a score, relative to the scores' range;
    `equal` says what happens when all normal images are equal.
    """

    tolerance: float = 1e-9
    equal: str = "raises"


PROPERTIES = {
    "knn-pixels": Properties(tolerance=0, equal="scores"),
    "knn-hog": Properties(tolerance=1e-4, equal="scores"),
    "knn-features": Properties(tolerance=1e-4, equal="scores"),
    "mahalanobis-pixels": Properties(),
    "mahalanobis-hog": Properties(tolerance=1e-4),
    "mahalanobis-features": Properties(tolerance=1e-4),
    "pca": Properties(equal="scores"),
    "kde": Properties(),
    "kde-exponential": Properties(),
    "isolation-forest": Properties(tolerance=1e-6),
    "oc-svm": Properties(),
    "oc-svm-oracle": Properties(),
}


@functools.cache
def digits():
    """Threes to learn from, and 40 other images to score."""
    images, labels = _sample("mnist")
    normal = images[labels == 3][:NUM_NORMAL]
    return normal, images[:40], (labels[:40] != 3).astype(np.int64)


def made(name, seed=0):
    _, images, labels = digits()
    oracle = {}
    if DETECTORS.find(name).labels == "test":
        oracle = {"oracle_images": images, "oracle_labels": labels}
    return DETECTORS.find(name).make(DetectorSettings(seed=seed, **oracle))


@functools.cache
def fitted(name, seed=0):
    one = made(name, seed)
    one.fit(digits()[0])
    return one


@functools.cache
def scores_of(name):
    return fitted(name).scores(digits()[1])


every = pytest.mark.parametrize("name", DETECTORS.own)


def test_every_detector_is_classified():
    assert set(PROPERTIES) == set(DETECTORS.own)
    others = set(DETECTORS) - set(DETECTORS.own)
    assert {name for name in others if DETECTORS.find(name).trains} == others
    assert others <= set(SHORTEST), "a network without its row in the other table"


@every
def test_rows_say_what_they_are(name):
    row = DETECTORS.find(name)
    assert row.name == name
    assert row.title
    assert row.source
    one = fitted(name)
    assert isinstance(one, OnFeatures) or row.reads == "pixels"
    if row.reads == "features":
        assert row.labels == "outside"


@every
def test_scores_are_finite_numbers(name):
    scores = scores_of(name)
    assert scores.dtype == np.float64
    assert scores.shape == (40,)
    assert np.isfinite(scores).all()
    odd = np.stack([np.zeros((28, 28, 1)), np.full((28, 28, 1), 255)]).astype(np.uint8)
    assert np.isfinite(fitted(name).scores(odd)).all()
    assert fitted(name).scores(digits()[1][:0]).shape == (0,)


@every
@settings(max_examples=8)
@given(data=st.data())
def test_a_score_depends_on_its_image_alone(name, data):
    order = np.array(data.draw(st.permutations(range(40))))
    cuts = sorted(data.draw(st.lists(st.integers(1, 39), max_size=4, unique=True)))
    images = digits()[1][order]
    parts = [fitted(name).scores(part) for part in np.split(images, cuts)]
    expected = scores_of(name)
    found = np.concatenate(parts)
    allowed = PROPERTIES[name].tolerance * np.abs(expected).max()
    np.testing.assert_allclose(found, expected[order], rtol=0, atol=allowed)


@every
def test_a_seed_gives_the_same_scores(name):
    again = made(name)
    again.fit(digits()[0])
    np.testing.assert_array_equal(again.scores(digits()[1]), scores_of(name))
    other = fitted(name, 1).scores(digits()[1])
    assert np.array_equal(other, scores_of(name)) != DETECTORS.find(name).seeded


@pytest.mark.parametrize("name", sorted(set(DETECTORS.own) - {"isolation-forest"}))
def test_a_planted_outlier_ranks_first(name):
    """A white half, and noise, among threes that the detector has not seen. The forest, which sees
    the principal components alone, has a test of its own.
    """
    images, labels = _sample("mnist")
    threes = images[labels == 3][NUM_NORMAL : NUM_NORMAL + 20]
    noise = np.random.default_rng(0).integers(0, 256, (1, 28, 28, 1)).astype(np.uint8)
    half = np.zeros_like(noise)
    half[:, :, :14] = 255
    for outlier in (half, noise):
        scores = fitted(name).scores(np.concatenate([threes, outlier]))
        assert scores.argmax() == 20


@every
def test_what_cannot_be_learnt_from(name):
    normal = digits()[0]
    with pytest.raises(UsageError, match="needs [0-9]+ or more normal images, got 0"):
        made(name).fit(normal[:0])
    fewest = DETECTORS.find(name).at_least
    with pytest.raises(UsageError, match=f"needs {fewest} or more normal images, got {fewest - 1}"):
        made(name).fit(normal[: fewest - 1])
    made(name).fit(normal[:fewest])
    with pytest.raises(UsageError, match="not uint8 N,H,W,C"):
        made(name).fit(normal[..., 0])
    with pytest.raises(UsageError, match="not uint8 N,H,W,C"):
        made(name).fit(normal.astype(np.float32))
    with pytest.raises(LatentbenchError):
        fitted(name).scores(np.zeros((2, 20, 20, 1), np.uint8))


@every
def test_options_that_there_are_not(name):
    with pytest.raises(UnknownNameError, match="nonsense"):
        DETECTORS.find(name).make(
            DetectorSettings(
                options={"nonsense": 1},
                oracle_images=digits()[1],
                oracle_labels=digits()[2],
            )
        )


@every
def test_all_normal_images_equal(name):
    equal = np.repeat(digits()[0][:1], 20, axis=0)
    one = made(name)
    if PROPERTIES[name].equal == "raises":
        with pytest.raises(InputError, match="all equal"):
            one.fit(equal)
        return
    one.fit(equal)
    scores = one.scores(np.concatenate([equal[:1], digits()[1][:5]]))
    assert np.isfinite(scores).all()
    assert scores.argmin() == 0


@every
def test_reconstructions_are_images(name):
    one = fitted(name)
    if isinstance(one, Reconstructing):
        images = digits()[1]
        back = one.reconstructions(images)
        assert back.dtype == np.uint8
        assert back.shape == images.shape
        assert len(one.reconstructions(images[:0])) == 0


@every
def test_nothing_is_scored_before_a_fit(name):
    with pytest.raises(UsageError, match="give it normal images before others"):
        made(name).scores(digits()[1])


def test_unknown_detectors():
    with pytest.raises(UnknownNameError, match="unknown detector 'knn'.*isolation-forest"):
        DETECTORS.find("knn")
