"""The rooms of the two packages and their levels: a file imports from rooms on lower levels only.

Imports are read with `ast`, so that one inside a function counts as well.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Rooms, lowest level first: a file imports files of its own room and of rooms on lower levels. A
# room is a folder of a package, or a file at its root.
LEVELS: tuple[frozenset[str], ...] = (
    frozenset({"bench.errors", "reference_stats"}),
    frozenset({"bench.runtime", "baselines.models"}),
    frozenset(
        {"bench.intake", "bench.statistics", "bench.records", "bench.execution", "baselines.tricks"}
    ),
    frozenset({"bench.data", "bench.extractors", "bench.tables", "baselines.recipes"}),
    frozenset({"bench.metrics", "bench.content", "bench.plots"}),
    frozenset(
        {
            "bench.references",
            "bench.anomaly",
            "bench.comparing",
            "bench.embeddings",
            "baselines.tools",
            "baselines.training",
        }
    ),
    frozenset({"bench.scoring", "bench.reporting", "baselines.sampling"}),
    frozenset(
        {"bench.studies", "bench.ranking", "bench.platforms", "bench.latent", "baselines.runs"}
    ),
    frozenset({"bench.cli", "baselines.ablation", "baselines.detectors", "baselines.latent"}),
    frozenset({"bench.__main__", "baselines.cli"}),
)
MAX_LEVELS = 10
MAX_ROOT_FILES = 5


def module_name(path: Path) -> str:
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    module_name(path): path
    for package in ("bench", "baselines", "reference_stats")
    for path in sorted((ROOT / package).rglob("*.py"))
}


def room_of(module: str) -> str:
    return ".".join(module.split(".")[:2])


def level_of(module: str) -> int:
    for level, rooms in enumerate(LEVELS):
        if room_of(module) in rooms:
            return level
    raise AssertionError(f"{module} is in no room; add it to LEVELS in {Path(__file__).name}")


def imports_of(path: Path) -> Iterator[str]:
    """Modules of this project that a file imports, type-checking imports left out."""
    tree = ast.parse(path.read_text())
    skipped = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            assert node.level == 0, f"{path}: relative import"
            for name in node.names:
                child = f"{node.module}.{name.name}"
                yield child if child in MODULES else node.module


EDGES = sorted({(module, found) for module, path in MODULES.items() for found in imports_of(path)})


@pytest.mark.parametrize(("module", "imported"), EDGES)
def test_imports_go_down(module: str, imported: str) -> None:
    if module in ("bench", "baselines"):
        return  # the public names, resolved lazily
    assert level_of(imported) < level_of(module) or room_of(imported) == room_of(module), (
        f"{module} imports {imported}, which is not on a lower level"
    )


def test_there_are_few_levels() -> None:
    assert len(LEVELS) <= MAX_LEVELS


@pytest.mark.parametrize("package", ["bench", "baselines"])
def test_the_root_of_a_package_holds_few_files(package: str) -> None:
    files = [path.name for path in (ROOT / package).iterdir() if path.is_file()]
    assert len(files) <= MAX_ROOT_FILES, files


def test_there_are_no_cycles() -> None:
    graph: dict[str, set[str]] = {module: set() for module in MODULES}
    for module, imported in EDGES:
        graph[module].add(imported)
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join((*trail, module))
        if module not in done:
            for imported in graph[module]:
                visit(imported, (*trail, module))
            done.add(module)

    for module in graph:
        visit(module, ())


def test_every_module_has_a_room_and_every_room_a_module() -> None:
    for module in MODULES:
        if module not in ("bench", "baselines"):
            level_of(module)
    for room in frozenset().union(*LEVELS):
        assert room in MODULES, f"LEVELS names {room}, which does not exist"


def test_bench_never_imports_baselines() -> None:
    assert not [
        edge for edge in EDGES if edge[0].startswith("bench") and edge[1].startswith("baselines")
    ]
