"""The verbs of `latentbench`, and the text that lists them.

Nothing here imports a verb, nor the command-line library: importing all verbs and building their
options took three quarters of the time of `latentbench --help`.
"""

from __future__ import annotations

import importlib
import sys
from functools import cached_property
from importlib import metadata
from importlib.util import find_spec
from textwrap import fill
from typing import Any, NamedTuple

from bench.errors import UsageError

WIDTH = 78  # characters of a line
GROUP = "latentbench.verbs"  # the entry-point group of verbs of other packages

OVERVIEW = """\
Usage: latentbench [OPTIONS] COMMAND [ARGS]...

  Score folders of generated images, honestly.

  Examples:
    latentbench demo                              see it work, nothing to prepare
    latentbench score samples/ --reference mnist  a table, and a record on disk
    latentbench audit samples/ --spec mnist-10k   every problem in one pass, with the fix
    latentbench score samples/ --reference real/  the literature's FID, against a folder
    latentbench score a.zip b/ c.npz --json       several at once, a JSON line each
    latentbench report latentbench-results/       one page: words, table, plots, findings
    latentbench compare old.json new.json         did it get worse? for CI
    latentbench anomaly --train a/ --test b/      anomaly detectors, on labelled images
    latentbench reference list                    what can be scored against

  Exit codes: 0 ok, 1 invalid submission or regression, 2 interrupted, 3 internal error,
  4 usage error, 5 nothing found.

Options:
  --version   Print the version and exit.
  -h, --help  Show this message and exit.

Commands:
"""


class Verb(NamedTuple):
    """A verb of this package: a function, or a `typer.Typer` with verbs of its own."""

    target: str  # "module:name"
    summary: str  # its line in the list of verbs

    def load(self) -> Any:
        """Import the module and return what `target` names."""
        module, _, name = self.target.partition(":")
        return getattr(importlib.import_module(module), name)


class VerbTable:
    """Verbs by name: those of a package, followed by those of the entry-point group `group`.

    An entry point named like a verb of the package is reported on standard error and left out.
    """

    def __init__(self, own: dict[str, Verb], group: str | None = None) -> None:
        self._own = own
        self._group = group

    @cached_property
    def _others(self) -> dict[str, metadata.EntryPoint]:
        """Entry points by name; looked up only when a verb is not one of the package."""
        others: dict[str, metadata.EntryPoint] = {}
        found = [] if self._group is None else metadata.entry_points(group=self._group)
        for entry in sorted(found, key=lambda entry: entry.name):
            if entry.name in self._own:
                sys.stderr.write(f"latentbench: verb {entry.name!r} of {entry.value} is taken\n")
            else:
                others[entry.name] = entry
        return others

    def names(self) -> list[str]:
        """Return every name, in the order in which help lists them."""
        return [*self._own, *self._others]

    def load(self, name: str) -> Any:
        """Import a verb. Raises `KeyError` for an unknown name and `UsageError` for an entry
        point that cannot be imported.
        """
        if name in self._own:
            return self._own[name].load()
        entry = self._others[name]
        try:
            return entry.load()
        except Exception as error:
            raise UsageError(_broken(entry, error)) from error

    def summaries(self) -> dict[str, str]:
        """Return a line for each verb: for an entry point, the first paragraph of its docstring.

        One whose source cannot be found is reported on standard error and left out.
        """
        lines = {name: verb.summary for name, verb in self._own.items()}
        for name, entry in self._others.items():
            try:
                lines[name] = _first_paragraph(entry)
            except (ImportError, SyntaxError, ValueError) as error:
                sys.stderr.write(f"latentbench: {_broken(entry, error)}\n")
        return lines

    def listing(self) -> str:
        """Return the lines of `summaries` in two columns."""
        lines = self.summaries()
        column = max(map(len, lines), default=0) + 4
        return "".join(
            fill(
                summary,
                WIDTH,
                initial_indent=f"  {name}".ljust(column),
                subsequent_indent=" " * column,
            )
            + "\n"
            for name, summary in lines.items()
        )


def _broken(entry: metadata.EntryPoint, error: Exception) -> str:
    return f"verb {entry.name!r} cannot be loaded: {error}"


def _first_paragraph(entry: metadata.EntryPoint) -> str:
    """Return the first paragraph of a function's docstring, read from its source.

    Raises `ImportError`, `SyntaxError` or `ValueError` when the source cannot be had.
    """
    import ast  # only `--help` needs it

    spec = find_spec(entry.module)
    if spec is None or spec.origin is None:
        raise ImportError(f"No module named {entry.module!r}")
    with open(spec.origin, encoding="utf-8") as source:  # noqa: PTH123
        tree = ast.parse(source.read())
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == entry.attr:
            text = ast.get_docstring(node) or ""
            return " ".join(text.split("\n\n")[0].split())
    return ""  # defined elsewhere


VERBS = {
    "score": Verb("bench.cli.score:score", "Score submissions against a reference."),
    "audit": Verb("bench.cli.audit:audit", "Find every problem of a submission, with the fix."),
    "compare": Verb("bench.cli.compare:compare", "Tell whether a model got worse."),
    "report": Verb("bench.cli.report:report", "Turn records into a page or a table."),
    "reference": Verb("bench.cli.app:reference_app", "Build, list and verify references."),
    "anomaly": Verb("bench.cli.anomaly:anomaly", "Judge anomaly detectors."),
    "ladder": Verb("bench.cli.ladder:ladder", "See which metrics notice which damage."),
    "study": Verb("bench.cli.study:study", "Compare protocols, or precisions, of inception."),
    "metrics": Verb("bench.cli.lists:metrics", "List the metrics."),
    "extractors": Verb("bench.cli.lists:extractors", "List the extractors."),
    "detectors": Verb("bench.cli.lists:detectors", "List the anomaly detectors."),
    "cache": Verb("bench.cli.lists:cache", "Show where the cache lies; empty it."),
}
REFERENCE_VERBS = {
    "build": Verb("bench.cli.reference:build", "Build a reference from real images."),
    "list": Verb("bench.cli.reference:list_all", "List what can be scored against."),
    "verify": Verb("bench.cli.reference:verify", "Check stored references."),
}


def overview() -> str:
    """Return what `latentbench --help` prints."""
    return OVERVIEW + VerbTable(VERBS, GROUP).listing()
