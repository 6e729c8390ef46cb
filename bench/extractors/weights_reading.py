"""Read a weights file without running code in it.

`bench.extractors.weights_files.load_state` describes which files are read and which are refused.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from bench.errors import BundleError
from bench.extractors.torchscript import is_torchscript, read_tensors

UNPACKED_MARGIN = 16 * 2**20  # allowed for the code and version entries of an archive
SHOWN = 3  # tensors that an error names
GLOBAL = re.compile(r"GLOBAL ([\w.]+)")  # the name that a pickle imports, in PyTorch's refusal


def read_state(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a weights file by name. Raises as `load_state` does."""
    try:
        _refuse_bomb(path)
        state = _read(path)
    except BundleError:
        raise
    except Exception as error:  # a damaged file may raise anything
        raise BundleError(
            f"weights {path} cannot be read: {_reason(error)}. Expected safetensors, a dict of "
            "tensors by torch.save, or a TorchScript archive; code in a file is never run"
        ) from error
    return _require_tensors(state, path)


def _reason(error: Exception) -> str:
    """Return the reason in one line, without PyTorch's advice to run the code of a pickle."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    if not isinstance(error, pickle.UnpicklingError):
        return lines[0][:300]
    refused = [line for line in lines if "GLOBAL" in line]
    if not refused:
        return "it is not a pickle of tensors alone, or it is damaged"
    found = GLOBAL.search(refused[0])
    named = f" ({found.group(1)[:100]})" if found else ""
    return f"its pickle asks for more than tensors{named}, which could run code"


def load_strictly(module: nn.Module, state: Mapping[str, Tensor], what: str) -> None:
    """Load `state` into `module`, which may be on the meta device, in the module's own dtypes.

    Raises `BundleError`, which begins with `what` and names the first tensors that are missing,
    unknown, or of another shape or kind.
    """
    expected = module.state_dict()
    fitting = OrderedDict(
        (name, value.to(expected[name].dtype) if _same_kind(value, expected.get(name)) else value)
        for name, value in state.items()
    )
    if hasattr(state, "_metadata"):
        fitting._metadata = state._metadata  # type: ignore[attr-defined]
    wrong = [
        f"{name} is {value.dtype} {tuple(value.shape)}, expected {expected[name].dtype} "
        f"{tuple(expected[name].shape)}"
        for name, value in fitting.items()
        if name in expected
        and (value.shape != expected[name].shape or value.dtype != expected[name].dtype)
    ]
    try:
        if not wrong:
            module.load_state_dict(fitting, strict=True, assign=True)
            return
    except RuntimeError as error:
        wrong += [f"{name} is missing" for name in expected if name not in state]
        wrong += [f"{name} is not of this network" for name in state if name not in expected]
        wrong = wrong or [str(error)]
    shown = "; ".join(wrong[:SHOWN])
    more = f"; and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
    raise BundleError(f"{what} do not fit the network: {shown}{more}")


def _same_kind(value: Tensor, expected: Tensor | None) -> bool:
    return expected is not None and value.is_floating_point() == expected.is_floating_point()


def _read(path: Path) -> object:
    if path.suffix == ".safetensors":
        return load_file(path)
    if is_torchscript(path):
        return read_tensors(path)
    return torch.load(path, map_location="cpu", weights_only=True)


def _refuse_bomb(path: Path) -> None:
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    size = path.stat().st_size
    if unpacked > size + UNPACKED_MARGIN:
        raise BundleError(
            f"weights {path}: {size:,} bytes that unpack to {unpacked:,}; torch stores weights "
            "uncompressed, so it did not write this file"
        )


def _require_tensors(state: object, path: Path) -> dict[str, Tensor]:
    if not isinstance(state, Mapping) or not state:
        raise BundleError(f"weights {path} hold a {type(state).__name__}, not a dict of tensors")
    result: OrderedDict[str, Tensor] = OrderedDict()
    if hasattr(state, "_metadata"):  # versions that let modules read files of older releases
        result._metadata = state._metadata  # type: ignore[attr-defined]
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise BundleError(
                f"weights {path} hold a {type(value).__name__} at {name!r}, "
                "expected nothing but tensors: save the state_dict of the network"
            )
        if value.layout != torch.strided or value.is_quantized or value.is_meta:
            raise BundleError(f"weights {path}: {name} is not a plain dense tensor")
        if value.numel() * value.element_size() > value.untyped_storage().nbytes():
            raise BundleError(f"weights {path}: {name} claims more values than the file holds")
        if not bool(torch.isfinite(value).all()):
            raise BundleError(f"weights {path}: {name} has NaN or infinite values")
        result[name] = value
    return result
