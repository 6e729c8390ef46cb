"""Which code a number comes from: a digest of some modules and of everything that they import.

Imports are read from the sources, without running them. Only files of this project and of the
packages that the given modules belong to are followed; the versions of other libraries are recorded
apart (`bench.runtime.provenance.library_versions`). Comments, docstrings and blank lines do not
count, so that rewording them keeps cached results valid.

What was read from a file is remembered in the cache under the digest of its bytes, because parsing
a hundred files takes half a second of CPU and looking them up 20 ms.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from bench.errors import UsageError
from bench.runtime.cache import Cache, cache_key, default_root

OWN = ("bench", "baselines")
KIND = "code"
NO_VALUES = frozenset(  # modules of this project that values pass by
    {
        "bench.runtime.amounts",
        "bench.runtime.cache",
        "bench.runtime.code_digest",
        "bench.runtime.download",
        "bench.runtime.lazy_names",
        "bench.runtime.progress",
        "bench.runtime.progress_bars",
        "bench.runtime.provenance",
        "bench.runtime.registry",
        "bench.runtime.terminal",
        "bench.runtime.whole_files",
    }
)
MAX_REMEMBERED = 4000  # files; more than that are left over from earlier versions


class Import(NamedTuple):
    """`import module` (`name` is None) or `from module import name`, with leading dots counted.

    `deferred` marks an import for type checkers. In an `__init__.py` these are the names that the
    package loads on first use; elsewhere nothing is imported when the program runs.
    """

    module: str
    name: str | None
    dots: int
    deferred: bool


class Source(NamedTuple):
    """A Python file: the digest of its code, and its imports wherever they stand in it."""

    digest: str
    imports: tuple[Import, ...]


@functools.cache
def code_digest(*modules: str, without: frozenset[str] = frozenset()) -> str:
    """Return the SHA-256, in hex, of the code of `modules` and of what they import.

    Modules in `without` are neither read nor followed, and those of `NO_VALUES` never are. A module
    whose source cannot be found does not count; see `has_source`.

    >>> code_digest("bench.metrics.kid") == code_digest("bench.metrics.frechet")
    False
    """
    digest = hashlib.sha256()
    for module, source in sorted(closure(*modules, without=without).items()):
        digest.update(f"{module}\0{source.digest}\n".encode())
    return digest.hexdigest()


def closure(*modules: str, without: frozenset[str] = frozenset()) -> dict[str, Source]:
    """Return the sources of `modules` and of what they import, directly or not, by module name."""
    tops = {*OWN, *(module.partition(".")[0] for module in modules)}
    found: dict[str, Source] = {}
    memory = _memory()
    left_out = without | NO_VALUES
    waiting, seen = [name for name in modules if name not in left_out], {*modules, *left_out}
    while waiting:
        module = waiting.pop()
        file = _file_of(module) if module.partition(".")[0] in tops else None
        if file is None:
            continue
        found[module] = memory.read(file)
        for name in set(_imported(module, file, memory)) - seen:
            seen.add(name)
            waiting.append(name)
    memory.save()
    return found


def has_source(module: str) -> bool:
    """Return whether the source of a module can be found; not for one typed at a prompt."""
    return _file_of(module) is not None


def module_of(function: Callable[..., object]) -> str:
    """Return the name of the module that a function, or the function of a partial, stands in."""
    inner = function.func if isinstance(function, functools.partial) else function
    return inner.__module__


def _imported(module: str, file: Path, memory: _Memory) -> Iterator[str]:
    """Yield the modules that a module imports when the program runs."""
    for entry in memory.read(file).imports:
        if entry.deferred:
            continue
        base = _absolute(entry, module, file)
        inner = f"{base}.{entry.name}"
        if entry.name is not None and _file_of(inner) is not None:
            yield inner
        else:
            yield base
            yield from _lazily_loaded(base, entry.name, memory)


def _lazily_loaded(package: str, name: str | None, memory: _Memory) -> Iterator[str]:
    """Yield the modules that a package loads when `name`, or anything (None), is first used."""
    file = _file_of(package)
    if file is None or file.name != "__init__.py":
        return
    for entry in memory.read(file).imports:
        if entry.deferred and name in (entry.name, None, "*"):
            yield _absolute(entry, package, file)


def _absolute(entry: Import, module: str, file: Path) -> str:
    """Return the module that an import in `module` names, leading dots resolved."""
    if not entry.dots:
        return entry.module
    parents = module.split(".")
    up = entry.dots - (file.name == "__init__.py")
    return ".".join([*parents[: len(parents) - up], *filter(None, [entry.module])])


@functools.cache
def _file_of(module: str) -> Path | None:
    """Return the source file of a module, found by its place below its top-level package."""
    top, _, rest = module.partition(".")
    origin, folders = _place_of(top)
    if not folders:
        return None if rest else origin
    for folder in folders:
        *parents, name = [folder, *rest.split(".")] if rest else ["", folder]
        parent = Path(*parents)
        for file in (parent / name / "__init__.py", parent / f"{name}.py"):
            if file.is_file():
                return file
    return None


@functools.cache
def _place_of(package: str) -> tuple[Path | None, tuple[str, ...]]:
    """Return the file of a top-level module, or the folders of a top-level package."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None, ()
    if spec is None:
        return None, ()
    is_source = spec.origin is not None and spec.origin.endswith(".py")
    origin = Path(spec.origin or "") if is_source else None
    return origin, tuple(spec.submodule_search_locations or ())


