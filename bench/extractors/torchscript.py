"""Read the tensors of a TorchScript archive without running its code.

`torch.jit.load` compiles and may run the code of an archive, and `torch.load(weights_only=True)`
refuses one. OpenAI's CLIP weights are published in this form only. An archive is a zip file:
`data.pkl` holds the tree of modules, `data/0`, `data/1`, ... the storages of its tensors, `code/`
the source. Here `data.pkl` is read by an unpickler that knows tensors and lists only: a module of
the archive becomes a plain object with its attributes, every other name is refused, and `code/` is
not opened.

The names are those of `torch.jit.load(path).state_dict()`, as a test checks; a tensor that is an
attribute of a module without being registered is listed as well.
"""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
LISTS = ("build_intlist", "build_doublelist", "build_boollist", "build_tensorlist")


class _Module:
    """An object of any class of the archive: its attributes without its behaviour."""

    attributes: dict[str, object]

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, dict):
            raise pickle.UnpicklingError("a module's state is not a dict")
        self.attributes = state


class _Storage(NamedTuple):
    values: Tensor


class _Unpickler(pickle.Unpickler):
    """Builds modules and tensors; refuses every other name."""

    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(archive.open(f"{root}data.pkl"))
        self._archive = archive
        self._root = root
        self._storages: dict[str, _Storage] = {}

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _device, _numel = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype):
            raise pickle.UnpicklingError(f"unknown reference {kind!r}")
        if key not in self._storages:
            data = bytearray(self._archive.read(f"{self._root}data/{key}"))
            values = torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)
            self._storages[key] = _Storage(values)
        return self._storages[key]

    def find_class(self, module: str, name: str) -> Any:
        if module == "__torch__" or module.startswith("__torch__."):
            return _Module
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        functions = _functions()  # made anew, so that no archive can change them for the next
        if (module, name) in functions:
            return functions[module, name]
        raise pickle.UnpicklingError(f"the archive asks for {module}.{name}")


def _functions() -> dict[tuple[str, str], Callable[..., object]]:
    def tensor(
        storage: _Storage, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object
    ) -> Tensor:
        return storage.values.as_strided(size, stride, offset)

    def same(value: object, *_: object) -> object:
        return value

    return {
        ("torch._utils", "_rebuild_tensor_v2"): tensor,
        ("torch.jit._pickle", "restore_type_tag"): same,
        **{("torch.jit._pickle", name): same for name in LISTS},
    }


def is_torchscript(path: Path) -> bool:
    """Return whether a file is a zip archive with the constants that only TorchScript has."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Return every parameter and buffer of an archive by its dotted name, on the CPU.

    Raises `pickle.UnpicklingError` for an archive that holds more than modules and tensors, and
    what zipfile and torch raise for a damaged one.
    """
    with zipfile.ZipFile(path) as archive:
        [root] = [
            name.removesuffix("data.pkl")
            for name in archive.namelist()
            if name.count("/") == 1 and name.endswith("/data.pkl")
        ]
        module = _Unpickler(archive, root).load()
    if not isinstance(module, _Module):
        raise pickle.UnpicklingError("the archive does not hold a module")
    return dict(_tensors(module, ""))


def _tensors(module: _Module, prefix: str) -> Iterator[tuple[str, Tensor]]:
    for name, value in module.attributes.items():
        if isinstance(value, Tensor):
            yield f"{prefix}{name}", value
        elif isinstance(value, _Module):
            yield from _tensors(value, f"{prefix}{name}.")
