"""The table of tricks: complete and consistent, and every trick has an effect."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from baselines.training.training_images import TrainingSet
from baselines.tricks import TRICKS
from baselines.tricks.base import Trick
from bench.errors import UnknownNameError, UsageError
from tests.baselines.conftest import small_engine, small_game

CONVOLUTIONAL = ("downsampling", "up-kernel")
ONLY_SAMPLES = ("ema",)  # it changes what is sampled, not what is trained


def recipe_for(trick: str) -> str:
    return "dcgan" if trick in (*CONVOLUTIONAL, "separate-batches") else "course-gan"


@pytest.mark.parametrize("name", TRICKS)
def test_every_trick_changes_training_and_off_equals_leaving_it_out(
    name: str, digits: TrainingSet
) -> None:
    recipe = recipe_for(name)
    plain = ("tricks.separate-batches=off",) if recipe == "dcgan" else ()
    switches = {
        "plain": plain,
        "on": (*plain, f"tricks.{name}=on"),
        "off": (*plain, f"tricks.{name}=on", f"tricks.{name}=off"),
    }
    runs = {
        key: small_engine(recipe, digits, *settings, num_steps=16)
        for key, settings in switches.items()
    }
    values = {key: engine.run_block().values for key, engine in runs.items()}
    assert torch.equal(values["plain"], values["off"])
    assert torch.equal(values["plain"], values["on"]) == (name in ONLY_SAMPLES)
    assert torch.isfinite(values["on"]).all()


@pytest.mark.parametrize("name", TRICKS)
def test_rows_are_complete(name: str) -> None:
    row = TRICKS[name]
    assert re.search(r"\d{4}", row.source), "a paper and its year"
    assert row.title
    for other in (*row.conflicts, *row.requires):
        assert other in TRICKS
    assert (row.options()).model_dump() is not None, "every option has a default"


def test_every_file_of_the_package_is_in_the_table() -> None:
    folder = Path(__file__).parents[3] / "baselines" / "tricks"
    assert len(list(folder.glob("*.py"))) == len(TRICKS) + 2  # __init__ and base


def test_conflicts_are_refused_with_the_reason(digits: TrainingSet) -> None:
    tried = 0
    for name, row in TRICKS.items():
        for other, reason in row.conflicts.items():
            with pytest.raises(UsageError, match=re.escape(reason)):
                small_game("course-gan", digits, f"tricks.{name}=on", f"tricks.{other}=on")
            tried += 1
    assert tried >= 9


@pytest.mark.parametrize(
    ("recipe", "trick", "reason"),
    [
        ("hinge-gan", "label-smoothing", "loss 'hinge' has no target labels"),
        ("f-gan-kl", "label-noise", "loss 'kl' has no target labels"),
        ("wgan-gp", "label-flips", "loss 'wgan-gp' has no target labels"),
        ("course-gan", "downsampling", "'dense-gan' has no convolutions"),
        ("course-gan", "up-kernel", "'dense-gan' has no convolutions"),
        ("dcgan", "r1", "batch norm makes an image's output depend on the whole batch"),
        ("dcgan", "gradient-penalty", "set model.batch_norm_discriminator=false"),
        ("dcgan", "spectral-norm", "undoes the bound on its weight; set model.batch_norm_discrim"),
        ("conditional-dcgan", "spectral-norm", "batch norm in the discriminator rescales"),
        ("infogan", "spectral-norm", "batch norm in the discriminator rescales"),
        ("vae", "ema", "tricks are for GANs, and model 'vae' is not one"),
    ],
)
def test_misfits_are_refused_with_the_reason(
    recipe: str, trick: str, reason: str, digits: TrainingSet
) -> None:
    with pytest.raises(UsageError, match=re.escape(reason)):
        small_game(recipe, digits, f"tricks.{trick}=on")


@pytest.mark.parametrize("name", ["", "a.b", "a/b", "Ema", "-a", "a--b"])
def test_a_name_that_keys_and_settings_cannot_hold_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="lower-case words joined by hyphens"):
        Trick(name=name, title="", source="")


def test_unknown_tricks_and_options_list_the_valid_ones(digits: TrainingSet) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown trick 'emma'.*Did you mean 'ema'"):
        small_game("course-gan", digits, "tricks.emma=on")
    with pytest.raises(UnknownNameError, match=r"option of trick 'ema' 'rate'.*Valid: decay"):
        small_game("course-gan", digits, "tricks.ema.rate=0.5")
