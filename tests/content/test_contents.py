"""Content in scores and audits: the findings depend on neither the source nor the cache."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from bench.__main__ import run
from bench.content import FINDINGS
from bench.data.sources import DataSource
from bench.errors import EXIT_USAGE
from bench.extractors import extractor_row
from bench.extractors.base import ResolvedExtractor
from bench.records.score_record import ScoreRecord
from bench.references.build import build_references
from bench.references.bundle import (
    load_reference,
    statistics_of,
    verify,
)
from bench.references.lookup import find_manifest
from bench.references.real_images import RealImages
from bench.runtime.cache import Cache, default_root
from bench.runtime.npz import arrays_from_bytes, arrays_to_bytes
from bench.scoring.content_cache import content_findings_of
from bench.scoring.scorer import Scorer
from tests.conftest import RealSample, write_pngs
from tests.content import faults
from tests.content.faults import U8

FAST = ["precision_k3", "modes_covered"]


@pytest.fixture(scope="module")
def manifest(mnist: RealSample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reference of 1,000 digits, with its train images in a file next to it."""
    folder = tmp_path_factory.mktemp("bundle")
    np.save(folder / "train.npy", mnist.images[:1_000])
    (path,) = build_references(
        "small",
        folder,
        extractors=[extractor_row("digits").resolve()],
        train=RealImages(folder / "train.npy"),
        test=RealImages(mnist.images[1_000:1_300]),
        command=f"latentbench reference build small --train {folder / 'train.npy'}",
    )
    return path


@pytest.fixture
def images(mnist: RealSample) -> U8:
    """200 other digits: 150 of them ones, 20 copies of training images with noise, 1 blank."""
    others = mnist.images[1_300:]
    ones = np.flatnonzero(mnist.labels[1_300:] == 1)[:79]
    chosen = np.concatenate([ones, np.arange(200 - len(ones))])
    found = others[chosen]
    found[100:120] = faults.noise(mnist.images[:20], 5)
    found[7] = 0
    return found


@pytest.fixture
def folder(images: U8, tmp_path: Path) -> Path:
    return write_pngs(images, tmp_path / "samples")


def scorer(manifest: Path, **options: object) -> Scorer:
    return Scorer(**{"reference": str(manifest), "metrics": FAST, **options})  # type: ignore[arg-type]


def test_a_record_has_the_findings(manifest: Path, folder: Path) -> None:
    record = scorer(manifest).score(folder)
    found = {one.code: one for one in record.findings}
    assert {"constant-images", "class-imbalance", "copied-training-images"} <= set(found)
    assert found["constant-images"].examples == ("00007.png",)
    assert found["copied-training-images"].figures["near"] == pytest.approx(20, abs=1)
    assert found["copied-training-images"].figures["verified"] == 1
    assert "00100.png" in found["copied-training-images"].examples
    assert "% of the images are ones, expected 1" in found["class-imbalance"].message


def test_the_audit_comes_before_content(manifest: Path, images: U8, tmp_path: Path) -> None:
    folder = write_pngs(np.repeat(images, 3, axis=3), tmp_path / "rgb")
    codes = [one.code for one in scorer(manifest).score(folder).findings]
    assert codes[0] == "grey-as-rgb"
    assert set(codes[1:]) <= set(FINDINGS)


