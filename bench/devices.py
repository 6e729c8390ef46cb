"""Where numbers are computed: choosing a device and naming it in a record."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch

from bench.errors import UsageError

DEVICE_TYPES = ("cpu", "cuda")


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
    before = torch.get_float32_matmul_precision()
    convolutions = torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = tf32
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
        torch.backends.cudnn.allow_tf32 = convolutions


def strict_float32() -> AbstractContextManager[None]:
    """Float32 products and convolutions without TF32 or bfloat16, for the duration; the settings
    are put back. TF32 convolutions are torch's default on a GPU and move features by 6e-4.
    """
    return _float32_products(tf32=False)


def tf32_allowed() -> AbstractContextManager[None]:
    """TF32 for convolutions on a GPU, as torch does by default; matrix products stay float32."""
    return _float32_products(tf32=True)
