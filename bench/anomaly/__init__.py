"""Anomaly detectors: on a labelled folder, and in the one-class benchmark.

The names below are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.runtime.lazy_names import lazy_names

if TYPE_CHECKING:
    from bench.anomaly.folder.evaluate import FolderResult as FolderResult
    from bench.anomaly.folder.evaluate import evaluate_folder as evaluate_folder
    from bench.anomaly.folder.record import AnomalyRecord as AnomalyRecord
    from bench.anomaly.folder.verdicts import judge_folder as judge_folder

_MODULES = {
    "FolderResult": "bench.anomaly.folder.evaluate",
    "evaluate_folder": "bench.anomaly.folder.evaluate",
    "AnomalyRecord": "bench.anomaly.folder.record",
    "judge_folder": "bench.anomaly.folder.verdicts",
}

__all__ = list(_MODULES)
__getattr__, __dir__ = lazy_names(__name__, _MODULES)
