"""Which code a detector's numbers come from: a digest of its module and of all that it imports.

`code_digest` is SHA-256 over the sources of some modules and of those that they import, directly or
not, as far as they belong to this project or to the package that the detector lives in. Versions of
other libraries are not in it. Imports are read from the sources, without running them; a change of
one file so touches the detectors that can reach it, and no others.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

from bench.anomaly.detectors.base import DetectorRow
from bench.anomaly.detectors.seen import extractor_of
from bench.extractors import extractor_row

OWN = ("bench", "baselines")
JUDGING = "bench.statistics.roc"  # what makes numbers of scores


def detector_code(row: DetectorRow, extractor: str | None = None) -> str | None:
    """Digest of the code of a detector with the chosen extractor; None when its source is not to be
    found, as for one that was defined at a prompt.
    """
    make = row.make.func if isinstance(row.make, functools.partial) else row.make
    modules = [make.__module__, JUDGING]
    name = extractor_of(row, extractor)
    if name is not None:
        modules.append(extractor_row(name).loader.partition(":")[0])
    return code_digest(*modules)


@functools.cache
def code_digest(*modules: str) -> str | None:
    """Of these modules and what they import; None when the source of one of them is not there."""
    tops = {*OWN, *(module.partition(".")[0] for module in modules)}
    sources: dict[str, bytes] = {}
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module in sources:
            continue
        file = _file_of(module)
        if file is None:
            if module in modules:
                return None
            continue
        sources[module] = file.read_bytes()
        imported = _imported(sources[module], module, is_package=file.name == "__init__.py")
        waiting += [name for name in imported if name.partition(".")[0] in tops]
    digest = hashlib.sha256()
    for module, source in sorted(sources.items()):
        digest.update(module.encode() + b"\0" + hashlib.sha256(source).digest())
    return digest.hexdigest()


def _imported(source: bytes, module: str, *, is_package: bool) -> Iterator[str]:
    """Modules that a source names in its imports, wherever they stand in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                up = node.level - is_package
                parents = module.split(".")[: len(module.split(".")) - up]
                base = ".".join([*parents, *filter(None, [node.module])])
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield inner if _file_of(inner) is not None else base


@functools.cache
def _file_of(module: str) -> Path | None:
    """The source of a module, by its place below its top-level package."""
    top, _, rest = module.partition(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    folders = list(spec.submodule_search_locations or ())
    if not folders:
        found = None if spec.origin is None or rest else Path(spec.origin)
        return found if found is not None and found.suffix == ".py" else None
    for folder in folders:
        place = Path(folder, *rest.split(".")) if rest else Path(folder)
        for file in (place / "__init__.py", place.with_name(f"{place.name}.py")):
            if file.is_file():
                return file
    return None