def test_the_cache_changes_nothing(
    manifest: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = scorer(manifest).score(folder)
    assert not first.from_cache
    fresh = scorer(manifest, use_cache=False).score(folder)
    again = scorer(manifest).score(folder)  # found by its hint
    assert again.from_cache
    renamed = tmp_path / "renamed"
    renamed.mkdir()
    for number, path in enumerate(sorted(folder.iterdir())):
        (renamed / f"x{number:04}.png").write_bytes(path.read_bytes())
    other = scorer(manifest).score(renamed)  # the same pixels, found while reading or after
    assert other.from_cache
    assert first.findings == fresh.findings == again.findings
    assert [one.message for one in other.findings] == [one.message for one in first.findings]
    blank = next(one for one in other.findings if one.code == "constant-images")
    assert blank.examples == ("x0007.png",)  # names of this folder

    def fail(self: ResolvedExtractor, device: str = "cpu") -> None:
        raise AssertionError("features were computed")

    monkeypatch.setattr(ResolvedExtractor, "load", fail)
    another = scorer(manifest, metrics=["modes_covered"]).score(folder)  # features from the cache
    assert another.findings == first.findings


def test_lost_facts_are_read_again(manifest: Path, folder: Path) -> None:
    first = scorer(manifest).score(folder)
    root = default_root()
    for path in (root / "content").iterdir():
        path.unlink()
    for path in (root / "scores").iterdir():
        path.unlink()
    again = scorer(manifest).score(folder)
    assert not again.from_cache
    assert again.findings == first.findings
    assert any((root / "content").iterdir())


def test_arrays_in_memory(manifest: Path, images: U8, folder: Path) -> None:
    for use_cache in (False, True, True):
        record = scorer(manifest, use_cache=use_cache).score_images(images, name="x")
        of_folder = scorer(manifest, use_cache=False).score(folder)
        assert [one.message for one in content_findings_of(record)] == [
            one.message for one in content_findings_of(of_folder)
        ]


@pytest.mark.parametrize("use_cache", [True, False])
def test_facts_and_pictures_are_available_after_a_score(
    manifest: Path, folder: Path, *, use_cache: bool
) -> None:
    own = scorer(manifest, use_cache=use_cache)
    record = own.score(folder)
    facts = own._contents.facts(record.submission.sequence_digest)
    assert facts is not None
    assert facts.num_images == 200
    shown = own.exhibits(record)
    assert {"sample_images", "grey_histogram", "class_shares", "copy_images"} <= set(shown)
    assert shown["grey_histogram"].sum() == pytest.approx(1)
    later = scorer(manifest, use_cache=use_cache)
    assert (later._contents.facts(record.submission.sequence_digest) is not None) == use_cache
    assert own._contents.facts("0" * 64) is None


def test_a_reference_of_a_folder_knows_its_images(mnist: RealSample, tmp_path: Path) -> None:
    real = write_pngs(mnist.images[:200], tmp_path / "real")
    copies = write_pngs(faults.noise(mnist.images[:60], 3), tmp_path / "samples")
    records: list[ScoreRecord] = []
    for _ in range(2):  # the second time, features and content of the reference are in the cache
        own = Scorer(reference=f"{real}/", extractor="pixels", metrics=["fid"])
        records.append(own.score(copies))
        copied = next(one for one in records[-1].findings if one.code == "copied-training-images")
        assert (copied.figures["copies"], copied.figures["verified"]) == (60, 1)
    assert records[0].findings == records[1].findings
    key = [path.name for path in (default_root() / "content").iterdir()]
    assert len(key) == 2  # of the submission and of the reference
    (default_root() / "content" / key[0]).unlink()
    (default_root() / "content" / key[1]).unlink()
    assert Scorer(reference=f"{real}/", extractor="pixels", metrics=["fid"])


def test_a_bundle_built_before_has_no_content(manifest: Path, folder: Path, tmp_path: Path) -> None:
    known, data = verify(manifest)
    arrays = {
        name: array
        for name, array in arrays_from_bytes(data, "x").items()
        if not name.startswith("content_")
    }
    assert statistics_of(known, arrays).content is None
    old = arrays_to_bytes(arrays)
    (tmp_path / "old.npz").write_bytes(old)
    changed = known.model_copy(update={"arrays_sha256": hashlib.sha256(old).hexdigest()})
    (tmp_path / "old.json").write_bytes(changed.to_json())
    record = scorer(tmp_path / "old.json", use_cache=False).score(folder)
    codes = {one.code for one in content_findings_of(record)}
    assert "constant-images" in codes
    assert "copied-training-images" not in codes
    assert run(["audit", str(folder), "--content", "--reference", str(tmp_path / "old.json")]) != 0


def test_committed_bundles_say_where_train_images_are() -> None:
    for name in ("mnist", "fashion-mnist"):
        reference = load_reference(find_manifest(name))
        assert reference.content is not None
        assert reference.sources["train"] == DataSource(dataset=name)


def test_an_audit_with_content(
    manifest: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["audit", str(folder), "--json", "--content"]
    assert run([*command, "--reference", str(manifest)]) == 0
    found = json.loads(capsys.readouterr().out)["findings"]
    codes = {one["code"] for one in found}
    assert {"constant-images", "copied-training-images"} <= codes
    assert next(o for o in found if o["code"] == "constant-images")["examples"] == ["00007.png"]
    assert run(command) == 0
    alone = {one["code"] for one in json.loads(capsys.readouterr().out)["findings"]}
    assert "constant-images" in alone
    assert "copied-training-images" not in alone
    assert run(["audit", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["findings"] == []
    assert run(["audit", str(folder), "--reference", "mnist"]) == EXIT_USAGE
    assert "--content" in capsys.readouterr().err


def test_an_audit_of_mixed_sizes_reports_those(
    manifest: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pngs(np.zeros((1, 9, 9, 1), np.uint8), folder / "other")
    (folder / "other" / "00000.png").rename(folder / "zzz.png")
    (folder / "other").rmdir()
    assert run(["audit", str(folder), "--content", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)["findings"]
    assert [one["code"] for one in found] == ["mixed-sizes"]


def test_entries_of_content_are_counted(manifest: Path, folder: Path) -> None:
    scorer(manifest).score(folder)
    sizes = Cache(default_root()).sizes()
    assert sizes["content"].num_entries == 1
