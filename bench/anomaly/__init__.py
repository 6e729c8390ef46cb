"""Anomaly detectors judged: on a labelled folder, and by the one-class benchmark.

The names below are loaded when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.anomaly.folder.evaluate import FolderResult as FolderResult
    from bench.anomaly.folder.evaluate import evaluate_folder as evaluate_folder
    from bench.anomaly.folder.record import AnomalyRecord as AnomalyRecord

_HOMES = {
    "FolderResult": "folder.evaluate",
    "evaluate_folder": "folder.evaluate",
    "AnomalyRecord": "folder.record",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'bench.anomaly' has no attribute {name!r}")
    return getattr(importlib.import_module(f"bench.anomaly.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
