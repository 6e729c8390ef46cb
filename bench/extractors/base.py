"""The interface of an extractor: uint8 images in, features out.

There are three steps, from light to heavy. An `ExtractorRow` of the table describes an extractor.
`row.resolve(choice)` checks the options and finds the weights with their digest, so that cached
features and stored references can be matched. `load` builds the network; no deep-learning library
is imported before.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from bench.errors import BundleError, InputError, UnknownNameError, UsageError, reason_of
from bench.extractors.weights_files import HostedWeights, locate
from bench.runtime.progress import CountProgress, Progress
from bench.statistics.moments import Features

MIN_SIDE_PX = 8
MAX_SIDE_PX = 2048
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
OUT_OF_MEMORY = (  # in messages of PyTorch, CUDA, cuBLAS, cuDNN and C++, in lower case
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
        """Number of images that are computed together; smaller calls waste the device."""

    def __call__(
        self, images: NDArray[np.uint8], *, progress: CountProgress | None = None
    ) -> Features: ...


@runtime_checkable
class QueueingExtractor(Extractor, Protocol):
    """An extractor that accepts the next images before the features of the last are fetched.

    This is optional: an extractor that computes at once has no `begin`.
    """

    def begin(
        self, images: NDArray[np.uint8], *, progress: CountProgress | None = None
    ) -> Callable[[], Features]:
        """Queue the images on the device, and return a function that waits for their features.

        The function is called once. Features and errors are those of a call of the extractor.
        """


@dataclass(frozen=True, kw_only=True)
class ExtractorChoice:
    """The options of an extractor; None is the extractor's own default."""

    layer: str | None = None
    protocol: str | None = None  # how images are resized
    precision: str | None = None
    weights: Path | None = None  # file, or folder that holds it; None: looked up or downloaded
    unverified_weights: bool = False  # accept weights with another digest than the published one
    batch_size: int | None = None  # images; results do not depend on it beyond rounding
    compiled: bool = False  # compile the network when that pays: very many images on a GPU

    def filled(self, other: ExtractorChoice) -> ExtractorChoice:
        """Return this choice, with layer, protocol and precision of `other` where it has none."""
        return replace(
            self,
            layer=self.layer or other.layer,
            protocol=self.protocol or other.protocol,
            precision=self.precision or other.precision,
        )


@dataclass(frozen=True)
class PackagedWeights:
    """Weights in the package: a file below `bench/extractors/weights`."""

    file: str
    sha256: str

    def read(self, name: str) -> bytes:
        """Return the bytes of the file. Raises `BundleError` when it is damaged."""
        file = resources.files("bench.extractors") / "weights" / self.file
        try:
            data = file.read_bytes()
        except OSError as error:
            raise BundleError(f"weights {self.file} of {name!r}: {reason_of(error)}") from error
        found = hashlib.sha256(data).hexdigest()
        if found != self.sha256:
            raise BundleError(
                f"weights {self.file} of {name!r} are damaged: SHA-256 {found}, "
                f"expected {self.sha256}. Install latentbench again."
            )
        return data


@dataclass(frozen=True)
class ComputedWeights:
    """An extractor without a weights file: its code defines what it computes.

    `sha256` identifies that: the digest of the weights that a seed generates, or of a definition.
    """

    sha256: str


Weights = PackagedWeights | HostedWeights | ComputedWeights


