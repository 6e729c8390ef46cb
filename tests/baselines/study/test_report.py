"""The study's page: intervals, budgets, targets, order."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from baselines.study.report import interval, render


def test_intervals_over_seeds_by_hand() -> None:
    # mean 2, deviation 1, three seeds: t(0.975, 2) = 4.303, over the root of 3
    assert interval([1.0, 2.0, 3.0]) == pytest.approx((2.0, 4.3027 / 3**0.5), rel=1e-4)
    assert interval([5.0]) == (5.0, None)


def test_a_full_length_report_says_nothing_of_short_budgets(tmp_path: Path) -> None:
    row = {
        "data": "mnist", "recipe": "vae", "seed": 0, "sampling": "plain", "share": 1.0,
        "narrowing": "",
        "values": {"fid": 12.3456}, "perfect": {"fid": 0.25}, "train_s": 60.0, "train_cpu_s": 50.0,
        "num_images": 10_000, "device": "cpu",
    }  # fmt: skip
    text = render([json.loads(json.dumps(row))], tmp_path)
    assert "Shortened" not in text
    assert "| vae | plain | 1 | full | 12.3 |" in text


def row(recipe: str, sampling: str, seed: int, fid: float, coverage: float) -> dict[str, object]:
    """A scored run; recall is .8 of real images' .5 where coverage is .8 of theirs."""
    return {
        "data": "mnist",
        "recipe": recipe,
        "seed": seed,
        "sampling": sampling,
        "share": 1.0,
        "narrowing": "",
        "num_images": 10,
        "train_s": 1.0,
        "train_cpu_s": 2.0,
        "device": "cpu",
        "values": {"fid": fid, "coverage_k5": coverage, "recall_k3": coverage / 2},
        "perfect": {"fid": 0.0, "coverage_k5": 1.0, "recall_k3": 0.5},
    }


def test_what_the_baselines_should_show_by_hand(tmp_path: Path) -> None:
    rows = [
        *(row("dcgan", "plain", seed, 2.0, 0.7 + seed / 5) for seed in (0, 1)),  # mean .8
        row("course-gan", "plain", 0, 30.0, 0.2),
        row("course-gan-tricks", "plain", 0, 10.0, 0.3),
        row("ae-dense", "prior-gaussian", 0, 20.0, 0.1),
        row("ae-dense", "prior-mixture", 0, 9.0, 0.1),
        row("ae-dense", "reconstruction", 0, 8.0, 0.1),
    ]
    page = render(rows, tmp_path)
    for line in (
        "- recall_k3 of DCGAN, at least .90 of what real images have: 0.80, **not reached**",
        "- coverage_k5 of DCGAN, at least .90 of what real images have: 0.80, **not reached**",
        "- FID of the course generator over that with tricks, at least 2: 3.00, reached",
        "with tricks over that without, at least 2: 1.50, **not reached**",
        "- FID rises: DCGAN 2, the plain course generator 30, an autoencoder sampled from one "
        "Gaussian 20, **not reached**",
        "- FID rises: its reconstructions 8, from a mixture 9, an autoencoder sampled from one "
        "Gaussian 20, reached",
        # mean .8, deviation .1414, t(0.975, 1) = 12.706, over the root of 2: 1.27
        "| dcgan | plain | 2 | full | 2 ± 0 | none | 0.40 ± 0.64 | none | 0.8 ± 1.3 |",
    ):
        assert line in page, line
    assert "should show" not in render([row("vae", "plain", 0, 1.0, 1.0)], tmp_path)


def test_short_budgets_are_told_by_letter(tmp_path: Path) -> None:
    rows = [
        row("dcgan", "plain", 0, 2.0, 0.5) | {"share": 0.06, "narrowing": "widths / 4"},
        row("vae", "plain", 0, 2.0, 0.5) | {"share": 0.05},
        row("course-gan", "plain", 0, 2.0, 0.5) | {"share": 0.08, "narrowing": "rate x 2.5"},
    ]
    page = render(rows, tmp_path)
    assert "**Shortened budgets**" in page
    assert "<sup>a</sup> rate x 2.5; <sup>b</sup> widths / 4." in page
    assert "| vae | plain | 1 | 5 % | 2 |" in page
    assert "| course-gan | plain | 1 | 8 % <sup>a</sup> | 2 |" in page
    assert "| dcgan | plain | 1 | 6 % <sup>b</sup> | 2 |" in page
    # the order of the recipes, whatever that of the rows
    assert page.index("| vae |") < page.index("| course-gan |") < page.index("| dcgan |")
    assert page == render(rows[::-1], tmp_path)


def test_costs_are_processor_time_on_a_cpu_and_the_clocks_on_a_gpu(tmp_path: Path) -> None:
    on_cpu = row("vae", "plain", 0, 2.0, 0.5)
    assert render([on_cpu], tmp_path).count("|  | 2 |") == 1
    assert render([on_cpu | {"device": "cuda (H200)"}], tmp_path).count("|  | 1 |") == 1
