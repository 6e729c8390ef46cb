"""How detectors, seeds and budgets are named on the command line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from bench.anomaly.detectors import Unloadable, all_detectors, detector, loadable_detectors
from bench.errors import UsageError

Budget = Literal["published", "cpu"]
BUDGETS: tuple[Budget, ...] = ("published", "cpu")
GROUPS = {"all": None, "shallow": False, "network": True}  # by whether a network is trained
MAX_SEEDS = 1000
EXPECTED_SEEDS = (
    f"expected a number of 1 to {MAX_SEEDS}, or NAME=NUMBER with commas (shallow=3,network=1)"
)


def _parts(text: str) -> list[str]:
    return [part for part in (part.strip() for part in text.split(",")) if part]


def group_members(name: str) -> tuple[str, ...]:
    """The detectors of a group, as far as they can be loaded; see `unloadable_in`."""
    wanted = GROUPS[name]
    rows = loadable_detectors().rows
    return tuple(row.name for row in rows if wanted is None or row.trains == wanted)


def unloadable_in(text: str) -> tuple[Unloadable, ...]:
    """Detectors that a group among these names would have if they could be loaded: all that
    cannot, since nobody knows of what group they are.
    """
    asked = _parts(text)
    broken = loadable_detectors().broken if any(part in GROUPS for part in asked) else ()
    return tuple(one for one in broken if one.name not in asked)


def named_detectors(text: str) -> tuple[str, ...]:
    """Detectors by name with commas, or one of the groups. Raises `UnknownNameError`."""
    found: list[str] = []
    for name in _parts(text):
        found += group_members(name) if name in GROUPS else [detector(name).name]
    if not found:
        raise UsageError(
            f"no detector is named; valid: {', '.join(all_detectors())}; {', '.join(GROUPS)}"
        )
    return tuple(dict.fromkeys(found))


def is_named(name: str, text: str) -> bool:
    """Whether a detector is asked for by its own name, and not only by a group's."""
    return name in _parts(text)


def require_budget(text: str | None) -> Budget | None:
    """A budget by name. Raises `UsageError`."""
    if text is None:
        return None
    for budget in BUDGETS:
        if text == budget:
            return budget
    raise UsageError(f"--budget {text}: expected {' or '.join(BUDGETS)}")


def seed_counts(text: str, names: Iterable[str]) -> dict[str, int]:
    """How many seeds each named detector has: "3" for all, "shallow=3,network=1" by group,
    "1,isolation-forest=3" by detector; what is more special stands above what is less. Raises
    `UsageError`, and `UnknownNameError` for a name that is neither.
    """
    counts: dict[str, dict[str, int]] = {"all": {}, "group": {}, "own": {}}
    said: set[str] = set()
    for part in _parts(text) or [text]:
        name, separator, number = (piece.strip() for piece in part.rpartition("="))
        count = _count(number, text)
        name = name if separator else "all"
        if name in said:
            raise UsageError(f"--seeds {text}: more than one number of {name}; give one")
        said.add(name)
        if not name:
            raise UsageError(f"--seeds {text}: no name before '='; {EXPECTED_SEEDS}")
        if name == "all":
            counts["all"] |= dict.fromkeys(all_detectors(), count)
        elif name in GROUPS:
            counts["group"] |= dict.fromkeys(group_members(name), count)
        else:
            counts["own"][detector(name).name] = count
    found = counts["all"] | counts["group"] | counts["own"]
    missing = [name for name in names if name not in found]
    if missing:
        raise UsageError(f"--seeds {text}: says nothing of {', '.join(missing)}")
    return {name: found[name] for name in names}


def _count(number: str, text: str) -> int:
    if not number.isascii() or not number.isdigit() or not 1 <= int(number) <= MAX_SEEDS:
        raise UsageError(f"--seeds {text or repr(text)}: {EXPECTED_SEEDS}")
    return int(number)


def variant(name: str, budget: str, extractor: str) -> str:
    """A detector as a table names it: with its extractor and a budget that is not the full one."""
    features = f" on {extractor}" if extractor else ""
    return f"{name}{features}" + (" (cpu budget)" if budget == "cpu" else "")
