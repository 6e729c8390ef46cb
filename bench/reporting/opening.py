"""What a student reads first about a record: valid, how good, what to fix."""

from __future__ import annotations

from typing import NamedTuple

from bench.records.finding_order import by_urgency
from bench.records.score_record import ScoreRecord
from bench.tables.numbers import value_with_interval
from bench.tables.verdict import METRIC, verdict


class Opening(NamedTuple):
    """The first sentences about a record. `placed` is the verdict, or the FID where there is no
    verdict; "" without either. `fixes` are the three findings that matter most.
    """

    valid: str
    placed: str
    fixes: tuple[str, ...]
    num_more: int

    @property
    def lines(self) -> list[str]:
        """The sentences, one a line."""
        fixes = [f"fix first: {fix}" for fix in self.fixes]
        return [self.valid, *filter(None, [self.placed]), *(fixes or ["nothing to fix was found"])]


def opening(record: ScoreRecord) -> Opening:
    """Return the first sentences about a record."""
    found = verdict(record)
    fid = next((one for one in record.values if one.metric == METRIC), None)
    placed = ""
    if found is not None:
        placed = found.text
    elif fid is not None and fid.value is not None:
        placed = f"FID {value_with_interval(fid)}, lower is better"
    first, rest = by_urgency(one for one in record.findings if one.severity != "info")
    return Opening(
        f"valid: {record.submission.num_images:,} images",
        placed,
        tuple(f"{one.message}. {one.fix}" for one in first),
        len(rest),
    )
