"""A user's own extractor, named `package.module:Class`.

    class MyNet:                       # in my_nets.py: --extractor my_nets:MyNet
        digest = "1"                   # change it when the weights change
        def __init__(self, device="cpu"):
            self.device = device
            self.model = load_my_model().to(device)
        def __call__(self, images):    # uint8 N,H,W,3
            x = torch.from_numpy(images).to(self.device)
            with torch.inference_mode():
                return self.model(x.permute(0, 3, 1, 2).float() / 255)

The class is constructed with `device=` when it takes one, else without arguments, and is called
with at most `batch_size` images at a time: uint8 N,H,W,3, or N,H,W,1 when its `channels` is 1.
It returns float32 N,D as a NumPy array, a torch tensor or `bench.statistics.moments.Features`.

Optional class attributes: `name` (a title for tables), `digest` (any text that changes when the
features do, best the SHA-256 of the weights), `feature_dim`, `channels` (3, or 1 for grey).
Without `digest`, the SHA-256 of the source file that defines the class is used. It does not cover
weights files or other modules, so set `digest` if there are any.

Modules are imported from installed packages first, then from the current directory.
"""

from __future__ import annotations

import hashlib
import inspect
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.errors import LatentbenchError, UsageError
from bench.extractors.base import (
    ComputedWeights,
    ExtractorRow,
    ResolvedExtractor,
    luma,
    require_images,
)
from bench.runtime.outside_class import construct, first_line, import_class
from bench.runtime.progress import CountProgress
from bench.statistics.moments import Features

BATCH_SIZE = 64
SHA256 = re.compile(r"[0-9a-f]{64}")
SHOWN = 5  # rows that an error names

Array = NDArray[np.float32]


def row_of(name: str) -> ExtractorRow:
    """Return the row of `package.module:Class`, importing the module without making an instance.

    Raises `UsageError` when the module or the class cannot be found, or an attribute is unfit.
    """
    cls = import_class("extractor", name, "__call__(self, images)")
    digest = _attribute(cls, name, "digest", str)
    title = _attribute(cls, name, "name", str)
    feature_dim = _attribute(cls, name, "feature_dim", int)
    channels: Literal[1, 3] = 1 if _attribute(cls, name, "channels", int, (1, 3)) == 1 else 3
    if feature_dim is not None and feature_dim < 1:
        raise UsageError(f"extractor {name}: feature_dim is {feature_dim}, expected at least 1")
    return ExtractorRow(
        name=name,
        title=title or f"your own class {name}",
        loader=f"{__name__}:load",
        weights=ComputedWeights(_source_digest(cls, name) if digest is None else _hex(digest)),
        feature_dim=feature_dim,
        num_classes=None,
        channels=channels,
        citation=f"{cls.__module__}.{cls.__qualname__}",
        learnt="data that its author knows",
    )


def _attribute(
    cls: type, name: str, attribute: str, kind: type, allowed: tuple[object, ...] = ()
) -> Any:
    """Return a class attribute of the type `kind`, or None when there is none."""
    value = getattr(cls, attribute, None)
    if value is None:
        return None
    if not isinstance(value, kind) or isinstance(value, bool) or value == "":
        shown = f"a {type(value).__name__}" if callable(value) or value != "" else "empty"
        raise UsageError(
            f"extractor {name}: {attribute} is {shown}, expected a class attribute of type "
            f"{kind.__name__}, known before the class is constructed"
        )
    if allowed and value not in allowed:
        raise UsageError(f"extractor {name}: {attribute} is {value}, expected one of {allowed}")
    return value


def _hex(digest: str) -> str:
    """The digest itself when it is a SHA-256, else the SHA-256 of its text."""
    return digest if SHA256.fullmatch(digest) else hashlib.sha256(digest.encode()).hexdigest()


def _source_digest(cls: type, name: str) -> str:
    try:
        source = inspect.getsourcefile(cls)
    except (TypeError, OSError):
        source = None
    if source is None or not Path(source).is_file():
        raise UsageError(
            f"extractor {name}: there is no source file to tell its versions apart; give the class "
            "an attribute digest: text that changes when its features do"
        )
    return hashlib.sha256(Path(source).read_bytes()).hexdigest()


