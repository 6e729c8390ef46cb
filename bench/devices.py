"""Where numbers are computed: choosing a device and naming it in a record."""

from __future__ import annotations

import platform

import torch

from bench.errors import UsageError


def select_device(name: str | None) -> str:
    """The device named; for None, CUDA when there is one, else the CPU."""
    if name is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
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
