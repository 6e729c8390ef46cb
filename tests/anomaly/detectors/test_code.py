"""Digests of the code behind a detector: what changes them, and what does not."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from bench.anomaly.detectors import DetectorRow, DetectorSettings, detector
from bench.anomaly.detectors import code as code_of
from bench.anomaly.detectors.code import code_digest, detector_code

FILES = {
    "__init__.py": "",
    "row.py": "from madeup import near\nfrom .deep import inner as x\nimport json\n",
    "near.py": "def f():\n    import madeup.late\n",
    "late.py": "",
    "other.py": "",
    "deep/__init__.py": "from ..behind import VALUE\n",
    "deep/inner.py": "",
    "behind.py": "VALUE = 1\n",
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "madeup" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path / "madeup"


def now() -> str:
    code_digest.cache_clear()
    code_of._file_of.cache_clear()
    found = code_digest("madeup.row")
    assert found is not None
    return found


@pytest.mark.parametrize("name", ["row.py", "near.py", "late.py", "deep/inner.py"])
def test_a_change_of_what_is_imported_changes_it(package: Path, name: str) -> None:
    before = now()
    assert now() == before
    (package / name).write_text(FILES[name] + "# changed\n")
    assert now() != before


def test_a_change_of_something_else_does_not(package: Path) -> None:
    before = now()
    (package / "other.py").write_text("x = 1\n")
    assert now() == before


def test_a_package_named_by_itself_is_followed(package: Path) -> None:
    code_digest.cache_clear()
    before = code_digest("madeup.deep")
    (package / "behind.py").write_text("VALUE = 2\n")
    code_digest.cache_clear()
    assert code_digest("madeup.deep") != before


def test_detectors_of_this_project() -> None:
    names = ("knn-pixels", "pca", "oc-svm", "ae-conv", "geotrans")
    digests = [detector_code(detector(name)) for name in names]
    assert len(set(digests)) == len(names)
    assert None not in digests
    features = detector("knn-features")
    assert detector_code(features, "digits") != detector_code(features, "hog")


def test_sources_that_are_not_there() -> None:
    row = DetectorRow(name="x", title="t", source="s", make=lambda _: None)  # type: ignore[arg-type, return-value]
    assert detector_code(row) is not None
    row.make.__module__ = "nowhere.at.all"
    assert detector_code(row) is None


def test_a_partial_is_known_by_its_function() -> None:
    def make(_settings: DetectorSettings, _number: int) -> object:
        return object()

    row = DetectorRow(name="x", title="t", source="s", make=functools.partial(make, _number=1))  # type: ignore[arg-type]
    assert detector_code(row) == code_digest(__name__, "bench.statistics.roc")
