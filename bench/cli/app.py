"""The command `latentbench`: its verbs, named in one place. Further verbs come through the
entry-point group `latentbench.verbs`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import metadata
from typing import Annotated

import typer

from bench.cli import anomaly, audit, compare, ladder, lists, reference, report, score, study

VERBS_GROUP = "latentbench.verbs"
_from_entry_points: dict[str, str] = {}  # name -> what it stands for

HELP = """Score folders of generated images, honestly.

\b
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

\b
Exit codes: 0 ok, 1 invalid submission or regression, 2 interrupted, 3 internal error,
4 usage error, 5 nothing found.
"""

app = typer.Typer(
    help=HELP,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)
reference_app = typer.Typer(
    help="Build, list and verify reference bundles.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(reference_app, name="reference")


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


_VERBS: dict[str, Callable[..., None]] = {
    "score": score.score,
    "audit": audit.audit,
    "compare": compare.compare,
    "report": report.report,
    "anomaly": anomaly.anomaly,
    "ladder": ladder.ladder,
    "study": study.study,
    "metrics": lists.metrics,
    "extractors": lists.extractors,
    "detectors": lists.detectors,
    "cache": lists.cache,
}
_REFERENCE_VERBS: dict[str, Callable[..., None]] = {
    "build": reference.build,
    "list": reference.list_all,
    "verify": reference.verify,
}
for _name, _verb in _VERBS.items():
    app.command(_name)(_verb)
for _name, _verb in _REFERENCE_VERBS.items():
    reference_app.command(_name)(_verb)


def register_verbs() -> None:
    """Add the verbs of the entry-point group, once. One that cannot be imported, or whose name is
    taken, is told and left out.
    """
    for entry in sorted(metadata.entry_points(group=VERBS_GROUP), key=lambda e: e.name):
        if _from_entry_points.get(entry.name) == entry.value:
            continue
        if entry.name in {*_VERBS, *_from_entry_points, "reference"}:
            sys.stderr.write(f"latentbench: verb {entry.name!r} of {entry.value} is taken\n")
            continue
        try:
            verb: Callable[..., None] = entry.load()
        except Exception as error:  # noqa: BLE001  (somebody else's package: anything)
            sys.stderr.write(f"latentbench: verb {entry.name!r} cannot be loaded: {error}\n")
            continue
        app.command(entry.name)(verb)
        _from_entry_points[entry.name] = entry.value
