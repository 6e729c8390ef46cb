"""Read weights files: what torch.save, safetensors and TorchScript write, and what is refused."""

from __future__ import annotations

import io
import pickle
import struct
import warnings
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from bench.errors import BundleError
from bench.extractors.weights_files import load_state
from bench.extractors.weights_reading import load_strictly


def saved(path: Path, state: object, **options: object) -> Path:
    torch.save(state, path, **options)  # type: ignore[arg-type]
    return path


STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "n": torch.tensor(3)}


@pytest.mark.parametrize("zipped", [True, False])
def test_what_torch_save_writes(tmp_path: Path, *, zipped: bool) -> None:
    path = saved(tmp_path / "w.pth", STATE, _use_new_zipfile_serialization=zipped)
    found = load_state(path)
    assert list(found) == list(STATE)
    assert all(torch.equal(found[name], STATE[name]) for name in STATE)


def test_safetensors(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "w.safetensors")
    found = load_state(tmp_path / "w.safetensors")
    assert all(torch.equal(found[name], STATE[name]) for name in STATE)


class Inner(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, bias=False).half()
        self.norm = nn.BatchNorm2d(4)
        self.token = nn.Parameter(torch.randn(5))
        self.layers = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.MultiheadAttention(4, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


class Outer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.visual = Inner()
        self.shared = nn.Parameter(torch.randn(4, 8)[:, ::2])  # a view with strides
        self.register_buffer("count", torch.tensor(224))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 1


def torchscript(module: nn.Module, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated; CLIP comes in it
        torch.jit.trace(module.eval(), torch.zeros(1)).save(path)
    return path


def test_torchscript_is_read_as_torch_reads_it(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = torchscript(Outer(), tmp_path / "w.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = torch.jit.load(path).state_dict()
    found = load_state(path)
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value)


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def in_archive(path: Path, source: Path, data: bytes) -> Path:
    """A copy of a torch archive with another pickle."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for entry in old.infolist():
            pickled = entry.filename.endswith("/data.pkl")
            new.writestr(entry, data if pickled else old.read(entry))
    return path


@pytest.mark.parametrize("kind", ["legacy", "zip", "torchscript", "safetensors", "bare"])
def test_code_in_a_file_is_not_run(tmp_path: Path, kind: str) -> None:
    ran = tmp_path / "ran"
    data = pickle.dumps({"a": Bomb(ran)}, protocol=2)
    if kind in ("legacy", "zip"):
        path = saved(
            tmp_path / "w.pth", {"a": Bomb(ran)}, _use_new_zipfile_serialization=kind == "zip"
        )
    elif kind == "torchscript":
        path = in_archive(tmp_path / "w.pt", torchscript(Outer(), tmp_path / "good.pt"), data)
    else:
        path = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pth")
        path.write_bytes(data)
    pickle.loads(pickle.dumps(Bomb(ran)))  # noqa: S301  (the bomb works)
    ran.unlink()
    said = {"torchscript": "", "safetensors": ""}.get(kind, "which could run code")
    # and not PyTorch's advice, which is to run it
    with pytest.raises(
        BundleError, match=f"{path.name} cannot be read: (?!.*weights_only).*{said}"
    ):
        load_state(path)
    assert not ran.exists()


def test_code_of_a_torchscript_archive_is_not_run(tmp_path: Path) -> None:
    """Its source may be anything at all: it is not even looked at."""
    good = torchscript(Outer(), tmp_path / "good.pt")
    with zipfile.ZipFile(good) as old, zipfile.ZipFile(tmp_path / "w.pt", "w") as new:
        for entry in old.infolist():
            code = "/code/" in entry.filename
            new.writestr(entry, b"raise SystemExit" if code else old.read(entry))
    assert set(load_state(tmp_path / "w.pt")) == set(load_state(good))


def zip_bomb(path: Path) -> Path:
    buffer = io.BytesIO()
    torch.save({"a": torch.zeros(30_000_000)}, buffer)
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    return path


def broken(tmp_path: Path, kind: str) -> Path:
    path = tmp_path / "w.pth"
    if kind == "missing":
        return path
    if kind == "text":
        path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1234\n")
    elif kind == "empty":
        path.touch()
    elif kind == "truncated":
        whole = saved(tmp_path / "whole", {"a": torch.zeros(10_000)})
        path.write_bytes(whole.read_bytes()[:20_000])
    elif kind == "truncated torchscript":
        whole = torchscript(Outer(), tmp_path / "whole")
        path.write_bytes(whole.read_bytes()[:-200])
    elif kind == "truncated safetensors":
        path = tmp_path / "w.safetensors"
        save_file({"a": torch.zeros(1000)}, path)
        path.write_bytes(path.read_bytes()[:-1])
    elif kind == "huge safetensors header":
        path = tmp_path / "w.safetensors"
        path.write_bytes(struct.pack("<Q", 2**60) + b"{}")
    elif kind == "zip bomb":
        zip_bomb(path)
    else:
        states: dict[str, object] = {
            "list": [torch.zeros(1)],
            "tensor": torch.zeros(3),
            "nested": {"state_dict": {"a": torch.zeros(1)}, "epoch": 3},
            "nothing": {},
            "nan": {"fine": torch.zeros(2), "layer.bias": torch.tensor([0.0, float("nan")])},
            "infinite": {"a": torch.tensor([float("inf")]).half()},
            "sparse": {"a": torch.eye(3).to_sparse()},
            "expanded": {"a": torch.zeros(1).expand(10**6, 10**6)},
        }
        saved(path, states[kind])
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "cannot be read: .*No such file"),
        ("text", "cannot be read"),
        ("empty", "cannot be read"),
        ("truncated", "cannot be read"),
        ("truncated torchscript", "cannot be read"),
        ("truncated safetensors", "cannot be read"),
        ("huge safetensors header", "cannot be read"),
        ("zip bomb", "that unpack to 120,0"),
        ("list", "hold a list, not a dict of tensors"),
        ("tensor", "hold a Tensor, not a dict"),
        ("nested", "hold a dict at 'state_dict'.*save the state_dict"),
        ("nothing", "not a dict of tensors"),
        ("nan", "layer.bias has NaN or infinite values"),
        ("infinite", "a has NaN or infinite"),
        ("sparse", "a is not a plain dense tensor"),
        ("expanded", "a claims more values than the file holds"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*[Ss]parse")  # torch's notices about sparse tensors
def test_files_that_are_refused(tmp_path: Path, kind: str, message: str) -> None:
    path = broken(tmp_path, kind)
    with pytest.raises(BundleError, match=message) as caught:
        load_state(path)
    assert str(path) in str(caught.value)


def test_strict_loading_names_what_is_wrong() -> None:
    def network() -> nn.Module:
        with torch.device("meta"):
            return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))

    state = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).state_dict()
    loaded = network()
    load_strictly(
        loaded, {k: v.double() if v.is_floating_point() else v for k, v in state.items()}, "w"
    )
    assert all(torch.equal(value, state[name]) for name, value in loaded.state_dict().items())
    assert loaded(torch.ones(4, 3)).dtype == torch.float32
    for change, message in (
        (
            {"0.weight": torch.zeros(2, 4)},
            r"0.weight is torch.float32 \(2, 4\), expected .*\(2, 3\)",
        ),
        ({"0.bias": torch.zeros(2, dtype=torch.int64)}, "0.bias is torch.int64"),
        ({"extra": torch.zeros(1)}, "w do not fit the network: extra is not of this network"),
    ):
        with pytest.raises(BundleError, match=message):
            load_strictly(network(), {**state, **change}, "w")
    with pytest.raises(BundleError, match="0.bias is missing"):
        load_strictly(network(), {k: v for k, v in state.items() if k != "0.bias"}, "w")
