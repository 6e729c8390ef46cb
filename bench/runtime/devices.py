"""Where numbers are computed: choosing a device and naming it in a record.

PyTorch takes seconds to import, so it is imported only where its answer is needed.
"""

from __future__ import annotations

import platform
import sys
from contextlib import AbstractContextManager
from pathlib import Path

from bench.errors import UsageError

DEVICE_TYPES = ("cpu", "cuda")
# Device files of NVIDIA's driver (desktop, Jetson), of WSL and of AMD's driver, below /dev.
GPU_FILES = ("nvidia*", "nvhost*", "nvmap", "dxg", "kfd")


def select_device(name: str | None) -> str:
    """Return the device called `name`, or for None "cuda" if this machine has a usable GPU and
    "cpu" if not.

    Raises `UsageError` for a device that PyTorch cannot use here.

    >>> select_device("cpu")
    'cpu'
    """
    if name == "cpu" or (name is None and not _may_have_gpu()):
        return "cpu"
    import torch  # noqa: PLC0415

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


def _may_have_gpu() -> bool:
    """Return False only if this machine certainly has no GPU: a Linux without device files."""
    if "torch" in sys.modules or sys.platform != "linux":
        return True  # asking PyTorch is cheap, or the only way
    return any(any(Path("/dev").glob(pattern)) for pattern in GPU_FILES)


def device_description(device: str) -> str:
    """Return the name of the GPU, or the processor with its number of threads."""
    import torch  # noqa: PLC0415

    if device.startswith("cuda"):
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"cpu ({platform.machine()}, {torch.get_num_threads()} threads)"


def free_memory_bytes(device: str) -> int:
    """Return the free memory of a GPU in bytes."""
    import torch  # noqa: PLC0415

    free, _ = torch.cuda.mem_get_info(device)
    return int(free)


def strict_float32() -> AbstractContextManager[None]:
    """Return a context in which float32 products and convolutions use neither TF32 nor bfloat16,
    on CPU and GPU. At its end every setting is what it was, whether PyTorch's older or newer
    switches made it. TF32 convolutions are PyTorch's default on a GPU and move features by 6e-4;
    bfloat16 ones, which can be enabled on a CPU, by 4e-3.

    Settings hold for the process: no other thread should change them meanwhile. Where convolutions
    are at the default of PyTorch 2.15, its older switch `torch.backends.cudnn.allow_tf32` cannot be
    read inside (PyTorch raises RuntimeError), as after `torch.backends.fp32_precision = "ieee"`.
    """
    from bench.runtime.float32_products import float32_products  # noqa: PLC0415

    return float32_products(tf32=False)


def tf32_allowed() -> AbstractContextManager[None]:
    """Return a context in which convolutions on a GPU use TF32, as by default in PyTorch; matrix
    products, and everything on a CPU, stay float32.
    """
    from bench.runtime.float32_products import float32_products  # noqa: PLC0415

    return float32_products(tf32=True)
