"""Each fault at several strengths: reported if it exceeds the variation of real images.

Folders are 600 real images that the reference's train side (1,400 others) does not hold.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from bench.content import Evidence, content_facts, reference_content
from tests.content import faults
from tests.content.conftest import Known, by_code
from tests.content.faults import U8

RANGE = {
    "value-range-tanh",
    "value-range-wrapped",
    "value-range-twice",
    "value-range-narrow",
    "value-range-clipped",
    "value-range-saturated",
    "inverted-polarity",
}
TEXTURE = {"blurred", "oversharp", "noisy", "lossy-origin"}


def test_real_images_are_silent(known: Known) -> None:
    assert known.findings(known.rest) == {}


@pytest.mark.parametrize(
    ("fault", "strengths", "code"),
    [
        (faults.blur, (0.5, 0.8, 1.2, 2.0), "blurred"),
        (faults.noise, (3, 6, 12, 25), "noisy"),
        (faults.specks, (0.01, 0.02, 0.05), "noisy"),
        (faults.jpeg, (95, 85, 75, 50), "lossy-origin"),
    ],
)
def test_texture(
    known: Known, fault: Callable[[U8, float], U8], strengths: tuple[float, ...], code: str
) -> None:
    for strength in strengths:
        found = known.findings(fault(known.rest, strength))
        assert TEXTURE & set(found) == {code}, strength
        assert found[code].severity == "warning"
        assert found[code].count == 600


@pytest.mark.parametrize(
    ("fault", "strength"),
    [(faults.blur, 0.25), (faults.noise, 0.5), (faults.specks, 0.001), (faults.sharpen, 0.05)],
)
def test_texture_below_what_real_images_vary_by(
    known: Known, fault: Callable[[U8, float], U8], strength: float
) -> None:
    assert known.findings(fault(known.rest, strength)) == {}


@pytest.mark.parametrize("amount", [0.6, 1.0, 2.0])
def test_more_detail_than_real_images(digits: Known, amount: float) -> None:
    """Digits only: the detail of clothes varies more, and sharpening saturates them first."""
    found = digits.findings(faults.sharpen(digits.rest, amount))
    assert "oversharp" in found
    assert "blurred" not in found


def test_figures_of_noise_grow_with_it(known: Known) -> None:
    figures = [known.findings(faults.noise(known.rest, sd))["noisy"].figures for sd in (4, 8, 16)]
    levels = [one["noise"] for one in figures]
    assert levels == sorted(levels)
    assert all(one["reference_noise"] < one["noise"] for one in figures)


@pytest.mark.parametrize("share", [0.5, 0.75, 1.0])
@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (faults.tanh_unscaled, "value-range-tanh"),
        (faults.rescaled_twice, "value-range-twice"),
        (faults.inverted, "inverted-polarity"),
    ],
)
def test_mistakes_in_saving_are_named(
    known: Known, fault: Callable[[U8], U8], code: str, share: float
) -> None:
    """A mistake in all images is named; one in a part of them is never taken for another."""
    found = known.findings(faults.partly(fault, known.rest, share))
    named = RANGE & set(found)
    if share == 1:
        assert named == {code}
    else:
        assert named <= {code, "value-range-clipped"}


def test_a_tanh_output_has_figures(digits: Known) -> None:
    finding = digits.findings(faults.tanh_unscaled(digits.rest))["value-range-tanh"]
    images = faults.tanh_unscaled(digits.rest)
    assert finding.figures["black_share"] == pytest.approx((images <= 2).mean())
    assert finding.figures["reference_black_share"] == pytest.approx((digits.train <= 2).mean())
    assert "tanh" in finding.message
    assert "(x + 1) * 127.5" in finding.fix


def test_wrapped_values(clothes: Known) -> None:
    """Clothes only: a wrapped histogram of digits is almost that of real ones."""
    assert "value-range-wrapped" in clothes.findings(faults.wrapped(clothes.rest))


def test_wrapped_digits_are_not_silent(digits: Known) -> None:
    assert digits.findings(faults.wrapped(digits.rest))


@pytest.mark.parametrize("factor", [0.8, 0.6, 0.4])
def test_narrow(known: Known, factor: float) -> None:
    found = known.findings(faults.dimmed(known.rest, factor))
    assert RANGE & set(found) == {"value-range-narrow"}
    figures = found["value-range-narrow"].figures
    assert figures["high"] == pytest.approx(factor * figures["reference_high"], abs=4)


@pytest.mark.parametrize("factor", [1.0, 0.97, 0.92])
def test_almost_the_whole_range(known: Known, factor: float) -> None:
    assert not RANGE & set(known.findings(faults.dimmed(known.rest, factor)))


@pytest.mark.parametrize("gain", [3, 5, 50])
def test_saturated(known: Known, gain: float) -> None:
    assert "value-range-saturated" in known.findings(faults.contrast(known.rest, gain))


@pytest.mark.parametrize("brighter", [60, 90])
def test_clipped_at_white(clothes: Known, brighter: int) -> None:
    images = (clothes.rest.astype(int) + brighter * (clothes.rest > 0)).clip(0, 255)
    found = clothes.findings(images.astype(np.uint8))
    assert "value-range-clipped" in found
    assert found["value-range-clipped"].figures["white_share"] > 0.05


def test_a_grey_background_is_not_a_mistake_in_saving(known: Known) -> None:
    """Generators seldom reach pure black."""
    for black in (2, 5, 8, 20):
        assert not RANGE & set(known.findings(faults.raised(known.rest, black))), black


@pytest.mark.parametrize(
    ("fault", "strength"),
    [
        (faults.noise, 16),
        (faults.noise, 25),
        (faults.jpeg, 50),
        (faults.dimmed, 0.9),
        (faults.raised, 20),
        (faults.contrast, 1.5),
        (faults.blur, 1.2),
    ],
)
def test_other_faults_are_not_taken_for_mistakes_in_saving(
    known: Known, fault: Callable[[U8, float], U8], strength: float
) -> None:
    named = {"value-range-tanh", "value-range-wrapped", "value-range-twice", "inverted-polarity"}
    assert not named & set(known.findings(fault(known.rest, strength)))


def test_floats_saved_as_grey_levels(known: Known) -> None:
    for images in (known.rest / 255, np.round(known.rest / 255)):
        saved = images.astype(np.uint8)
        with_reference = known.findings(saved)
        assert with_reference["value-range-unit"].severity == "error"
        assert "value-range-unit" in by_code(Evidence(content_facts(saved)))


@pytest.mark.parametrize("number", [1, 5, 100, 600])
def test_constant_images(known: Known, number: int) -> None:
    images = known.rest.copy()
    images[:number] = np.arange(number, dtype=np.uint8)[:, None, None, None]
    found = known.findings(images)["constant-images"]
    assert found.count == number
    assert found.severity == ("error" if number == 600 else "warning")
    assert found.examples == tuple(str(i) for i in range(min(number, 5)))


def test_only_constant_images_say_nothing_else() -> None:
    found = by_code(Evidence(content_facts(np.full((50, 28, 28, 1), 7, np.uint8))))
    assert list(found) == ["constant-images", "exact-duplicates"]


@pytest.mark.parametrize(
    ("number", "severity"), [(1, "info"), (6, "info"), (60, "warning"), (599, "warning")]
)
def test_exact_duplicates(known: Known, number: int, severity: str) -> None:
    images = known.rest.copy()
    images[1 : 1 + number] = images[0]
    for found in (
        known.findings(images),
        by_code(Evidence(content_facts(images))),
    ):
        finding = found["exact-duplicates"]
        assert (finding.count, finding.severity) == (number, severity)
        assert finding.figures["largest"] == number + 1
        assert finding.figures["distinct"] == 600 - number
        assert finding.examples[0] == "1"


@pytest.mark.parametrize("modes", [1, 5])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.9])
def test_collapse(known: Known, share: float, modes: int) -> None:
    images = faults.collapsed(known.rest, share, modes)
    finding = known.findings(images)["collapse"]
    # the originals of the copies belong to the groups too, unless they were replaced
    originals = 0 if share == 0.9 and modes > 600 * 0.1 else modes
    assert finding.figures["in_groups"] == pytest.approx(600 * share + originals, rel=0.03)
    assert finding.figures["largest"] == pytest.approx(600 * share / modes + 1, rel=0.03)
    assert finding.figures["groups"] == pytest.approx(modes, abs=3)


@pytest.mark.parametrize("share", [0.0, 0.005])
def test_a_few_near_images_are_no_collapse(known: Known, share: float) -> None:
    assert known.findings(faults.collapsed(known.rest, share)) == {}


def test_collapse_without_a_reference(known: Known) -> None:
    images = faults.collapsed(known.rest, 0.3)
    assert "collapse" in by_code(Evidence(content_facts(images)))


def test_colour_photographs(photos: U8) -> None:
    """Images of another kind, shape and size: no finding on held-out ones; faults are named."""
    content = reference_content(photos[:250], photos[250:])
    held = photos[250:]

    def codes(images: U8) -> set[str]:
        facts = content_facts(images)
        return set(by_code(Evidence(facts, content, training_pixels=lambda rows: photos[rows])))

    assert codes(held) == set()
    assert "blurred" in codes(faults.blur(held, 1.5))
    assert "lossy-origin" in codes(faults.jpeg(held, 75))
    assert "noisy" in codes(faults.noise(held, 25))
    assert "value-range-tanh" in codes(faults.tanh_unscaled(held))
    assert "collapse" in codes(faults.collapsed(held, 0.5))
    assert codes(photos[:150]) == {"copied-training-images"}


def test_another_size_than_the_reference(known: Known) -> None:
    """Checks that depend on the size of the images are skipped for another size."""
    larger = np.pad(known.rest, ((0, 0), (2, 2), (2, 2), (0, 0)))
    assert known.findings(larger) == {}
    assert set(known.findings(faults.inverted(larger))) == {"inverted-polarity"}
