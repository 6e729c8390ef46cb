"""`ContentFinding`: one diagnosis of the pixels of a folder, as one row of the table `FINDINGS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bench.content.evidence import Evidence
from bench.intake.codes import SEVERITIES, Severity
from bench.records.score_record import FindingEntry

NUM_EXAMPLES = 5


@dataclass(frozen=True)
class Found:
    """What a check found in one folder.

    `count` is the number of affected images. `detail` completes the message of the row and states
    the figures of the case. `figures` are the same numbers by name, for programs. `rows` are the
    positions of affected images in the folder; the first five become examples. `severity`
    overrides the severity of the row.
    """

    count: int
    detail: str
    figures: Mapping[str, float] = field(default_factory=dict)
    rows: Sequence[int] | NDArray[np.int64] = ()
    severity: Severity | None = None


@dataclass(frozen=True, kw_only=True)
class ContentFinding:
    """A diagnosis: its code in records, its texts, and the check that makes it.

    `severity` is "error" for images whose score means nothing, "warning" for a fault to repair,
    "info" for something worth knowing. `message` says what is wrong in general; the detail of the
    case follows it after a colon. `fix` says why it matters and what to try first. `check` returns
    None for a folder without the fault.

    The check is skipped if a finding that `unless` names, by its code or its `group`, was found
    before: that finding explains this one. It is also skipped if every image of the folder is
    blank, unless `checks_blank_images` is set. Raises `ValueError` for an unknown severity.
    """

    name: str
    severity: Severity
    message: str
    fix: str
    check: Callable[[Evidence], Found | None]
    group: str = ""
    unless: tuple[str, ...] = ()
    checks_blank_images: bool = False

    def __post_init__(self) -> None:
        if self.severity not in SEVERITIES:
            raise ValueError(
                f"finding {self.name!r}: severity {self.severity!r} is none of "
                f"{', '.join(SEVERITIES)}"
            )

    def entry(self, found: Found) -> FindingEntry:
        """Return the finding as a record holds it; its examples are positions in the folder."""
        return FindingEntry(
            code=self.name,
            severity=found.severity or self.severity,
            count=found.count,
            examples=tuple(str(int(row)) for row in found.rows[:NUM_EXAMPLES]),
            message=f"{self.message}: {found.detail}",
            fix=self.fix,
            figures={name: float(value) for name, value in found.figures.items()},
        )


def share_of(count: int, total: int) -> str:
    """Return a count of images with its share.

    >>> share_of(60, 600)
    '60 of 600 images (10 %)'
    """
    share = 100 * count / total
    return f"{count:,} of {total:,} images ({share:.{0 if share >= 10 else 1}f} %)"


def percent(share: float) -> str:
    """Return a share in percent, with one decimal below 10 %.

    >>> percent(0.114), percent(0.004)
    ('11 %', '0.4 %')
    """
    return f"{100 * share:.0f} %" if share >= 0.095 else f"{100 * share:.1f} %"
