"""The command `latentbench`: how verbs are found, and its exit codes."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from bench.__main__ import run
from bench.errors import (
    EXIT_INTERNAL,
    EXIT_INTERRUPTED,
    EXIT_NOTHING_FOUND,
    EXIT_OK,
    EXIT_USAGE,
)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["score", "x", "--nonsense"], EXIT_USAGE, "--nonsense"),
        (["score", "x", "--metric", "fid"], EXIT_USAGE, "--metrics"),
        (["scor"], EXIT_USAGE, "unknown verb 'scor'. Did you mean 'score'?"),
        (["reference", "biuld"], EXIT_USAGE, "Did you mean 'build'?"),
        (["--nonsense"], EXIT_USAGE, "latentbench has no option --nonsense"),
        (["reference", "-x"], EXIT_USAGE, "latentbench reference has no option -x"),
        (["score"], EXIT_USAGE, "Missing argument 'SUBMISSION'"),
        (["score", "x", "--limit", "0"], EXIT_USAGE, "--limit"),
        (["score", "x", "--metrics", "fdi"], EXIT_USAGE, "Did you mean 'fid'"),
        (["score", "x", "--reference", "mnits"], EXIT_USAGE, "Did you mean 'mnist'"),
        (["score", "missing"], EXIT_USAGE, "missing"),
        (["audit", "missing"], EXIT_USAGE, "missing"),
        (["audit", "empty"], EXIT_NOTHING_FOUND, "empty"),
        (["reference", "build", "mnist", "--out", "x"], EXIT_USAGE, "--data-root"),
        (["reference", "verify", "mnits"], EXIT_USAGE, "Did you mean 'mnist'"),
    ],
)
def test_exit_codes(
    workdir: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str
) -> None:
    (workdir / "empty").mkdir()
    assert run(arguments) == code
    captured = capsys.readouterr()
    assert words in captured.err
    assert "Traceback" not in captured.err


def test_internal_errors_are_shown_whole(
    digits_folder: Path,
    workdir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise ZeroDivisionError("ours")

    monkeypatch.setattr("bench.scoring.scorer.Scorer.attempt", fail)
    assert run(["score", str(digits_folder)]) == EXIT_INTERNAL
    err = capsys.readouterr().err
    assert "ZeroDivisionError: ours" in err
    assert "internal error" in err


def test_an_interrupt_exits_with_two(
    digits_folder: Path, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bench.scoring.scorer.Scorer.attempt", interrupt)
    assert run(["score", str(digits_folder), "--out", "results"]) == EXIT_INTERRUPTED
    assert list((workdir / "results").iterdir()) == []


def register(monkeypatch: pytest.MonkeyPatch, *verbs: tuple[str, str]) -> None:
    """Make these the verbs of other packages, as (name, "module:function")."""
    entries = [EntryPoint(name, target, "latentbench.verbs") for name, target in verbs]
    monkeypatch.setattr("bench.cli.app.entry_points", lambda: entries)


GREET = '''
import typer


def greet(name: str, loud: bool = False) -> None:
    """Greet somebody.

    \\b
    latentbench greet Ada --loud
    """
    typer.echo(f"hello {name}".upper() if loud else f"hello {name}")
'''


def test_a_verb_of_another_package(
    workdir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (workdir / "greeting.py").write_text(GREET)
    monkeypatch.syspath_prepend(workdir)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    register(monkeypatch, ("greet", "greeting:greet"))
    assert run(["--help"]) == EXIT_OK
    listed = capsys.readouterr().out
    assert "From other packages:\n  greet       Greet somebody.\n" in listed
    assert "greeting" not in sys.modules  # its summary is read from the source
    assert run(["greet", "Ada", "--loud"]) == EXIT_OK
    assert capsys.readouterr().out == "HELLO ADA\n"
    assert run(["greet", "-h"]) == EXIT_OK
    page = capsys.readouterr().out
    assert page.startswith("Usage: latentbench greet [OPTIONS] NAME\n\nGreet somebody.\n")
    assert "\nlatentbench greet Ada --loud\n" in page
    del sys.modules["greeting"]


def test_a_broken_verb_is_reported_and_harms_no_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], workdir: Path
) -> None:
    register(monkeypatch, ("broken", "nowhere.at.all:verb"))
    problem = "verb 'broken' of nowhere.at.all:verb cannot be loaded: No module named 'nowhere'"
    assert run(["--help"]) == EXIT_OK
    assert problem in capsys.readouterr().err
    assert run(["broken"]) == EXIT_USAGE
    assert problem in capsys.readouterr().err
    assert run(["cache"]) == EXIT_OK
    assert capsys.readouterr().err == ""


def test_a_verb_whose_name_is_taken_is_reported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], workdir: Path
) -> None:
    register(
        monkeypatch,
        ("reference", "greeting:greet"),
        ("score", "baselines.cli.demo:demo"),
        ("train", "baselines.cli.train:train"),
        ("train", "greeting:greet"),
    )
    assert run(["--help"]) == EXIT_OK
    ignored = "verb {!r} of {} is ignored: the name is taken".format
    err = capsys.readouterr().err
    assert ignored("score", "baselines.cli.demo:demo") in err
    assert ignored("reference", "greeting:greet") in err
    assert ignored("train", "greeting:greet") in err
    assert "baselines.cli.train" not in err
    assert run(["score", "missing"]) == EXIT_USAGE
    assert "missing" in capsys.readouterr().err


def test_a_verb_without_its_entry_point(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    register(monkeypatch)
    assert run(["train"]) == EXIT_USAGE
    assert "verb 'train' has no entry point; install latentbench again" in capsys.readouterr().err
