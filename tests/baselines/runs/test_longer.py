"""Finished and interrupted runs are trained longer than they were started for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import baselines
from baselines.recipes.config import RunConfig
from baselines.runs.longer import find_shorter_run
from baselines.runs.run_folder import CHECKPOINT, CONFIG, RunFolder
from baselines.runs.train import train_stack
from baselines.training.checkpoint import read_checkpoint
from baselines.training.engine import Engine
from baselines.training.training_images import TrainingSet
from bench.__main__ import run
from bench.errors import EXIT_OK, UsageError
from tests.baselines.conftest import SMALL, small_engine, train_run
from tests.baselines.runs.test_train import interrupt_after, small_config
from tests.conftest import RealSample

NOISE = ("tricks.instance-noise.sigma=0.5",)


def config_of(num_steps: int, *settings: str, recipe: str = "course-gan") -> RunConfig:
    return small_config(recipe, *settings, num_steps=num_steps)


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return read_checkpoint(folder / CHECKPOINT).tensors


@pytest.mark.parametrize("recipe", ["course-gan", "vae", "ae-dense"])
@pytest.mark.parametrize("first", [24, 32])  # inside a block of 16 steps, and at the end of one
def test_a_finished_run_that_goes_on_equals_a_long_one(
    recipe: str, first: int, digits: TrainingSet, tmp_path: Path
) -> None:
    whole = train_run(config_of(56, recipe=recipe), digits, tmp_path / "whole")
    folder = train_run(config_of(first, recipe=recipe), digits, tmp_path / "run")
    train_run(config_of(56, recipe=recipe), digits, folder, resume=True)
    expected, found = tensors(whole), tensors(folder)
    assert expected.keys() == found.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    assert json.loads((folder / CONFIG).read_text())["num_steps"] == 56
    ends = [event["step"] for event in RunFolder(folder).events() if event["event"] == "end"]
    assert ends == [first, 56]


def test_a_shorter_training_is_refused(digits: TrainingSet, tmp_path: Path) -> None:
    folder = train_run(config_of(32), digits, tmp_path / "run")
    with pytest.raises(UsageError, match="trained with num_steps=32, not 16"):
        train_run(config_of(16), digits, folder, resume=True)


def test_schedules_keep_their_length_and_stay_at_their_end(
    digits: TrainingSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Noise that has faded out after 32 steps does not come back, also not after an interrupt: the
    progress of step n is min(n / 32, 1).
    """
    seen: list[float] = []
    fill = Engine._fill

    def watched(engine: Engine, block: int) -> None:
        fill(engine, block)
        seen.extend(engine._progress.tolist())

    folder = train_run(config_of(32, *NOISE), digits, tmp_path / "run")
    monkeypatch.setattr(Engine, "_fill", watched)
    longer = config_of(96, *NOISE)
    with monkeypatch.context() as patch:
        interrupt_after(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            train_run(longer, digits, folder, resume=True)
    train_run(longer, digits, folder, resume=True)
    assert seen == [1.0] * 64
    assert read_checkpoint(folder / CHECKPOINT).schedule_steps == 32
    seen.clear()
    train_run(longer, digits, tmp_path / "whole")
    assert seen == pytest.approx([step / 96 for step in range(96)])


def test_an_unfinished_run_keeps_its_schedule_too(digits: TrainingSet) -> None:
    engine = small_engine("course-gan", digits, *NOISE, num_steps=96)
    engine.load([engine.tensors()], 16, schedule_steps=24)
    engine.run_block()
    assert engine._progress.tolist() == pytest.approx(
        [step / 24 for step in range(16, 24)] + [1] * 8
    )


def test_runs_of_unequal_lengths_go_on_each_from_its_own(
    digits: TrainingSet, tmp_path: Path
) -> None:
    """Two runs at one step, of which one was started for a longer training."""
    folders = [tmp_path / "a", tmp_path / "b"]
    train_run(config_of(32, *NOISE), digits, folders[0])
    train_run(config_of(16, *NOISE), digits, folders[1])
    train_run(config_of(32, *NOISE), digits, folders[1], resume=True)
    second = small_config("course-gan", *NOISE, seed=0, num_steps=48)
    train_stack([second, second], digits, folders, resume=True)
    lengths = [read_checkpoint(folder / CHECKPOINT).schedule_steps for folder in folders]
    assert lengths == [32, 16]
    assert [read_checkpoint(folder / CHECKPOINT).step for folder in folders] == [48, 48]


@pytest.mark.usefixtures("_verbs")
def test_more_steps_go_on_in_a_folder_of_their_own(
    mnist: RealSample,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("digits.npz", mnist.images[:200])
    small = [word for text in SMALL["dense-gan"] for word in ("--set", text)]
    train = ["train", "course-gan", "--data", "digits.npz", "--device", "cpu", "-q", *small]

    def trained(steps: int, *options: str) -> tuple[Path, str]:
        assert run([*train, "--set", f"num_steps={steps}", *options]) == EXIT_OK
        told = capsys.readouterr()
        return Path(told.out.splitlines()[0]), told.err

    whole, _ = trained(48, "--out", "whole")
    short, _ = trained(16)
    middle, told = trained(32, "--resume")
    assert f"{middle}: goes on from {short} after 16 steps" in told
    last, told = trained(48, "--resume")
    assert f"{last}: goes on from {middle} after 32 steps" in told
    expected, found = tensors(whole), tensors(last)
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    assert [read_checkpoint(folder / CHECKPOINT).step for folder in (short, middle)] == [16, 32]
    assert "start" in [event["event"] for event in RunFolder(last).events()]
    assert (last / "grids" / "00000016.png").is_file()
    _, told = trained(48, "--resume")
    assert "has finished its 48 steps; to train it longer, give more with --set num_steps=N" in told

    settings = [*SMALL["dense-gan"], "num_steps=64"]
    folder = baselines.train(
        "course-gan", data="digits.npz", settings=settings, out="runs", device="cpu", resume=True
    )
    assert [e["run"] for e in RunFolder(folder).events() if e["event"] == "continues"] == [
        short.name,
        middle.name,
        last.name,
    ]


def test_only_a_run_that_differs_in_nothing_else_is_continued(
    digits: TrainingSet, tmp_path: Path
) -> None:
    for name, config in (
        ("rate", config_of(16, "learning_rate=0.01")),
        ("seed", small_config("course-gan", seed=1, num_steps=16)),
        ("long", config_of(48)),
    ):
        train_run(config, digits, tmp_path / name)
    (tmp_path / "junk").mkdir()
    (tmp_path / "junk" / CONFIG).write_text("{")
    (tmp_path / "list").mkdir()
    (tmp_path / "list" / CONFIG).write_text("[]")
    assert find_shorter_run(tmp_path, config_of(32)) is None
    assert find_shorter_run(tmp_path, config_of(49)) == tmp_path / "long"
    file = tmp_path / "long" / CONFIG
    saved = json.loads(file.read_text())
    del saved["resize"]  # a setting that runs of earlier versions do not have
    file.write_text(json.dumps(saved))
    assert find_shorter_run(tmp_path, config_of(49)) == tmp_path / "long"
    (tmp_path / "long" / CHECKPOINT).unlink()
    assert find_shorter_run(tmp_path, config_of(49)) is None
    assert find_shorter_run(tmp_path / "nowhere", config_of(49)) is None
