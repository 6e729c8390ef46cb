"""The digest of the code of a score: an edit that can change a value changes it, no other does."""

from __future__ import annotations

import dataclasses
import functools
import shutil
from pathlib import Path

import pytest

import bench
from bench.anomaly.detectors import DETECTORS
from bench.extractors import extractor_row
from bench.metrics import METRICS
from bench.runtime import code_digest as digests
from bench.scoring.scoring_code import WITHOUT, picture_code, scoring_code
from tests.runtime.test_code_digest import forget

PACKAGE = Path(bench.__file__).parent


@pytest.fixture(scope="module")
def edited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package, to be edited."""
    copy = tmp_path_factory.mktemp("edited") / "bench"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__", "weights"))
    return copy


@pytest.fixture(autouse=True)
def _read_the_copy(edited: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place_of = digests._place_of.__wrapped__
    copied = (None, (str(edited),))
    replacement = functools.cache(lambda name: copied if name == "bench" else place_of(name))
    monkeypatch.setattr(digests, "_place_of", replacement)


def digest_of(extractor: str = "digits", named: str | None = None) -> str:
    forget()
    row = None if named is None else DETECTORS.find(named)
    return scoring_code(extractor_row(extractor).resolve(), [METRICS["fid"]], row)


CHANGES = [  # file, what is replaced, by what, whether the digest changes
    ("execution/executors/slurm.py", "_WIDTH = 500", "_WIDTH = 501", False),
    ("reporting/templates/*.html.j2", "<", "<!-- edited --><", False),
    ("reporting/page.py", "from __future__", "EDITED = 1\nfrom __future__", False),
    ("cli/score.py", "from __future__", "EDITED = 1\nfrom __future__", False),
    ("plots/curves.py", "from __future__", "EDITED = 1\nfrom __future__", False),
    ("tables/frame.py", "from __future__", "EDITED = 1\nfrom __future__", False),
    ("comparing/metric_change.py", "from __future__", "EDITED = 1\nfrom __future__", False),
    ("studies/ladder.py", "from __future__", "EDITED = 1\nfrom __future__", False),
    ("runtime/progress.py", "from __future__", "EDITED = 1\nfrom __future__", False),
    ("anomaly/detectors/kde.py", "from __future__", "EDITED = 1\nfrom __future__", False),
    ("extractors/inception.py", "from __future__", "EDITED = 1\nfrom __future__", False),
    ("metrics/kid.py", '"""', '"""Other words. ', False),
    ("metrics/kid.py", "from __future__", "# a comment\nfrom __future__", False),
    ("metrics/kid.py", "3 *", "4 *", True),
    ("statistics/moments.py", "from __future__", "EDITED = 1\nfrom __future__", True),
    ("extractors/compact_cnn.py", "F.relu", "F.gelu", True),
    ("intake/png.py", "from __future__", "EDITED = 1\nfrom __future__", True),
    ("content/findings/collapse.py", "from __future__", "EDITED = 1\nfrom __future__", True),
    ("references/perfect_values.py", "from __future__", "EDITED = 1\nfrom __future__", True),
    ("scoring/evaluate.py", "from __future__", "EDITED = 1\nfrom __future__", True),
]


@pytest.mark.parametrize(("pattern", "old", "new", "counts"), CHANGES)
def test_only_what_values_depend_on_counts(
    edited: Path, pattern: str, old: str, new: str, counts: bool
) -> None:
    before = digest_of()
    (path, *_) = sorted(edited.glob(pattern))
    text = path.read_text()
    assert old in text
    try:
        path.write_text(text.replace(old, new, 1))
        assert (digest_of() != before) is counts
    finally:
        path.write_text(text)


def test_the_extractor_and_the_detector_in_use_count() -> None:
    assert digest_of("digits") == digest_of("fashion")  # one network, two sets of weights
    assert digest_of("digits") != digest_of("hog")
    assert digest_of(named="kde") not in {digest_of(), digest_of(named="pca")}


def test_a_metric_of_another_package_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "toy_metric.py"
    source.write_text("def compute(inputs):\n    return 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import toy_metric

    extractor = extractor_row("digits").resolve()
    toy = dataclasses.replace(METRICS["fid"], name="toy", compute=toy_metric.compute)
    forget()
    first = scoring_code(extractor, [toy])
    source.write_text("def compute(inputs):\n    return 2\n")
    forget()
    assert len({first, scoring_code(extractor, [toy]), digest_of()}) == 3


def test_what_is_left_out_exists_and_is_reached() -> None:
    forget()
    assert digests.closure("bench.scoring.scorer").keys() >= WITHOUT


def test_pictures_have_a_digest_of_their_own(edited: Path) -> None:
    before, score = picture_code(), digest_of()
    path = edited / "scoring" / "report_pictures.py"
    path.write_text(path.read_text() + "EDITED = 1\n")
    forget()
    assert picture_code() != before
    assert digest_of() == score
