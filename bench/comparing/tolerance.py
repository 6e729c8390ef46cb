"""How much worse a metric may become: an amount in its unit, or a share of the base's value."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bench.errors import UnknownNameError, UsageError

Given = str | float | Mapping[str, str | float] | None


@dataclass(frozen=True)
class Amount:
    """`absolute`, in the metric's unit, or `share` of the base's value; never negative."""

    absolute: float = 0.0
    share: float = 0.0

    @classmethod
    def of(cls, given: str | float) -> Amount:
        """From "2%", "0.5" or 0.5. Raises `UsageError`."""
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
        """The amount in the metric's unit."""
        return self.absolute + self.share * abs(base)


@dataclass(frozen=True)
class Tolerance:
    """An amount for every metric, `usual` where none is named."""

    usual: Amount = Amount()
    named: Mapping[str, Amount] = field(default_factory=dict)

    @classmethod
    def of(cls, given: Given) -> Tolerance:
        """From "2%", "fid=2%,kid_poly3=0.001", "1%,fid=2%", a number, or a dict of metric to one
        of them. Raises `UsageError`.
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
        """Raises `UnknownNameError` for a name that is not among `metrics`."""
        metrics = list(metrics)
        for name in self.named:
            if name not in metrics:
                raise UnknownNameError("metric in the tolerance", name, metrics)

    def amount(self, metric: str) -> Amount:
        """What is allowed of one metric."""
        return self.named.get(metric, self.usual)
