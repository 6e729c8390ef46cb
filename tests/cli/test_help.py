"""Help pages: the list of verbs, and the page of every verb."""

from __future__ import annotations

import importlib
import inspect
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from bench.__main__ import run
from bench.cli import options
from bench.cli.help import VerbCommand
from bench.cli.verbs import GROUPS, ROOT, Verb
from bench.errors import EXIT_OK, EXIT_USAGE

ROOT_FOLDER = Path(__file__).parents[2]
ENTRY_POINTS: dict[str, str] = tomllib.loads((ROOT_FOLDER / "pyproject.toml").read_text())[
    "project"
]["entry-points"]["latentbench.verbs"]

# Every verb by the words that call it, with the row of the table and the function.
TARGETS = {
    **{name: (verb, verb.target or ENTRY_POINTS[name]) for name, verb in ROOT.verbs().items()
       if verb.target or name not in GROUPS},
    **{f"{group} {name}": (verb, verb.target) for group, rows in GROUPS.items()
       for name, verb in rows.verbs().items()},
}  # fmt: skip
EVERY_VERB = pytest.mark.parametrize("words", list(TARGETS))

pytestmark = pytest.mark.usefixtures("_verbs")


def function_of(words: str) -> Callable[..., None]:
    module, _, name = (TARGETS[words][1] or "").partition(":")
    function: Callable[..., None] = getattr(importlib.import_module(module), name)
    return function


def parameters_of(words: str) -> list[Any]:
    app = typer.Typer()
    app.command(cls=VerbCommand)(function_of(words))
    command = typer.main.get_command(app)
    return [one for one in command.params if one.name != "help"]


def page_of(words: str, capsys: pytest.CaptureFixture[str]) -> str:
    assert run([*words.split(), "--help"]) == EXIT_OK
    return capsys.readouterr().out


def test_verbs_are_listed_in_the_order_of_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["-h"]) == EXIT_OK
    page = capsys.readouterr().out
    listed = re.findall(r"^  ([a-z]+)  +[A-Z]", page, re.MULTILINE)
    assert listed == [
        "demo", "check", "audit", "score", "report", "compare", "rank", "platform", "anomaly",
        "latent", "embeddings", "train", "sample", "ablate", "recipes", "reference", "metrics",
        "extractors", "detectors", "cache", "study", "ladder",
    ]  # fmt: skip
    assert run([]) == EXIT_USAGE
    assert capsys.readouterr().out == page
    assert max(map(len, page.splitlines())) <= 100
    assert "Exit codes: 0 success" in page


def test_the_page_of_a_group(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["reference", "-h"]) == EXIT_OK
    page = capsys.readouterr().out
    assert run(["reference"]) == EXIT_USAGE
    assert capsys.readouterr().out == page
    assert re.findall(r"^  (list|build|verify) ", page, re.MULTILINE) == ["list", "build", "verify"]


@EVERY_VERB
def test_the_table_has_the_first_line_of_the_docstring(words: str) -> None:
    verb: Verb = TARGETS[words][0]
    doc = inspect.getdoc(function_of(words)) or ""
    assert doc.partition("\n")[0] == verb.summary


@EVERY_VERB
def test_a_page_starts_with_examples_of_its_verb(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    usage, summary, examples, *_ = page_of(words, capsys).split("\n\n")
    assert usage.startswith(f"Usage: latentbench {words} ")
    assert summary == TARGETS[words][0].summary
    title, first, *_ = examples.splitlines()
    assert title == "Examples:"
    assert first.startswith(f"  latentbench {words}")


@EVERY_VERB
def test_examples_use_options_that_exist(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    examples = page_of(words, capsys).split("\n\n")[2].splitlines()[1:]
    for line in examples:
        named = next((v for v in sorted(TARGETS, key=len, reverse=True)
                      if line.startswith(f"  latentbench {v}")), None)  # fmt: skip
        assert named, line
        known = {name for one in parameters_of(named) for name in one.opts}
        assert set(re.findall(r" (--?[a-z][a-z-]*)", line)) <= known, line


@EVERY_VERB
def test_every_parameter_says_what_it_is(words: str) -> None:
    for one in parameters_of(words):
        assert one.help, one.name
        assert one.help[0].isupper() or words == "study", one.help
        assert one.help.endswith("."), one.help
        assert one.metavar or one.is_flag, one.name


@EVERY_VERB
@pytest.mark.parametrize("width", [80, 120])
def test_a_page_fits_the_terminal(
    words: str, width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    page = page_of(words, capsys)
    examples = page.split("\n\n")[2]
    assert max(map(len, page.replace(examples, "").splitlines())) <= width
    assert max(map(len, examples.splitlines())) <= 100


def test_one_name_takes_the_same_value_everywhere() -> None:
    """Except where a verb has a reason, which stands here."""
    reasons = {
        ("anomaly", "--num-seeds"),  # also by detector or group
        ("anomaly", "--data"), ("ladder", "--data"), ("reference build", "--data"),  # no images
        ("audit", "--reference"), ("platform", "--reference"),  # stored: no folder
        ("anomaly", "--test"), ("anomaly", "--train"),
        ("compare", "--format"), ("report", "--format"),
        ("compare", "--out"), ("embeddings train", "--out"),
        ("report", "--out"), ("reference export", "--out"),  # files
    }  # fmt: skip
    metavars: dict[str, set[str | None]] = {}
    for words in TARGETS:
        for one in parameters_of(words):
            for name in one.opts:
                if (words, name) not in reasons:
                    metavars.setdefault(name, set()).add(one.metavar)
    assert {name: found for name, found in metavars.items() if len(found) > 1} == {}


@pytest.mark.parametrize("name", ["--metric", "--detectors-list", "--seeds", "--num-seed"])
def test_a_wrong_option_names_the_right_one(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    verb = {"--metric": "score", "--detectors-list": "anomaly"}.get(name, "train")
    right = {"--metric": "--metrics", "--detectors-list": "--detectors"}.get(name, "--num-seeds")
    assert run([verb, "x", name, "1"]) == EXIT_USAGE
    assert right in capsys.readouterr().err


def test_names_are_split_at_commas() -> None:
    assert options.split(None) is None
    assert options.split([]) is None
    assert options.split(["a, b", "c,"]) == ["a", "b", "c"]
    assert options.split([""]) == []
