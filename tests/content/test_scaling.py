"""Wrong scales on images of generators: named whatever the classes, strokes and noise are."""

from __future__ import annotations

import numpy as np
import pytest

from bench.content import Evidence, content_facts, content_findings
from bench.content.findings.saving_mistakes import saving_mistake
from bench.content.ink import Ink, Shoulder
from bench.references.bundle import load_reference
from bench.references.lookup import find_manifest
from bench.studies.scaling import SAVED, noisy, saved, scaling_codes
from tests.conftest import DATA, RealSample
from tests.content import faults
from tests.content.faults import U8

TRAINED = ("vae", "dcgan", "course-gan", "ae-dense", "wgan-gp")
EARLY = ("early-dcgan", "early-vae", "early-course-gan")


@pytest.fixture(scope="module")
def generated() -> dict[str, U8]:
    """200 images each of generators of ours, trained with CPU-sized budgets."""
    with np.load(DATA / "generated-digits.npz") as archive:
        return {name: archive[name][..., None] for name in archive.files}


@pytest.fixture(scope="module")
def content():
    return load_reference(find_manifest("mnist")).content


@pytest.mark.parametrize("how", SAVED)
@pytest.mark.parametrize("noise", ["none", "after saving", "before saving"])
def test_generated_digits(generated, content, how: str, noise: str) -> None:
    expected = SAVED[how][1]
    for name in TRAINED:
        images = noisy(generated[name]) if noise == "before saving" else generated[name]
        images = saved(images, how)
        images = noisy(images) if noise == "after saving" else images
        assert saving_mistake(Evidence(content_facts(images), content)) == expected, name


@pytest.mark.parametrize("digit", [0, 1, 8])
@pytest.mark.parametrize("how", SAVED)
def test_real_digits_of_one_class(mnist: RealSample, content, how: str, digit: int) -> None:
    """The widest and the thinnest classes alone: their shares of ink differ by a factor of 2."""
    images = saved(mnist.images[mnist.labels == digit], how)
    assert saving_mistake(Evidence(content_facts(images), content)) == SAVED[how][1]


@pytest.mark.parametrize("how", SAVED)
@pytest.mark.parametrize("combine", [np.maximum, np.minimum])
def test_wide_and_thin_strokes(mnist: RealSample, content, how: str, combine) -> None:
    images = combine(mnist.images, np.roll(mnist.images, 1, axis=2))
    images = saved(images[:500], how)
    assert saving_mistake(Evidence(content_facts(images), content)) == SAVED[how][1]


def test_the_beginning_of_a_training_is_not_mistaken(generated, content) -> None:
    for name in EARLY:
        for images in (generated[name], noisy(generated[name])):
            assert saving_mistake(Evidence(content_facts(images), content)) == "", name


def test_class_shares_change_nothing(mnist: RealSample, content) -> None:
    """An audit has no class shares and a score has them; both name the same scale."""
    ones = np.full(10, 0.06)
    ones[1] = 0.46
    for how in SAVED:
        facts = content_facts(saved(mnist.images[:300], how))
        audited = content_findings(Evidence(facts, content))
        shares = {"class_shares": ones, "reference_class_shares": np.full(10, 0.1)}
        scored = content_findings(Evidence(facts, content, **shares))
        expected = [SAVED[how][1]] if SAVED[how][1] else []
        assert scaling_codes(audited) == scaling_codes(scored) == expected


def test_what_follows_from_a_wrong_scale_is_folded_into_it(mnist: RealSample, content) -> None:
    found = content_findings(
        Evidence(content_facts(faults.tanh_unscaled(mnist.images[:600])), content)
    )
    assert [finding.code for finding in found] == ["value-range-tanh"]
    assert found[0].message.endswith("; this also explains value-range-clipped, oversharp")
    shares = {"class_shares": np.eye(10)[8], "reference_class_shares": np.full(10, 0.1)}
    facts = content_facts(faults.inverted(mnist.images[:600]))
    (finding,) = content_findings(Evidence(facts, content, **shares))
    assert "missing-classes" in finding.message.partition("; this also explains ")[2]


def test_shoulder_of_known_counts() -> None:
    """24 levels of 30 pixels, 40 of 7, 48 of 10: log 3, and an error of sqrt(3 (1/720 + 1/480))."""
    counts = np.concatenate([np.zeros(16), np.full(24, 30), np.full(40, 7), np.full(128, 10)])
    counts = np.pad(counts, (0, 256 - len(counts)))
    value, error = Shoulder(16, 24, 40, 48, 0.5).measure(counts, 0)
    assert value == pytest.approx(np.log(3))
    assert error == pytest.approx((3 * (1 / 720 + 1 / 480)) ** 0.5)
    assert Shoulder(16, 24, 40, 48, 0.5).measure(counts, 150) == (0.0, float("inf"))


def test_noise_leaves_half_of_a_black_background_and_less_of_level_one() -> None:
    """P(N(b, 4) rounds to 0 or less): .550 for b = 0, .450 for b = 1."""
    black = np.zeros((400, 28, 28, 1), np.uint8)
    black[:, 10:18, 10:18] = 200
    for level, expected in ((0, 0.55), (1, 0.45)):
        ink = Ink.of(content_facts(noisy(np.maximum(black, np.uint8(level)))))
        assert ink.zeros == pytest.approx(expected, abs=0.03)
        assert 10 <= ink.spread <= 13  # 2.58 sd and more
