"""`ContentFinding`: one diagnosis of the pixels of a folder, as one row of the table `FINDINGS`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bench.content.evidence import Evidence
from bench.intake.codes import SEVERITIES, Severity
from bench.records.finding_order import FID_COST
from bench.records.score_record import FindingEntry

NUM_EXAMPLES = 5


@dataclass(frozen=True)
class Cost:
    """What a fault costs in FID, by its strength: the FID that it adds to real images.

    `points` are (strength, FID) in increasing order of strength; between them the cost is
    interpolated. The strength is the figure that `figures` names, or the difference of two. A
    fault without a strength has one point and no figures.

    The points of this package were measured by applying the fault to 1,000 test images of MNIST and
    subtracting their own FID, with the `digits` extractor; `tests/content/test_finding_costs.py`
    repeats that. On other data the order of the findings matters more than the numbers.

    >>> Cost(((0.0, 0.0), (8.0, 20.0)), ("noise", "real"))({"noise": 6.0, "real": 2.0})
    10.0
    """

    points: tuple[tuple[float, float], ...]
    figures: tuple[str, ...] = ()

    def __call__(self, figures: Mapping[str, float]) -> float:
        """Return the FID that a fault with these figures costs."""
        values = [figures.get(name, 0.0) for name in self.figures] or [0.0]
        strength = abs(values[0] - values[1]) if len(values) > 1 else values[0]
        strengths, costs = zip(*self.points, strict=True)
        return float(np.interp(strength, strengths, costs))


@dataclass(frozen=True)
class Found:
    """What a check found in one folder.

    `count` is the number of affected images. `detail` completes the message of the row and states
    the figures of the case. `figures` are the same numbers by name, for programs. `rows` are the
    positions of affected images in the folder; the first five become examples. `severity` and
    `fix` override those of the row.
    """

    count: int
    detail: str
    figures: Mapping[str, float] = field(default_factory=dict)
    rows: Sequence[int] | NDArray[np.int64] = ()
    severity: Severity | None = None
    fix: str | None = None


@dataclass(frozen=True, kw_only=True)
class ContentFinding:
    """A diagnosis: its code in records, its texts, and the check that makes it.

    `severity` is "error" for images whose score means nothing, "warning" for a fault to repair,
    "info" for something worth knowing. `message` says what is wrong in general; the detail of the
    case follows it after a colon. `fix` says why it matters and the one thing to try first. `check`
    returns None for a folder without the fault. `cost` estimates the FID that the fault costs;
    findings are shown in the order of it, and those without one come last.

    If a finding that `unless` names, by its code or its `group`, was found before, it explains this
    one, which is then not a finding of its own. The check is skipped if every image of the folder
    is blank, unless `checks_blank_images` is set. Raises `ValueError` for an unknown severity.
    """

    name: str
    severity: Severity
    message: str
    fix: str
    check: Callable[[Evidence], Found | None]
    cost: Cost | None = None
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
        figures = {name: float(value) for name, value in found.figures.items()}
        return FindingEntry(
            code=self.name,
            severity=found.severity or self.severity,
            count=found.count,
            examples=tuple(str(int(row)) for row in found.rows[:NUM_EXAMPLES]),
            message=f"{self.message}: {found.detail}",
            fix=found.fix or self.fix,
            figures=figures if self.cost is None else figures | {FID_COST: self.cost(figures)},
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
