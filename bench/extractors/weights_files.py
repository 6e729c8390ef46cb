"""Weights that are published elsewhere: found on disk, or downloaded once and checked.

The places are searched in this order; the first that has the file decides:

1. the file given (`--weights`), or the folder given that holds it;
2. `LATENTBENCH_WEIGHTS`: a file is used as if it were given, a folder that lacks the file is
   skipped (so one folder serves many extractors);
3. torch's hub cache, where torch-fidelity, torchvision and pytorch-fid store theirs;
4. a download into that cache.

The SHA-256 is computed every time. A file with another digest than the published one is refused;
from the first two places it is accepted with `unverified`, and reported as such.

`load_state` reads a file without running code in it.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.errors import BundleError
from bench.runtime.progress import Progress

if TYPE_CHECKING:
    from torch import Tensor


VARIABLE = "LATENTBENCH_WEIGHTS"
# for the message when a download fails; the tests compare it with the table of extractors
WITHOUT_DOWNLOAD = "digits and fashion (28x28 px only), pixels, hog, random-conv"
DIGEST = re.compile(r"[0-9a-f]{8,64}")


@dataclass(frozen=True)
class HostedWeights:
    """A published weights file. `sha256` is its digest in hex, or at least its first 8 digits."""

    url: str
    file_name: str
    sha256: str

    def __post_init__(self) -> None:
        if not DIGEST.fullmatch(self.sha256):
            raise ValueError(f"{self.file_name}: {self.sha256!r} is not 8 to 64 hex digits")


class WeightsFile(NamedTuple):
    """A file on disk, its whole SHA-256, and whether that is the published one."""

    path: Path
    sha256: str
    verified: bool


def locate(
    source: HostedWeights,
    *,
    given: Path | None = None,
    unverified: bool = False,
    progress: Progress | None = None,
) -> WeightsFile:
    """Return the weights file, searched for as the module describes.

    `given` is a file, or a folder that holds `source.file_name`. `unverified` accepts another
    digest for a file that is given or named by the variable, but not from the cache or a download.
    Raises `BundleError`, which names the file, the digests, the URL and what to do.
    """
    named, option = _named(source, given)
    if named is not None:
        return _checked(named, option, source, unverified=unverified)
    from bench.runtime import download  # noqa: PLC0415  (loads urllib and ssl)

    cached = hub_folder() / source.file_name
    if cached.exists():
        return _checked(cached, None, source, unverified=False)
    try:
        digest = download.fetch(source.url, cached, source.sha256, progress=progress)
    except BundleError as error:
        raise BundleError(
            f"weights {source.file_name} are not on this machine and cannot be downloaded: "
            f"{error}.\nURL: {source.url}\nSHA-256: {source.sha256}"
            f"{'' if len(source.sha256) == 64 else '...'}\n"
            f"Fetch the file elsewhere, then put it into {cached.parent}, or give it as "
            f"--weights FILE, or set {VARIABLE} to the file or its folder.\n"
            f"Extractors that need no download: {WITHOUT_DOWNLOAD}"
        ) from error
    return WeightsFile(cached, digest, verified=True)


def hub_folder() -> Path:
    """Return PyTorch's folder of downloaded weights, without importing PyTorch.

    `TORCH_HOME` moves it, and so does `torch.hub.set_dir` in this process.
    """
    if "torch.hub" in sys.modules:
        return Path(sys.modules["torch.hub"].get_dir()) / "checkpoints"
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = Path(os.environ.get("TORCH_HOME", f"{cache}/torch")).expanduser()
    return home / "hub" / "checkpoints"


def _named(source: HostedWeights, given: Path | None) -> tuple[Path | None, str]:
    """Return the file that the option or else the variable names, if any, and which of the two."""
    if given is not None:
        given = given.expanduser()
        if given.is_dir() and not (given / source.file_name).exists():
            raise BundleError(f"--weights {given}: the folder holds no {source.file_name}")
        if not given.exists():
            raise BundleError(f"--weights {given}: there is no such file or folder")
        return (given / source.file_name if given.is_dir() else given), "--weights"
    value = os.environ.get(VARIABLE)
    if not value:
        return None, VARIABLE
    place = Path(value).expanduser()
    if place.is_dir():
        file = place / source.file_name
        return (file if file.exists() else None), VARIABLE
    if not place.exists():
        raise BundleError(f"{VARIABLE}={value}: there is no such file or folder")
    return place, VARIABLE


def _checked(
    path: Path, option: str | None, source: HostedWeights, *, unverified: bool
) -> WeightsFile:
    from bench.runtime.download import sha256_of  # noqa: PLC0415  (loads urllib and ssl)

    try:
        digest = sha256_of(path)
    except OSError as error:
        raise BundleError(f"weights {path}: {error.strerror}") from error
    if digest.startswith(source.sha256):
        return WeightsFile(path, digest, verified=True)
    if unverified and option is not None:
        return WeightsFile(path, digest, verified=False)
    fix = (
        "Delete the file to fetch it again"
        if option is None
        else f"{option} must name {source.file_name}, or add --unverified-weights to use this "
        "file all the same: its scores are then not comparable with published ones"
    )
    raise BundleError(
        f"weights {path} are damaged or another file: SHA-256 {digest}, expected {source.sha256}"
        f"{'' if len(source.sha256) == 64 else '...'} ({source.url}). {fix}"
    )


def load_state(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a weights file by name, on the CPU.

    Reads safetensors (by its suffix), a dict of tensors by `torch.save` (`weights_only=True`) and
    TorchScript archives (see `bench.extractors.torchscript`); none of these can run code. Raises
    `BundleError` when the file is unreadable, holds anything but a dict of tensors, unpacks to far
    more than its size, or has NaN or infinite weights.
    """
    from bench.extractors.weights_reading import read_state  # noqa: PLC0415  (loads torch)

    return read_state(path)
