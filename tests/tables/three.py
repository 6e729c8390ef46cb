"""Three submissions of one protocol."""

from __future__ import annotations

from bench.records.score_record import ScoreRecord
from tests.records.test_score_record import record
from tests.reporting.complete import entry


def three() -> list[ScoreRecord]:
    """Return records: the second has significantly the best FID, none the best recall."""
    rows = ((5.0, 0.50), (2.01, 0.51), (5.1, 0.505))
    return [
        record(name, (entry("fid", fid, 0.1), entry("recall_k3", recall, 0.02)))
        for name, (fid, recall) in zip(("a", "b", "c"), rows, strict=True)
    ]
