"""The order in which findings are shown: errors, then what costs the most FID; three at first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

FID_COST = "fid_cost"  # the figure of a finding that holds the FID it costs, as estimated
NUM_FIRST = 3
SEVERITIES = ("error", "warning", "info")


class _Shown(Protocol):
    @property
    def severity(self) -> str: ...


F = TypeVar("F", bound=_Shown)


def urgency(finding: _Shown) -> tuple[int, float]:
    """Return the sort key of a finding: errors first, then those that cost the most FID."""
    figures = getattr(finding, "figures", {})  # a finding of the intake has none
    return SEVERITIES.index(finding.severity), -figures.get(FID_COST, 0.0)


def by_urgency(findings: Iterable[F], number: int = NUM_FIRST) -> tuple[list[F], list[F]]:
    """Return the findings to be shown in full, at most `number` of them, and the others.

    Information is shown in full only if there is nothing else.
    """
    ordered = sorted(findings, key=urgency)
    faults = sum(finding.severity != "info" for finding in ordered)
    num_first = min(number, faults or len(ordered))
    return ordered[:num_first], ordered[num_first:]
