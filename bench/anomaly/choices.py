"""How detectors, seeds and budgets are named on the command line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from bench.anomaly.detectors import DETECTORS
from bench.errors import UsageError
from bench.runtime.registry import Unloadable

Budget = Literal["published", "cpu"]
BUDGETS: tuple[Budget, ...] = ("published", "cpu")
GROUPS = {
    "all": None,
    "shallow": False,
    "network": True,
}  # group -> whether its detectors train a network
MAX_SEEDS = 1000
EXPECTED_SEEDS = (
    f"expected a number of 1 to {MAX_SEEDS}, or NAME=NUMBER with commas (shallow=3,network=1)"
)


def _parts(text: str) -> list[str]:
    return [part for part in (part.strip() for part in text.split(",")) if part]


def group_members(name: str) -> tuple[str, ...]:
    """Return the detectors of a group that can be loaded; see `unloadable_in`."""
    wanted = GROUPS[name]
    rows = DETECTORS.loadable().rows
    return tuple(row.name for row in rows if wanted is None or row.trains == wanted)


def unloadable_in(text: str) -> tuple[Unloadable, ...]:
    """Return the detectors that cannot be loaded, when the names include a group. Any of them might
    belong to it.
    """
    asked = _parts(text)
    broken = DETECTORS.loadable().broken if any(part in GROUPS for part in asked) else ()
    return tuple(one for one in broken if one.name not in asked)


def named_detectors(text: str) -> tuple[str, ...]:
    """Return the detectors of a comma-separated list of names and groups. Raises
    `UnknownNameError`.
    """
    found: list[str] = []
    for name in _parts(text):
        found += group_members(name) if name in GROUPS else [DETECTORS.find(name).name]
    if not found:
        raise UsageError(
            f"no detector is named; valid: {', '.join(DETECTORS)}; {', '.join(GROUPS)}"
        )
    return tuple(dict.fromkeys(found))


def is_named(name: str, text: str) -> bool:
    """Return whether a detector is requested by its own name, and not only by a group's."""
    return name in _parts(text)


def require_budget(text: str | None) -> Budget | None:
    """Return the budget of that name. Raises `UsageError`."""
    if text is None:
        return None
    for budget in BUDGETS:
        if text == budget:
            return budget
    raise UsageError(f"--budget {text}: expected {' or '.join(BUDGETS)}")


def seed_counts(text: str, names: Iterable[str]) -> dict[str, int]:
    """Return the number of seeds of each named detector: "3" for all, "shallow=3,network=1" by
    group, "1,isolation-forest=3" by detector. A more specific entry wins. Raises `UsageError`, and
    `UnknownNameError` for a name that is neither a detector nor a group.
    """
    counts: dict[str, dict[str, int]] = {"all": {}, "group": {}, "own": {}}
    said: set[str] = set()
    for part in _parts(text) or [text]:
        name, separator, number = (piece.strip() for piece in part.rpartition("="))
        count = _count(number, text)
        name = name if separator else "all"
        if name in said:
            raise UsageError(f"--num-seeds {text}: more than one number for {name}; give one")
        said.add(name)
        if not name:
            raise UsageError(f"--num-seeds {text}: no name before '='; {EXPECTED_SEEDS}")
        if name == "all":
            counts["all"] |= dict.fromkeys(DETECTORS, count)
        elif name in GROUPS:
            counts["group"] |= dict.fromkeys(group_members(name), count)
        else:
            counts["own"][DETECTORS.find(name).name] = count
    found = counts["all"] | counts["group"] | counts["own"]
    missing = [name for name in names if name not in found]
    if missing:
        raise UsageError(f"--num-seeds {text}: no number for {', '.join(missing)}")
    return {name: found[name] for name in names}


def _count(number: str, text: str) -> int:
    if not number.isascii() or not number.isdigit() or not 1 <= int(number) <= MAX_SEEDS:
        raise UsageError(f"--num-seeds {text or repr(text)}: {EXPECTED_SEEDS}")
    return int(number)


def variant(name: str, budget: str, extractor: str) -> str:
    """Return the name of a detector in a table: with its extractor, and its budget unless that is
    the full one.
    """
    features = f" on {extractor}" if extractor else ""
    return f"{name}{features}" + (" (cpu budget)" if budget == "cpu" else "")
