"""The demo: generator, samples folder, audit, score."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from baselines.recipes.table import recipe_config
from baselines.runs import demo
from baselines.runs.demo import generate_digits, load_demo, main
from baselines.runs.run_folder import CHECKPOINT, load_run
from baselines.sampling.sampler import Sampler, SamplingOptions
from baselines.sampling.samples_folder import write_samples
from baselines.training.training_images import TrainingSet
from bench.__main__ import run
from bench.errors import EXIT_OK, EXIT_USAGE, BundleError, UsageError
from bench.extractors import EXTRACTORS
from bench.records.score_record import read_records
from tests.baselines.conftest import train_run


def test_demo_from_nothing_to_a_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["demo", "-n", "500"]) == EXIT_OK
    out = capsys.readouterr().out
    assert "valid: 500 files" in out
    assert "precision_k3" in out
    assert "latentbench score YOUR_FOLDER" in out
    samples = tmp_path / "latentbench-demo" / "samples"
    assert len(list(samples.iterdir())) == 500
    (record,) = read_records(tmp_path / "latentbench-demo" / "records.jsonl")
    assert record.value("modes_covered") == 10
    # far from noise (FID in the thousands), not perfect: an honest generator
    assert record.value("fid") < 100
    # again, over its own earlier samples
    assert run(["demo", "-n", "20"]) == EXIT_OK
    assert len(list(samples.iterdir())) == 20
    (samples / "mine.txt").write_text("precious")
    assert run(["demo", "-n", "20"]) == EXIT_USAGE
    assert (samples / "mine.txt").read_text() == "precious"


def test_generated_digits_are_the_classes_asked_for() -> None:
    images = generate_digits(500, seed=3)
    assert (images.shape, images.dtype) == ((500, 28, 28, 1), np.uint8)
    features = EXTRACTORS["digits"].resolve().load()(images)
    assert features.logits is not None
    agreement = (features.logits.argmax(1) == np.arange(500) % 10).mean()
    assert agreement > 0.9


def test_same_seed_same_images() -> None:
    np.testing.assert_array_equal(generate_digits(30, seed=1), generate_digits(30, seed=1))
    assert (generate_digits(30, seed=1) != generate_digits(30, seed=2)).any()


def test_damaged_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "WEIGHTS_SHA256", "0" * 64)
    with pytest.raises(BundleError, match="demo-gan.safetensors are damaged"):
        load_demo()


def test_the_bundled_run_is_of_its_recipe() -> None:
    trained = load_demo()
    config = trained.checkpoint.config
    settings = [f"num_steps={config.num_steps}"]
    assert config == recipe_config("demo-gan", data="mnist", seed=0, settings=settings)
    assert trained.checkpoint.step == config.num_steps


def test_a_run_without_the_tensors_of_training_gives_the_same_samples(
    tmp_path: Path, digits: TrainingSet, capsys: pytest.CaptureFixture[str]
) -> None:
    config = recipe_config("demo-gan", settings=["num_steps=16", "model.width=4"])
    run = train_run(config, digits, tmp_path / "run")
    main([str(run), "--out", str(tmp_path / "small.safetensors")])
    assert "SHA-256" in capsys.readouterr().out
    small, whole = tmp_path / "small.safetensors", run / CHECKPOINT
    assert small.stat().st_size < whole.stat().st_size / 2
    options = SamplingOptions(rejection_gamma=50)  # reads generator and discriminator
    images = [Sampler(load_run(path), options).sample(12).images for path in (small, whole)]
    np.testing.assert_array_equal(*images)


@pytest.mark.parametrize("channels", [1, 3])
def test_written_samples_are_the_images(tmp_path: Path, channels: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (7, 9, 5, channels), dtype=np.uint8)
    write_samples(images, tmp_path / "deep" / "samples")
    paths = sorted((tmp_path / "deep" / "samples").iterdir())
    assert [p.name for p in paths] == [f"{i:05d}.png" for i in range(7)]
    for path, image in zip(paths, images, strict=True):
        with Image.open(path) as picture:
            np.testing.assert_array_equal(np.asarray(picture).reshape(image.shape), image)


def test_a_failed_write_leaves_the_earlier_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "samples"
    write_samples(np.zeros((2, 4, 4, 1), np.uint8), folder)

    def fail(self: Image.Image, path: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        write_samples(np.ones((3, 4, 4, 1), np.uint8), folder, replace=True)
    assert [p.name for p in tmp_path.iterdir()] == ["samples"]
    assert len(list(folder.iterdir())) == 2


def test_foreign_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("mine")
    for replace in (False, True):
        with pytest.raises(UsageError, match=r"is not empty \('a.txt'"):
            write_samples(np.zeros((2, 4, 4, 1), np.uint8), tmp_path, replace=replace)


def test_the_demo_never_replaces_a_hand_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_samples(np.zeros((5, 28, 28, 1), np.uint8), tmp_path / "hw3" / "samples")
    assert run(["demo", "-n", "20", "--out", "hw3"]) == EXIT_USAGE
    assert "give a new folder" in capsys.readouterr().err
    assert len(list((tmp_path / "hw3" / "samples").iterdir())) == 5
