"""Which bundle a name finds, manifests of earlier versions, and expectations."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from bench.data.sources import DataSource
from bench.errors import BundleError, UnknownNameError, UsageError
from bench.extractors import EXTRACTORS
from bench.extractors.base import ResolvedExtractor
from bench.metrics import METRICS
from bench.references.bundle import (
    load_reference,
    open_reference,
    require_same_extractor,
)
from bench.references.lookup import (
    Wanted,
    find_manifest,
    find_manifests,
    list_references,
)
from bench.references.manifest import read_manifest
from bench.references.perfect_values import held_out_values, perfect_values
from bench.runtime.cache import Cache
from bench.scoring.scorer import Scorer
from tests.references.conftest import COMMITTED, copy_bundle


def test_names() -> None:
    assert {listed.manifest.name for listed in list_references() if listed.manifest} == set(
        COMMITTED
    )
    with pytest.raises(UnknownNameError, match="Did you mean 'mnist'"):
        find_manifest("mnits")
    with pytest.raises(BundleError, match="no such reference manifest"):
        find_manifest("/nowhere/x.json")


def test_user_bundles_come_before_committed_ones(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATENTBENCH_DATA", str(tmp_path))
    folder = tmp_path / "references"
    folder.mkdir()
    path = copy_bundle(small, folder)
    content = json.loads(path.read_text())
    content["name"] = "mnist"
    path.write_text(json.dumps(content))
    assert find_manifest("mnist") == path
    assert find_manifest("mnist", Wanted("digits")) == path
    content["extractor"] = "fashion"
    path.write_text(json.dumps(content))
    assert find_manifest("mnist", Wanted("fashion")) == path
    assert read_manifest(find_manifest("mnist")).num_train == 60_000


def test_a_name_built_for_two_extractors_must_say_which(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATENTBENCH_DATA", str(tmp_path))
    folder = tmp_path / "references"
    folder.mkdir()
    content = json.loads(copy_bundle(small, folder).read_text())
    (folder / "small-fashion.json").write_text(json.dumps(content | {"extractor": "fashion"}))
    with pytest.raises(UsageError, match="built for digits, fashion; say which: --extractor"):
        find_manifest("small")
    assert find_manifest("small", Wanted("fashion")).name == "small-fashion.json"


def test_a_foreign_file_among_the_references_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATENTBENCH_DATA", str(tmp_path))
    (tmp_path / "references").mkdir()
    (tmp_path / "references" / "notes.json").write_text('{"notes": 1}')
    assert read_manifest(find_manifest("mnist")).num_train == 60_000
    (bad,) = [listed for listed in list_references() if listed.manifest is None]
    assert "notes.json: not a reference manifest" in bad.problem


def test_expectations_of_another_version_are_not_believed(small: Path, tmp_path: Path) -> None:
    path = copy_bundle(small, tmp_path)
    content = json.loads(path.read_text())
    content["held_out"] = {"100:7": {"fid": 0.001}}
    path.write_text(json.dumps(content))
    fid = [METRICS["fid"]]
    assert held_out_values(load_reference(path), fid, 100, seed=7)["fid"] == 0.001
    path.write_text(json.dumps(content | {"code_version": "0.0.1"}))
    assert held_out_values(load_reference(path), fid, 100, seed=7)["fid"] != 0.001


def test_expectations_are_cached_by_size_and_seed(small: Path, tmp_path: Path) -> None:
    reference, cache, fid = load_reference(small), Cache(tmp_path), [METRICS["fid"]]
    values = {
        (n, seed): held_out_values(reference, fid, n, seed=seed, cache=cache)["fid"]
        for n in (100, 150)
        for seed in (1, 2)
    }
    assert len(set(values.values())) == 4
    for (n, seed), value in values.items():
        assert held_out_values(reference, fid, n, seed=seed, cache=cache)["fid"] == value


def test_more_images_than_are_held_out_have_no_expectation(small: Path) -> None:
    expected = perfect_values(load_reference(small), METRICS.values(), 201, seed=1)
    assert expected["fid"].value is None
    assert expected["fid"].source == "the reference has 200 held-out images only"
    assert expected["density_k5"].value == 1.0


def make_bundles(small: Path, folder: Path, **settings: dict[str, str]) -> None:
    """Copies of one bundle under one name, each with its settings and its own file name."""
    folder.mkdir(parents=True)
    content = json.loads(small.read_text())
    for stem, chosen in settings.items():
        data = content | {"name": "birds", "extractor": "inception", "settings": chosen}
        (folder / f"{stem}.json").write_text(json.dumps(data))
        (folder / f"{stem}.npz").write_bytes(small.with_suffix(".npz").read_bytes())


def test_layer_protocol_and_precision_decide_between_bundles(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATENTBENCH_DATA", str(tmp_path))
    make_bundles(
        small,
        tmp_path / "references",
        a={"layer": "2048", "protocol": "clean-fid", "precision": "exact"},
        b={"layer": "2048", "protocol": "clean-fid", "precision": "fp16"},
        c={"layer": "2048", "protocol": "pytorch-fid", "precision": "exact"},
        d={"layer": "64", "protocol": "pytorch-fid", "precision": "exact"},
    )
    for wanted, stem in (
        (Wanted(layer="64"), "d"),
        (Wanted("inception", "2048", "pytorch-fid"), "c"),
        (Wanted("inception", "2048", "pytorch-fid", "tf32"), "c"),  # any precision, as told
        (Wanted(protocol="clean-fid", precision="fp16"), "b"),
        (Wanted(protocol="clean-fid", precision="exact"), "a"),
    ):
        assert find_manifest("birds", wanted).name == f"{stem}.json", wanted
    for wanted in (
        Wanted(),
        Wanted(protocol="clean-fid"),
        Wanted(protocol="clean-fid", precision="tf32"),
        Wanted(protocol="pytorch-fid"),
        Wanted(precision="exact"),
    ):
        with pytest.raises(UsageError, match="'birds' is built for inception .*; say which"):
            find_manifest("birds", wanted)
    with pytest.raises(BundleError, match="not built for extractor 'inception torchmetrics', only"):
        find_manifest("birds", Wanted("inception", protocol="torchmetrics"))
    assert [file.name[0] for file in find_manifests("birds")] == ["a", "b", "c", "d"]
    assert [file.name for file in find_manifests("mnist")] == ["mnist-digits.json"]
    path = str(tmp_path / "references" / "b.json")
    assert [str(file) for file in find_manifests(path)] == [path]
    with pytest.raises(UnknownNameError, match="Did you mean 'birds'"):
        find_manifests("brids")


def test_another_layer_or_protocol_is_refused_and_another_precision_is_not(small: Path) -> None:
    row = EXTRACTORS["inception"]
    settings = {"layer": "2048", "protocol": "clean-fid", "precision": "exact"}
    manifest = read_manifest(small).model_copy(
        update={"extractor": "inception", "extractor_digest": "a" * 64, "settings": settings}
    )

    def resolved(digest: str = "a" * 64, **changes: str) -> ResolvedExtractor:
        return ResolvedExtractor(row=row, digest=digest, settings=settings | changes)

    require_same_extractor(manifest, resolved())
    require_same_extractor(manifest, resolved(precision="fp16"))
    for kind, value in (("layer", "64"), ("protocol", "pytorch-fid")):
        with pytest.raises(
            BundleError,
            match=f"built for {kind} '{settings[kind]}', not '{value}': .* Leave --{kind} out",
        ):
            require_same_extractor(manifest, resolved(**{kind: value}))
    with pytest.raises(BundleError, match="SHA-256 a{12}, but .* has b{12}: .* Rebuild it: made"):
        require_same_extractor(manifest, resolved("b" * 64))


def test_manifests_of_before_are_read(small: Path, tmp_path: Path) -> None:
    """Those without settings and resize."""
    path = copy_bundle(small, tmp_path)
    content = json.loads(path.read_text())
    del content["settings"], content["resize"], content["sources"]
    content["schema_version"] = 1
    path.write_text(json.dumps(content))
    manifest = load_reference(path).manifest
    assert (manifest.settings, manifest.resize) == ({}, None)
    assert Scorer(reference=path).targets[0].extractor.settings == {}


def test_the_digest_of_a_bundle_of_version_1_is_that_of_its_file() -> None:
    """Its sources come from the command and are no part of it."""
    for name in COMMITTED:
        file = find_manifest(name)
        manifest = read_manifest(file)
        assert manifest.schema_version == 1
        assert manifest.digest == hashlib.sha256(file.read_bytes()).hexdigest()
        source = DataSource(dataset=name)
        assert manifest.sources == {"train": source, "test": source}


@pytest.mark.parametrize(
    ("command", "sources"),
    [
        ("latentbench reference build b --data mnist --out x", ["dataset mnist", "dataset mnist"]),
        ("latentbench reference build b --train 'a b/c' --test d", ["path a b/c", "path d"]),
        ("latentbench reference build b --train d.npy", ["path d.npy"]),
        ("latentbench score --reference x", []),
        ("made by a test's hand", []),
    ],
)
def test_sources_of_manifests_of_version_1(
    small: Path, tmp_path: Path, command: str, sources: list[str]
) -> None:
    path = copy_bundle(small, tmp_path)
    content = json.loads(path.read_text())
    del content["sources"]
    path.write_text(json.dumps(content | {"schema_version": 1, "command": command}))
    found = read_manifest(path).sources
    expected = [DataSource(**{kind: where}) for kind, where in (s.split(" ", 1) for s in sources)]
    assert [found[split] for split in ("train", "test") if split in found] == expected


def test_arrays_are_read_when_they_are_first_used(small: Path, tmp_path: Path) -> None:
    path = copy_bundle(small, tmp_path)
    reference = open_reference(path)
    path.with_suffix(".npz").write_bytes(b"damage")
    assert (reference.name, reference.digest) == ("small", read_manifest(path).digest)
    with pytest.raises(BundleError, match="damaged or changed"):
        _ = reference.train
    path.with_suffix(".npz").unlink()
    with pytest.raises(BundleError, match=r"the arrays of small-digits.json are missing"):
        open_reference(path)
