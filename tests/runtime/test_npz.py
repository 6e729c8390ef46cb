"""npz archives that claim what they do not hold."""

from __future__ import annotations

import io
import struct
import zipfile

import numpy as np
import pytest

from bench.errors import InputError
from bench.runtime import npz
from bench.runtime.npz import arrays_from_bytes, arrays_to_bytes


def archive(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in members.items():
            made.writestr(f"{name}.npy", data)
    return buffer.getvalue()


def npy(shape: str, descr: str = "'<f8'", data: bytes = b"") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text.encode() + data


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (npy("(1000000, 1000000)"), "0 bytes follow"),  # 8 TB
        (npy("(2, 2)", data=bytes(31)), "31 bytes follow"),
        (npy("(2, 2)", data=bytes(33)), "33 bytes follow"),
        (npy("(True, 2)", data=bytes(16)), "not an integer"),
        (npy("(2,)", "'|O'", bytes(16)), "holds Python objects"),
        (b"no header", "bad npy header"),
        (b"", "bad npy header"),
    ],
)
def test_the_array_at_fault_is_named(data, said):
    whole = archive(fine=npy("(2,)", data=bytes(16)), train_features=data)
    with pytest.raises(InputError, match=f"x: array 'train_features': .*{said}"):
        arrays_from_bytes(whole, "x")


def test_a_bomb_is_not_inflated(monkeypatch):
    monkeypatch.setattr(npz, "RATIO_FREE_BYTES", 1 << 20)
    fine = arrays_to_bytes({"a": np.zeros(100_000)}, compress=True)
    assert len(fine) < 100_000 / 50
    assert not arrays_from_bytes(fine, "x")["a"].any()
    bomb = arrays_to_bytes({"a": np.zeros(300_000), "b": np.zeros(300_000)}, compress=True)
    monkeypatch.setattr(npz, "_member", lambda *_: pytest.fail("inflated"))
    with pytest.raises(InputError, match=r"claim to inflate to 4,800,256"):
        arrays_from_bytes(bomb, "x")


def test_arrays_can_be_written_to():
    """Torch warns about memory that cannot."""
    data = arrays_to_bytes({"a": np.zeros((2, 3)), "f": np.asfortranarray(np.eye(3)[:2])})
    for array in arrays_from_bytes(data, "x").values():
        array.fill(1)
    assert np.array_equal(arrays_from_bytes(data, "x")["f"], np.eye(3)[:2])


def test_a_lost_entry_is_found():
    """One flipped byte in the directory makes `zipfile` skip entries."""
    data = bytearray(archive(**{name: npy("(2,)", data=bytes(16)) for name in "abc"}))
    comment_size = data.index(b"PK\1\2") + 32
    data[comment_size] = 2 * (46 + 5)
    with pytest.raises(InputError, match="states 3 entries, 1 can be read"):
        arrays_from_bytes(bytes(data), "x")
