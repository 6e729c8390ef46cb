"""A content finding of another package: in a score, in an audit, and reported when broken."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

import bench.content
from bench.errors import EXIT_OK
from bench.extractors import extractor_row
from bench.records.score_record import ScoreRecord
from bench.references.build import build_references
from bench.references.real_images import RealImages
from bench.scoring.scorer import Scorer
from tests.conftest import RealSample, write_pngs
from tests.extending.conftest import Install, examples

MODULE, PYPROJECT = examples(bench.content.__doc__)[-2:]
ENTRIES = tomllib.loads(PYPROJECT)["project"]["entry-points"]


@pytest.fixture
def manifest(mnist: RealSample, tmp_path: Path) -> Path:
    """A reference of 300 digits on a white background."""
    bright = 255 - mnist.images[:500]
    np.save(tmp_path / "train.npy", bright[:300])
    (path,) = build_references(
        "bright",
        tmp_path / "bundle",
        extractors=[extractor_row("pixels").resolve()],
        train=RealImages(tmp_path / "train.npy"),
        test=RealImages(bright[300:]),
        command=f"latentbench reference build bright --train {tmp_path / 'train.npy'}",
    )
    return path


@pytest.fixture
def folder(mnist: RealSample, tmp_path: Path) -> Path:
    """200 other digits, of which the first 50 have dark corners."""
    images = 255 - mnist.images[500:700]
    for rows in (slice(0, 3), slice(-3, None)):
        for columns in (slice(0, 3), slice(-3, None)):
            images[:50, rows, columns] = 60
    return write_pngs(images, tmp_path / "samples")


def test_the_example_has_at_most_30_lines() -> None:
    assert len((MODULE + PYPROJECT).splitlines()) <= 30


def test_a_finding_of_another_package(install: Install, manifest: Path, folder: Path) -> None:
    without = Scorer(reference=str(manifest), metrics=["fid"]).score(folder)
    assert "dark-corners" not in {one.code for one in without.findings}

    package = install({"dark_corners.py": MODULE}, ENTRIES)
    command = ("score", str(folder), "--reference", str(manifest), "--metrics", "fid", "--json")
    done = package.run(*command, "--no-pictures")
    assert done.returncode == EXIT_OK, done.stderr
    record = ScoreRecord.model_validate_json(done.stdout)
    assert not record.from_cache  # the cached record was made without this check
    found = next(one for one in record.findings if one.code == "dark-corners")
    assert (found.severity, found.count) == ("warning", 50)
    assert found.examples == tuple(f"{i:05}.png" for i in range(5))
    # the corners of 50 images are at 60, those of 150 at 255: (50 * 60 + 150 * 255) / 200
    assert found.figures["corners"] == pytest.approx(206.25, abs=1)
    assert found.figures["reference_corners"] == pytest.approx(255, abs=1)
    again = ScoreRecord.model_validate_json(package.run(*command, "--no-pictures").stdout)
    assert again.from_cache
    assert again.findings == record.findings


def test_an_audit_shows_it_and_reports_a_package_that_is_broken(
    install: Install, manifest: Path, folder: Path
) -> None:
    group = {**ENTRIES["latentbench.findings"], "absent": "no_such_module:ROW"}
    package = install({"dark_corners.py": MODULE}, {"latentbench.findings": group})
    command = ("audit", str(folder), "--content", "--reference", str(manifest), "--json")
    done = package.run(*command)
    assert done.returncode == EXIT_OK, done.stderr
    found = {one["code"]: one for one in json.loads(done.stdout)["findings"]}
    assert found["dark-corners"]["count"] == 50
    assert "No module named 'no_such_module'" in found["check-skipped"]["message"]
