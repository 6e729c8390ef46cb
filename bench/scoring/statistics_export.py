"""Write the mean and covariance of real images, or of a reference, for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.errors import UsageError
from bench.references.statistics_file import write_statistics
from bench.runtime.cache import Cache, default_root
from bench.runtime.devices import select_device
from bench.runtime.progress import Progress
from bench.scoring.settings import ScoreSettings
from bench.scoring.target import open_targets


def export_statistics(
    path: str | Path,
    settings: ScoreSettings | None = None,
    *,
    split: str = "train",
    progress: Progress | None = None,
    **options: Any,
) -> Path:
    """Write `mu` (float64 D) and `sigma` (float64 D,D, divisor n - 1) of a reference to an npz file
    that pytorch-fid, clean-fid, EDM and ADM read, and return its path.

    `options` are those of `ScoreSettings`: the reference is a bundle by name, or real images with
    an extractor. Raises `UsageError` for a split that the reference does not hold, and what
    `Scorer` raises.

    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = export_statistics(f"{folder}/mnist.npz", reference="mnist")
    ...     with np.load(file) as arrays:
    ...         arrays["mu"].shape, arrays["sigma"].shape, int(arrays["num_images"])
    ((128,), (128, 128), 60000)
    """
    settings = ScoreSettings.of(settings, options)
    cache = Cache(default_root() if settings.use_cache else None)
    targets = open_targets(
        settings, device=select_device(settings.device), cache=cache, progress=progress
    )
    if len(targets) > 1:
        raise UsageError("a statistics file holds one protocol; name it instead of 'all'")
    write_statistics(Path(path), targets[0].reference, targets[0].extractor, split=split)
    return Path(path)
