"""An extractor of another package: listed, used, cached, and reported when it is broken."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest

import bench.extractors
from bench.errors import EXIT_OK
from bench.metrics.frechet import frechet_distance
from bench.records.score_record import ScoreRecord
from bench.statistics.moments import Moments
from tests.conftest import RealSample, write_pngs
from tests.extending.conftest import Install, Package, examples

MODULE, PYPROJECT = examples(bench.extractors.__doc__)
ENTRIES = tomllib.loads(PYPROJECT)["project"]["entry-points"]


@pytest.fixture
def package(install: Install) -> Package:
    """The example of the documentation, installed."""
    return install({"profiles.py": MODULE}, ENTRIES)


def test_the_example_has_at_most_30_lines() -> None:
    assert len((MODULE + PYPROJECT).splitlines()) <= 30


def test_an_extractor_of_another_package(
    package: Package, mnist: RealSample, tmp_path: Path
) -> None:
    real, fake = mnist.images[:200], mnist.images[200:350]
    command = ["score", str(write_pngs(fake, tmp_path / "fake")), "--extractor", "profiles"]
    command += ["--reference", str(write_pngs(real, tmp_path / "real")), "--metrics", "fid"]
    command += ["--json", "--no-pictures", "--out", str(tmp_path / "results")]
    records = []
    for _ in range(2):
        done = package.run(*command)
        assert done.returncode == EXIT_OK, done.stderr
        records.append(ScoreRecord.model_validate_json(done.stdout))
    assert [record.from_cache for record in records] == [False, True]
    assert records[0].extractor.name == "profiles"

    def moments(images: np.ndarray) -> Moments:
        grey = images[..., 0].astype(np.float32)
        return Moments.of(np.concatenate([grey.mean(axis=2), grey.mean(axis=1)], axis=1))

    expected = frechet_distance(moments(real), moments(fake)).value
    assert records[0].value("fid") == pytest.approx(expected, rel=1e-4)

    package.write("profiles.py", MODULE.replace('"float32"', '"float32") * np.float32(2'))
    done = package.run(*command)
    assert done.returncode == EXIT_OK, done.stderr
    record = ScoreRecord.model_validate_json(done.stdout)
    assert not record.from_cache  # the code of the package is part of the key
    assert record.value("fid") == pytest.approx(4 * expected, rel=1e-4)


def test_a_broken_package_is_reported(install: Install) -> None:
    package = install({}, {"latentbench.extractors": {"lost": "no_such_module:ROW"}})
    listed = package.run("extractors")
    assert listed.returncode == EXIT_OK
    assert "digits" in listed.stdout
    assert "lost omitted: extractor 'lost': no_such_module:ROW cannot be loaded" in listed.stderr
    refused = package.run("score", "x", "--extractor", "lost")
    assert refused.returncode != EXIT_OK
    assert "repair or uninstall package toy" in refused.stderr
    assert "Traceback" not in refused.stderr
