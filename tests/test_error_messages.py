"""Messages for people: no bare error of the operating system, such as `[Errno 2]`."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from bench.__main__ import run
from bench.errors import EXIT_USAGE
from tests.test_import_order import MODULES

OF_THE_SYSTEM = {"OSError", "FileNotFoundError", "PermissionError", "IsADirectoryError"}


def bare_errors(source: str) -> list[int]:
    """Lines where an f-string shows an `OSError` as it is."""
    lines = []
    for handler in ast.walk(ast.parse(source)):
        if not isinstance(handler, ast.ExceptHandler) or handler.type is None:
            continue
        caught = {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)}
        if handler.name is None or not caught & OF_THE_SYSTEM:
            continue
        lines += [
            node.lineno
            for node in ast.walk(handler)
            if isinstance(node, ast.FormattedValue)
            and isinstance(node.value, ast.Name)
            and node.value.id == handler.name
        ]
    return lines


@pytest.mark.parametrize("module", sorted(MODULES))
def test_no_message_shows_a_bare_error_of_the_system(module: str) -> None:
    """`bench.errors.reason_of` gives the words."""
    assert bare_errors(MODULES[module].read_text()) == []


def test_the_rule_sees_a_bare_error() -> None:
    code = "try:\n    f()\nexcept (ValueError, OSError) as e:\n    raise X(f'{p}: {e}') from e\n"
    assert bare_errors(code) == [4]
    assert bare_errors(code.replace("{e}", "{reason_of(e)}")) == []


@pytest.mark.parametrize(
    "command",
    [
        ["compare", "missing.json", "missing.json"],
        ["report", "locked.json"],
        ["score", "missing/"],
        ["audit", "x" * 300],
        ["reference", "verify", "missing/x.json"],
        ["ablate", "missing.toml"],
    ],
)
def test_what_people_see(
    command: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "locked.json").mkdir()
    assert run(command) != 0
    said = capsys.readouterr().err
    assert "[Errno" not in said
    assert said.startswith("latentbench: ")


def test_an_error_that_nobody_expected_names_the_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device", "records.jsonl")

    monkeypatch.setattr("bench.cli.app.main", full)
    assert run(["score", "x"]) == EXIT_USAGE
    assert capsys.readouterr().err == "latentbench: records.jsonl: No space left on device\n"