@dataclass(frozen=True, kw_only=True)
class ExtractorRow:
    """One row of the table.

    The first of `layers`, `protocols` and `precisions` is the default; an empty tuple means that
    the extractor has no such choice.
    """

    name: str
    title: str
    loader: str  # "module:function", called with the `ResolvedExtractor` and a device
    weights: Weights
    feature_dim: int | None  # of the default layer; None: depends on the images
    num_classes: int | None  # of a classifier
    channels: Literal[1, 3]  # that the network sees: 1 reduces colour to luma, 3 repeats grey
    citation: str
    side_px: int | None = None  # the one size of images that is accepted; None: any
    layers: tuple[str, ...] = ()
    protocols: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    precision_shifts: Mapping[str, str] = field(default_factory=dict)  # measured shift of the FID
    compiles: bool = False  # there is a compiled form
    learnt: str = ""  # what the weights were fitted to, in words; empty if to nothing
    labels_of: str | None = None  # data set of `bench.data.datasets` whose labels they have seen

    def settings_of(self, choice: ExtractorChoice) -> dict[str, str]:
        """Return the layer, protocol and precision of a choice, as far as the extractor has them.

        Raises `UsageError` for a choice that it does not have, `UnknownNameError` for a value.

        >>> from bench.extractors import EXTRACTORS
        >>> EXTRACTORS["inception"].settings_of(ExtractorChoice(layer="64"))
        {'layer': '64', 'protocol': 'torch-fidelity', 'precision': 'exact'}
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
        """Check the choice and find the weights, downloading them if necessary.

        Raises `UsageError` for options that the extractor does not have, `BundleError` for
        weights that cannot be found or have another digest.
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

    Features are comparable when name, digest and settings are equal.
    """

    row: ExtractorRow
    digest: str  # SHA-256 of the weights
    settings: Mapping[str, str] = field(default_factory=dict)  # layer, protocol, precision
    weights_path: Path | None = None  # of hosted weights
    verified: bool = True  # the weights are the published ones
    batch_size: int | None = None  # images; None: the extractor's own
    compiled: bool = False

    @property
    def name(self) -> str:
        return self.row.name

    @property
    def label(self) -> str:
        """The name with the settings that differ from the default, for tables and file names."""
        defaults = self.row.settings_of(ExtractorChoice())
        changed = [value for kind, value in self.settings.items() if defaults[kind] != value]
        return "-".join([self.name, *changed])

    def load(self, device: str = "cpu") -> Extractor:
        """Return the network on `device`. Raises `BundleError` for weights that do not fit, and
        `UsageError` when the device lacks memory for them.
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
    """Return whether an exception is about a failed allocation, on the GPU or on the CPU."""
    message = str(error).lower()
    return isinstance(error, MemoryError) or any(words in message for words in OUT_OF_MEMORY)


def not_enough_memory(name: str, device: str, what: str, error: BaseException) -> UsageError:
    """Return the error for the user when `what` does not fit into memory."""
    reason = str(error).splitlines() or [type(error).__name__]
    return UsageError(
        f"extractor {name!r} on {device}: not enough memory for {what}: {reason[0].rstrip('.')}. "
        "Use another --device, or make room on this one."
    )


def luma(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return grey images N,H,W,1 for N,H,W,C: ITU-R BT.601 luma, rounded, unless C is 1.

    >>> luma(np.array([[[[255, 0, 0]]]], np.uint8)).item()
    76
    """
    if images.shape[3] == 1:
        return images
    grey = images.astype(np.float32) @ np.array(LUMA, np.float32)
    rounded: NDArray[np.uint8] = np.floor(grey + 0.5).clip(0, 255).astype(np.uint8)
    return rounded[..., None]


def require_images(images: NDArray[np.uint8], name: str, side_px: int | None = None) -> None:
    """Raise `InputError` unless `images` is uint8 N,H,W,C with N >= 1, of `side_px` if given."""
    if images.ndim != 4 or images.dtype != np.uint8 or len(images) == 0:
        raise InputError(
            f"extractor {name!r} needs uint8 images N,H,W,C with N >= 1, "
            f"got {images.dtype} {images.shape}"
        )
    if side_px is not None and images.shape[1:3] != (side_px, side_px):
        raise InputError(
            f"extractor {name!r} takes {side_px}x{side_px} px images, "
            f"got {images.shape[2]}x{images.shape[1]} px (width x height); "
            "choose an extractor made for these images, or resize them: "
            f"--resize {side_px}x{side_px}"
        )
    low, high = min(images.shape[1:3]), max(images.shape[1:3])
    if low < MIN_SIDE_PX or high > MAX_SIDE_PX:
        raise InputError(
            f"images are {images.shape[2]}x{images.shape[1]} px (width x height); extractors take "
            f"{MIN_SIDE_PX} to {MAX_SIDE_PX} px a side. Resize them: --resize WIDTHxHEIGHT"
        )
