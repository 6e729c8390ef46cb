"""Factors of a plan, in every form that a plan file may use.

    label-noise = true               a trick: off, on
    learning_rate = [1e-4, 2e-4]     a setting: a level for each value
    [factors.NAME]                   levels by name, each a list of "key=value" texts
    ["label-noise", {...}]           a list of tricks and of tables as above

The first level is the base.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Mapping

from pydantic import BaseModel, ConfigDict, field_validator, model_validator

from baselines.recipes.config import valid_keys
from baselines.tricks import TRICKS
from bench.errors import UnknownNameError, UsageError

OFF, ON = "off", "on"
MAX_NAME = 200  # characters


def checked_name(name: str, kind: str) -> str:
    """Return the name if it fits into a line of a table. Raises `UsageError` if not."""
    if not name or not name.isprintable() or len(name) > MAX_NAME:
        shown = f"{name[:20]}..." if len(name) > MAX_NAME else name
        raise UsageError(
            f"{kind} {shown!r}: expected 1 to {MAX_NAME} printable characters on one line; give "
            "levels names, as [factors.NAME] does"
        )
    return name


class Level(BaseModel):
    """A level of a factor: a name, and its settings (`key=value`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    settings: tuple[str, ...] = ()

    @field_validator("name")
    @classmethod
    def _shown(cls, name: str) -> str:
        return checked_name(name, "level")


class Factor(BaseModel):
    """Something that varies: a name and two or more levels, the base first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    levels: tuple[Level, ...]

    @field_validator("name")
    @classmethod
    def _shown(cls, name: str) -> str:
        return checked_name(name, "factor")

    @model_validator(mode="after")
    def _distinct(self) -> Factor:
        names = [level.name for level in self.levels]
        if len(names) < 2:
            raise UsageError(
                f"factor {self.name!r} has {len(names)} level(s), but an effect needs two or more; "
                "move what does not vary to settings"
            )
        refuse_doubles(names, f"factor {self.name!r}: level")
        for one, other in itertools.combinations(self.levels, 2):
            if one.settings == other.settings:
                raise UsageError(
                    f"factor {self.name!r}: levels {one.name!r} and {other.name!r} have the same "
                    "settings"
                )
        return self

    @property
    def level_names(self) -> tuple[str, ...]:
        return tuple(level.name for level in self.levels)

    @property
    def keys(self) -> frozenset[str]:
        """Return the keys that the factor's levels set."""
        return frozenset(text.partition("=")[0] for level in self.levels for text in level.settings)


def parse_factors(raw: object) -> Iterable[Factor]:
    """Yield the factors of a plan file; see the module's docstring for the forms.

    Raises `UsageError` for anything else.
    """
    if isinstance(raw, Mapping):
        for name, value in raw.items():
            yield from _factor(str(name), value)
    elif isinstance(raw, list | tuple):
        for entry in raw:
            if isinstance(entry, Factor):
                yield entry
            elif isinstance(entry, str):
                yield from _factor(entry, True)
            elif isinstance(entry, Mapping) and entry.keys() == {"name", "levels"}:
                yield Factor.model_validate(entry)
            else:
                yield from parse_factors(entry)
    else:
        raise UsageError(f"factors = {raw!r}: expected a table, or a list of tricks")


def _factor(name: str, value: object) -> Iterable[Factor]:
    """Yield the factors of one table entry: `true`, a list of values, or levels by name.

    TOML reads an unquoted `model.latent_dim` as a table inside a table.
    """
    if isinstance(value, Mapping) and name in ("model", "tricks"):
        for key, inner in value.items():
            yield from _factor(f"{name}.{key}", inner)
    elif value is True:
        if name not in TRICKS:
            raise UnknownNameError(
                "factor (a trick; a setting takes a list of values)", name, TRICKS
            )
        levels = (_setting(f"tricks.{name}", OFF), _setting(f"tricks.{name}", ON))
        yield Factor(name=name, levels=levels)
    elif isinstance(value, list | tuple):
        key = f"tricks.{name}" if name in TRICKS else name
        head = key.split(".")[0]
        if key not in valid_keys() and head not in ("model", "tricks"):
            raise UnknownNameError("factor", name, [*valid_keys(), *TRICKS, "model.KEY"])
        yield Factor(name=name, levels=tuple(_setting(key, one) for one in value))
    elif isinstance(value, Mapping):
        yield Factor(name=name, levels=tuple(_level(name, *item) for item in value.items()))
    else:
        raise UsageError(
            f"factor {name!r} = {value!r}: expected true (a trick), a list of values (a setting), "
            "or a table of levels"
        )


def _setting(key: str, value: object) -> Level:
    text = value if isinstance(value, str) else json.dumps(value)
    return Level(name=text, settings=(f"{key}={text}",))


def _level(factor: str, name: str, settings: object) -> Level:
    if not isinstance(settings, list | tuple) or not all(isinstance(one, str) for one in settings):
        raise UsageError(
            f'factor {factor!r}, level {name!r}: expected a list of "key=value" texts, not '
            f"{settings!r}"
        )
    return Level(name=name, settings=tuple(settings))


def refuse_doubles(names: Iterable[str], kind: str) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise UsageError(f"{kind} {name!r} is given {count} times")
