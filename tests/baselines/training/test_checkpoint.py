"""Checkpoints: written atomically, refused when damaged."""

from __future__ import annotations

import json
import math
import pickletools
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from baselines.runs.run_folder import checkpoint_of, load_run
from baselines.training.checkpoint import read_checkpoint, write_checkpoint
from baselines.training.training_images import TrainingSet
from bench.errors import EXIT_USAGE, BundleError, LatentbenchError, UsageError
from tests.baselines.conftest import small_engine


def test_there_and_back(digits: TrainingSet, tmp_path: Path) -> None:
    engine = small_engine("dcgan", digits, "tricks.ema=on")
    engine.run_block()
    before = checkpoint_of(engine)
    path = tmp_path / "checkpoint.safetensors"
    write_checkpoint(path, before)
    after = read_checkpoint(path)
    assert after._replace(tensors={}) == before._replace(tensors={})
    assert after.step == 16
    assert set(after.tensors) == set(before.tensors)
    for name, value in before.tensors.items():
        assert torch.equal(after.tensors[name], value)
        assert after.tensors[name].dtype == value.dtype
    kinds = {name.split("/")[0] for name in after.tensors}
    assert kinds == {"networks", "optimisers", "tricks"}


def test_it_is_safetensors_with_json_and_no_pickle(digits: TrainingSet, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    write_checkpoint(path, checkpoint_of(small_engine("course-gan", digits)))
    with safe_open(path, "pt") as file:
        meta = json.loads(file.metadata()["latentbench"])
    assert meta["config"]["recipe"] == "course-gan"
    with pytest.raises(ValueError, match="opcode"):
        list(pickletools.genops(path.read_bytes()))


def test_a_full_disk_leaves_the_last_good_checkpoint(
    digits: TrainingSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = small_engine("course-gan", digits)
    path = tmp_path / "checkpoint.safetensors"
    write_checkpoint(path, checkpoint_of(engine))
    good = path.read_bytes()
    engine.run_block()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bench.runtime.whole_files.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_checkpoint(path, checkpoint_of(engine))
    assert path.read_bytes() == good
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_damaged_and_foreign_files(digits: TrainingSet, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    with pytest.raises(UsageError, match="no checkpoint; train the run first"):
        read_checkpoint(path)
    write_checkpoint(path, checkpoint_of(small_engine("course-gan", digits)))
    whole = path.read_bytes()
    for damaged in (b"", whole[:1000], whole[:-100], b"PK" + whole[2:]):
        path.write_bytes(damaged)
        with pytest.raises(BundleError, match="not a readable checkpoint"):
            read_checkpoint(path)
    from safetensors.torch import save

    path.write_bytes(save({"a": torch.zeros(1)}))
    with pytest.raises(BundleError, match="not a readable checkpoint"):
        read_checkpoint(path)


def test_another_architecture_does_not_fit(digits: TrainingSet) -> None:
    small, other = (
        small_engine("course-gan", digits),
        small_engine("course-gan", digits, "model.latent_dim=9"),
    )
    with pytest.raises(UsageError, match=r"hidden\.0\.weight: shape .* in the checkpoint"):
        other.load([small.tensors()], 0)
    with pytest.raises(UsageError, match="has no tensor 'tricks/ema"):
        small_engine("course-gan", digits, "tricks.ema=on").load([small.tensors()], 0)


def _written(path: Path, meta: object, tensors: dict[str, torch.Tensor]) -> Path:
    from safetensors.torch import save

    path.write_bytes(save(tensors, metadata={"latentbench": json.dumps(meta)}))
    return path


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"step": math.inf}, "step is inf"),
        ({"step": -1}, "step is -1"),
        ({"step": True}, "step is True"),
        ({"step": 1 << 60}, "step is"),
        ({"config": []}, "not a readable checkpoint"),
        ({"config": None}, "not a readable checkpoint"),
        ({"config": {"recipe": 7}}, "not a readable checkpoint|unknown recipe|config"),
        ({"image_shape": [1, 28]}, "not a readable checkpoint"),
        ({"image_shape": [1, 28, 1e400]}, "image_shape is inf"),
        ({"num_classes": "ten"}, "num_classes is 'ten'"),
        ({"format": 2}, "format 2, this version reads 1"),
    ],
)
def test_headers_that_no_training_writes(
    digits: TrainingSet, tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    path = tmp_path / "checkpoint.safetensors"
    write_checkpoint(path, checkpoint_of(small_engine("course-gan", digits)))
    with safe_open(path, "pt") as file:
        meta = json.loads(file.metadata()["latentbench"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    with pytest.raises(LatentbenchError, match=said) as caught:
        read_checkpoint(_written(path, meta | changes, tensors))
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == EXIT_USAGE


@pytest.mark.parametrize("meta", [[], None, 7, "x", {}])
def test_headers_that_are_no_objects(tmp_path: Path, meta: object) -> None:
    path = _written(tmp_path / "checkpoint.safetensors", meta, {"a": torch.zeros(1)})
    with pytest.raises(BundleError, match="not a readable checkpoint"):
        read_checkpoint(path)


def test_a_deeply_nested_header(tmp_path: Path) -> None:
    from safetensors.torch import save

    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(save({"a": torch.zeros(1)}, metadata={"latentbench": "[" * 100_000}))
    with pytest.raises(BundleError, match="not a readable checkpoint: RecursionError"):
        read_checkpoint(path)


def test_a_run_without_some_tensors_is_refused(digits: TrainingSet, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    whole = checkpoint_of(small_engine("course-gan", digits))
    name = next(key for key in whole.tensors if key.startswith("networks/generator/"))
    rest = {key: value for key, value in whole.tensors.items() if key != name}
    for tensors, said in (
        (rest, f"has no tensor '{name}'"),
        (rest | {name: torch.zeros(3, 5, 7)}, rf"tensor '{name}' has shape \(3, 5, 7\)"),
        (whole.tensors | {"networks/generator/extra": torch.zeros(1)}, "unknown tensor .*extra"),
    ):
        write_checkpoint(path, whole._replace(tensors=tensors))
        with pytest.raises(BundleError, match=f"{path}: .*{said}"):
            load_run(path)
    write_checkpoint(path, whole._replace(image_shape=(1, 0, 0)))
    with pytest.raises(LatentbenchError) as caught:
        load_run(path)
    assert caught.value.exit_code == EXIT_USAGE
