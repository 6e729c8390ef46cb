"""The levels of the two packages, held as data: a file imports files of lower levels only.

Imports are read with `ast`, so that one inside a function counts as well.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Lowest level first. "package.*" stands for every module below that package and for itself,
# unless a longer or an exact entry names it.
LEVELS: tuple[frozenset[str], ...] = (
    frozenset({"bench.errors"}),
    frozenset(
        {
            "bench.intake.*",
            "bench.stats",
            "bench.destinations",
            "bench.stopwatch",
            "bench.terminal",
            "bench.command_parser",
            "bench.comparing",
            "bench.comparing.tolerance",
            "bench.uncertainty",
        }
    ),
    frozenset({"bench.cache", "bench.progress"}),
    frozenset(
        {
            "bench.datasets",
            "bench.record",
            "bench.perturbations",
            "bench.provenance",
            "bench.devices",
            "bench.exhibits",
            "bench.download",
            "bench.torchscript",
            "bench.execution.*",
        }
    ),
    frozenset(
        {
            "bench.weights_reading",
            "bench.best",
            "bench.comparing.comparability",
            "bench.numerals",
            "bench.plots.*",
        }
    ),
    frozenset({"bench.weights", "bench.comparing.judgement", "bench.submissions"}),
    frozenset({"bench.neighbours.*", "bench.comparing.comparison", "bench.content.*"}),
    frozenset(
        {
            "bench.metrics.prd",
            "bench.metrics.frechet_expansion",
            "bench.metrics.kid_uncertainty",
            "bench.roc",
            "bench.tables",
        }
    ),
    frozenset(
        {
            "bench.metrics.base",
            "bench.extractors.base",
            "bench.table_formats",
        }
    ),
    frozenset({"bench.metrics.frechet_uncertainty", "bench.extractors.compiling"}),
    frozenset(
        {
            "bench.metrics.frechet",
            "bench.extractors.network",
            "bench.extractors.resampling",
            "bench.extractors.convolution",
            "bench.extractors.dinov2",
            "bench.extractors.fidelity_rows",
        }
    ),
    frozenset({"bench.metrics.*", "bench.extractors.*", "bench.references", "bench.features"}),
    frozenset({"bench.metrics", "bench.extractors"}),
    frozenset({"bench.detectors.*"}),
    frozenset({"bench.expected", "bench.exhibiting", "bench.bundles", "bench.real_images"}),
    frozenset({"bench.evaluation", "bench.reference_build"}),
    frozenset({"bench.arms"}),
    frozenset({"bench.detecting"}),
    frozenset({"bench.kept", "bench.contents", "bench.content_audit"}),
    frozenset({"bench.extractions"}),
    frozenset({"bench.scoring"}),
    frozenset(
        {
            "bench.ladder",
            "bench.precision_study",
            "bench.uncertainty_populations",
            "bench.anomaly.*",
        }
    ),
    frozenset({"bench.protocol_study", "bench.uncertainty_study", "bench.uncertainty_report"}),
    frozenset({"bench.study_report", "bench.comparing.views", "bench.verbs.options"}),
    frozenset({"bench.console", "bench.reporting.*"}),
    frozenset({"bench.verbs.one_class"}),
    frozenset({"bench.verbs.*"}),
    frozenset({"bench.cli"}),
    frozenset({"bench.__main__"}),
    frozenset({"bench"}),
    frozenset(
        {
            "baselines.samples_folder",
            "baselines.data",
            "baselines.draws",
            "baselines.losses",
            "baselines.likelihoods",
            "baselines.priors",
            "baselines.spectrum",
        }
    ),
    frozenset({"baselines.train_extractor"}),
    frozenset({"baselines.models.base"}),
    frozenset({"baselines.models.grid"}),
    frozenset({"baselines.models.dense", "baselines.models.conv", "baselines.models.autoencoders"}),
    frozenset({"baselines.models.*", "baselines.latents"}),
    frozenset({"baselines.tricks.base", "baselines.models"}),
    frozenset({"baselines.tricks.*"}),
    frozenset({"baselines.tricks"}),
    frozenset({"baselines.config"}),
    frozenset({"baselines.recipes"}),
    frozenset({"baselines.build"}),
    frozenset({"baselines.objectives"}),
    frozenset({"baselines.steps"}),
    frozenset({"baselines.stacked", "baselines.checkpoint"}),
    frozenset({"baselines.engine", "baselines.trained"}),
    frozenset({"baselines.rejection"}),
    frozenset({"baselines.candidates"}),
    frozenset({"baselines.sampling"}),
    frozenset({"baselines.run_folder", "baselines.pace", "baselines.interrupts"}),
    frozenset({"baselines.runs", "baselines.demo", "baselines.loading", "baselines.budgets"}),
    frozenset({"baselines.job_training"}),
    frozenset({"baselines.verbs"}),
    frozenset({"baselines.detectors.*"}),
    frozenset({"baselines.ablation.*", "baselines.study.*"}),
    frozenset({"baselines.cli"}),
    frozenset({"baselines"}),
    frozenset({"reference_stats"}),
)

# Packages whose files may import each other: each has an order of its own, kept free of cycles by
# the test below.
OWN_ORDER = frozenset(
    {
        "baselines.ablation",
        "baselines.detectors",
        "baselines.study",
        "bench.anomaly",
        "bench.content",
        "bench.detectors",
        "bench.execution",
        "bench.intake",
        "bench.neighbours",
        "bench.plots",
        "bench.reporting",
    }
)


def module_name(path: Path) -> str:
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    module_name(path): path
    for package in ("bench", "baselines", "reference_stats")
    for path in sorted((ROOT / package).rglob("*.py"))
}


def level_of(module: str) -> int:
    for level, names in enumerate(LEVELS):
        if module in names:
            return level
    for level, names in enumerate(LEVELS):
        if any(name.endswith(".*") and f"{module}.".startswith(name[:-1]) for name in names):
            return level
    raise AssertionError(f"{module} is on no level; add it to LEVELS in {Path(__file__).name}")


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


def same_package(a: str, b: str) -> bool:
    return any(
        f"{a}.".startswith(f"{package}.") and f"{b}.".startswith(f"{package}.")
        for package in OWN_ORDER
    )


@pytest.mark.parametrize(("module", "imported"), EDGES)
def test_imports_go_down(module: str, imported: str) -> None:
    if module in ("bench", "baselines"):
        return  # the public names, resolved lazily
    assert level_of(imported) < level_of(module) or same_package(module, imported), (
        f"{module} imports {imported}, which is not on a lower level"
    )


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


def test_every_module_has_a_level_and_every_level_a_module() -> None:
    for module in MODULES:
        level_of(module)
    for names in LEVELS:
        for name in names:
            package = name.removesuffix(".*")
            assert package in MODULES, f"LEVELS names {name}, which does not exist"


def test_bench_never_imports_baselines() -> None:
    assert not [
        edge for edge in EDGES if edge[0].startswith("bench") and edge[1].startswith("baselines")
    ]
