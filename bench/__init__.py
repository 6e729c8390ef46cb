"""Latentbench: a benchmark and metrics suite for generative image models.

    import bench
    record = bench.score("samples/", reference="mnist")
    bench.table(record)

Importing this package loads neither torch nor matplotlib. Each name below loads what it needs on
first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.runtime.lazy_names import lazy_names

if TYPE_CHECKING:
    from bench.anomaly.folder.evaluate import evaluate_folder as evaluate_folder
    from bench.comparing.comparison import Comparison as Comparison
    from bench.comparing.comparison import compare as compare
    from bench.comparing.methods import compare_methods as compare_methods
    from bench.intake import audit as audit
    from bench.intake import load_spec as load_spec
    from bench.records.score_record import ScoreRecord as ScoreRecord
    from bench.records.score_record import append_record as append_record
    from bench.records.score_record import read_records as read_records
    from bench.reporting import report as report
    from bench.scoring.scorer import Failure as Failure
    from bench.scoring.scorer import Scorer as Scorer
    from bench.scoring.scorer import score as score
    from bench.scoring.scorer import score_many as score_many
    from bench.scoring.settings import ScoreSettings as ScoreSettings
    from bench.scoring.statistics_export import export_statistics as export_statistics
    from bench.tables.frame import table as table

_MODULES = {
    "evaluate_folder": "bench.anomaly.folder.evaluate",
    "Comparison": "bench.comparing.comparison",
    "compare": "bench.comparing.comparison",
    "compare_methods": "bench.comparing.methods",
    "audit": "bench.intake",
    "load_spec": "bench.intake",
    "ScoreRecord": "bench.records.score_record",
    "append_record": "bench.records.score_record",
    "read_records": "bench.records.score_record",
    "report": "bench.reporting",
    "Failure": "bench.scoring.scorer",
    "Scorer": "bench.scoring.scorer",
    "ScoreSettings": "bench.scoring.settings",
    "score": "bench.scoring.scorer",
    "score_many": "bench.scoring.scorer",
    "export_statistics": "bench.scoring.statistics_export",
    "table": "bench.tables.frame",
}

__all__ = list(_MODULES)
__getattr__, __dir__ = lazy_names(__name__, _MODULES)
