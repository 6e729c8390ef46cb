"""What is kept of a set of images: features, and the moments that a Fréchet distance needs.

`Moments` accumulate in float64 by Chan, Golub and LeVeque's pairwise update (1979), always in the
order given, so that the same shards give the same bits; files are npz without pickle, written to a
temporary name and moved into place.

Shape legend: N samples, D features, K classes.
"""

from __future__ import annotations

import io
import os
import threading
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError

BLOCK = 4096  # rows turned to float64 at a time
UNREADABLE = (  # what NumPy and zipfile raise for damaged, encrypted or foreign archives
    ValueError,
    OSError,
    KeyError,
    EOFError,
    RuntimeError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True)
class Moments:
    """Count, mean (float64 D) and centred sum of outer products M2 (float64 D,D) of a sample."""

    n: int
    mean: NDArray[np.float64]
    m2: NDArray[np.float64]

    @classmethod
    def of(cls, f_ND: NDArray[np.floating]) -> Moments:
        """Moments of the rows of `f_ND` (N,D; any float type). Raises `InputError` when a value
        is not finite or the array is not two-dimensional with at least one row.
        """
        if f_ND.ndim != 2 or len(f_ND) == 0:
            raise InputError(f"features must have shape N,D with N >= 1, got {f_ND.shape}")
        return cls.merged(cls._of_block(f_ND[i : i + BLOCK]) for i in range(0, len(f_ND), BLOCK))

    @classmethod
    def _of_block(cls, f_ND: NDArray[np.floating]) -> Moments:
        x = f_ND.astype(np.float64)
        if not np.isfinite(x).all():
            raise InputError("features hold NaN or infinite values")
        mean = x.mean(axis=0)
        x -= mean
        return cls(len(x), mean, x.T @ x)

    @classmethod
    def merged(cls, parts: Iterable[Moments]) -> Moments:
        """Moments of the union of disjoint samples, merged from left to right."""
        total: Moments | None = None
        for part in parts:
            total = part if total is None else total._plus(part)
        if total is None:
            raise InputError("no moments to merge")
        return total

    def _plus(self, other: Moments) -> Moments:
        if self.mean.shape != other.mean.shape:
            raise InputError(
                f"moments of {len(self.mean)} and {len(other.mean)} features cannot be merged"
            )
        n = self.n + other.n
        delta = other.mean - self.mean
        mean = self.mean + delta * (other.n / n)
        m2 = self.m2 + other.m2 + np.outer(delta, delta) * (self.n * other.n / n)
        return Moments(n, mean, m2)

    @property
    def dim(self) -> int:
        return len(self.mean)

    def covariance(self) -> NDArray[np.float64]:
        """Sample covariance D,D with divisor n - 1. Raises `InputError` when n < 2."""
        if self.n < 2:
            raise InputError("a covariance needs at least 2 samples")
        return self.m2 / (self.n - 1)


@dataclass(frozen=True)
class Features:
    """What an extractor gives for a set of images: `values` float32 N,D and, when it is a
    classifier, `logits` float32 N,K.
    """

    values: NDArray[np.float32]
    logits: NDArray[np.float32] | None = None

    @property
    def probabilities(self) -> NDArray[np.float64] | None:
        """Softmax of the logits, float64 N,K."""
        if self.logits is None:
            return None
        p_NK = self.logits.astype(np.float64)
        p_NK -= p_NK.max(axis=1, keepdims=True)
        np.exp(p_NK, out=p_NK)
        p_NK /= p_NK.sum(axis=1, keepdims=True)
        return p_NK


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to a temporary file beside `path`, flush it to disk, move it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def arrays_to_bytes(arrays: Mapping[str, NDArray[np.generic]], *, compress: bool = False) -> bytes:
    """An npz archive of plain arrays; the same arrays give the same bytes.

    Written member by member: `np.savez` of older NumPy takes `allow_pickle` for an array.
    Raises `ValueError` for an array of objects.
    """
    buffer = io.BytesIO()
    kind = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(buffer, "w", kind) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, np.asanyarray(array), allow_pickle=False)
    return buffer.getvalue()


def arrays_from_bytes(data: bytes, name: str) -> dict[str, NDArray[np.generic]]:
    """The arrays of an npz archive, never unpickling. Raises `InputError` naming `name`."""
    try:
        archive = np.load(io.BytesIO(data), allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise InputError(f"{name}: expected an npz archive, got a single npy array")
        with archive:
            return {key: archive[key] for key in archive.files}
    except UNREADABLE as error:
        raise InputError(f"{name}: not a readable npz archive: {error}") from error
