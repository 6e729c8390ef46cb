"""Training and sampling from Python: the same as from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import baselines
from baselines.checkpoint import read_checkpoint
from baselines.run_folder import CHECKPOINT
from baselines.verbs import configs_of, settings_texts
from bench.__main__ import run
from bench.errors import EXIT_OK, UnknownNameError, UsageError
from tests.baselines.conftest import SMALL
from tests.conftest import RealSample

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
    with pytest.raises(UsageError, match="holds files already"):
        baselines.sample(folder, tmp_path / "samples", num_images=7)
    with pytest.raises(UsageError, match="0 images: expected 1 or more"):
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
    (config,) = configs_of("course-gan", [0], settings=settings)
    assert (config.loss, config.learning_rate) == ("hinge", 1e-4)
    assert set(config.tricks) == {"ema"}
    assert config.model_options["generator_widths"] == [32, 48]
    assert configs_of("course-gan", [0], settings={"tricks.ema": False})[0].tricks == {}
    with pytest.raises(UsageError, match="expected a mapping or a list"):
        settings_texts("num_steps=16")
    with pytest.raises(UnknownNameError, match="unknown setting 'speed'"):
        configs_of("course-gan", [0], settings={"speed": 3})
