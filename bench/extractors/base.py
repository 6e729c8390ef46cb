"""What an extractor is: uint8 images in, features out, with a name, settings and a digest.

Three steps, each later and heavier than the one before. An `ExtractorRow` of the table says what
there is; `row.resolve(choice)` checks the options, finds the weights and knows their digest, so
that cached features and stored references can be matched; `load` builds the network. An extractor
file holds one network family and a loader; nothing heavy is imported before `load`. To add an
extractor: one file with a loader, one row in `bench.extractors`.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from bench.errors import BundleError, InputError, UnknownNameError, UsageError
from bench.extractors.weights_files import HostedWeights, locate
from bench.runtime.progress import CountProgress, Progress
from bench.statistics.moments import Features

MIN_SIDE_PX = 8
MAX_SIDE_PX = 2048
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
OUT_OF_MEMORY = (  # in PyTorch's, CUDA's, cuBLAS's, cuDNN's and C++'s words, in lower case
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "status_alloc_failed",
    "host_allocation_failed",
    "std::bad_alloc",
)


class Extractor(Protocol):
    """A loaded network. Calling it maps uint8 N,H,W,C (C = 1 or 3) to `Features` of N rows.

    Rows come in the order of the images, and a row depends on its image alone (to 1e-5), not on
    batch size, order or thread count. Raises `InputError` when the image size does not fit.
    """

    @property
    def name(self) -> str: ...

    @property
    def digest(self) -> str:
        """SHA-256 of the weights, in hex."""

    @property
    def device(self) -> str: ...

    @property
    def batch_size(self) -> int:
        """Images that are computed together; giving fewer at a time wastes the device."""

    def __call__(
        self, images: NDArray[np.uint8], *, progress: CountProgress | None = None
    ) -> Features: ...


@runtime_checkable
class QueueingExtractor(Extractor, Protocol):
    """An extractor that may be given the next images before the features of the last are fetched.

    Optional: one that computes when it is called need not have it.
    """

    def begin(
        self, images: NDArray[np.uint8], *, progress: CountProgress | None = None
    ) -> Callable[[], Features]:
        """Queue the images on the device. What is returned waits for their features, which are
        those of a call; it is called once. Raises as a call does.
        """


@dataclass(frozen=True, kw_only=True)
class ExtractorChoice:
    """What a user may say about an extractor; None is the extractor's own default.

    `weights` is a file to load instead of the one that is looked up (or a folder that holds it);
    one whose digest is not the published one is refused unless `unverified_weights` is set.
    `batch_size` is in images; results do not depend on it beyond rounding. `compiled` has the
    network compiled when that pays: for very many images on a GPU.
    """

    layer: str | None = None
    protocol: str | None = None
    precision: str | None = None
    weights: Path | None = None
    unverified_weights: bool = False
    batch_size: int | None = None
    compiled: bool = False


@dataclass(frozen=True)
class PackagedWeights:
    """Weights that come with the package: a file below `bench/extractors/weights`."""

    file: str
    sha256: str

    def read(self, name: str) -> bytes:
        """The bytes, checked. Raises `BundleError` when they are damaged."""
        file = resources.files("bench.extractors") / "weights" / self.file
        try:
            data = file.read_bytes()
        except OSError as error:
            raise BundleError(f"weights {self.file} of {name!r}: {error}") from error
        found = hashlib.sha256(data).hexdigest()
        if found != self.sha256:
            raise BundleError(
                f"weights {self.file} of {name!r} are damaged: SHA-256 {found}, "
                f"expected {self.sha256}. Install latentbench again."
            )
        return data


@dataclass(frozen=True)
class ComputedWeights:
    """No weights file: what the extractor computes is fixed by its code, and `sha256` stands for
    it (of the weights that a seed generates, or of the definition).
    """

    sha256: str


Weights = PackagedWeights | HostedWeights | ComputedWeights


@dataclass(frozen=True, kw_only=True)
class ExtractorRow:
    """One row of the table.

    `loader` is "module:function", called with the `ResolvedExtractor` and a device. `feature_dim`
    is that of the default layer, None when it depends on the images. `side_px` is the one size
    that is taken, None for any. `channels` is what the network sees: colour is reduced to luma
    for 1, grey is replicated for 3. The first of `layers`, `protocols` and `precisions` is the
    default; an empty tuple means that there is no such choice. `precision_shifts` says, for
    precisions other than the first, how far they were measured to move the FID. `compiles` says
    whether there is a compiled form. `learnt` says in words what the weights were fitted to, empty
    for a fixed computation that has seen nothing; `labels_of` is the data set of
    `bench.data.datasets` whose labels they have seen.
    """

    name: str
    title: str
    loader: str
    weights: Weights
    feature_dim: int | None
    num_classes: int | None
    channels: Literal[1, 3]
    citation: str
    side_px: int | None = None
    layers: tuple[str, ...] = ()
    protocols: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    precision_shifts: Mapping[str, str] = field(default_factory=dict)
    compiles: bool = False
    learnt: str = ""
    labels_of: str | None = None

    def settings_of(self, choice: ExtractorChoice) -> dict[str, str]:
        """The settings that a choice amounts to, checked: layer, protocol, precision, where the
        extractor has them. Raises `UnknownNameError` and `UsageError`.
        """
        settings = {}
        for kind, wanted, offered in (
            ("layer", choice.layer, self.layers),
            ("protocol", choice.protocol, self.protocols),
            ("precision", choice.precision, self.precisions),
        ):
            if wanted is not None and not offered:
                raise UsageError(f"extractor {self.name!r} has no choice of {kind}; leave it out")
            if wanted is not None and wanted not in offered:
                raise UnknownNameError(f"{kind} of extractor {self.name!r}", wanted, offered)
            if offered:
                settings[kind] = wanted or offered[0]
        return settings

    def resolve(
        self, choice: ExtractorChoice | None = None, *, download: Progress | None = None
    ) -> ResolvedExtractor:
        """Check the choice and find the weights, fetching them once if need be.

        Raises `UsageError` for options that the extractor does not have, `BundleError` for
        weights that cannot be had or have another digest.
        """
        choice = choice or ExtractorChoice()
        settings = self.settings_of(choice)
        if choice.batch_size is not None and choice.batch_size < 1:
            raise UsageError(f"batch size {choice.batch_size}: expected at least 1")
        if choice.compiled and not self.compiles:
            raise UsageError(f"extractor {self.name!r} has no compiled form; leave --compile out")
        if isinstance(self.weights, HostedWeights):
            found = locate(
                self.weights,
                given=choice.weights,
                unverified=choice.unverified_weights,
                progress=download,
            )
            return ResolvedExtractor(
                row=self,
                digest=found.sha256,
                settings=settings,
                weights_path=found.path,
                verified=found.verified,
                batch_size=choice.batch_size,
                compiled=choice.compiled,
            )
        if choice.weights is not None:
            raise UsageError(f"extractor {self.name!r} takes no weights file; leave --weights out")
        return ResolvedExtractor(
            row=self,
            digest=self.weights.sha256,
            settings=settings,
            batch_size=choice.batch_size,
        )


@dataclass(frozen=True, kw_only=True)
class ResolvedExtractor:
    """An extractor whose identity is known and whose network is not loaded yet.

    `digest` is the SHA-256 of its weights, `settings` its layer, protocol and precision where it
    has them: features are comparable when name, digest and settings are equal. `verified` is
    False for weights that are not the published ones.
    """

    row: ExtractorRow
    digest: str
    settings: Mapping[str, str] = field(default_factory=dict)
    weights_path: Path | None = None
    verified: bool = True
    batch_size: int | None = None
    compiled: bool = False

    @property
    def name(self) -> str:
        return self.row.name

    @property
    def label(self) -> str:
        """The name with the settings that are not the default, for tables and file names."""
        defaults = self.row.settings_of(ExtractorChoice())
        changed = [value for kind, value in self.settings.items() if defaults[kind] != value]
        return "-".join([self.name, *changed])

    def load(self, device: str = "cpu") -> Extractor:
        """The network on `device`. Raises `BundleError` for weights that do not fit, `UsageError`
        when there is no memory for them.
        """
        module, function = self.row.loader.split(":")
        load: Callable[[ResolvedExtractor, str], Extractor]
        load = getattr(importlib.import_module(module), function)
        try:
            return load(self, device)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise not_enough_memory(self.name, device, "its weights", error) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception says that an allocation failed, on the GPU or on the CPU."""
    said = str(error).lower()
    return isinstance(error, MemoryError) or any(words in said for words in OUT_OF_MEMORY)


