"""Digests of code: what changes them, what does not, and what they cost."""

from __future__ import annotations

import functools
import io
import tokenize
from pathlib import Path

import pytest

from bench.runtime import code_digest as module
from bench.runtime.code_digest import bare_code, closure, code_digest, has_source, module_of

ROOT = Path(__file__).parents[2]
FILES = {
    "__init__.py": "",
    "row.py": (
        '"""About rows."""\n'
        "from typing import TYPE_CHECKING\n"
        "from madeup import near\n"
        "from .deep import inner as x\n"
        "from madeup.lazy import wanted\n"
        "import json\n"
        "if TYPE_CHECKING:\n"
        "    from madeup.typed import T\n"
    ),
    "near.py": "def f():\n    import madeup.late\n    return 1\n",
    "late.py": "",
    "typed.py": "",
    "other.py": "",
    "deep/__init__.py": "from ..behind import VALUE\n",
    "deep/inner.py": "",
    "behind.py": "VALUE = 1\n",
    "lazy/__init__.py": (
        "import typing\n"
        "if typing.TYPE_CHECKING:\n"
        "    from .here import wanted as wanted\n"
        "    from madeup.lazy.there import unwanted as unwanted\n"
    ),
    "lazy/here.py": "",
    "lazy/there.py": "",
}


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def forget() -> None:
    """Forget what this process knows of files and digests."""
    for cached in (module.code_digest, module._file_of, module._place_of, module._memory):
        cached.cache_clear()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write(tmp_path / "madeup", FILES)
    monkeypatch.syspath_prepend(str(tmp_path))
    forget()
    return tmp_path / "madeup"


def now(*modules: str) -> str:
    forget()
    return code_digest(*(modules or ("madeup.row",)))


@pytest.mark.parametrize("name", ["row.py", "near.py", "late.py", "deep/inner.py", "lazy/here.py"])
def test_a_change_of_what_is_imported_changes_it(package: Path, name: str) -> None:
    before = now()
    assert now() == before
    (package / name).write_text(FILES[name] + "changed = 1\n")
    assert now() != before


@pytest.mark.parametrize("name", ["other.py", "typed.py", "lazy/there.py"])
def test_a_change_of_what_is_not_imported_does_not(package: Path, name: str) -> None:
    before = now()
    (package / name).write_text("changed = 1\n")
    assert now() == before


def test_a_package_named_by_itself_is_followed_with_all_that_it_loads(package: Path) -> None:
    assert "madeup.behind" in closure("madeup.deep")
    (package / "whole.py").write_text("import madeup.lazy\n")
    (package / "star.py").write_text("from madeup.lazy import *\n")
    for name in ("madeup.whole", "madeup.star"):
        forget()
        assert {"madeup.lazy.here", "madeup.lazy.there"} <= closure(name).keys()


@pytest.mark.parametrize(
    "text",
    [
        '"""Other words about rows."""\n' + FILES["row.py"].partition("\n")[2],
        FILES["row.py"].partition("\n")[2],
        "# a comment\n\n\n" + FILES["row.py"].replace("import json", "import json  # why not"),
        FILES["row.py"].replace("\n", "\r\n"),
    ],
)
def test_comments_docstrings_and_blank_lines_do_not_count(package: Path, text: str) -> None:
    before = now()
    (package / "row.py").write_bytes(text.encode())
    assert now() == before


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('x = "#1"\n', 'x = "#2"\n'),
        ('x = """\n#1\n\n"""\n', 'x = """\n#1\n"""\n'),
        ('x = """a \n"""\n', 'x = """a\n"""\n'),
        ("x = f\"{d['#1']}\"\n", "x = f\"{d['#2']}\"\n"),
        ("if a:\n    b = 1\nc = 2\n", "if a:\n    b = 1\n    c = 2\n"),
    ],
)
def test_strings_and_indentation_count(before: str, after: str) -> None:
    assert bare_code(before) != bare_code(after)


def tokens(text: str) -> list[str]:
    """Tokens without comments and without strings that are statements of their own."""
    found: list[str] = []
    line: list[str] = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.COMMENT, tokenize.NL, tokenize.INDENT, tokenize.DEDENT):
            continue
        if token.type in (tokenize.NEWLINE, tokenize.ENDMARKER):
            is_docstring = len(line) == 1 and line[0].lstrip("rRuU")[0] in "\"'"
            found += [] if is_docstring else [*line, "\n"] if line else []
            line = []
        else:
            line.append(token.string)
    return found


@pytest.mark.parametrize("path", sorted((ROOT / "bench").rglob("*.py")), ids=lambda path: path.name)
def test_bare_code_has_the_tokens_of_the_source(path: Path) -> None:
    """Python's tokenizer finds comments and strings without the syntax tree."""
    text = path.read_text()
    assert tokens(bare_code(text).decode()) == tokens(text)


def test_files_are_parsed_once_for_all_processes(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = now()
    monkeypatch.setattr(module, "read_source", lambda data: pytest.fail("parsed again"))
    assert now() == before


def test_without_a_cache_folder_it_is_the_same(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = now()
    for name in ("LATENTBENCH_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    assert now() == before


def test_a_file_that_is_not_python_counts_by_its_bytes(package: Path) -> None:
    (package / "near.py").write_text("print 1\n")
    before = now()
    (package / "near.py").write_text("print 2\n")
    assert now() != before


def test_what_is_left_out_is_not_followed(package: Path) -> None:
    forget()
    assert "madeup.late" not in closure("madeup.row", without=frozenset({"madeup.near"}))


def test_sources_that_are_not_there(package: Path) -> None:
    assert has_source("madeup.row")
    assert not has_source("madeup.nothing")
    assert not has_source("nowhere.at.all")
    assert not has_source("zlib")  # an extension without Python source
    assert now("madeup.row", "nowhere.at.all") == now("madeup.row")


def test_a_partial_is_known_by_its_function() -> None:
    assert module_of(functools.partial(forget)) == __name__


def test_modules_that_values_pass_by_exist() -> None:
    forget()
    assert [name for name in sorted(module.NO_VALUES) if not has_source(name)] == []
