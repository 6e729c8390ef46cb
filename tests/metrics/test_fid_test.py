"""Distance to held-out images: against `fid` on those images, its gap, its yardstick."""

import numpy as np
import pytest

from bench.metrics.base import MetricInputs, UndefinedMetric
from bench.metrics.fid import FID
from bench.metrics.fid_test import FID_TEST, perfect_fid_test
from bench.metrics.frechet import frechet_distance
from bench.references.bundle import Reference, load_reference
from bench.references.lookup import find_manifest
from bench.references.perfect_values import held_out_values, metric_inputs, perfect_values
from bench.statistics.moments import Features, FeatureSample, Moments


def normal(n, d, seed):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def inputs(real, fake, held_out, **more):
    return MetricInputs(
        fake_features=fake,
        fake_probabilities=None,
        real_features=real,
        real_moments=Moments.of(real),
        held_out_features=held_out,
        **more,
    )


@pytest.fixture(scope="module")
def digits() -> Reference:
    return load_reference(find_manifest("mnist"))


@pytest.mark.parametrize("num_fake", [4, 200])  # fewer and more images than features
def test_is_fid_against_the_held_out_moments(num_fake):
    real, held_out, fake = normal(300, 8, 1), normal(250, 8, 2) + 1, normal(num_fake, 8, 3)
    found = FID_TEST.compute(inputs(real, fake, held_out))
    wanted = frechet_distance(Moments.of(held_out), Moments.of(fake)).value
    assert found.value == pytest.approx(wanted, rel=1e-9)
    fid = FID.compute(inputs(real, fake, held_out)).value
    assert found.details["gap"] == pytest.approx(wanted - fid, rel=1e-9)
    assert found.n_real == 250


def test_moments_of_the_whole_split_come_first():
    real, fake = normal(300, 4, 1), normal(100, 4, 2)
    whole = normal(5000, 4, 4)
    kept = inputs(real, fake, whole[:50], held_out_moments_of_all=Moments.of(whole))
    found = FID_TEST.compute(kept)
    assert found.n_real == 5000
    assert found.value == pytest.approx(FID_TEST.compute(inputs(real, fake, whole)).value)


def test_copies_raise_the_gap_monotonically():
    """Few train images of many features: a copy of them is far from what they are a sample of."""
    real, held_out, fresh = normal(300, 40, 1), normal(2000, 40, 2), normal(300, 40, 3)
    gaps = []
    for num in (0, 3, 30, 300):
        folder = np.concatenate([real[:num], fresh[num:]])
        gaps.append(FID_TEST.compute(inputs(real, folder, held_out)).details["gap"])
    assert gaps == sorted(gaps)
    # a fresh folder is nearer to the larger split; a copy has fid 0, so its gap is its fid_test
    assert gaps[0] < 0 < gaps[-1]


def test_the_yardstick_is_what_fresh_images_score():
    """Mean over 40 fresh folders and held-out sets of one distribution, at unequal sizes."""
    rng = np.random.default_rng(0)
    for num_fake, num_held_out in ((100, 400), (300, 400), (400, 400)):
        scored, told = [], []
        for _ in range(40):
            held_out, fake = (
                rng.normal(size=(n, 6)).astype(np.float32) for n in (num_held_out, num_fake)
            )
            each = inputs(held_out, fake, held_out)
            scored.append(FID_TEST.compute(each).value)
            told.append(perfect_fid_test(each))
        # both means are known to about 5 %
        assert np.mean(told) == pytest.approx(np.mean(scored), rel=0.15)


def test_expected_values_never_compare_images_with_themselves(digits):
    num = len(digits.test.values)
    expected = perfect_values(digits, [FID_TEST, FID], num, seed=2020)
    assert expected["fid_test"].source == "two parts of the held-out images"
    assert expected["fid"].source == f"{num:,} held-out real images"
    half = digits.test.values[::2], digits.test.values[1::2]  # not first and last: other writers
    direct = frechet_distance(*(Moments.of(part) for part in half)).value / 2
    # six random halves gave 0.104 to 0.197: one is known to 30 %, a mean of four to 15 %
    assert expected["fid_test"].value == pytest.approx(direct, rel=0.6)
    assert held_out_values(digits, [FID_TEST], 1000, seed=2020)["fid_test"] > direct


def test_copied_digits_have_a_gap_that_real_ones_do_not(digits):
    def gap(folder):
        sample = FeatureSample(Features(folder), np.arange(len(folder)))
        found = FID_TEST.compute(metric_inputs(digits, sample, seed=2020, device="cpu"))
        return found.details["gap"]

    real, copies = digits.test.values[::5], digits.train[:2000]
    gaps = [gap(np.concatenate([copies[:num], real[num:]])) for num in (0, 20, 200, 2000)]
    assert gaps[0] < -0.1 < 0.1 < gaps[-1]
    assert gaps[1] < gaps[2] < gaps[3]


def test_interval_lies_around_the_value_to_held_out_images():
    real, held_out, fake = normal(300, 4, 1), normal(250, 4, 2) + 1, normal(200, 4, 3)
    each = inputs(real, fake, held_out)
    found = FID_TEST.compute(each)
    interval = FID_TEST.uncertainty(each, found)
    same = inputs(held_out, fake, held_out)
    assert interval == FID.uncertainty(same, FID.compute(same))
    assert interval.low < interval.estimate < interval.high


def test_undefined():
    real, fake = normal(50, 2, 1), normal(50, 2, 2)
    with pytest.raises(UndefinedMetric, match="no held-out images"):
        FID_TEST.compute(inputs(real, fake, None))
    with pytest.raises(UndefinedMetric, match="2 images each"):
        perfect_fid_test(inputs(real, fake, fake[:3]))