class _Memory:
    """Files read earlier, by the digest of their bytes; kept in the cache between runs."""

    def __init__(self) -> None:
        try:
            self._cache = Cache(default_root())
        except UsageError:  # an account without a home folder: parse every time
            self._cache = Cache(None)
        reader = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
        self._key = cache_key({"reader": reader})
        data = self._cache.get(KIND, self._key)
        self._known: dict[str, list[Any]] = {} if data is None else json.loads(data)
        self._new: dict[str, Source] = {}
        self._files: dict[Path, Source] = {}

    def read(self, file: Path) -> Source:
        if file not in self._files:
            data = file.read_bytes()
            digest = hashlib.sha256(data).hexdigest()
            if digest in self._known:
                code, imports = self._known[digest]
                source = Source(code, tuple(Import(*entry) for entry in imports))
            else:
                source = self._new[digest] = read_source(data)
            self._files[file] = source
        return self._files[file]

    def save(self) -> None:
        if self._new:
            known = self._known if len(self._known) < MAX_REMEMBERED else {}
            self._known = known | {digest: list(source) for digest, source in self._new.items()}
            self._new = {}
            self._cache.put(KIND, self._key, json.dumps(self._known).encode())


@functools.cache
def _memory() -> _Memory:
    """Return what this process knows of files, each read once."""
    return _Memory()


def read_source(data: bytes) -> Source:
    """Return the digest and the imports of a Python source; of its bytes if it is not valid."""
    try:
        text = importlib.util.decode_source(data)
        nodes = _nodes(ast.parse(text))
    except (SyntaxError, ValueError):
        return Source(hashlib.sha256(data).hexdigest(), ())
    code = _bare(text, nodes)
    return Source(hashlib.sha256(code).hexdigest(), tuple(_imports(nodes)))


def bare_code(text: str) -> bytes:
    r"""Return a source, as UTF-8, without comments, docstrings, blank lines and trailing spaces.

    >>> bare_code('def f():\n    "A docstring."\n\n    return "#"  # a comment\n')
    b'def f():\n    return "#"'
    """
    return _bare(text, _nodes(ast.parse(text)))


def _nodes(tree: ast.AST) -> list[ast.AST]:
    """Return the nodes of a tree in any order; takes half the time of `ast.walk`."""
    found = [tree]
    for node in found:  # grows while it is read
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, ast.AST):
                found.append(value)
            elif isinstance(value, list):
                found += [item for item in value if isinstance(item, ast.AST)]
    return found


def _bare(text: str, nodes: list[ast.AST]) -> bytes:
    # The positions in the syntax tree say where strings are, so that a `#` inside one is kept.
    docstrings = [node.value for node in nodes if isinstance(node, ast.Expr) and _is_text(node)]
    skipped = {id(node) for node in docstrings}
    lines = [bytearray(line) for line in text.encode().split(b"\n")]
    masks = [bytearray(line) for line in lines]  # the same with strings blacked out
    for node in nodes:
        if isinstance(node, ast.expr) and _is_string(node) and id(node) not in skipped:
            for number, first, last in _spans(node, lines):
                masks[number][first:last] = b"x" * max(last - first, 1)
    for node in docstrings:
        for number, first, last in _spans(node, lines):
            masks[number][first:last] = b" " * (last - first)
            lines[number][first:last] = b" " * (last - first)
    kept = []
    for line, mask in zip(lines, masks, strict=True):
        code = mask.partition(b"#")[0].rstrip()
        if code:
            kept.append(bytes(line[: len(code)]))
    return b"\n".join(kept)


def _is_text(node: ast.Expr) -> bool:
    """Return whether a statement is nothing but a string, which has no effect."""
    return isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_string(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str | bytes)
    return type(node).__name__ in ("JoinedStr", "TemplateStr")  # the second since Python 3.14


def _spans(node: ast.expr, lines: list[bytearray]) -> Iterator[tuple[int, int, int]]:
    """Yield line number (from 0), first byte and end of each line that an expression covers."""
    start, end = node.lineno - 1, (node.end_lineno or node.lineno) - 1
    for number in range(start, end + 1):
        first = node.col_offset if number == start else 0
        last = node.end_col_offset if number == end else None
        yield number, first, len(lines[number]) if last is None else last


def _imports(nodes: list[ast.AST]) -> Iterator[Import]:
    deferred = {
        id(node)
        for block in nodes
        if isinstance(block, ast.If) and _is_type_checking(block.test)
        for statement in block.body
        for node in _nodes(statement)
    }
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, None, 0, id(node) in deferred)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield Import(node.module or "", alias.name, node.level, id(node) in deferred)


def _is_type_checking(test: ast.expr) -> bool:
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", None)
    return name == "TYPE_CHECKING"