def not_enough_memory(name: str, device: str, what: str, error: BaseException) -> UsageError:
    """The error for the user when `what` does not fit into memory."""
    reason = str(error).splitlines() or [type(error).__name__]
    return UsageError(
        f"extractor {name!r} on {device}: not enough memory for {what}: {reason[0].rstrip('.')}. "
        "Use another --device, or make room on this one."
    )


def luma(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Grey N,H,W,1 from N,H,W,C: itself when C = 1, else ITU-R BT.601 luma, rounded to nearest."""
    if images.shape[3] == 1:
        return images
    grey = images.astype(np.float32) @ np.array(LUMA, np.float32)
    rounded: NDArray[np.uint8] = np.floor(grey + 0.5).clip(0, 255).astype(np.uint8)
    return rounded[..., None]


def require_images(images: NDArray[np.uint8], name: str, side_px: int | None = None) -> None:
    """Raises `InputError` unless `images` is uint8 N,H,W,C with N >= 1, of `side_px` if given."""
    if images.ndim != 4 or images.dtype != np.uint8 or len(images) == 0:
        raise InputError(
            f"extractor {name!r} needs uint8 images N,H,W,C with N >= 1, "
            f"got {images.dtype} {images.shape}"
        )
    if side_px is not None and images.shape[1:3] != (side_px, side_px):
        raise InputError(
            f"extractor {name!r} takes {side_px}x{side_px} px images, "
            f"got {images.shape[2]}x{images.shape[1]} px (width x height); "
            f"choose an extractor made for these images, or resize them: --resize {side_px}"
        )
    low, high = min(images.shape[1:3]), max(images.shape[1:3])
    if low < MIN_SIDE_PX or high > MAX_SIDE_PX:
        raise InputError(
            f"images are {images.shape[2]}x{images.shape[1]} px (width x height); extractors take "
            f"{MIN_SIDE_PX} to {MAX_SIDE_PX} px a side. Resize them: --resize WIDTHxHEIGHT"
        )
