"""Images of several sizes, and large submissions of which a part is kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.errors import (
    InputError,
    InvalidSubmission,
    UsageError,
)
from bench.intake import Size
from bench.metrics import METRICS
from bench.records.score_record import ScoreRecord
from bench.scoring.scorer import Scorer, score
from bench.statistics.moments import subset_rows
from tests.conftest import RealSample, write_pngs

FAST = ["fid", "precision_k3", "modes_covered"]


@pytest.fixture(scope="module")
def record(digits_folder: Path) -> ScoreRecord:
    return score(digits_folder, use_cache=False)


@pytest.fixture
def two_sizes(mnist: RealSample, tmp_path: Path) -> Path:
    """40 digits of 28x28 px and 5 of 36 px wide and 30 high."""
    folder = write_pngs(mnist.images[:40], tmp_path / "sizes")
    for number, image in enumerate(mnist.images[40:45, :, :, 0]):
        Image.fromarray(np.pad(image, ((1, 1), (4, 4)))).save(folder / f"z{number}.png")
    return folder


def test_mixed_sizes_are_refused_unless_resizing_is_asked_for(
    two_sizes: Path, mnist: RealSample, tmp_path: Path
) -> None:
    with pytest.raises(InvalidSubmission, match="mixed-sizes"):
        score(two_sizes, metrics=FAST)
    record = score(two_sizes, metrics=FAST, resize="28")
    assert record.submission.resize == "28x28"
    assert (record.submission.width_px, record.submission.height_px) == (28, 28)
    assert "|resize=28x28|" in record.signature
    assert "resized" in [finding.code for finding in record.findings]
    # what Pillow makes of the five, saved by hand
    by_hand = write_pngs(mnist.images[:40], tmp_path / "hand")
    for path in two_sizes.glob("z*.png"):
        with Image.open(path) as image:
            image.resize((28, 28), Image.Resampling.BICUBIC).save(by_hand / path.name)
    expected = score(by_hand, metrics=FAST, use_cache=False)
    assert record.submission.sequence_digest == expected.submission.sequence_digest
    assert record.values == expected.values
    assert expected.submission.resize is None
    assert expected.signature != record.signature


def test_width_comes_first_in_what_is_recorded(two_sizes: Path) -> None:
    options = {"reference": two_sizes, "extractor": "random-conv", "metrics": "fid"}
    sizes = {"24x16": "24x16", Size(height=18, width=24): "24x18", "20": "20x20"}
    for given, resize in sizes.items():
        record = score(two_sizes, resize=given, **options)  # type: ignore[arg-type]
        assert record.submission.resize == resize
        width, height = map(int, resize.split("x"))
        assert (record.submission.width_px, record.submission.height_px) == (width, height)
        assert f"|resize={resize}|" in record.signature


def test_a_spec_and_resizing_contradict_each_other(two_sizes: Path) -> None:
    with pytest.raises(UsageError, match="resize to 28x28 px: spec mnist-10k .* leave out one"):
        score(two_sizes, resize="28", spec="mnist-10k")


@pytest.fixture(scope="module")
def reduced(digits_folder: Path) -> ScoreRecord:
    return score(digits_folder, subset=100, use_cache=False)


def test_of_many_images_all_count_where_they_can(record: ScoreRecord, reduced: ScoreRecord) -> None:
    assert (record.subset, reduced.subset) == (None, 100)
    assert "|n=300|subset=100|" in reduced.signature
    classes = {"inception_score", "modes_covered", "class_kl", "mean_confidence"}
    everything = {"fid", "fid_test", *classes}
    assert {metric.name for metric in METRICS.values() if metric.sees == "all"} == everything
    whole = {entry.metric: entry for entry in record.values}
    for entry in reduced.values:
        sees_all = entry.metric in everything
        assert entry.n_fake == (300 if sees_all else 100), entry.metric
        if sees_all:
            assert entry.value == pytest.approx(whole[entry.metric].value, rel=1e-9), entry.metric
            spread = whole[entry.metric].spread
            assert entry.spread == (None if spread is None else pytest.approx(spread, rel=1e-9))
            assert entry.expected == whole[entry.metric].expected
            assert entry.expected_source == whole[entry.metric].expected_source


def test_the_others_see_the_fixed_choice_as_if_it_were_the_submission(
    reduced: ScoreRecord, mnist: RealSample
) -> None:
    """Value and expectation are those of the 100 images alone."""
    chosen = mnist.images[subset_rows(300, 100)]
    alone = Scorer(use_cache=False).score_images(chosen, name="chosen")
    entries = {entry.metric: entry for entry in alone.values}
    compared = 0
    for entry in reduced.values:
        if METRICS[entry.metric].sees == "all" or entry.metric == "fid_infinity":
            continue
        assert entry.value == pytest.approx(entries[entry.metric].value, rel=1e-4), entry.metric
        assert entry.expected == entries[entry.metric].expected, entry.metric
        assert entry.expected_source == entries[entry.metric].expected_source
        compared += 1
    assert compared == 11


def test_a_subset_of_all_images_changes_nothing(digits_folder: Path, record: ScoreRecord) -> None:
    same = score(digits_folder, subset=300, metrics=FAST, use_cache=False)
    assert same.subset is None
    assert same.signature == record.signature
    for name in FAST:
        assert same.value(name) == record.value(name)


def test_arrays_in_memory_are_reduced_alike(mnist: RealSample, reduced: ScoreRecord) -> None:
    images = mnist.images[:300]
    again = Scorer(subset=100, metrics=FAST).score_images(images, name="x")
    assert again.subset == 100
    for name in FAST:
        assert again.value(name) == pytest.approx(reduced.value(name), rel=1e-6)


@pytest.mark.parametrize("subset", [1, 0, -5])
def test_subsets_that_are_too_small(subset: int) -> None:
    with pytest.raises(UsageError, match=f"subset {subset}: expected at least 2 images"):
        Scorer(subset=subset)


def test_wrong_image_size_is_told(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 1), dtype=np.uint8)
    with pytest.raises(InputError, match="takes 28x28 px images, got 32x32"):
        score(write_pngs(images, tmp_path / "large"))
