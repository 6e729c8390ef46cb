"""The command `latentbench` for the command-line library; `bench.cli.verbs` lists its verbs."""

from __future__ import annotations

import sys
from collections.abc import Iterator, MutableMapping
from typing import Annotated, Any, ClassVar

import typer
from typer.core import TyperGroup
from typer.main import get_command

from bench.cli.verbs import GROUP, REFERENCE_VERBS, VERBS, Verb, VerbTable, overview


class VerbGroup(TyperGroup):
    """A group that imports one of its verbs only when it is called."""

    verbs: ClassVar[dict[str, Verb]]
    entry_points: ClassVar[str | None] = None

    def __init__(self, **attributes: Any) -> None:
        self.table = VerbTable(self.verbs, self.entry_points)
        super().__init__(**{**attributes, "commands": _Commands(self.table)})

    def list_commands(self, _ctx: Any) -> list[str]:
        """Return the names of the verbs."""
        return self.table.names()

    def format_commands(self, _ctx: Any, formatter: Any) -> None:
        """Write the list of verbs."""
        formatter.write(f"\nCommands:\n{self.table.listing()}")


class LatentbenchVerbs(VerbGroup):
    """The verbs of `latentbench`."""

    verbs = VERBS
    entry_points = GROUP

    def format_help(self, _ctx: Any, formatter: Any) -> None:
        """Write the overview."""
        formatter.write(overview())


class ReferenceVerbs(VerbGroup):
    """The verbs of `latentbench reference`."""

    verbs = REFERENCE_VERBS


class _Commands(MutableMapping[str, Any]):
    """Commands by name, each built when it is first looked up."""

    def __init__(self, table: VerbTable) -> None:
        self._table = table
        self._built: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._built:
            self._built[name] = _command(name, self._table.load(name))
        return self._built[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._table.names())

    def __len__(self) -> int:
        return len(self._table.names())

    def __setitem__(self, name: str, command: Any) -> None:
        self._built[name] = command

    def __delitem__(self, name: str) -> None:
        del self._built[name]


def _command(name: str, verb: Any) -> Any:
    """Build the command of a function or of a `typer.Typer`."""
    if not isinstance(verb, typer.Typer):
        single = typer.Typer(rich_markup_mode=None, add_completion=False)
        single.command(name)(verb)
        verb = single
    command = get_command(verb)
    command.name = name
    return command


app = typer.Typer(
    cls=LatentbenchVerbs,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
reference_app = typer.Typer(
    cls=ReferenceVerbs,
    help="Build, list and verify reference bundles.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        from bench.runtime.provenance import version

        sys.stdout.write(f"latentbench {version()}\n")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit.", is_eager=True, callback=_version
        ),
    ] = False,
) -> None:
    pass


@reference_app.callback()
def _reference() -> None:
    pass