def load(resolved: ResolvedExtractor, device: str) -> CustomExtractor:
    """Make an instance and wrap it. Raises `UsageError` when the constructor fails."""
    name = resolved.name
    cls = import_class("extractor", name, "__call__(self, images)")
    instance = construct(cls, "extractor", name, device)
    digest = getattr(instance, "digest", None)
    if isinstance(digest, str) and _hex(digest) != resolved.digest:
        raise UsageError(
            f"extractor {name}: digest is {digest!r} in an instance and another in the class; set "
            "it as a class attribute, so that stored features can be told apart"
        )
    return CustomExtractor(
        name=name,
        digest=resolved.digest,
        device=device,
        instance=instance,
        channels=resolved.row.channels,
        feature_dim=resolved.row.feature_dim,
        batch_size=resolved.batch_size or BATCH_SIZE,
    )


@dataclass
class CustomExtractor:
    """A user's object as an `Extractor` whose results are checked.

    A call raises `UsageError` when the object raises, or returns anything but finite float32 N,D
    with the same D every time.
    """

    name: str
    digest: str
    device: str
    instance: Callable[[NDArray[np.uint8]], object]
    channels: Literal[1, 3]
    feature_dim: int | None
    batch_size: int
    num_classes: int | None = field(default=None, init=False)

    def __call__(
        self, images: NDArray[np.uint8], *, progress: CountProgress | None = None
    ) -> Features:
        require_images(images, self.name)
        values: list[Array] = []
        logits: list[Array] = []
        for start in range(0, len(images), self.batch_size):
            batch = self._seen(images[start : start + self.batch_size])
            features = self._features(self._call(batch), len(batch), start)
            values.append(features.values)
            if features.logits is not None:
                logits.append(features.logits)
            if len(logits) not in (0, len(values)):
                raise self._wrong("logits are returned for some batches and not for others")
            if progress is not None:
                progress(start + len(batch), len(images))
        return Features(np.concatenate(values), np.concatenate(logits) if logits else None)

    def _seen(self, batch: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the batch with the class's `channels`, as a copy that the class may overwrite."""
        if self.channels == 1:
            return luma(batch).copy()
        return np.repeat(batch, 3 // batch.shape[3], axis=3)

    def _call(self, batch: NDArray[np.uint8]) -> object:
        try:
            return self.instance(batch)
        except LatentbenchError:
            raise
        except (Exception, SystemExit) as error:
            raise UsageError(
                f"extractor {self.name} fails on images {batch.dtype} {batch.shape}: "
                f"{first_line(error)}"
            ) from error

    def _features(self, returned: object, num: int, start: int) -> Features:
        """Return checked copies, since a class may return the same buffer every time."""
        logits = None
        if isinstance(returned, Features):
            if returned.logits is not None:
                logits = self._checked(returned.logits, "logits", num, start)
                self.num_classes = self._same_width(logits, "logits", self.num_classes)
            returned = returned.values
        values = self._checked(returned, "features", num, start)
        self.feature_dim = self._same_width(values, "features", self.feature_dim)
        return Features(values, logits)

    def _checked(self, returned: object, what: str, num: int, start: int) -> Array:
        torch = sys.modules.get("torch")  # a tensor needs it
        if torch is not None and isinstance(returned, torch.Tensor):
            returned = self._require_float32(returned.detach().cpu(), what).numpy()
        if not isinstance(returned, np.ndarray):
            raise self._wrong(
                f"{what} are a {type(returned).__name__}, expected a NumPy array, a torch tensor "
                "or bench.statistics.moments.Features"
            )
        self._require_float32(returned, what)
        if returned.ndim != 2 or len(returned) != num or returned.shape[1] == 0:
            raise self._wrong(
                f"{what} have shape {returned.shape}, expected ({num}, D): a row per image"
            )
        finite = np.isfinite(returned).all(axis=1)
        if not finite.all():
            rows = (np.flatnonzero(~finite) + start).tolist()
            shown = ", ".join(map(str, rows[:SHOWN])) + (", ..." if len(rows) > SHOWN else "")
            raise self._wrong(
                f"{what} are NaN or infinite for {len(rows)} of {num} images: number {shown}"
            )
        return np.array(returned, dtype=np.float32, order="C")

    def _require_float32(self, returned: Any, what: str) -> Any:
        dtype = str(returned.dtype).removeprefix("torch.")
        if dtype != "float32":
            raise self._wrong(f"{what} are {dtype}; return float32")
        return returned

    def _same_width(self, array: Array, what: str, expected: int | None) -> int:
        width = int(array.shape[1])
        if expected is not None and width != expected:
            raise self._wrong(f"{what} have {width} dimensions, {expected} were expected")
        return width

    def _wrong(self, what: str) -> UsageError:
        return UsageError(f"extractor {self.name}: {what}")
