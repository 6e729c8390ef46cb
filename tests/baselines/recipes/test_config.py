"""Configurations: complete, strict, printable."""

from __future__ import annotations

import pytest

from baselines.recipes.config import RunConfig, make_config
from baselines.recipes.table import RECIPES, recipe_config
from bench.errors import UnknownNameError, UsageError


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_complete_and_survives_json(name: str) -> None:
    config = recipe_config(name, data="fashion-mnist", seed=3)
    again = RunConfig.model_validate_json(config.model_dump_json())
    assert again == config
    assert again.digest == config.digest
    assert (config.recipe, config.data, config.seed) == (name, "fashion-mnist", 3)
    assert set(config.model_options) == set(config.model_row.options.model_fields)


def test_the_course_networks_are_the_issue_s() -> None:
    options = recipe_config("course-gan").parsed_model_options
    assert (options.latent_dim, *options.generator_widths) == (100, 256, 512, 1024)
    assert options.discriminator_widths == (1024, 512, 256)


def test_settings_change_what_they_name() -> None:
    config = recipe_config(
        "course-gan",
        settings=[
            "loss=least-squares",
            "learning_rate=1e-3",
            "model.latent_dim=7",
            "tricks.ema=on",
            "tricks.label-smoothing.real_target=0.8",
        ],
    )
    assert (config.loss, config.learning_rate) == ("least-squares", 1e-3)
    assert config.parsed_model_options.latent_dim == 7
    assert config.tricks == {"label-smoothing": {"real_target": 0.8}, "ema": {"decay": 0.999}}
    assert config.digest != recipe_config("course-gan").digest


def test_a_loss_implies_its_tricks_and_options_override_them() -> None:
    config = recipe_config("wgan-gp")
    assert config.tricks == {
        "discriminator-steps": {"num_steps": 5},
        "gradient-penalty": {"weight": 10.0},
    }
    fewer = recipe_config("wgan-gp", settings=["tricks.discriminator-steps.num_steps=2"])
    assert fewer.tricks["discriminator-steps"] == {"num_steps": 2}
    assert recipe_config("wgan-gp", settings=["loss=hinge"]).tricks == {}


def test_a_trick_switches_on_the_tricks_it_requires() -> None:
    config = recipe_config("course-gan", settings=["tricks.minibatch-discrimination=on"])
    assert list(config.tricks) == ["minibatch-discrimination", "separate-batches"]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("lerning_rate=1", r"unknown setting 'lerning_rate'.*'learning_rate'.*tricks\.ema"),
        ("model.depth=1", r"option of model 'dense-gan' 'depth'.*latent_dim"),
        ("loss=hing", r"unknown loss 'hing'.*'hinge'"),
        ("model=vea", r"unknown model 'vea'"),
    ],
)
def test_unknown_keys_list_the_valid_ones(setting: str, message: str) -> None:
    with pytest.raises(UnknownNameError, match=message):
        recipe_config("course-gan", settings=[setting])


def test_a_model_that_is_not_a_name_is_reported() -> None:
    with pytest.raises(UnknownNameError, match="unknown setting 'speed'"):
        recipe_config("course-gan", settings=["model=[1]", "speed=1"])
    with pytest.raises(UnknownNameError, match=r"unknown model '\[1\]'"):
        recipe_config("course-gan", settings=["model=[1]"])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("batch_size", "expected key=value"),
        ("batch_size=1", "batch_size: .*greater than or equal to 2"),
        ("learning_rate=fast", "learning_rate: .*number"),
        ("tricks.ema=maybe", "expected on or off"),
        ("tricks.ema.decay=2", "trick 'ema': decay: .*less than 1"),
        ("model.generator_widths=[64,0]", r"generator_widths\.1: .*greater than 0"),
        ("model.latent_dim=0", "model 'dense-gan': latent_dim"),
        ("learning_rate=Infinity", "learning_rate: .*finite number"),
        ("tricks.r1.gamma=Infinity", "trick 'r1': gamma: .*finite number"),
        ("precision=float16", "precision: .*'float32' or 'bfloat16'"),
        ("num_steps=true", "num_steps=true: expected a value, not true or false"),
        ("batch_size=99999999999999999999", "batch_size: .*less than or equal to 1048576"),
        ("model.latent_dim=99999999999999999999", "latent_dim=9+: expected at most"),
        ("tricks.label-noise.real_low=5", "trick 'label-noise': real_low: .*less than or equal"),
        ("tricks.label-noise.fake_low=1", "a lower bound is above its upper bound"),
    ],
)
def test_bad_values_name_the_key(setting: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        recipe_config("course-gan", settings=[setting])


@pytest.mark.parametrize(
    ("recipe", "settings", "message"),
    [
        ("wgan-gp", ["gradient-penalty=off"], "'gradient-penalty' cannot be off: loss 'wgan-gp'"),
        ("wgan", ["weight-clipping=off"], "'weight-clipping' cannot be off: loss 'wasserstein'"),
        (
            "course-gan",
            ["minibatch-discrimination=on", "separate-batches=off"],
            "'separate-batches' cannot be off: trick 'minibatch-discrimination' needs it",
        ),
    ],
)
def test_implied_tricks_cannot_be_off(recipe: str, settings: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        recipe_config(recipe, settings=[f"tricks.{setting}" for setting in settings])


def test_off_and_on_again() -> None:
    settings = ["tricks.ema.decay=0.5", "tricks.ema=off", "tricks.ema=on", "tricks.r1=off"]
    assert recipe_config("course-gan", settings=settings).tricks == {"ema": {"decay": 0.999}}
    assert recipe_config("wgan", settings=["loss=hinge", "tricks.weight-clipping=off"]).tricks == {}


@pytest.mark.parametrize("setting", ["data=fashion-mnist", "seed=3", "recipe=dcgan"])
def test_recipe_data_and_seed_are_not_settings(setting: str) -> None:
    with pytest.raises(UnknownNameError, match="unknown setting"):
        recipe_config("course-gan", settings=[setting])


def test_likelihood_models_have_no_loss_and_unknown_recipes_are_named() -> None:
    with pytest.raises(UsageError, match="has its own objective"):
        recipe_config("vae", settings=["loss=hinge"])
    with pytest.raises(UnknownNameError, match="unknown recipe 'dcgann'.*Did you mean 'dcgan'"):
        recipe_config("dcgann")
    with pytest.raises(UnknownNameError, match="unknown setting 'speed'"):
        make_config({"recipe": "x", "model": "dcgan", "speed": 3})
