"""The verbs train, sample and recipes, from the command line to a score."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import baselines
from baselines.models.losses import LOSSES
from baselines.recipes.table import RECIPES
from baselines.runs.run_folder import CHECKPOINT
from baselines.training.checkpoint import read_checkpoint
from baselines.tricks import TRICKS
from bench.__main__ import run
from bench.errors import EXIT_INTERRUPTED, EXIT_INVALID, EXIT_OK, EXIT_USAGE
from bench.records.score_record import read_records
from tests.baselines.conftest import SMALL
from tests.conftest import RealSample

pytestmark = pytest.mark.usefixtures("_verbs")

TINY = [part for key in SMALL["dense-gan"] for part in ("--set", key)]


@pytest.fixture
def images(mnist: RealSample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """200 real digits as an npz, in a working directory of its own."""
    monkeypatch.chdir(tmp_path)
    np.savez(tmp_path / "digits.npz", mnist.images[:200])
    return "digits.npz"


def test_from_a_recipe_to_a_score(images: str, capsys: pytest.CaptureFixture[str]) -> None:
    train = ["train", "course-gan", "--data", images, *TINY, "--set", "num_steps=32"]
    assert run([*train, "--device", "cpu", "--out", "r"]) == EXIT_OK
    told = capsys.readouterr().out
    (folder,) = Path("r").iterdir()
    assert folder.name.startswith("course-gan-digits-0-")
    assert f"latentbench sample {folder}" in told
    assert run(["sample", str(folder), "-n", "300", "--out", "samples", "--seed", "5"]) == EXIT_OK
    assert "300 images in samples, manifest samples.manifest.json" in capsys.readouterr().out
    assert len(list(Path("samples").iterdir())) == 300
    manifest = json.loads(Path("samples.manifest.json").read_text())
    assert (manifest["recipe"], manifest["seed"], manifest["step"]) == ("course-gan", 5, 32)
    assert manifest["config_digest"] == json.loads((folder / "config.json").read_text())["digest"]
    assert run(["score", "samples", "--out", "results", "--metrics", "fid"]) == EXIT_OK
    (record,) = read_records(Path("results/records.jsonl"))
    assert record.value("fid") > 100, "32 steps of a tiny network make no digits"
    assert run(["sample", str(folder), "-n", "3", "--out", "samples"]) == EXIT_USAGE
    assert run([*train, "--out", "r"]) == EXIT_USAGE
    assert "continue it with --resume" in capsys.readouterr().err
    assert run([*train, "--out", "r", "--resume"]) == EXIT_OK


def test_an_embedding_is_measured_and_cannot_be_sampled(
    images: str, capsys: pytest.CaptureFixture[str]
) -> None:
    small = [part for key in SMALL["embedding"] for part in ("--set", key)]
    train = ["train", "drlim", "--data", images, *small, "--set", "num_steps=16", "-q"]
    assert run([*train, "--device", "cpu", "--out", "r"]) == EXIT_OK
    (folder,) = Path("r").iterdir()
    assert f"next: latentbench latent {folder} --data digits.npz" in capsys.readouterr().out
    measure = ["latent", str(folder), "--data", images, "--only", "invariance", "-q"]
    assert run([*measure, "--device", "cpu", "--out", "measured"]) == EXIT_OK
    assert "variation by a linear map" in capsys.readouterr().out
    assert len(list(Path("measured").glob("drlim*/record.json"))) == 1
    assert run(["sample", str(folder), "-n", "3", "--out", "samples"]) == EXIT_USAGE
    assert "latentbench latent RUN" in capsys.readouterr().err


def test_several_seeds_are_runs_of_their_own(
    images: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.baselines.runs.test_train import interrupt_after

    train = ["train", "wgan", "--data", images, *TINY, "--set", "num_steps=48", "--device", "cpu"]
    several = [*train, "--seed", "3", "--num-seeds", "2"]
    with monkeypatch.context() as patch:
        interrupt_after(patch, 2)
        assert run(several) == EXIT_INTERRUPTED
    assert run(several) == EXIT_USAGE, "taken"
    assert run([*several, "--resume"]) == EXIT_OK
    folders = sorted(Path("runs").iterdir())
    assert [folder.name.split("-")[2] for folder in folders] == ["3", "4"]
    told = capsys.readouterr().out
    assert all(f"{folder}\n" in told for folder in folders)
    assert f"latentbench sample {folders[0]}" in told
    assert run([*train, "--seed", "4", "--out", "alone"]) == EXIT_OK
    (alone,) = Path("alone").iterdir()
    assert alone.name == folders[1].name
    stacked, single = (read_checkpoint(f / CHECKPOINT).tensors for f in (folders[1], alone))
    assert all(torch.equal(stacked[name], value) for name, value in single.items())


def test_a_folder_in_use_is_refused_before_anything_is_sampled(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.txt").write_text("x")
    assert run(["sample", "no-such-run", "--out", str(tmp_path)]) == EXIT_USAGE
    assert "is not empty" in capsys.readouterr().err


def test_dry_run_prints_the_whole_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "wgan-gp", "--dry-run", "--seed", "4"]) == EXIT_OK
    config = json.loads(capsys.readouterr().out)
    assert config["seed"] == 4
    assert config["tricks"]["gradient-penalty"] == {"weight": 10.0}
    assert config["model_options"]["generator_widths"] == [256, 512, 1024]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["course-gann"], "unknown recipe 'course-gann'. Did you mean 'course-gan'?"),
        (["vae", "--set", "tricks.r1=on"], "tricks are for GANs"),
        (["course-gan", "--set", "tricks.emma=on"], "unknown trick 'emma'"),
        (["course-gan", "--set", "speed=3"], "Valid: batch_size"),
        (["wgan-gp", "--set", "tricks.weight-clipping=on"], "the penalty replaces clipping"),
        (["dcgan", "--data", "mnits"], "unknown data set 'mnits'"),
        (["dcgan", "--device", "tpu"], "cpu, cuda"),
    ],
)
def test_usage_errors(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["train", *arguments]) == EXIT_USAGE
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_interrupted_run_exits_2_and_goes_on(
    images: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.baselines.runs.test_train import interrupt_after

    train = ["train", "course-gan", "--data", images, *TINY, "--set", "num_steps=64"]
    with monkeypatch.context() as patch:
        interrupt_after(patch, 2)
        assert run(train) == EXIT_INTERRUPTED
    (folder,) = Path("runs").iterdir()
    assert (folder / "checkpoint.safetensors").is_file()
    assert run([*train, "--resume"]) == EXIT_OK


def test_a_diverged_run_exits_1(images: str, capsys: pytest.CaptureFixture[str]) -> None:
    train = ["train", "f-gan-kl", "--data", images, *TINY, "--set", "num_steps=64"]
    assert run([*train, "--set", "learning_rate=30"]) == EXIT_INVALID
    assert "is not finite at step" in capsys.readouterr().err


def test_sampling_tricks_and_autoencoders(images: str, capsys: pytest.CaptureFixture[str]) -> None:
    train = ["train", "course-gan", "--data", images, *TINY, "--set", "num_steps=16"]
    assert run([*train, "--out", "r"]) == EXIT_OK
    (folder,) = Path("r").iterdir()
    for number, option in enumerate((["--truncation", "0.5"], ["--rejection-budget", "2"])):
        assert run(["sample", str(folder), "-n", "20", "--out", f"s{number}", *option]) == EXIT_OK
    assert "acceptance rate" in capsys.readouterr().out
    assert run(["sample", str(folder), "--out", "x", "--rejection-gamma", "120"]) == EXIT_USAGE
    assert "0 to 100" in capsys.readouterr().err
    small = [part for key in SMALL["autoencoder"] for part in ("--set", key)]
    auto = ["train", "ae-dense", "--data", images, *small, "--set", "num_steps=16", "--out", "a"]
    assert run(auto) == EXIT_OK
    (folder,) = Path("a").iterdir()
    assert run(["sample", str(folder), "-n", "5", "--out", "g", "--prior", "gaussian"]) == EXIT_OK
    assert run(["sample", str(folder), "-n", "5", "--out", "h", "--prior", "normal"]) == EXIT_USAGE


def test_one_class_of_a_conditional_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (demo,) = (Path(baselines.__file__).parent / "weights").glob("*.safetensors")
    command = ["sample", str(demo), "-n", "6", "--out"]
    assert run([*command, "sevens", "--label", "7"]) == EXIT_OK
    assert run([*command, "all"]) == EXIT_OK
    manifest = json.loads(Path("sevens.manifest.json").read_text())
    assert manifest["labels"] == [7] * 6
    first, other = (Path(name, "00000.png").read_bytes() for name in ("sevens", "all"))
    assert first != other  # of all classes the first is a zero
    capsys.readouterr()
    assert run([*command, "tens", "--label", "10"]) == EXIT_USAGE
    assert "the model has classes 0 to 9" in capsys.readouterr().err
    assert not Path("tens").exists()


def test_recipes_lists_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["recipes"]) == EXIT_OK
    out = capsys.readouterr().out
    for name in (*RECIPES, *TRICKS, *LOSSES):
        assert name in out


def test_without_tensorboard_the_extra_is_named(
    images: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert run(["train", "course-gan", "--data", images, "--tensorboard"]) == EXIT_USAGE
    assert "pip install tensorboard" in capsys.readouterr().err
    assert not Path("runs").exists()


def test_train_may_fetch_its_data(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []
    monkeypatch.setattr("bench.data.datasets._download", lambda _source, root: asked.append(root))
    train = ["train", "course-gan", "--data", "mnist", *TINY, "--data-root", "empty"]
    assert run(train) == EXIT_USAGE
    assert "with --download (of train, ablate, ladder and" in capsys.readouterr().err
    assert not asked
    assert run([*train, "--download"]) == EXIT_USAGE  # this one fetches nothing
    assert asked == [Path("empty")]


def test_tensorboard_reads_what_the_log_says(images: str) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train = ["train", "course-gan", "--data", images, *TINY, "--set", "num_steps=32"]
    assert run([*train, "--tensorboard"]) == EXIT_OK
    (written,) = Path("runs/tensorboard").iterdir()
    events = EventAccumulator(str(written))
    events.Reload()
    log = Path("runs") / written.name / "log.jsonl"
    told = [json.loads(line) for line in log.read_text().splitlines()]
    logged = [event for event in told if event["event"] == "terms"]
    assert logged
    for term in ("d_loss", "g_loss"):
        scalars = events.Scalars(term)
        assert [scalar.step for scalar in scalars] == [event["step"] for event in logged]
        assert [scalar.value for scalar in scalars] == pytest.approx([e[term] for e in logged])


def test_losses_beside_the_bar_on_a_terminal(
    images: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    train = ["train", "course-gan", "--data", images, *TINY, "--set", "num_steps=32"]
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", "120")
    assert run(train) == EXIT_OK
    shown = capsys.readouterr().err
    assert "d_loss" in shown
    assert "32/32" in shown
