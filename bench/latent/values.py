"""What a measure of a latent space is, and one value of it: a number, or the reason for none.

Each group of measures is one file, with a `LatentMeasure` for every name that its values have.
`bench.latent.measures` joins them into one table.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bench.errors import LatentbenchError
from bench.statistics.intervals import Uncertainty

Group = Literal[
    "interpolation",
    "arithmetic",
    "traversal",
    "prior",
    "disentanglement",
    "representation",
    "invariance",
    "reuse",
]
Need = Literal["labels", "encoder", "prior", "classifier", "posterior", "categories", "factors"]


class Absent(LatentbenchError):
    """A value does not exist for this space and these data; the message is the reason."""


@dataclass(frozen=True, kw_only=True)
class LatentMeasure:
    """One row of the table of measures: everything that a record, table and page say about it."""

    name: str
    group: Group
    title: str  # a few words, for a table
    definition: str  # with every constant that the value depends on
    source: str  # the paper
    best: Literal["higher", "lower"] | None  # None where neither is better
    needs: frozenset[Need] = frozenset()
    headline: str = ".*"  # pattern of the variants that a short table shows
    low: float | None = None  # bounds that no value exceeds
    high: float | None = None

    def is_headline(self, variant: str) -> bool:
        """Return whether a short table shows this variant."""
        return re.fullmatch(self.headline, variant) is not None


class LatentValue(BaseModel):
    """One value of a measure, with its 95 % interval where it has one, or the reason for none.

    `variant` tells several values of one measure apart, such as "linear, other class". `n` is the
    number of independent units (pairs, images) behind the value.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    group: str
    name: str
    variant: str = ""
    value: float | None
    low: float | None = None
    high: float | None = None
    n: int = Field(default=0, ge=0)
    seed: int | None = None
    definition: str
    reason: str = ""

    @model_validator(mode="after")
    def _value_or_reason(self) -> LatentValue:
        if (self.value is None) == (not self.reason):
            raise ValueError(f"{self.key}: expected a value or the reason why there is none")
        return self

    @property
    def key(self) -> str:
        """The name with its variant, unique within a record."""
        return f"{self.name} ({self.variant})" if self.variant else self.name


def present(
    measure: LatentMeasure,
    value: float | Uncertainty,
    *,
    n: int,
    seed: int | None = None,
    variant: str = "",
) -> LatentValue:
    """Return a value. A number that is not finite becomes an absent one with that reason.

    >>> row = LatentMeasure(name="share", group="prior", title="", definition="d", source="",
    ...                     best=None)
    >>> present(row, 0.5, n=8).value, present(row, float("nan"), n=8).reason
    (0.5, 'the result is not a finite number (nan)')
    """
    interval = value if isinstance(value, Uncertainty) else None
    number = float(interval.estimate if interval is not None else value)  # type: ignore[arg-type]
    if not math.isfinite(number):
        reason = f"the result is not a finite number ({number})"
        return absent(measure, reason, seed=seed, variant=variant)
    low = high = None
    if interval is not None and math.isfinite(interval.low) and math.isfinite(interval.high):
        low, high = interval.low, interval.high
    return LatentValue(
        group=measure.group,
        name=measure.name,
        variant=variant,
        value=number,
        low=low,
        high=high,
        n=n,
        seed=seed,
        definition=measure.definition,
    )


def absent(
    measure: LatentMeasure, reason: str, *, seed: int | None = None, variant: str = ""
) -> LatentValue:
    """Return a value that does not exist, with the reason."""
    return LatentValue(
        group=measure.group,
        name=measure.name,
        variant=variant,
        value=None,
        seed=seed,
        definition=measure.definition,
        reason=reason,
    )


class Measured(NamedTuple):
    """What a computation returns to `attempt`: the value, and the number of units behind it."""

    value: float | Uncertainty
    n: int


def attempt(
    measure: LatentMeasure,
    compute: Callable[[], Measured],
    *,
    seed: int | None = None,
    variant: str = "",
) -> LatentValue:
    """Return the value that `compute` finds; an absent one when it raises `Absent`."""
    try:
        found = compute()
    except Absent as error:
        return absent(measure, str(error), seed=seed, variant=variant)
    return present(measure, found.value, n=found.n, seed=seed, variant=variant)
