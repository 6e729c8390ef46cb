"""What must stay light: imports, help, lists, audits, cached scores, comparisons, CSV reports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = ("torch", "torchvision", "matplotlib", "pandas", "scipy", "sklearn", "numpy")
COMPUTING = {"torch", "scipy.stats", "sklearn", "matplotlib"}


def modules_after(code: str) -> set[str]:
    program = f"{code}\nimport sys\nprint('LOADED', *sorted(m for m in sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(result.stdout.rpartition("LOADED")[2].split())


@pytest.mark.parametrize(
    "code",
    [
        "import bench",
        "import baselines",
        "import bench.__main__ as m; assert m.run(['--help']) == 0",
        "import bench.__main__ as m; assert m.run(['score', '--help']) == 0",
        "import baselines.cli.train",
        "import bench.__main__ as m; assert m.run(['recipes']) == 0",
        "import bench.__main__ as m; assert m.run(['train', 'vae', '--dry-run']) == 0",
    ],
    ids=["import", "baselines", "help", "verb-help", "baselines-verbs", "recipes", "dry-run"],
)
def test_loads_nothing_heavy(code: str) -> None:
    assert not modules_after(code) & set(HEAVY)


def test_the_list_of_verbs_imports_neither_a_verb_nor_the_option_parser() -> None:
    loaded = modules_after("import bench.__main__ as m; assert m.run(['--help']) == 0")
    assert not loaded & {"typer", "click", "rich", "pydantic", "bench.cli.score"}


def test_the_decoding_process_never_loads_torch() -> None:
    loaded = modules_after("import bench.intake.worker")
    assert not loaded & {"torch", "matplotlib", "pandas", "pydantic"}


def test_reading_images_loads_no_torch() -> None:
    loaded = modules_after("from bench.intake import audit, load_spec, repair")
    assert "numpy" in loaded
    assert not loaded & {"torch", "matplotlib", "pandas"}


@pytest.mark.parametrize(
    "code",
    [
        "from bench.metrics import METRICS",
        "from bench.anomaly.detectors import DETECTORS",
        "import bench.comparing.comparison",
    ],
    ids=["metrics", "detectors", "compare"],
)
def test_tables_and_comparisons_load_no_library_that_computes(code: str) -> None:
    assert not modules_after(code) & {"torch", "scipy", "sklearn", "matplotlib", "pandas"}


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record to compare and to report."""
    from bench.records.score_record import write_record
    from tests.records.test_score_record import record as made

    path = tmp_path_factory.mktemp("records") / "record.json"
    write_record(made(), path)
    return path


@pytest.mark.parametrize(
    ("verb", "allowed"),
    [
        ("metrics", set()),
        ("extractors", set()),
        ("reference list", set()),
        ("detectors", set()),
        ("cache", set()),
        ("audit FOLDER", set()),
        ("audit FOLDER --content", set()),
        ("audit FOLDER --content --reference mnist", {"scipy"}),
        ("compare RECORD RECORD", {"scipy"}),
        ("report RECORD --format csv --out -", {"pandas"}),
    ],
)
def test_a_verb_that_computes_nothing_loads_no_library_that_does(
    verb: str, allowed: set[str], digits_folder: Path, record: Path
) -> None:
    words = verb.replace("FOLDER", str(digits_folder)).replace("RECORD", str(record)).split()
    loaded = modules_after(f"import bench.__main__ as m; assert m.run({words!r}) == 0")
    assert not loaded & COMPUTING
    assert loaded & {"pandas", "scipy"} <= allowed


def test_a_cached_score_loads_no_library_that_computes(digits_folder: Path, tmp_path: Path) -> None:
    words = ["score", str(digits_folder), "--out", str(tmp_path), "--quiet"]
    code = f"import bench.__main__ as m; assert m.run({words!r}) == 0"
    assert "torch" in modules_after(code)
    loaded = modules_after(code)
    assert not loaded & COMPUTING
    assert not loaded & {"pandas", "scipy"}


def test_public_names_resolve() -> None:
    import bench
    from bench.scoring.scorer import score
    from bench.tables.frame import table

    assert bench.score is score
    assert bench.table is table
    assert set(bench.__all__) <= set(dir(bench))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        bench.nonsense  # noqa: B018


def test_public_names_of_the_baselines_resolve() -> None:
    import baselines
    from baselines.runs.api import sample, train

    assert baselines.train is train
    assert baselines.sample is sample
    assert set(baselines.__all__) <= set(dir(baselines))
    assert all(getattr(baselines, name) is not None for name in baselines.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        baselines.nonsense  # noqa: B018
