"""The study's page: intervals, budgets, targets, order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from baselines.ablation.recipe_study.recipes_page import interval, render
from baselines.ablation.recipe_study.rows import DIVERGED, Row


def test_intervals_over_seeds_by_hand() -> None:
    # mean 2, deviation 1, three seeds: t(0.975, 2) = 4.303, over the root of 3
    assert interval([1.0, 2.0, 3.0]) == pytest.approx((2.0, 4.3027 / 3**0.5), rel=1e-4)
    assert interval([5.0]) == (5.0, None)


def row(recipe: str, sampling: str, seed: int, fid: float, coverage: float, **changes: Any) -> Row:
    """A scored run; recall is .8 of real images' .5 where coverage is .8 of theirs."""
    whole = {
        "data": "mnist", "recipe": recipe, "seed": seed, "sampling": sampling, "share": 1.0,
        "narrowing": "", "num_steps": 100, "config_digest": "a", "num_images": 10, "train_s": 1.0,
        "train_cpu_s": 2.0, "device": "cpu",
        "values": {"fid": fid, "coverage_k5": coverage, "recall_k3": coverage / 2},
        "perfect": {"fid": 0.0, "coverage_k5": 1.0, "recall_k3": 0.5},
    }  # fmt: skip
    return Row(**whole | changes)


def test_a_full_length_report_says_nothing_of_short_budgets(tmp_path: Path) -> None:
    text = render([row("vae", "plain", 0, 12.3456, 0.5)], tmp_path, "x")
    assert "Shortened" not in text
    assert "Narrowed" not in text
    assert "| vae | plain | 1 | full | 12.3 |" in text
    assert "    some command\n" in render([row("vae", "plain", 0, 1, 1)], tmp_path, "some command")


def test_what_the_baselines_should_show_by_hand(tmp_path: Path) -> None:
    rows = [
        *(row("dcgan", "plain", seed, 2.0, 0.7 + seed / 5) for seed in (0, 1)),  # mean .8
        row("dcgan-tricks", "plain", 0, 1.0, 0.95),
        row("course-gan", "plain", 0, 30.0, 0.2),
        row("course-gan-tricks", "plain", 0, 10.0, 0.3),
        row("ae-dense", "prior-gaussian", 0, 20.0, 0.1),
        row("ae-dense", "prior-mixture", 0, 9.0, 0.1),
        row("ae-dense", "reconstruction", 0, 8.0, 0.1),
    ]
    page = render(rows, tmp_path, "x")
    for line in (
        "- recall_k3 of DCGAN, at least .90 of what real images have: 0.80, **not reached**",
        "- coverage_k5 of DCGAN, at least .90 of what real images have: 0.80, **not reached**",
        "- coverage_k5 of DCGAN with tricks, at least .90 of what real images have: 0.95, reached",
        "- FID of the course generator over that with tricks, at least 2: 3.00, reached",
        "with tricks over that without, at least 2: 1.50, **not reached**",
        "- FID rises: DCGAN 2, the plain course generator 30, an autoencoder sampled from one "
        "Gaussian 20: **not reached**",
        "- FID rises: its reconstructions 8, from a mixture 9, an autoencoder sampled from one "
        "Gaussian 20: reached",
        # (20 - 9) of (20 - 8)
        "- a mixture closes 92% of the gap between one Gaussian and reconstructions",
        # mean .8, deviation .1414, t(0.975, 1) = 12.706, over the root of 2: 1.27
        "| dcgan | plain | 2 | full | 2 ± 0 | none | 0.40 ± 0.64 | none | 0.8 ± 1.3 |",
    ):
        assert line in page, line
    assert "Expected results" not in render([row("vae", "plain", 0, 1.0, 1.0)], tmp_path, "x")


