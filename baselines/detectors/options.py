"""Options of the detectors that train a network: texts or numbers by name, checked.

Every family has a model of options whose defaults are the published lengths, and a short table of
what budget "cpu" changes in them. A given option overrides both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from baselines.models.base import Options
from baselines.recipes.config import checked_options
from bench.anomaly.detectors.base import DetectorSettings, Option
from bench.errors import UsageError

Budget = Literal["published", "cpu"]
Chosen = TypeVar("Chosen", bound="DetectorOptions")


class DetectorOptions(Options):
    """Options of every such detector."""

    budget: Budget = "published"


def told(options: DetectorOptions) -> dict[str, Option]:
    """Return options as a record stores them, without those that are left to the recipe."""
    return {key: value for key, value in options.model_dump().items() if value is not None}


def options_of(
    kind: type[Chosen], settings: DetectorSettings, name: str, cpu: Mapping[str, Any]
) -> Chosen:
    """Return the complete options of a detector. Raises `UnknownNameError` with the valid names for
    an unknown option, and `UsageError` for an invalid value.
    """
    given = dict(settings.options)
    brought = cpu if given.get("budget") == "cpu" else {}
    found = checked_options(kind, {**brought, **given}, f"detector {name!r}")
    if not isinstance(found, kind):
        raise UsageError(f"detector {name!r}: options are of {type(found).__name__}")
    return found
