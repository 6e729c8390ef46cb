"""The demo: generator, samples folder, audit, score."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from baselines import demo_generator
from baselines.demo_generator import NUM_CLASSES, generate_digits, latent, load_generator, to_uint8
from baselines.sample import write_samples
from bench.__main__ import run
from bench.errors import EXIT_OK, EXIT_USAGE, BundleError, UsageError
from bench.extractors import EXTRACTORS
from bench.record import read_records


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
    agreement = (features.logits.argmax(1) == np.arange(500) % NUM_CLASSES).mean()
    assert agreement > 0.9


def test_same_seed_same_images() -> None:
    np.testing.assert_array_equal(generate_digits(30, seed=1), generate_digits(30, seed=1))
    assert (generate_digits(30, seed=1) != generate_digits(30, seed=2)).any()


def test_latent_holds_noise_and_class() -> None:
    z = latent(torch.tensor([3, 0]), torch.Generator().manual_seed(0))
    assert z.shape == (2, 64)
    assert z[:, 54:].argmax(1).tolist() == [3, 0]
    assert z[:, 54:].sum() == 2


def test_pixels_are_rounded_to_nearest() -> None:
    x = torch.tensor([-1.0, 0.0, 1.0, 2.0]).view(1, 1, 2, 2)
    # (0 + 1) * 127.5 = 127.5, which rounds half to even: 128
    assert to_uint8(x)[0, :, :, 0].tolist() == [[0, 128], [255, 255]]


def test_damaged_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_generator, "WEIGHTS_SHA256", "0" * 64)
    with pytest.raises(BundleError, match="demo-generator.safetensors are damaged"):
        load_generator()


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
        with pytest.raises(UsageError, match=r"holds files already \('a.txt'"):
            write_samples(np.zeros((2, 4, 4, 1), np.uint8), tmp_path, replace=replace)


def test_the_demo_never_replaces_a_hand_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_samples(np.zeros((5, 28, 28, 1), np.uint8), tmp_path / "hw3" / "samples")
    assert run(["demo", "-n", "20", "--out", "hw3"]) == EXIT_USAGE
    assert "give a new folder" in capsys.readouterr().err
    assert len(list((tmp_path / "hw3" / "samples").iterdir())) == 5
