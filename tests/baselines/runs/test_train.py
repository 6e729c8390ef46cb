"""Training into a folder: log, checkpoints, grids; interrupts, divergence, full disks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from baselines.recipes.config import RunConfig
from baselines.recipes.table import recipe_config
from baselines.runs.run_folder import (
    CHECKPOINT,
    CLAIM,
    RunFolder,
    data_images,
    grid_picture,
    load_run,
)
from baselines.runs.train import TrainingDiverged, train_stack
from baselines.sampling.sampler import Sampler, SamplingOptions
from baselines.training.checkpoint import read_checkpoint
from baselines.training.training_images import TrainingSet, training_set
from bench.errors import UsageError
from tests.baselines.conftest import SMALL, train_run
from tests.conftest import RealSample


def small_config(recipe: str, *settings: str, seed: int = 0, num_steps: int = 64) -> RunConfig:
    model = recipe_config(recipe).model
    chosen = (*SMALL[model], f"num_steps={num_steps}", *settings)
    return recipe_config(recipe, seed=seed, settings=chosen)


class Board:
    def __init__(self) -> None:
        self.seen: list[tuple[str, float, int]] = []

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        self.seen.append((tag, scalar_value, global_step))

    def close(self) -> None:
        """Do nothing."""


def test_what_a_run_leaves(digits: TrainingSet, tmp_path: Path) -> None:
    reports: list[tuple[int, int, dict[str, float]]] = []
    board = Board()
    config = small_config("course-gan")
    folder = train_run(
        config, digits, tmp_path / "run", report=lambda *told: reports.append(told), board=board
    )
    assert {p.name for p in folder.iterdir()} == {
        "config.json",
        "log.jsonl",
        CHECKPOINT,
        "grids",
        CLAIM,
    }
    saved = json.loads((folder / "config.json").read_text())
    assert saved.pop("digest") == config.digest
    assert saved == config.model_dump(mode="json")
    events = RunFolder(folder).events()
    assert [e["event"] for e in events][:: len(events) - 1] == ["start", "end"]
    terms = [e for e in events if e["event"] == "terms"]
    assert [e["step"] for e in terms] == [16, 32, 48, 64]
    assert {"d_loss", "g_loss", "d_real", "d_fake", "images_per_s"} <= set(terms[0])
    assert [r[0] for r in reports] == [16, 32, 48, 64]
    assert ("g_loss", reports[-1][2]["g_loss"], 64) in board.seen
    grids = sorted(p.name for p in (folder / "grids").iterdir())
    assert grids == [f"{step:08d}.png" for step in (16, 32, 48, 64)]
    with Image.open(folder / "grids" / grids[-1]) as picture:
        assert picture.size == (8 * 30 - 2, 8 * 30 - 2)


def interrupt_after(monkeypatch: pytest.MonkeyPatch, blocks: int) -> None:
    """Send a real SIGINT to this process during a block."""
    from baselines.training.engine import Engine

    run_block, count = Engine.run_block, [0]

    def interrupted(engine: Engine) -> Any:
        count[0] += 1
        if count[0] == blocks:
            os.kill(os.getpid(), signal.SIGINT)
        return run_block(engine)

    monkeypatch.setattr(Engine, "run_block", interrupted)


def test_an_interrupt_saves_and_resuming_is_bit_equal(
    digits: TrainingSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_config("dcgan", "tricks.ema=on")
    whole = train_run(config, digits, tmp_path / "whole")
    with monkeypatch.context() as patch:
        interrupt_after(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            train_run(config, digits, tmp_path / "cut")
    assert read_checkpoint(tmp_path / "cut" / CHECKPOINT).step == 32
    assert RunFolder(tmp_path / "cut").events()[-1]["event"] == "interrupted"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    train_run(config, digits, tmp_path / "cut", resume=True)
    assert "resume" in {e["event"] for e in RunFolder(tmp_path / "cut").events()}
    first, second = (read_checkpoint(f / CHECKPOINT) for f in (whole, tmp_path / "cut"))
    for name, value in first.tensors.items():
        assert torch.equal(second.tensors[name], value), name


def test_a_finished_run_is_left_as_it_is(digits: TrainingSet, tmp_path: Path) -> None:
    config = small_config("course-gan", num_steps=16)
    folder = train_run(config, digits, tmp_path / "run")
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    train_run(config, digits, folder, resume=True)
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("resume", [False, True])
def test_a_second_trainer_of_one_folder_is_refused(
    digits: TrainingSet, tmp_path: Path, resume: bool
) -> None:
    """While the first trains, whatever state its folder is in, and not once it has ended."""
    config = small_config("course-gan", num_steps=32)
    seen: list[str] = []

    def second(*_: object) -> None:
        before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        with pytest.raises(UsageError, match="is being trained by another process|has a run") as no:
            train_run(config, digits, folder, resume=resume)
        seen.append(str(no.value))
        assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before

    folder = tmp_path / "run"
    train_run(config, digits, folder, report=second)
    assert len(seen) == 2
    assert not resume or all("is being trained by another process" in text for text in seen)
    alone = train_run(config, digits, tmp_path / "alone")
    same = (read_checkpoint(path / CHECKPOINT).tensors for path in (folder, alone))
    first, other = same
    assert all(torch.equal(value, other[name]) for name, value in first.items())
    train_run(config, digits, folder, resume=True)


def test_a_second_process_is_refused(digits: TrainingSet, tmp_path: Path) -> None:
    """The claim is the kernel's, so it ends with the process that held it."""
    run = RunFolder(tmp_path / "run")
    held = (
        "import sys, time\n"
        "from bench.execution.ledger.claims import try_claim\n"
        "claim = try_claim(sys.argv[1])\n"
        "print('held', flush=True)\n"
        "time.sleep(60)\n"
    )
    run.path.mkdir()
    command = [sys.executable, "-c", held, str(run.path / CLAIM)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        config = small_config("course-gan", num_steps=16)
        with pytest.raises(UsageError, match="is being trained by another process"):
            train_run(config, digits, run.path)
        assert [path.name for path in run.path.iterdir()] == [CLAIM]
        other.kill()
    train_run(config, digits, run.path)
    assert read_checkpoint(run.path / CHECKPOINT).step == 16


def test_resume_starts_a_run_that_never_was(digits: TrainingSet, tmp_path: Path) -> None:
    train_run(small_config("course-gan", num_steps=16), digits, tmp_path / "new", resume=True)
    assert read_checkpoint(tmp_path / "new" / CHECKPOINT).step == 16


def test_taken_folders_and_other_settings_are_refused(digits: TrainingSet, tmp_path: Path) -> None:
    folder = train_run(small_config("course-gan", num_steps=16), digits, tmp_path / "run")
    with pytest.raises(UsageError, match="has a run already; continue it with --resume"):
        train_run(small_config("course-gan", num_steps=16), digits, folder)
    other = small_config("course-gan", "learning_rate=0.01", num_steps=16)
    with pytest.raises(UsageError, match="was trained with learning_rate=0.0002, not 0.01"):
        train_run(other, digits, folder, resume=True)
    fewer = training_set(digits.images[:300].permute(0, 2, 3, 1).numpy(), None, name="fewer")
    with pytest.raises(UsageError, match="was trained on other images than fewer"):
        train_run(small_config("course-gan", num_steps=16), fewer, folder, resume=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(UsageError, match="is not empty"):
        train_run(small_config("course-gan", num_steps=16), digits, tmp_path / "mine")


def test_divergence_is_recorded_where_it_happened(digits: TrainingSet, tmp_path: Path) -> None:
    """exp(v - 1) of the KL loss overflows at a learning rate of 30, within 64 steps."""
    config = small_config("f-gan-kl", "learning_rate=30")
    with pytest.raises(TrainingDiverged, match=r"d_\w+ is not finite at step \d+"):
        train_run(config, digits, tmp_path / "run")
    last = RunFolder(tmp_path / "run").events()[-1]
    assert last["event"] == "diverged"
    assert last["term"].startswith("d_")
    assert 0 < last["step"] < 64
    checkpoint = tmp_path / "run" / CHECKPOINT
    if checkpoint.exists():
        tensors = read_checkpoint(checkpoint).tensors.values()
        assert all(torch.isfinite(value).all() for value in tensors if value.is_floating_point())
    assert TrainingDiverged.exit_code == 1


def poison_after(
    monkeypatch: pytest.MonkeyPatch, block: int, run: int = 0, value: float = torch.nan
) -> None:
    """Set a weight of one run to a value that is not finite at the end of a block whose losses are
    finite.
    """
    from baselines.training.engine import Engine

    run_block, count = Engine.run_block, [0]

    def poisoned(engine: Engine) -> Any:
        terms = run_block(engine)
        count[0] += 1
        if count[0] == block:
            turns = len(engine.lanes) > 1
            weight = engine.lanes[run if turns else 0].parameters["generator"]["out.weight"]
            with torch.no_grad():
                weight[0, 0] = value
        return terms

    monkeypatch.setattr(Engine, "run_block", poisoned)


@pytest.mark.parametrize("block", [2, 4])
def test_a_checkpoint_never_holds_weights_that_are_not_finite(
    block: int, digits: TrainingSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison_after(monkeypatch, block)
    message = rf"networks/generator/out.weight is not finite at step {16 * block}"
    with pytest.raises(TrainingDiverged, match=message):
        train_run(small_config("course-gan"), digits, tmp_path / "run")
    checkpoint = read_checkpoint(tmp_path / "run" / CHECKPOINT)
    assert checkpoint.step == 16 * (block - 1)
    assert torch.isfinite(checkpoint.tensors["networks/generator/out.weight"]).all()
    assert RunFolder(tmp_path / "run").events()[-1]["event"] == "diverged"


def test_a_run_that_diverges_leaves_the_others_of_its_stack_alone(
    digits: TrainingSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs = [small_config("course-gan", seed=seed) for seed in range(3)]
    alone = train_run(configs[2], digits, tmp_path / "alone")
    folders = [tmp_path / f"run-{seed}" for seed in range(3)]
    with monkeypatch.context() as patch:
        poison_after(patch, 2, run=1)
        with pytest.raises(TrainingDiverged, match=r"run-1: networks/generator/out.weight"):
            train_stack(configs, digits, folders)
    ends = [RunFolder(folder).events()[-1]["event"] for folder in folders]
    assert ends == ["end", "diverged", "end"]
    assert read_checkpoint(folders[1] / CHECKPOINT).step == 16
    expected, found = (read_checkpoint(f / CHECKPOINT).tensors for f in (alone, folders[2]))
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    train_stack(configs, digits, folders, resume=True)
    assert RunFolder(folders[1]).events()[-1]["event"] == "end"


def test_runs_at_different_steps_are_resumed_each_from_its_own(
    digits: TrainingSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One run is finished, one interrupted, one not started: the first is left unchanged."""
    configs = [small_config("course-gan", seed=seed) for seed in range(3)]
    folders = [tmp_path / f"run-{seed}" for seed in range(3)]
    whole = [tmp_path / f"whole-{seed}" for seed in range(3)]
    train_stack(configs, digits, whole)
    train_run(configs[0], digits, folders[0])
    with monkeypatch.context() as patch:
        interrupt_after(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            train_run(configs[1], digits, folders[1])
    before = {p: p.read_bytes() for p in folders[0].rglob("*") if p.is_file()}
    train_stack(configs, digits, folders, resume=True)
    assert {p: p.read_bytes() for p in folders[0].rglob("*") if p.is_file()} == before
    assert [e["event"] for e in RunFolder(folders[1]).events()].count("resume") == 1
    for a, b in zip(folders, whole, strict=True):
        found, expected = (read_checkpoint(f / CHECKPOINT).tensors for f in (a, b))
        assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_a_full_disk_ends_the_run_and_keeps_the_checkpoint(
    digits: TrainingSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from baselines.training import checkpoint as module

    write, count = module.write_atomically, [0]

    def full(path: Path, data: bytes) -> None:
        count[0] += 1
        if count[0] == 2:
            raise OSError(28, "No space left on device")
        write(path, data)

    monkeypatch.setattr(module, "write_atomically", full)
    with pytest.raises(OSError, match="No space left"):
        train_run(small_config("course-gan"), digits, tmp_path / "run")
    assert read_checkpoint(tmp_path / "run" / CHECKPOINT).step == 16


def test_stacked_runs_are_folders_of_their_own(digits: TrainingSet, tmp_path: Path) -> None:
    configs = [small_config("course-gan", seed=seed, num_steps=32) for seed in range(2)]
    folders = [tmp_path / f"run-{seed}" for seed in range(2)]
    board = Board()
    train_stack(configs, digits, folders, board=board)
    assert {tag for tag, _, _ in board.seen} >= {"run-0/g_loss", "run-1/g_loss"}
    single = train_run(configs[1], digits, tmp_path / "single")
    tensors = [read_checkpoint(f / CHECKPOINT).tensors for f in (folders[1], single)]
    for name, value in tensors[1].items():
        torch.testing.assert_close(tensors[0][name], value, rtol=1e-4, atol=1e-4, msg=name)
    images = [Sampler(load_run(folder), SamplingOptions()).sample(8).images for folder in folders]
    assert (images[0] != images[1]).any()


def test_a_stack_is_resumed_as_a_stack(
    digits: TrainingSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs = [small_config("course-gan", seed=seed) for seed in range(2)]
    folders = [tmp_path / f"run-{seed}" for seed in range(2)]
    whole = [tmp_path / f"whole-{seed}" for seed in range(2)]
    train_stack(configs, digits, whole)
    with monkeypatch.context() as patch:
        interrupt_after(patch, 1)
        with pytest.raises(KeyboardInterrupt):
            train_stack(configs, digits, folders)
    train_stack(configs, digits, folders, resume=True)
    for a, b in zip(folders, whole, strict=True):
        found, expected = (read_checkpoint(f / CHECKPOINT).tensors for f in (a, b))
        for name, value in expected.items():
            assert torch.equal(found[name], value), name


def test_autoencoders_end_with_fitted_codes(digits: TrainingSet, tmp_path: Path) -> None:
    folder = train_run(small_config("ae-dense", num_steps=32), digits, tmp_path / "run")
    trained = load_run(folder)
    assert trained.checkpoint.tensors["prior/mixture/means"].shape == (10, 6)
    for prior in ("gaussian", "mixture"):
        samples = Sampler(trained, SamplingOptions(prior=prior)).sample(20)  # type: ignore[arg-type]
        assert samples.images.shape == (20, 28, 28, 1)


def test_one_image_is_a_training_set(mnist: RealSample, tmp_path: Path) -> None:
    one = training_set(mnist.images[:1], None, name="one")
    folder = train_run(small_config("ae-dense", num_steps=16), one, tmp_path / "run")
    assert Sampler(load_run(folder), SamplingOptions()).sample(3).images.shape == (3, 28, 28, 1)


def test_images_of_a_sorted_set_are_picked_all_over_it() -> None:
    images = np.arange(250, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 1), np.uint8)
    data = training_set(images, None, name="sorted")
    assert data_images(data, 6)[:, 0, 0, 0].tolist() == [0, 49, 99, 149, 199, 249]
    assert data_images(data, 1)[:, 0, 0, 0].tolist() == [0]
    for num in (250, 999):
        np.testing.assert_array_equal(data_images(data, num), images)


def test_grid_picture() -> None:
    images = np.arange(3, dtype=np.uint8)[:, None, None, None] * np.ones((3, 4, 5, 3), np.uint8)
    picture = np.asarray(grid_picture(images + 10, columns=2))
    assert picture.shape == (2 * 6 - 2, 2 * 7 - 2, 3)
    assert picture[0, 0, 0] == 10
    assert picture[0, 7, 0] == 11
    assert picture[6, 0, 0] == 12
    assert (picture[4:6] == 0).all()
    assert (picture[6:, 7:] == 0).all()
