"""Training and sampling from Python, as from the command line."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import baselines
from baselines.recipes.config import UNUSED
from baselines.runs.configs import Settings, run_configs, run_name, settings_texts
from baselines.runs.run_folder import CHECKPOINT, RunFolder
from baselines.training.checkpoint import read_checkpoint
from baselines.training.stacked import optimiser_of
from baselines.training.training_images import training_set
from bench.__main__ import run
from bench.errors import EXIT_OK, EXIT_USAGE, UnknownNameError, UsageError
from tests.baselines.conftest import SMALL, train_run
from tests.conftest import RealSample, write_pngs

TINY = (*SMALL["dense-gan"], "num_steps=16")


@pytest.fixture
def digits_path(mnist: RealSample, tmp_path: Path) -> Path:
    """200 real digits as an npz."""
    path = tmp_path / "digits.npz"
    np.savez(path, mnist.images[:200])
    return path


@pytest.mark.usefixtures("_verbs")
def test_python_and_the_command_line_train_the_same_run(digits_path: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    folder = baselines.train(
        "course-gan",
        data=digits_path,
        seed=3,
        settings=TINY,
        out=tmp_path / "python",
        device="cpu",
        report=lambda step, total, _terms: seen.append((step, total)),
    )
    assert seen[-1] == (16, 16)
    words = [part for text in TINY for part in ("--set", text)]
    command = ["train", "course-gan", "--data", str(digits_path), "--seed", "3", *words]
    assert run([*command, "--device", "cpu", "--out", str(tmp_path / "shell"), "-q"]) == EXIT_OK
    ours, theirs = (tmp_path / place / folder.name / CHECKPOINT for place in ("python", "shell"))
    assert ours.read_bytes() == theirs.read_bytes()
    assert read_checkpoint(ours).config.seed == 3


def test_samples_are_returned_and_written(digits_path: Path, tmp_path: Path) -> None:
    folder = baselines.train("course-gan", data=digits_path, settings=TINY, out=tmp_path / "runs")
    samples = baselines.sample(folder, tmp_path / "samples", num_images=7, seed=2)
    files = sorted((tmp_path / "samples").iterdir())
    assert len(files) == 7
    for image, file in zip(samples.images, files, strict=True):
        assert np.array_equal(image[..., 0], np.asarray(Image.open(file)))
    manifest = json.loads((tmp_path / "samples.manifest.json").read_text())
    assert manifest["seed"] == 2
    with pytest.raises(UsageError, match="is not empty"):
        baselines.sample(folder, tmp_path / "samples", num_images=7)
    shutil.rmtree(tmp_path / "samples")
    with pytest.raises(UsageError, match=r"samples\.manifest\.json exists already"):
        baselines.sample(folder, tmp_path / "samples", num_images=7)
    with pytest.raises(UsageError, match=r"2\.5 images: expected a whole number"):
        baselines.sample(folder, tmp_path / "others", num_images=2.5)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="0 images: expected at least 1"):
        baselines.sample(folder, tmp_path / "others", num_images=0)
    options = baselines.SamplingOptions(truncation=0.5)
    cut = baselines.sample(folder, tmp_path / "cut", num_images=7, options=options)
    assert not np.array_equal(cut.images, samples.images)


def test_several_seeds(digits_path: Path, tmp_path: Path) -> None:
    folders = baselines.train_seeds(
        "course-gan", range(2, 4), data=digits_path, settings=TINY, out=tmp_path, device="cpu"
    )
    assert [read_checkpoint(f / CHECKPOINT).config.seed for f in folders] == [2, 3]
    with pytest.raises(UsageError, match="no seed to train with"):
        baselines.train_seeds("course-gan", [])
    with pytest.raises(UsageError, match="a seed appears twice"):
        baselines.train_seeds("course-gan", [0, 0])


def test_one_class_of_a_conditional_model(mnist: RealSample, tmp_path: Path) -> None:
    data = training_set(mnist.images[:100], mnist.labels[:100], name="digits")
    settings = [*SMALL["conditional-dcgan"], "num_steps=16"]
    (config,) = run_configs("conditional-dcgan", [0], settings=settings)
    train_run(config, data, tmp_path / "run")
    samples = baselines.sample(tmp_path / "run", tmp_path / "fours", num_images=6, labels=4)
    assert samples.labels is not None
    assert samples.labels.tolist() == [4] * 6
    assert json.loads((tmp_path / "fours.manifest.json").read_text())["labels"] == [4] * 6


def test_a_run_s_folder_is_named_by_what_differs_from_the_recipe() -> None:
    def name(recipe: str, settings: Settings = (), *, data: str = "mnist", seed: int = 0) -> str:
        return run_name(run_configs(recipe, [seed], data=data, settings=settings)[0])

    assert name("dcgan", seed=3) == "dcgan-mnist-3"
    assert name("dcgan", data="torchvision:KMNIST") == "dcgan-KMNIST-0"
    assert name("dcgan", data="/data/my faces.npz") == "dcgan-my_faces-0"
    assert name("dcgan", data="..").startswith("dcgan-data-0")
    assert name("dcgan", ["beta1=0.5"]) == "dcgan-mnist-0"  # the recipe's own
    assert name("dcgan", data="d.npz:x_test") == "dcgan-d_x_test-0"
    assert name("course-gan", {"tricks.ema": True}, seed=1) == "course-gan-mnist-1-ema"
    assert name("course-gan", {"tricks.ema": True}) == name("course-gan", ["tricks.ema=on"])
    both = ["batch_size=32", "num_steps=9"]
    assert name("dcgan", both) == name("dcgan", both[::-1])
    assert name("dcgan", both) == "dcgan-mnist-0-batch_size=32-num_steps=9"
    assert name("dcgan", ["tricks.ema.decay=0.5", "model.batch_norm_generator=false"]) == (
        "dcgan-mnist-0-batch_norm_generator=off-ema-ema.decay=0.5"
    )
    assert name("wgan-gp", ["tricks.gradient-penalty.weight=1"]) == (
        "wgan-gp-mnist-0-gradient-penalty.weight=1.0"
    )


def test_names_that_cannot_hold_every_setting_end_in_a_digest() -> None:
    def name(*settings: str) -> str:
        return run_name(run_configs("course-gan", [0], settings=settings)[0])

    many = [
        "batch_size=32",
        "num_steps=9",
        "learning_rate=0.00031",
        "beta1=0.25",
        "beta2=0.875",
        "loss=hinge",
        "tricks.ema=on",
    ]
    long, other = name(*many), name(*many[:-1], "tricks.instance-noise=on")
    assert len(long) < 120
    assert re.fullmatch(r"course-gan-mnist-0-[a-z0-9_=.-]+-[0-9a-f]{6}", long)
    assert long != other


def test_out_of_memory_says_what_to_make_smaller(
    digits_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class OutOfMemoryError(RuntimeError):
        pass

    def too_large(*_arguments: object, **_options: object) -> None:
        raise OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr("baselines.runs.api.train_stack", too_large)
    with pytest.raises(UsageError, match=r"out of memory \(CUDA .*\); reduce batch_size"):
        baselines.train("course-gan", data=digits_path, settings=TINY, out=tmp_path)

    def broken(*_arguments: object, **_options: object) -> None:
        raise RuntimeError("seven is not a colour")

    monkeypatch.setattr("baselines.runs.api.train_stack", broken)
    with pytest.raises(RuntimeError, match="seven is not a colour"):
        baselines.train("course-gan", data=digits_path, settings=TINY, out=tmp_path)


@pytest.mark.usefixtures("_verbs")
def test_what_is_left_of_a_run_without_a_checkpoint_is_begun_anew(
    digits_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [part for text in TINY for part in ("--set", text)]
    train = ["train", "course-gan", "--data", str(digits_path), *words, "--out", str(tmp_path)]
    assert run([*train, "--resume", "--eager"]) == EXIT_OK
    assert "no checkpoint to resume from; training starts anew" in capsys.readouterr().err
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    whole = (folder / CHECKPOINT).read_bytes()
    (folder / CHECKPOINT).unlink()  # as a kill leaves it
    (folder / "log.jsonl").write_text('{"event": "start", "ste')
    assert run([*train, "--tensorboard"]) == EXIT_USAGE
    assert "has a run already; continue it with --resume" in capsys.readouterr().err
    assert not (tmp_path / "tensorboard").exists()
    assert run([*train, "--resume"]) == EXIT_OK
    assert (folder / CHECKPOINT).read_bytes() == whole
    assert RunFolder(folder).train_s_until(16) is not None  # the cut line took none with it


def test_settings_as_a_mapping_are_those_of_the_command_line() -> None:
    settings = {
        "tricks.ema": True,
        "loss": "hinge",
        "model.generator_widths": [32, 48],
        "learning_rate": 1e-4,
    }
    texts = settings_texts(settings)
    assert texts == [
        "tricks.ema=true", "loss=hinge", "model.generator_widths=[32, 48]", "learning_rate=0.0001",
    ]  # fmt: skip
    (config,) = run_configs("course-gan", [0], settings=settings)
    assert (config.loss, config.learning_rate) == ("hinge", 1e-4)
    assert set(config.tricks) == {"ema"}
    assert config.model_options["generator_widths"] == [32, 48]
    assert run_configs("course-gan", [0], settings={"tricks.ema": False})[0].tricks == {}
    assert settings_texts({"num_steps": np.int64(16)}) == ["num_steps=16"]
    for wrong, told in (
        ("num_steps=16", "expected a mapping or a list"),
        (3, "expected a mapping or a list"),
        ([3], "setting 3: expected a text"),
        ({"num_steps": object()}, "a setting of object: expected a text, number or list"),
    ):
        with pytest.raises(UsageError, match=told):
            settings_texts(wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="data of ndarray: expected a name or the path"):
        run_configs("course-gan", [0], data=np.zeros(3))  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="unknown setting 'speed'"):
        run_configs("course-gan", [0], settings={"speed": 3})


@pytest.mark.parametrize(
    ("recipe", "settings", "message"),
    [
        (
            "course-gan-tricks",
            ["learning_rate=1e-3"],
            "'learning_rate=1e-3' has no effect: trick 'two-time-scales' replaces it by "
            "tricks.two-time-scales.generator and tricks.two-time-scales.discriminator",
        ),
        (
            "course-gan",
            ["learning_rate=1", "tricks.two-time-scales=on"],
            "'learning_rate=1' has no",
        ),
        ("wgan", ["beta1=0.3"], "'beta1=0.3' has no effect: optimiser 'rmsprop' does not use it"),
        ("vae", ["optimiser=sgd", "beta2=0.3"], "'beta2=0.3' has no effect: optimiser 'sgd'"),
    ],
)
def test_settings_without_effect_are_refused(
    recipe: str, settings: list[str], message: str
) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        run_configs(recipe, [0, 1], settings=settings)


@pytest.mark.parametrize("optimiser", UNUSED)
def test_optimisers_use_exactly_the_settings_reported_to_have_an_effect(optimiser: str) -> None:
    def defaults(**changes: object) -> dict[str, object]:
        (config,) = run_configs("course-gan", [0], settings={"optimiser": optimiser})
        weights = [torch.zeros(2, requires_grad=True)]
        return optimiser_of(config.model_copy(update=changes), weights, 0.1, "cpu").defaults

    for key in ("beta1", "beta2"):
        assert (defaults() == defaults(**{key: 0.123})) == (key in UNUSED[optimiser])


def test_settings_with_an_effect_are_taken() -> None:
    settings = ["optimiser=sgd", "beta1=0.3", "learning_rate=0.1"]
    assert run_configs("course-gan", [0], settings=settings)[0].beta1 == 0.3
    off = {"learning_rate": 0.1, "tricks.two-time-scales": False}
    assert run_configs("course-gan-tricks", [0], settings=off)[0].learning_rate == 0.1


@pytest.mark.usefixtures("_verbs")
def test_a_conditional_model_learns_classes_of_your_own(mnist: RealSample, tmp_path: Path) -> None:
    """Folders of three classes and another size: train, resume and sample with labels."""
    for label in range(3):
        write_pngs(mnist.images[mnist.labels == label][:20], tmp_path / "own" / f"class-{label}")
    words = ["--data", str(tmp_path / "own"), "--resize", "16x16", "--out", str(tmp_path / "runs")]
    words += ["--set", "num_steps=2", "--set", "batch_size=4", "--device", "cpu", "-q"]
    assert run(["train", "conditional-dense-gan", *words]) == EXIT_OK
    (folder,) = (tmp_path / "runs").iterdir()
    config = read_checkpoint(folder / CHECKPOINT).config
    assert config.resize == "16x16"
    samples = baselines.sample(folder, tmp_path / "s", num_images=6, labels=[0, 1, 2, 0, 1, 2])
    assert samples.images.shape == (6, 16, 16, 1)
    assert run(["train", "conditional-dense-gan", *words, "--resume"]) == EXIT_OK
    shutil.rmtree(tmp_path / "own" / "class-1")
    shutil.rmtree(tmp_path / "own" / "class-2")
    for file in (tmp_path / "own" / "class-0").iterdir():
        file.rename(tmp_path / "own" / file.name)
    (tmp_path / "own" / "class-0").rmdir()
    words = [*words[:-1], "--out", str(tmp_path / "others")]
    assert run(["train", "conditional-dense-gan", *words]) == EXIT_USAGE


def test_resize_is_part_of_a_configuration_only_when_it_is_given() -> None:
    """Digests of configurations name published runs; a new field must not change them."""
    (plain,) = run_configs("course-gan", [0])
    (resized,) = run_configs("course-gan", [0], settings={"resize": "32X24"})
    assert plain.resize is None
    assert resized.resize == "32x24"
    assert plain.digest != resized.digest
    fields = plain.model_dump(mode="json")
    del fields["resize"]
    text = json.dumps(fields, sort_keys=True)
    assert plain.digest == hashlib.sha256(text.encode()).hexdigest()
    with pytest.raises(UsageError, match="expected WIDTHxHEIGHT"):
        run_configs("course-gan", [0], settings={"resize": "32by24"})