def test_short_budgets_are_told_by_letter(tmp_path: Path) -> None:
    rows = [
        row("dcgan", "plain", 0, 2.0, 0.5, share=0.06, narrowing="widths / 4"),
        row("vae", "plain", 0, 2.0, 0.5, share=0.05),
        row("course-gan", "plain", 0, 2.0, 0.5, share=0.08, narrowing="rate x 2.5"),
    ]
    page = render(rows, tmp_path, "x")
    assert "**Shortened budgets**" in page
    assert "<sup>a</sup> rate x 2.5; <sup>b</sup> widths / 4." in page
    assert "| vae | plain | 1 | 5 % | 2 |" in page
    assert "| course-gan | plain | 1 | 8 % <sup>a</sup> | 2 |" in page
    assert "| dcgan | plain | 1 | 6 % <sup>b</sup> | 2 |" in page
    # the order of the recipes, whatever that of the rows
    assert page.index("| vae |") < page.index("| course-gan |") < page.index("| dcgan |")
    assert page == render(rows[::-1], tmp_path, "x")


def test_narrowed_networks_with_all_their_steps_are_no_short_budget(tmp_path: Path) -> None:
    page = render([row("dcgan", "plain", 0, 2.0, 0.5, narrowing="widths / 4")], tmp_path, "x")
    assert "Shortened" not in page
    assert "**Narrowed for a CPU**: runs marked with a letter: <sup>a</sup> widths / 4." in page
    assert "| dcgan | plain | 1 | full <sup>a</sup> | 2 |" in page


def test_costs_are_processor_time_on_a_cpu_and_the_clocks_on_a_gpu(tmp_path: Path) -> None:
    on_cpu = row("vae", "plain", 0, 2.0, 0.5)
    assert render([on_cpu], tmp_path, "x").count("|  | 2 |") == 1
    on_gpu = on_cpu.model_copy(update={"device": "cuda (H200)"})
    assert render([on_gpu], tmp_path, "x").count("|  | 1 |") == 1


def test_an_order_within_the_noise_is_told_as_such(tmp_path: Path) -> None:
    # means 10 and 20, but t(0.975, 1) = 12.7 times a spread of 2 over the root of 2: +-18
    rows = [
        *(row("ae-dense", "reconstruction", seed, 10.0, 0.1) for seed in (0, 1)),
        *(row("ae-dense", "prior-mixture", seed, 19.0 + 2 * seed, 0.1) for seed in (0, 1)),
        *(row("ae-dense", "prior-gaussian", seed, 40.0, 0.1) for seed in (0, 1)),
    ]
    assert "Gaussian 40: reached by the means; their intervals overlap" in render(
        rows, tmp_path, "x"
    )


def test_targets_are_those_of_mnist(tmp_path: Path) -> None:
    rows = [row("dcgan", "plain", 0, 2.0, 0.7, data="fashion-mnist")]
    assert "Expected results" not in render(rows, tmp_path, "x")


def test_budgets_are_never_averaged(tmp_path: Path) -> None:
    rows = [
        row("dcgan", "plain", 0, 30.0, 0.1, share=0.06),
        row("dcgan", "plain", 1, 2.0, 0.8),
    ]
    page = render(rows, tmp_path, "x")
    assert "| dcgan | plain | 1 | 6 % | 30 |" in page
    assert "| dcgan | plain | 1 | full | 2 |" in page
    assert "of DCGAN" not in page  # of which?


def test_recipes_that_are_gone_come_last(tmp_path: Path) -> None:
    rows = [row("old-gan", "plain", 0, 2.0, 0.5), row("vae", "plain", 0, 3.0, 0.5)]
    page = render(rows, tmp_path, "x")
    assert page.index("| vae |") < page.index("| old-gan |")


def test_divergence_and_terms_are_told(tmp_path: Path) -> None:
    terms = {"elbo": -100.0, "log_likelihood": -80.0, "kl": 20.0}
    rows = [
        row("vae", "plain", 0, 2.0, 0.5, terms=terms),
        row("infogan", "plain", 0, 2.0, 0.5, terms={"mutual_information": 3.5}),
        Row(
            data="mnist", recipe="wgan", seed=0, sampling=DIVERGED, num_steps=9, share=1.0,
            narrowing="", config_digest="a", reason="g_loss is not finite at step 3",
        ),
    ]  # fmt: skip
    page = render(rows, tmp_path, "x")
    assert "- vae: ELBO -100.0, log-likelihood -80, KL 20" in page
    assert "- infogan: mutual information at least 3.5" in page
    assert "| wgan | diverged: seed 0: g_loss is not finite at step 3 | 1 | full |" in page
