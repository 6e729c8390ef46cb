"""What the page says in words, and that nothing from outside reaches it unescaped."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.latent.measures import MEASURES
from bench.latent.page import latent_page, sentences
from bench.latent.record import LatentRecord
from bench.latent.values import LatentValue, absent, present
from bench.statistics.intervals import Uncertainty, wilson


def between(name: str, variant: str, low: float, high: float) -> LatentValue:
    middle = (low + high) / 2
    found = Uncertainty(middle, 0.1, low, high, "by hand")
    return present(MEASURES[name], found, n=50, variant=variant)


def record(*values: LatentValue, name: str = "vae") -> LatentRecord:
    return LatentRecord(
        name=name,
        title="a title",
        data="mnist",
        num_train=100,
        num_test=50,
        seed=0,
        extractor="digits",
        classifier=None,
        given_class=False,
        values=values,
        created_at="2026-11-30T12:00:00+00:00",
        latentbench="1",
    )


@pytest.mark.parametrize(
    ("codes", "tone"), [((1.1, 1.2), "good"), ((1.4, 1.8), "note"), ((2.0, 2.2), "gap")]
)
def test_interpolation_is_judged_by_intervals(codes: tuple[float, float], tone: str) -> None:
    pixels = between("manifold_departure", "pixels, other class", 1.5, 1.7)
    found = sentences(
        [record(pixels, between("manifold_departure", "linear, other class", *codes))]
    )
    assert [sentence.tone for sentence in found] == [tone]
    assert not sentences([record(pixels)])


def test_holes_categories_and_collapse() -> None:
    units = [
        present(MEASURES["code_kl"], 0.0, n=50, variant=f"code {code}") for code in range(1, 9)
    ]
    found = sentences(
        [
            record(
                present(MEASURES["prior_fid"], 90.0, n=50),
                present(MEASURES["reconstruction_fid"], 20.0, n=50),
                present(MEASURES["category_purity_real"], wilson(47, 50), n=50),
                present(MEASURES["active_units"], 2, n=50),
                *units,
            )
        ]
    )
    texts = [sentence.text for sentence in found]
    assert [sentence.tone for sentence in found] == ["gap", "good", "note"]
    assert "FID 90; reconstructions to real images 20" in texts[0]
    assert "94.0 %" in texts[1]
    assert "2 of 8 codes are active" in texts[2]


def test_a_page_shows_values_reasons_and_names_as_text(tmp_path: Path) -> None:
    name = "<script>alert(1)</script>"
    values = (
        between("manifold_departure", "linear, other class", 1.4, 1.8),
        between("manifold_departure", "linear, same class", 1.1, 1.2),
        absent(MEASURES["active_units"], "<b>no posterior</b>"),
    )
    page = latent_page(tmp_path, [record(*values, name=name), record(name="pca")])
    assert name not in page
    assert "<b>no posterior" not in page
    assert "no posterior" in page
    assert "1.4 to 1.8" in page
    assert page.index("1.4 to 1.8") < page.index("1 more value") < page.index("1.1 to 1.2")
    assert re.search(r'title="mean feature distance', page)
