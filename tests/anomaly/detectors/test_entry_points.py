"""Detectors of other packages: those that load, and those that do not."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.__main__ import run
from bench.anomaly import evaluate_folder
from bench.anomaly.choices import named_detectors, seed_counts, unloadable_in
from bench.anomaly.detectors import DETECTORS
from bench.errors import EXIT_OK, LatentbenchError
from tests.conftest import RealSample, write_pngs

MODULE = """
from bench.anomaly.detectors import DETECTORS, DetectorRow

GOOD = DetectorRow(**{**vars(DETECTORS["pca"]), "name": "own-good"})
NETWORK = DetectorRow(**{**vars(DETECTORS["pca"]), "name": "own-network", "trains": True})
"""
ENTRIES = """
[latentbench.detectors]
own-good = own_detectors:GOOD
own-network = own_detectors:NETWORK
own-other-name = own_detectors:GOOD
own-absent = own_detectors:NOTHING
own-missing = no_such_module_at_all:ROW
own-raises = own_raises:ROW
pca = own_detectors:GOOD
"""
SHADOWED = "pca of own_detectors:GOOD"
BROKEN = (SHADOWED, "own-absent", "own-missing", "own-other-name", "own-raises")


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed package with two good detectors and four broken ones."""
    info = tmp_path / "own_package-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRIES)
    (tmp_path / "own_detectors.py").write_text(MODULE)
    (tmp_path / "own_raises.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    vars(DETECTORS).pop("_entry_points", None)
    yield
    vars(DETECTORS).pop("_entry_points", None)
    for module in ("own_detectors", "own_raises"):
        sys.modules.pop(module, None)


def test_what_can_be_loaded_and_what_cannot() -> None:
    found = DETECTORS.loadable()
    names = [row.name for row in found.rows]
    assert tuple(names) == tuple(n for n in DETECTORS if n not in BROKEN)
    assert {"own-good", "own-network", *DETECTORS.own} <= set(names)
    assert DETECTORS.find("pca").name == "pca"
    assert tuple(one.name for one in found.broken) == BROKEN


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("own-absent", "own_detectors:NOTHING cannot be loaded: AttributeError: .*NOTHING"),
        ("own-missing", "no_such_module_at_all:ROW cannot be loaded: ModuleNotFoundError"),
        ("own-other-name", "own_detectors:GOOD is not a DetectorRow of that name"),
        ("own-raises", "own_raises:ROW cannot be loaded: ZeroDivisionError: division by zero"),
    ],
)
def test_a_broken_one_is_told_with_its_package(name: str, message: str) -> None:
    expected = f"^detector '{name}': {message}.*; repair or uninstall package own-package$"
    with pytest.raises(LatentbenchError, match=expected):
        DETECTORS.find(name)


def test_groups_go_without_the_broken_ones() -> None:
    shallow, network, every = map(named_detectors, ("shallow", "network", "all"))
    assert "own-good" in shallow
    assert "own-network" in network
    assert set(every) == {*shallow, *network}
    assert not {*every} & {*BROKEN}
    assert seed_counts("shallow=2,1", ["own-good", "own-network"]) == {
        "own-good": 2,
        "own-network": 1,
    }
    for text in ("shallow", "pca, all", "network"):
        assert tuple(one.name for one in unloadable_in(text)) == BROKEN
    assert unloadable_in("pca,own-good") == ()
    with pytest.raises(LatentbenchError, match="uninstall package own-package"):
        named_detectors("pca,own-missing")


def test_a_folder_is_judged_without_them(mnist: RealSample, tmp_path: Path) -> None:
    for path, part in (
        ("train", mnist.images[:6]),
        ("test/normal", mnist.images[6:9]),
        ("test/anomalous", mnist.images[9:12]),
    ):
        write_pngs(part, tmp_path / "set" / path)
    paths = tmp_path / "set" / "train", tmp_path / "set" / "test"
    found = evaluate_folder(*paths, detectors="shallow")
    assert not found.failed
    assert "own-good" in [entry.name for entry in found.record.detectors]
    reasons = {one.name: one.reason for one in found.record.left_out}
    assert set(reasons) == set(BROKEN)
    assert "ZeroDivisionError" in reasons["own-raises"]
    assert not evaluate_folder(*paths, detectors="own-good,pca").left_out


def test_the_list_tells_what_does_not_load(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["detectors"]) == EXIT_OK
    shown = capsys.readouterr()
    assert "own-good" in shown.out
    assert "own-network: " in shown.out  # among the networks
    for name in BROKEN:
        assert f"{name} omitted: " in shown.err
