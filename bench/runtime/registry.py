"""A table of rows by name, to which other packages add rows through an entry-point group.

    [project.entry-points."latentbench.metrics"]
    my-metric = "my_package.my_metric:MY_METRIC"

The names of a table are known without importing anything. A row of another package is loaded on
first use, and a broken package leaves the rest of the table usable.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from importlib import metadata
from typing import Generic, NamedTuple, Protocol, TypeVar

from bench.errors import LatentbenchError, UnknownNameError


class Named(Protocol):
    """Anything with a name."""

    @property
    def name(self) -> str: ...


Row = TypeVar("Row", bound=Named)


class Unloadable(NamedTuple):
    """An entry point that does not lead to a row, and the reason."""

    name: str
    reason: str


class Loadable(NamedTuple, Generic[Row]):
    """The rows that can be loaded, in the order of the table, and the entry points that cannot."""

    rows: tuple[Row, ...]
    broken: tuple[Unloadable, ...]


class Registry(Mapping[str, Row], Generic[Row]):
    """The rows of this package, in their order, followed by those of the entry-point group.

    `kind` is what a row is called in messages ("metric"), `row_type` the type that an entry point
    must lead to. Raises `ValueError` when two rows of this package have one name.

    >>> from bench.metrics import METRICS
    >>> METRICS["fid"].direction
    'lower'
    """

    def __init__(self, kind: str, group: str, row_type: type[Row], rows: Iterable[Row]) -> None:
        self.kind, self.group, self._row_type = kind, group, row_type
        self._rows: dict[str, Row] = {}
        for row in rows:
            if row.name in self._rows:
                raise ValueError(f"two rows of the table of {kind}s are named {row.name!r}")
            self._rows[row.name] = row
        self._loaded: dict[str, Row] = {}

    @cached_property
    def _entry_points(self) -> list[metadata.EntryPoint]:
        """All entry points of the group by name; looking them up takes tens of milliseconds."""
        return sorted(metadata.entry_points(group=self.group), key=lambda entry: entry.name)

    @property
    def _others(self) -> dict[str, metadata.EntryPoint]:
        """Entry points of other packages by name, without those named like a row of this one."""
        return {entry.name: entry for entry in self._entry_points if entry.name not in self._rows}

    def __iter__(self) -> Iterator[str]:
        yield from self._rows
        yield from self._others

    def __len__(self) -> int:
        return len(self._rows) + len(self._others)

    def __contains__(self, name: object) -> bool:
        return name in self._rows or name in self._others

    def __getitem__(self, name: str) -> Row:
        if name in self._rows:
            return self._rows[name]
        if name not in self._loaded:
            self._loaded[name] = self._load(name, self._others[name])
        return self._loaded[name]

    @property
    def own(self) -> tuple[str, ...]:
        """The names of this package's rows."""
        return tuple(self._rows)

    def find(self, name: str) -> Row:
        """Return the row of that name. Raises `UnknownNameError`, which lists the valid names, and
        `LatentbenchError` for an entry point that does not lead to a row.
        """
        if name not in self:
            raise UnknownNameError(self.kind, name, self)
        return self[name]

    def loadable(self) -> Loadable[Row]:
        """Return every row that can be loaded; one broken package leaves the others usable."""
        rows: list[Row] = []
        broken = [
            Unloadable(f"{entry.name} of {entry.value}", f"the name {entry.name!r} is taken")
            for entry in self._entry_points
            if entry.name in self._rows
        ]
        for name in self:
            try:
                rows.append(self[name])
            except LatentbenchError as error:
                broken.append(Unloadable(name, str(error)))
        return Loadable(tuple(rows), tuple(broken))

    def _load(self, name: str, entry: metadata.EntryPoint) -> Row:
        package = "its package" if entry.dist is None else f"package {entry.dist.name}"
        try:
            row = entry.load()
        except Exception as error:  # whatever a module does when it is imported
            raise LatentbenchError(
                f"{self.kind} {name!r}: {entry.value} cannot be loaded: "
                f"{type(error).__name__}: {error}; repair or uninstall {package}"
            ) from error
        if not isinstance(row, self._row_type) or row.name != name:
            raise LatentbenchError(
                f"{self.kind} {name!r}: {entry.value} is not a {self._row_type.__name__} of that "
                f"name; repair or uninstall {package}"
            )
        return row
