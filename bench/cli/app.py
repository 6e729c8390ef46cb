"""The command `latentbench`: find the verb that is called, parse its arguments, run it.

Only the verb that is called is imported, and Typer with it: the list of verbs, `--help` and
`--version` need neither. Other packages add verbs through the entry-point group `latentbench.verbs`
(a function with Typer's annotations); the verbs of `baselines` come the same way.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bench.cli.verbs import GROUPS, ROOT, Verb, page
from bench.errors import EXIT_USAGE, UnknownNameError, UsageError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

PROGRAM = "latentbench"
VERBS_GROUP = "latentbench.verbs"
HELP_OPTIONS = ("-h", "--help")


def main(arguments: Sequence[str]) -> None:
    """Run one command line. Raises `SystemExit`, and the errors of the verb."""
    name, *rest = arguments or [""]
    if name in ("", *HELP_OPTIONS):
        sys.stdout.write(page(ROOT, _other_verbs()))
        sys.exit(None if name else EXIT_USAGE)
    if name == "--version":
        from bench.runtime.provenance import version

        sys.stdout.write(f"{PROGRAM} {version()}\n")
    elif name in GROUPS and not _is_verb_itself(name, rest):
        _run_in_group(name, rest)
    else:
        _run(_found(name), name, rest)


def _is_verb_itself(name: str, arguments: Sequence[str]) -> bool:
    """Return whether a group that is a verb itself is called, rather than a verb of the group."""
    return bool(ROOT.verbs()[name].target) and "".join(arguments[:1]) not in GROUPS[name].verbs()


def _run_in_group(name: str, arguments: Sequence[str]) -> None:
    verb, *rest = arguments or [""]
    group = GROUPS[name]
    if verb in ("", *HELP_OPTIONS):
        sys.stdout.write(page(group))
        sys.exit(None if verb else EXIT_USAGE)
    _refuse_option(verb, f"{PROGRAM} {name}")
    known = group.verbs()
    if verb not in known:
        raise UnknownNameError(f"verb of {PROGRAM} {name}", verb, known)
    _run(_loaded(known[verb]), f"{name} {verb}", rest)


def _run(verb: Callable[..., None], name: str, arguments: Sequence[str]) -> None:
    """Parse the arguments of one verb and call it."""
    import typer

    from bench.cli.help import VerbCommand

    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    settings = {"help_option_names": list(HELP_OPTIONS)}
    app.command(name, cls=VerbCommand, context_settings=settings)(verb)
    typer.main.get_command(app).main(list(arguments), prog_name=f"{PROGRAM} {name}")


def _found(name: str) -> Callable[..., None]:
    """Return the function of a verb. Raises `UsageError` for one that is unknown or broken."""
    _refuse_option(name, PROGRAM)
    known = ROOT.verbs()
    if name in known and known[name].target:
        return _loaded(known[name])
    entries = entry_points()
    entry = next((one for one in entries if one.name == name), None)
    if entry is None and name in known:
        raise UsageError(f"verb {name!r} has no entry point; install {PROGRAM} again")
    if entry is None:
        raise UnknownNameError("verb", name, known.keys() | {one.name for one in entries})
    try:
        verb: Callable[..., None] = entry.load()
    except Exception as error:
        raise UsageError(_broken(entry, error)) from error
    return verb


def _loaded(verb: Verb) -> Callable[..., None]:
    import importlib

    module, _, function = (verb.target or "").partition(":")
    loaded: Callable[..., None] = getattr(importlib.import_module(module), function)
    return loaded


def _refuse_option(name: str, program: str) -> None:
    if name.startswith("-"):
        raise UsageError(f"{program} has no option {name}; see {program} --help")


def entry_points() -> list[EntryPoint]:
    """Return the entry points of the group `latentbench.verbs`, by name."""
    from importlib import metadata

    return sorted(metadata.entry_points(group=VERBS_GROUP), key=lambda entry: entry.name)


def _other_verbs() -> dict[str, Verb]:
    """Return the verbs of other packages. One that cannot be loaded, or whose name is taken, is
    reported and omitted.
    """
    known = ROOT.verbs()
    taken = {name for name, verb in known.items() if verb.target} | GROUPS.keys()
    found: dict[str, Verb] = {}
    for entry in entry_points():
        if entry.name in taken:
            _warn(f"verb {entry.name!r} of {entry.value} is ignored: the name is taken")
            continue
        taken.add(entry.name)
        if entry.name in known:
            continue  # in the list already
        try:
            found[entry.name] = Verb(_first_paragraph(entry))
        except (ImportError, OSError, SyntaxError, ValueError) as error:
            _warn(_broken(entry, error))
    return found


def _first_paragraph(entry: EntryPoint) -> str:
    """Return the first paragraph of a function's docstring, read from its source: importing the
    module may take seconds. Raises if there is no source.
    """
    import ast
    from importlib.util import find_spec

    spec = find_spec(entry.module)
    if spec is None or spec.origin is None:
        raise ImportError(f"no module named {entry.module!r}")
    with open(spec.origin, encoding="utf-8") as source:  # noqa: PTH123  (pathlib is slow to import)
        tree = ast.parse(source.read())
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == entry.attr:
            return " ".join((ast.get_docstring(node) or "").partition("\n\n")[0].split())
    return ""


def _broken(entry: EntryPoint, error: Exception) -> str:
    return f"verb {entry.name!r} of {entry.value} cannot be loaded: {error}"


def _warn(text: str) -> None:
    sys.stderr.write(f"{PROGRAM}: {text}\n")
