"""Tolerances: how much worse a metric may become, in its unit or as a share of the base value."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bench.errors import UnknownNameError, UsageError

Given = str | float | Mapping[str, str | float] | None


@dataclass(frozen=True)
class Amount:
    """A tolerance: `absolute` in the metric's unit plus `share` of the base value, both >= 0."""

    absolute: float = 0.0
    share: float = 0.0

    @classmethod
    def of(cls, given: str | float) -> Amount:
        """Parse "2%", "0.5" or 0.5. Raises `UsageError` for anything else.

        >>> Amount.of("2%")
        Amount(absolute=0.0, share=0.02)
        """
        text = str(given).strip()
        try:
            number = float(text.removesuffix("%"))
        except ValueError:
            number = math.nan
        if not (math.isfinite(number) and number >= 0):
            raise UsageError(
                f"tolerance {text!r}: expected a number of 0 or more, such as 2% or 0.5"
            )
        return cls(share=number / 100) if text.endswith("%") else cls(absolute=number)

    def at(self, base: float) -> float:
        """Return the amount in the metric's unit, for a base value.

        >>> Amount.of("2%").at(-50.0)
        1.0
        """
        return self.absolute + self.share * abs(base)


@dataclass(frozen=True)
class Tolerance:
    """An amount for every metric: `usual`, except for the metrics in `named`."""

    usual: Amount = Amount()
    named: Mapping[str, Amount] = field(default_factory=dict)

    @classmethod
    def of(cls, given: Given) -> Tolerance:
        """Parse "2%", "fid=2%,kid_poly3=0.001", "1%,fid=2%", a number, or a dict of amounts.

        Raises `UsageError` for an amount that is not a number of 0 or more.

        >>> Tolerance.of("1%,fid=0.5").amount("fid")
        Amount(absolute=0.5, share=0.0)
        """
        if given is None:
            return cls()
        if isinstance(given, Mapping):
            return cls(named={name: Amount.of(amount) for name, amount in given.items()})
        usual, named = Amount(), {}
        for part in str(given).split(","):
            name, equals, amount = part.partition("=")
            if equals:
                named[name.strip()] = Amount.of(amount)
            else:
                usual = Amount.of(name)
        return cls(usual, named)

    def check(self, metrics: Iterable[str]) -> None:
        """Raise `UnknownNameError` for a named metric that is not among `metrics`."""
        metrics = list(metrics)
        for name in self.named:
            if name not in metrics:
                raise UnknownNameError("metric in the tolerance", name, metrics)

    def amount(self, metric: str) -> Amount:
        """Return the amount for one metric."""
        return self.named.get(metric, self.usual)
