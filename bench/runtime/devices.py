"""Where numbers are computed: choosing a device and naming it in a record."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple

import torch

from bench.errors import UsageError

DEVICE_TYPES = ("cpu", "cuda")
OPERATIONS = {"cuda": ("matmul", "conv", "rnn"), "mkldnn": ("matmul", "conv", "rnn")}

# one form for all of torch.backends' fp32_precision, whose own setter for mkldnn sets another
_get = torch._C._get_fp32_precision_getter
_set = torch._C._set_fp32_precision_setter


def select_device(name: str | None) -> str:
    """The device named; for None, CUDA when there is one, else the CPU."""
    if name is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        if torch.device(name).type not in DEVICE_TYPES:
            raise UsageError(f"device {name!r}: only {' and '.join(DEVICE_TYPES)} are supported")
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"device {name!r} cannot be used here (cpu, cuda): {reason}") from error
    return name


def device_description(device: str) -> str:
    """The device in words: the GPU's name, or the processor with its number of threads."""
    if device.startswith("cuda"):
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"cpu ({platform.machine()}, {torch.get_num_threads()} threads)"


def free_memory_bytes(device: str) -> int:
    """Memory that is free on a GPU."""
    free, _ = torch.cuda.mem_get_info(device)
    return int(free)


@contextmanager
def _float32_products(*, tf32: bool) -> Iterator[None]:
    before = _read_and_clear()
    try:
        _set_products(before, convolutions="tf32" if tf32 else "ieee")
        yield
    finally:
        _put_back(before)


class _Settings(NamedTuple):
    """PyTorch's float32 precisions: of the whole, of each backend, of each backend's operations.

    An operation has its own, "none" where it follows its backend, or None: PyTorch 2.15's own
    default for convolutions, which no name sets, so that it must not be overwritten. `matmul` and
    `cudnn` are the older switches, whose values PyTorch keeps beside the newer ones.
    """

    generic: str
    backends: dict[str, str]
    operations: dict[tuple[str, str], str | None]
    matmul: str
    cudnn: bool


def _read_and_clear() -> _Settings:
    """What is set. A reading says what applies, whoever set it, and the older switches raise unless
    they agree with the newer ones: so "ieee" is set for all, from the top, on the way.
    """
    generic = _get("generic", "all")
    _set("generic", "all", "none")
    backends: dict[str, str] = {}
    operations: dict[tuple[str, str], str | None] = {}
    for backend, names in OPERATIONS.items():
        backends[backend] = _get(backend, "all")
        _set(backend, "all", "none")
        alone = {name: _get(backend, name) for name in names}
        _set(backend, "all", "ieee")
        for name, own in alone.items():
            is_default = own not in ("none", _get(backend, name))
            operations[backend, name] = None if is_default else own
            if not is_default:
                _set(backend, name, "ieee")
    matmul = torch.get_float32_matmul_precision()
    try:
        cudnn = bool(torch.backends.cudnn.allow_tf32)
    except RuntimeError:  # says True, and the operations "ieee"
        cudnn = True
    return _Settings(generic, backends, operations, matmul, cudnn)


def _set_products(before: _Settings, *, convolutions: str) -> None:
    """Everything "ieee" but convolutions and recurrent networks on a GPU; the older switches alike,
    so that whoever reads those is not refused.
    """
    allowed = convolutions == "tf32"
    if before.matmul != "highest":
        torch.set_float32_matmul_precision("highest")
    # an operation left at PyTorch's default gets "ieee" from its backend, and TF32 from no one
    _set("cuda", "all", "none" if allowed else "ieee")
    if before.cudnn != allowed and _is_nameable(before):
        torch.backends.cudnn.allow_tf32 = allowed
    for (backend, name), own in before.operations.items():
        if own is not None:
            wanted = convolutions if backend == "cuda" and name in ("conv", "rnn") else "ieee"
            _set(backend, name, wanted)


def _put_back(before: _Settings) -> None:
    if before.matmul != "highest":
        torch.set_float32_matmul_precision(before.matmul)
    if _is_nameable(before):
        torch.backends.cudnn.allow_tf32 = before.cudnn
    _set("generic", "all", before.generic)
    for backend, own in before.backends.items():
        _set(backend, "all", own)
    for (backend, name), value in before.operations.items():
        if value is not None:
            _set(backend, name, value)


def _is_nameable(settings: _Settings) -> bool:
    """Whether the older switch for cuDNN can be set and put back: it sets both operations."""
    return None not in (settings.operations["cuda", name] for name in ("conv", "rnn"))


def strict_float32() -> AbstractContextManager[None]:
    """Float32 products and convolutions without TF32 or bfloat16, on CPU and GPU, for the duration;
    then every setting is what it was, whether PyTorch's older or newer switches made it. TF32
    convolutions are torch's default on a GPU and move features by 6e-4; bfloat16 ones, which a
    CPU may be told to take, by 4e-3.

    Settings hold for the process: no other thread should change them meanwhile. Where convolutions
    are at the default of PyTorch 2.15, its older switch `torch.backends.cudnn.allow_tf32` cannot be
    read inside (a RuntimeError of PyTorch's), as after `torch.backends.fp32_precision = "ieee"`.
    """
    return _float32_products(tf32=False)


def tf32_allowed() -> AbstractContextManager[None]:
    """TF32 for convolutions on a GPU, as torch does by default; matrix products stay float32, and
    so does everything on a CPU.
    """
    return _float32_products(tf32=True)
