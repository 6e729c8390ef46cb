"""Training of the demo generator, on a handful of images."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from baselines import train_demo_generator
from baselines.demo_generator import NUM_CLASSES, DemoGenerator, latent
from baselines.train_demo_generator import TrainingGenerator, fold, main
from bench.datasets import Dataset
from tests.conftest import RealSample


@torch.no_grad()
def test_folding_uses_statistics_of_fresh_latents() -> None:
    """The folded generator equals the training one in eval mode once its statistics are set."""
    torch.manual_seed(0)
    trained = TrainingGenerator()
    for norm in (trained.stem_norm, trained.up_norm):
        torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
        torch.nn.init.uniform_(norm.bias, -0.5, 0.5)
    folded = fold(trained, torch.Generator().manual_seed(1))
    z = latent(torch.arange(40) % NUM_CLASSES, torch.Generator().manual_seed(2))
    torch.testing.assert_close(folded(z), trained.eval()(z), rtol=1e-4, atol=1e-5)


def test_the_script_writes_loadable_weights(
    mnist: RealSample,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def load(name: str, split: str, *, data_root: Path | None) -> Dataset:
        assert split == "train"
        return Dataset(name, split, mnist.images[:256], mnist.labels[:256])

    monkeypatch.setattr(train_demo_generator, "load_dataset", load)
    monkeypatch.setattr(train_demo_generator, "NUM_CALIBRATION", 500)
    out = tmp_path / "generator.safetensors"
    monkeypatch.setattr("sys.argv", ["train", "--epochs", "1", "--out", str(out)])
    main()
    model = DemoGenerator()
    model.load_state_dict(load_file(out))
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["num_bytes"] == out.stat().st_size
