"""Plans: the example file, every short form, and the plans that are refused."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields as fields_of
from pathlib import Path
from typing import Any

import pytest

from baselines.ablation.design.cells import make_runs
from baselines.ablation.design.plan import AblationPlan, example_plan, parse_plan, read_plan
from baselines.ablation.design.presets import PRESETS, preset_plan
from baselines.ablation.run.costs import tabulated_s
from baselines.sampling.sampler import SamplingOptions
from bench.errors import UnknownNameError, UsageError

BASE: dict[str, Any] = {"name": "p", "recipe": "course-gan", "factors": ["label-noise"]}


KEY = re.compile(r"^(?:# )?\[?(\w+)(?:\]| = )", re.MULTILINE)


def test_the_example_explains_every_key() -> None:
    paragraphs = example_plan().split("\n\n")
    keys = [key for paragraph in paragraphs for key in KEY.findall(paragraph)]
    fields = {*AblationPlan.model_fields, *(field.name for field in fields_of(SamplingOptions))}
    assert fields <= set(keys)
    for paragraph in paragraphs:
        assert paragraph.startswith("# "), paragraph


def test_the_example_runs_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(example_plan())
    plan = read_plan(path)
    assert plan.name == "example"
    assert plan.levels == {
        "label-noise": ("off", "on"),
        "loss": ("minimax", "non-saturating"),
    }
    assert plan.seeds == (0, 1, 2)
    assert plan.budget == ("num_steps=2000",)
    assert plan.sampling == SamplingOptions()
    runs = make_runs(plan)
    assert len(runs) == 12
    assert runs[0].evaluations == (672, 1344, 2000)
    assert sum(tabulated_s(run.config) for run in runs) < 600  # seconds of a core


def test_every_commented_out_key_of_the_example_is_valid() -> None:
    """Each one replaces the keys that it excludes."""
    lines = re.sub(r"^# (?=[\w\"]\S* = )", "", example_plan(), flags=re.MULTILINE).splitlines()
    excluded = ("num_steps", "resolution", "budget")
    plan = tomllib.loads("\n".join(line for line in lines if not line.startswith(excluded)))
    parsed = parse_plan(plan)
    assert parsed.share == 0.04
    assert parsed.extractor == "digits"
    assert parsed.levels["model.latent_dim"] == ("32", "100")
    assert parsed.sampling == SamplingOptions(
        truncation=1.0, rejection_gamma=80, latent_share=0.8, prior="mixture"
    )
    fraction = {"design": "fractional-factorial", "resolution": 4}
    assert len(parse_plan(plan | fraction).made_design.cells) == 8


def test_levels_by_name() -> None:
    levels = {"minimax": ["loss=minimax"], "smoothed": ["loss=non-saturating", "tricks.ema=on"]}
    plan = parse_plan(BASE | {"factors": {"loss-and-labels": levels}})
    assert plan.levels == {"loss-and-labels": ("minimax", "smoothed")}
    assert plan.factors[0].levels[1].settings == ("loss=non-saturating", "tricks.ema=on")


def test_the_file_names_a_plan_without_a_name(tmp_path: Path) -> None:
    path = tmp_path / "quick.toml"
    path.write_text('recipe = "vae"\n[factors]\nmodel.beta = [1, 4]\n')
    plan = read_plan(path)
    assert plan.name == "quick"
    assert plan.factors[0].name == "model.beta"
    assert plan.factors[0].levels[1].settings == ("model.beta=4",)


def test_list_forms() -> None:
    plan = parse_plan(BASE | {"factors": ["label-noise", {"learning_rate": [1e-4, 3e-4]}]})
    assert list(plan.levels) == ["label-noise", "learning_rate"]
    written = AblationPlan.model_validate_json(plan.model_dump_json())
    assert written == plan


def test_a_share_of_the_recipes_steps() -> None:
    assert parse_plan(BASE | {"share": 0.1}).budget == ("num_steps=4690",)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_plans(name: str) -> None:
    plan = preset_plan(name, seeds=2)
    assert plan.seeds == (0, 1)
    assert plan.name == name


def test_the_preset_of_the_four_tricks() -> None:
    plan = preset_plan("tricks")
    assert plan.recipe == "dcgan"
    assert len(plan.made_design.cells) == 16
    assert preset_plan("course").factors == plan.factors
    with pytest.raises(UnknownNameError, match="Valid: course, latent, tricks, vae-beta"):
        preset_plan("trick")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"factors": ["label-nose"]}, "Did you mean 'label-noise'"),
        ({"factors": {"momentum": [1, 2]}}, "unknown factor 'momentum'"),
        ({"factors": {"learning_rate": [1e-4]}}, r"1 level\(s\), but an effect needs two"),
        ({"factors": {"learning_rate": [1e-4, 1e-4]}}, "level '0.0001' is given 2 times"),
        ({"factors": {"a": {"x": ["loss=minimax"], "y": ["loss=minimax"]}}}, "the same settings"),
        ({"factors": {"a": {"x": "loss=minimax"}}}, 'expected a list of "key=value" texts'),
        ({"factors": {"learning_rate": 3}}, "expected true"),
        ({"factors": 3}, "expected a table, or a list"),
        ({"factors": []}, "has no factors"),
        ({"factors": ["label-noise", "label-noise"]}, "factor 'label-noise' is given 2 times"),
        (
            {"factors": {"loss": ["hinge", "minimax"], "b": {"x": [], "y": ["loss=hinge"]}}},
            "both set 'loss'",
        ),
        ({"factors": {"seed": {"x": [], "y": ["loss=hinge"]}}}, "have a column of that name"),
        ({"recipe": "dcgam"}, "Did you mean 'dcgan'"),
        ({"metrics": ["fidd"]}, "Did you mean 'fid'"),
        ({"metrics": []}, "has no metrics"),
        ({"metrics": ["fid", "fid"]}, "metric 'fid' is given 2 times"),
        ({"seeds": [1, 1]}, "seed '1' is given 2 times"),
        ({"seeds": 0}, "seeds = 0: expected 1 to 10,000"),
        ({"seeds": []}, "has no seeds"),
        ({"num_steps": 5, "share": 0.5}, "give only one"),
        ({"settings": ["loss"]}, "expected key=value"),
        ({"sampling": {"budget": 0.5}}, "budget 0.5: expected 1 to"),
        ({"sampling": {"truncatoin": 0.5}}, "truncatoin"),
        ({"design": "half"}, "design: Input should be"),
        ({"design": "fractional-factorial", "resolution": 3}, "use full-factorial"),
        ({"seed": 3}, "Did you mean 'seeds'"),
        ({"seeds": 2.0}, "seeds = 2.0: expected a whole number"),
        ({"seeds": True}, "seeds = True: expected a whole number"),
        ({"seeds": ["1"]}, r"seeds\.0: Input should be a valid integer"),
        ({"seeds": 10**9}, "expected 1 to 10,000"),
        ({"num_steps": 100.0}, "num_steps: Input should be a valid integer"),
        ({"num_steps": True}, "num_steps: Input should be a valid integer"),
        ({"num_evaluations": "5"}, "num_evaluations: Input should be a valid integer"),
        ({"share": True}, "share: Input should be a valid number"),
        ({"num_images": 10**9}, "num_images: Input should be less than or equal to 1000000"),
        ({"name": "p" * 300}, "name: String should have at most 100"),
        ({"factors": {"a\x1b[2J": {"x": [], "y": ["loss=minimax"]}}}, "printable characters"),
        ({"factors": {"a": {"x\ny": [], "y": ["loss=minimax"]}}}, "printable characters"),
        ({"factors": {"a": {"x" * 300: [], "y": ["loss=minimax"]}}}, "1 to 200 printable"),
        ({"factors": {"a": {"": [], "y": ["loss=minimax"]}}}, "1 to 200 printable"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        parse_plan(BASE | change)


def test_broken_toml_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "broken.toml"
    path.write_text('name = "a"\nrecipe = \n')
    with pytest.raises(UsageError, match=r"broken\.toml: not valid TOML: .*line 2"):
        read_plan(path)
    with pytest.raises(UsageError, match="cannot be read: "):
        read_plan(tmp_path / "none.toml")


def test_a_deeply_nested_file_is_no_plan(tmp_path: Path) -> None:
    path = tmp_path / "deep.toml"
    path.write_text(f"a={'[' * 100_000}")
    with pytest.raises(UsageError, match=r"deep\.toml: not a plan: .*nested too deeply"):
        read_plan(path)
