"""Training of the embedded extractors, on a few images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from baselines.tools import train_extractor
from baselines.tools.train_extractor import (
    RECIPES,
    TrainingCNN,
    augment,
    calibrate,
    fold,
    main,
    standardise,
)
from bench.data.datasets import Dataset
from bench.extractors.compact_cnn import CompactCNN
from tests.conftest import RealSample


@pytest.fixture
def trained(mnist: RealSample) -> TrainingCNN:
    """Return random weights with the batch-norm statistics of real images."""
    torch.manual_seed(0)
    model = TrainingCNN()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.5, 0.5)
    x = torch.from_numpy(mnist.images[:256]).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        for _ in range(30):
            model((x - 0.13) / 0.31)
    return model.eval()


def as_tensor(sample: RealSample, n: int) -> torch.Tensor:
    return torch.from_numpy(sample.images[:n]).permute(0, 3, 1, 2).float() / 255


@torch.no_grad()
def test_folding_changes_nothing(trained: TrainingCNN, mnist: RealSample) -> None:
    x = as_tensor(mnist, 64)
    folded = fold(trained, 0.13, 0.31)
    torch.testing.assert_close(folded(x)[1], trained((x - 0.13) / 0.31), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_standardising_keeps_the_logits(trained: TrainingCNN, mnist: RealSample) -> None:
    x = as_tensor(mnist, 400)
    model = fold(trained, 0.13, 0.31)
    before = model(x)[1]
    standardise(model, x)
    features, logits = model(x)
    torch.testing.assert_close(logits, before, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(features.mean(0), torch.zeros(128), rtol=0, atol=1e-4)
    torch.testing.assert_close(features.std(0), torch.ones(128), rtol=1e-3, atol=0)


@torch.no_grad()
def test_a_unit_that_never_fires_stays_at_zero(trained: TrainingCNN, mnist: RealSample) -> None:
    x = as_tensor(mnist, 100)
    model = fold(trained, 0.13, 0.31)
    model.stem.weight[3] = 0
    model.stem.bias[3] = -1
    standardise(model, x)
    features, logits = model(x)
    assert (features[:, 3] == 0).all()
    assert torch.isfinite(logits).all()


@torch.no_grad()
def test_calibration_finds_the_temperature() -> None:
    """For labels drawn from softmax(logits / 0.4), the best temperature is near 0.4."""
    torch.manual_seed(0)
    model = CompactCNN()
    x = torch.rand(4000, 1, 28, 28)
    model.head.weight.normal_(std=3.0)
    standardise(model, x)
    features, logits = model(x)
    labels = torch.multinomial((logits / 0.4).softmax(1), 1)[:, 0]
    before = F.cross_entropy(logits, labels)
    assert calibrate(model, x, labels) == pytest.approx(0.4, rel=0.1)
    after_features, after_logits = model(x)
    assert F.cross_entropy(after_logits, labels) < before
    torch.testing.assert_close(after_features, features)
    assert (after_logits.argmax(1) == logits.argmax(1)).all()


@pytest.mark.parametrize("name", RECIPES)
def test_augmentation(name: str, mnist: RealSample) -> None:
    x = as_tensor(mnist, 50)
    first, again, other = (
        augment(x, RECIPES[name], torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert first.shape == x.shape
    torch.testing.assert_close(first, again)
    assert (first != other).any()
    assert first.min() >= 0
    assert first.max() <= 1
    still = RECIPES[name]._replace(
        max_rotation_deg=0, max_scale=0, max_shear=0, max_shift_px=0, flip=False, cutout_px=0
    )
    torch.testing.assert_close(augment(x, still, torch.Generator()), x, rtol=0, atol=1e-5)


def test_the_script_trains_on_the_train_split_and_reports(
    mnist: RealSample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    splits: list[str] = []

    def load(name: str, split: str, *, data_root: Path | None) -> Dataset:
        splits.append(split)
        part = slice(0, 640) if split == "train" else slice(640, 840)
        return Dataset(name, split, mnist.images[part], mnist.labels[part])

    monkeypatch.setattr(train_extractor, "load_dataset", load)
    out = tmp_path / "digits.safetensors"
    monkeypatch.setattr(
        "sys.argv", ["train_extractor", "digits", "--num-epochs", "2", "--out", str(out)]
    )
    main()
    assert splits == ["train", "test"]
    report = json.loads(out.with_suffix(".json").read_text())
    assert 0 <= report["test_accuracy"] <= 1
    model = CompactCNN()
    model.load_state_dict(load_file(out))
    assert all(np.isfinite(value.numpy()).all() for value in model.state_dict().values())
