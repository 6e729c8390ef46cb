"""What must stay light: `import bench`, `--help`, and the process that decodes images."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "torchvision", "matplotlib", "pandas", "scipy", "sklearn", "numpy")


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
    ["from bench.metrics import METRICS", "import bench.comparing.comparison"],
    ids=["metrics", "compare"],
)
def test_tables_and_comparisons_load_no_library_that_computes(code: str) -> None:
    assert not modules_after(code) & {"torch", "scipy", "sklearn", "matplotlib", "pandas"}


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
