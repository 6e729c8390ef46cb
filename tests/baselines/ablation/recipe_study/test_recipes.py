"""What the study trains: budgets, ways of sampling, jobs and their keys."""

from __future__ import annotations

from typing import Any

import pytest

from baselines.ablation.design.budgets import (
    FULL,
    RECIPE_BUDGETS,
    Budget,
    budgeted,
    recipe_budget,
)
from baselines.ablation.recipe_study.recipes import DATA, Run, Study, recipe_jobs, ways_of
from baselines.ablation.recipe_study.rows import DIVERGED, Key, Row
from baselines.recipes.narrowing import Narrowing, narrowed_settings
from baselines.recipes.table import IMAGE_RECIPES, recipe_config
from bench.errors import UnknownNameError, UsageError


def test_narrowing_by_hand() -> None:
    # 256, 512, 1024 halved; batches of 64 halved; 2e-4 times 2.5
    assert narrowed_settings("course-gan", Narrowing(widths=2, batch=2, rate=2.5)) == (
        "model.generator_widths=[128, 256, 512]",
        "model.discriminator_widths=[512, 256, 128]",
        "batch_size=32",
        "learning_rate=0.0005",
    )
    assert narrowed_settings("dcgan", Narrowing(widths=4)) == ("model.width=16",)
    assert narrowed_settings("dcgan", Narrowing()) == ()


def test_rates_that_a_trick_brings_are_raised_too() -> None:
    assert narrowed_settings("demo-gan", Narrowing(rate=5))[1:] == (
        "tricks.two-time-scales.generator=0.001",
        "tricks.two-time-scales.discriminator=0.002",
    )


def test_narrowing_in_words() -> None:
    assert str(Narrowing(4, 2, 5)) == "widths / 4, batches / 2, rate x 5"
    assert str(Narrowing(rate=2.5)) == "rate x 2.5"
    assert not str(Narrowing())
    assert str(FULL) == "full"
    assert str(Budget(0.064, Narrowing(widths=2))) == "6.4 % of the steps, widths / 2"


@pytest.mark.parametrize("recipe", IMAGE_RECIPES)
def test_budgets_of_every_recipe(recipe: str) -> None:
    assert budgeted(recipe, "mnist", 3, FULL) == recipe_config(recipe, seed=3)
    assert budgeted(recipe, "mnist", 0, Budget(1e-9)).num_steps == 16
    short = budgeted(recipe, "mnist", 0, recipe_budget(recipe))
    assert 1_000 < short.num_steps < 5_000
    full = recipe_config(recipe)
    assert (short.loss, set(short.tricks)) == (full.loss, set(full.tricks))
    if full.loss is not None:
        assert short.batch_size == full.batch_size // 2
        assert short.learning_rate > full.learning_rate


def test_every_cpu_budget_is_somebodys() -> None:
    used = {next(p for p in RECIPE_BUDGETS if recipe.startswith(p)) for recipe in IMAGE_RECIPES}
    assert used == set(RECIPE_BUDGETS)


def test_recipes_of_one_family_have_one_budget() -> None:
    families = {recipe_budget(name) for name in ("course-gan", "minimax-gan", "f-gan-kl", "ls-gan")}
    assert len(families) == 1
    assert recipe_budget("vae-conv") == recipe_budget("vae")
    dcgans = {recipe_budget(n) for n in ("dcgan", "dcgan-ema", "dcgan-tricks", "conditional-dcgan")}
    assert dcgans == {recipe_budget("infogan")}


def test_every_recipe_on_both_data_sets_with_three_seeds() -> None:
    runs = Study().runs()
    assert {(r.config.recipe, r.config.data, r.config.seed) for r in runs} == {
        (recipe, data, seed) for recipe in IMAGE_RECIPES for data in DATA for seed in range(3)
    }
    assert all(run.num_images == 10_000 and run.budget == FULL for run in runs)
    assert len({run.key for run in runs}) == len(runs)


def test_narrowed_recipes_keep_their_steps() -> None:
    (run,) = Study(recipes=("dcgan",), data=("mnist",), num_seeds=1, narrowed=True).runs()
    full = recipe_config("dcgan")
    narrow = {"num_steps": full.num_steps, "batch_size": 64, "learning_rate": 0.001}
    assert run.config.model_dump().items() >= narrow.items()
    assert run.config.model_options["width"] == full.model_options["width"] // 4
    study = Study(recipes=("dcgan", "ae-dense"), data=("mnist",), narrowed=True, share=0.5)
    assert [str(study.budget(recipe)) for recipe in study.recipes] == [
        "50 % of the steps, widths / 4, batches / 2, rate x 5",
        "50 % of the steps",
    ]


def test_ways() -> None:
    assert list(ways_of("ae-conv")) == ["prior-gaussian", "prior-mixture", "reconstruction"]
    assert list(ways_of("vae")) == list(ways_of("infogan")) == ["plain"]
    assert len(ways_of("dcgan")) == len(ways_of("course-gan")) == 6


def test_the_seeds_of_a_recipe_may_be_one_program() -> None:
    study = Study(recipes=("vae", "vae-beta"), num_seeds=2)
    jobs = recipe_jobs(study.runs())
    groups = [job.group for job in jobs]
    assert len(jobs) == 8
    assert groups[0] == groups[1]
    assert len(set(groups)) == 4
    assert jobs[0].label == "mnist vae, seed 0"


def rows_for(run: Run, **changes: Any) -> dict[Key, Row]:
    config = run.config
    rows = [
        Row(
            data=config.data, recipe=config.recipe, seed=config.seed, sampling=way,
            num_steps=config.num_steps, share=1.0, narrowing="",
            **{"config_digest": config.digest, "num_images": run.num_images, **changes},
        )
        for way in run.ways
    ]  # fmt: skip
    return {row.key: row for row in rows}


def test_a_run_is_there_when_all_of_its_rows_are() -> None:
    run = Study(recipes=("ae-conv",), num_seeds=1).runs()[0]
    rows = rows_for(run)
    assert run.is_in(rows)
    assert not run.is_in(rows_for(run, config_digest="another"))
    assert not run.is_in(rows_for(run, num_images=500))
    lost = rows.pop(("mnist", "ae-conv", 0, "reconstruction"))
    assert not run.is_in(rows)
    diverged = lost.model_copy(update={"sampling": DIVERGED, "num_images": 0})
    assert run.is_in({diverged.key: diverged})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"data": ("cifar10",)}, "data 'cifar10': expected mnist or fashion-mnist"),
        ({"num_seeds": 0}, "0 seeds: expected 1 or more"),
        ({"share": 0.0}, "share 0.0: expected more than 0"),
        ({"share": 1.5}, "share 1.5"),
        ({"share": 0.5, "cpu_sized": True}, "--share and --cpu-sized both set the budget"),
        ({"narrowed": True, "cpu_sized": True}, "--narrowed and --cpu-sized both set the budget"),
        ({"num_images": 1}, "1 images: expected 2 to 10000"),
    ],
)
def test_what_cannot_be_studied(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Study(**settings)  # type: ignore[arg-type]


def test_unknown_recipes_list_the_valid_ones() -> None:
    with pytest.raises(UnknownNameError, match="course-gan"):
        Study(recipes=("stylegan",))
