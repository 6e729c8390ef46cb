"""What went wrong in a training, on the logs of real short runs: most worked, a few did not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from baselines.recipes.config import RunConfig, make_config
from baselines.recipes.table import recipe_config
from baselines.runs.run_folder import RunFolder
from baselines.runs.trouble import advantage, find_troubles, mean_targets
from bench.__main__ import run
from bench.errors import EXIT_OK
from tests.baselines.conftest import SMALL
from tests.conftest import RealSample

# one line a run on MNIST: its configuration, every k-th line of its log, what went wrong in it
RUNS = [
    json.loads(line) for line in (Path(__file__).with_name("terms.jsonl")).read_text().splitlines()
]


def name_of(run: dict[str, Any]) -> str:
    return f"{run['config']['recipe']}-{run['config']['num_steps']}-{'-'.join(run['troubles'])}"


@pytest.mark.parametrize("run", RUNS, ids=name_of)
def test_real_runs(run: dict[str, Any]) -> None:
    config = make_config(run["config"])
    found = find_troubles(config, run["terms"])
    assert [trouble.code for trouble in found] == run["troubles"]
    for trouble in found:
        assert f"since step {trouble.since:,}" in trouble.message
    if config.loss is not None and not run["troubles"]:
        assert max(advantage(config, line) for line in run["terms"][-5:]) < 0.85, "a margin"


def test_the_runs_have_both_kinds() -> None:
    assert len([one for one in RUNS if not one["troubles"]]) >= 12
    assert {code for one in RUNS for code in one["troubles"]} == {
        "discriminator-won",
        "kl-near-zero",
    }


def lines(**terms: list[float]) -> list[dict[str, float]]:
    rows = zip(*terms.values(), strict=True)
    return [
        {"step": 16 * (n + 1), **dict(zip(terms, row, strict=True))} for n, row in enumerate(rows)
    ]


def game(gaps: list[float], g_loss: float = 1.0) -> list[dict[str, float]]:
    half = [gap / 2 for gap in gaps]
    return lines(
        d_real=half,
        d_fake=[-x for x in half],
        g_loss=[g_loss] * len(gaps),
        d_loss=[1.0] * len(gaps),
    )


def config_of(*settings: str, recipe: str = "course-gan") -> RunConfig:
    return recipe_config(recipe, settings=settings)


def test_from_which_step() -> None:
    """Log odds of 10 or more count, until the end, for a tenth of the lines and at least three."""
    config = config_of()
    (found,) = find_troubles(config, game([2.0] * 7 + [10.0] * 3))
    assert found.since == 16 * 8
    assert find_troubles(config, game([2.0] * 8 + [10.0] * 2)) == []
    assert find_troubles(config, game([2.0] * 7 + [9.9] * 3)) == []
    assert find_troubles(config, game([12.0] * 9 + [2.0])) == []
    assert find_troubles(config, game([2.0] * 60 + [12.0] * 5)) == []
    (found,) = find_troubles(config, game([2.0] * 3 + [12.0] * 4 + [9.0] + [12.0] * 4))
    assert found.since == 16 * 4, "one line in between does not end it"


def test_soft_targets_limit_the_log_odds() -> None:
    """Label noise has mean targets .95 and .15, whose logits are 2.94 and -1.73: 4.68 apart."""
    noisy = config_of("tricks.label-noise=on")
    assert mean_targets(noisy) == (pytest.approx(0.15), pytest.approx(0.95))
    limit = np.log(0.95 / 0.05) - np.log(0.15 / 0.85)
    assert advantage(noisy, game([0.9 * limit])[0]) == pytest.approx(1)
    assert find_troubles(noisy, game([4.4] * 5))
    assert not find_troubles(config_of(), game([4.4] * 5))
    flips = config_of("tricks.label-flips.probability=0.1", "tricks.label-smoothing=on")
    assert mean_targets(flips) == (pytest.approx(0.09), pytest.approx(0.81))


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        (("loss=minimax",), "set loss=non-saturating"),
        ((), "tricks.two-time-scales.discriminator=5e-05"),
        (
            ("tricks.two-time-scales=on",),
            "tricks.two-time-scales.discriminator from 0.0004 to 0.0001",
        ),
        (("tricks.discriminator-steps.num_steps=3",), "set tricks.discriminator-steps=off"),
    ],
)
def test_the_setting_to_change(settings: tuple[str, ...], remedy: str) -> None:
    (found,) = find_troubles(config_of(*settings), game([12.0] * 5))
    assert remedy in found.message


def test_a_loss_that_explodes() -> None:
    (found,) = find_troubles(config_of(), game([1.0] * 5, g_loss=-150.0))
    assert found.code == "generator-exploded"
    assert "lower learning_rate from 0.0002 to 5e-05" in found.message
    assert not find_troubles(config_of(), game([1.0] * 5, g_loss=90.0))
    critic = config_of(recipe="wgan-gp")
    assert not find_troubles(critic, game([50.0] * 5, g_loss=900.0)), "its offset is free"
    (found,) = find_troubles(critic, game([150.0] * 5))
    assert "the critic's gap has exploded" in found.message


def test_a_vae_without_information() -> None:
    for beta, remedy in ((8.0, "from 8 to 2"), (1.0, "train longer than num_steps=")):
        config = config_of(f"model.beta={beta}", recipe="vae")
        (found,) = find_troubles(config, lines(kl=[5.0, 0.4, 0.3, 0.2]))
        assert (found.code, found.since) == ("kl-near-zero", 32)
        assert remedy in found.message
        assert not find_troubles(config, lines(kl=[0.1, 0.2, 0.3, 0.6]))
    assert not find_troubles(config_of(recipe="ae-dense"), lines(loss=[1.0] * 5))


@pytest.mark.usefixtures("_verbs")
def test_train_says_it_and_the_log_keeps_it(
    mnist: RealSample,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A VAE with beta 1000 loses its code within a few hundred steps."""
    monkeypatch.chdir(tmp_path)
    np.savez("digits.npz", mnist.images[:200])
    small = [*SMALL["vae"], "learning_rate=0.01", "num_steps=320"]
    for beta, expected in (("1000", 1), ("0.1", 0)):
        words = [word for text in (*small, f"model.beta={beta}") for word in ("--set", text)]
        train = ["train", "vae", "--data", "digits.npz", "--device", "cpu", "-q", *words]
        assert run(train) == EXIT_OK
        folder, *rest = capsys.readouterr().out.splitlines()
        told = [line for line in rest if line.startswith("warning: the KL divergence is near zero")]
        assert len(told) == expected
        kept = [event for event in RunFolder(Path(folder)).events() if event["event"] == "trouble"]
        assert [event["code"] for event in kept] == ["kl-near-zero"] * expected
        assert RunFolder(Path(folder)).troubles() == [
            line.removeprefix("warning: ") for line in told
        ]
