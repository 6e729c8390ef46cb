"""PyTorch's switches for the precision of float32 products, set for a while and put back.

`bench.runtime.devices` has the two ways in which this package uses them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch

OPERATIONS = {"cuda": ("matmul", "conv", "rnn"), "mkldnn": ("matmul", "conv", "rnn")}

# one form for all of torch.backends' fp32_precision, whose own setter for mkldnn sets another
_get = torch._C._get_fp32_precision_getter
_set = torch._C._set_fp32_precision_setter


@contextmanager
def float32_products(*, tf32: bool) -> Iterator[None]:
    """Set every switch for the duration, convolutions on a GPU to TF32 with `tf32`."""
    before = _read_and_clear()
    try:
        _set_products(before, convolutions="tf32" if tf32 else "ieee")
        yield
    finally:
        _put_back(before)


class _Settings(NamedTuple):
    """PyTorch's float32 precisions: global, of each backend, and of each backend's operations.

    The precision of an operation is "none" when it follows its backend, and None at PyTorch 2.15's
    own default for convolutions: no name sets that default, so it must not be overwritten.
    `matmul` and `cudnn` are the older switches, whose values PyTorch keeps in addition.
    """

    generic: str
    backends: dict[str, str]
    operations: dict[tuple[str, str], str | None]
    matmul: str
    cudnn: bool


def _read_and_clear() -> _Settings:
    """Return the settings in force, and set "ieee" for all of them on the way.

    A getter returns the precision that applies, whichever level set it, so each level is cleared
    after it was read. The older switches raise unless they agree with the newer ones.
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
    """Set everything to "ieee", and convolutions and recurrent networks on a GPU to
    `convolutions`. The older switches are set to match, so that reading them does not raise.
    """
    allowed = convolutions == "tf32"
    if before.matmul != "highest":
        torch.set_float32_matmul_precision("highest")
    # an operation at PyTorch's own default takes "ieee" from its backend, but TF32 from nowhere
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
    """Return whether the older switch for cuDNN, which sets both operations, can be restored."""
    return None not in (settings.operations["cuda", name] for name in ("conv", "rnn"))
