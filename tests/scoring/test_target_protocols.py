"""Several protocols at once, and the bundles that were built for one of them."""

from __future__ import annotations

import functools
import json
import re
from collections import Counter
from pathlib import Path

import pytest

from bench.__main__ import run
from bench.errors import (
    EXIT_OK,
    EXIT_USAGE,
    BundleError,
    UsageError,
)
from bench.intake import ImageStream
from bench.records.score_record import ScoreRecord, read_records
from bench.references.lookup import find_manifests
from bench.references.manifest import read_manifest
from bench.scoring.scorer import Failure, Scorer, score, score_many
from tests.inception_weights import save_random_weights
from tests.scoring.targets import FAST, PROTOCOLS, warnings


@pytest.fixture(scope="module")
def every(
    photos: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[ScoreRecord]:
    """`fake` against `real` under all protocols, and how often a file was decoded."""
    decoded: Counter[str] = Counter()
    original = ImageStream.__init__

    @functools.wraps(original)
    def counting(self: ImageStream, path: str | Path, **options: object) -> None:
        decoded[Path(path).name] += 1
        original(self, path, **options)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LATENTBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(ImageStream, "__init__", counting)
        scorer = Scorer(
            reference=photos / "real",
            protocol="all",
            weights=weights,
            unverified_weights=True,
            metrics=FAST,
        )
        with pytest.raises(UsageError, match="several protocols give several records; use .*all"):
            scorer.score(photos / "fake")
        decoded.clear()
        records = scorer.score_all(photos / "fake")
        assert decoded == {"fake": 1}
        again = scorer.score_all(photos / "fake")
        assert [record.values for record in again] == [record.values for record in records]
        assert all(record.from_cache for record in again)
        many = score_many(
            [photos / "missing", photos / "fake"],
            reference=photos / "real",
            protocol="all",
            weights=weights,
            unverified_weights=True,
            metrics=FAST,
        )
        failure, *scored = many
        assert isinstance(failure, Failure)
        assert [record.signature for record in scored] == [record.signature for record in records]  # type: ignore[union-attr]
    return records


def test_all_protocols_give_a_record_each(every: list[ScoreRecord], photos: Path) -> None:
    assert [record.extractor.settings["protocol"] for record in every] == list(PROTOCOLS)
    assert len({record.signature for record in every}) == 4
    assert len({record.value("fid") for record in every}) == 4
    for record, protocol in zip(every, PROTOCOLS, strict=True):
        assert f":2048:{protocol}:exact|" in record.signature
        assert record.submission == every[0].submission
        assert record.extractor.verified is False
        assert [finding.code for finding in record.findings] == ["few-images", "unverified-weights"]
        assert set(record.timings_s) >= {"intake and features", *FAST}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_each_is_the_score_of_that_protocol_alone(
    every: list[ScoreRecord], photos: Path, weights: Path, protocol: str
) -> None:
    alone = score(
        photos / "fake",
        reference=photos / "real",
        protocol=protocol,
        weights=weights,
        unverified_weights=True,
        metrics=FAST,
    )
    together = every[PROTOCOLS.index(protocol)]
    assert alone.signature == together.signature
    for name in FAST:
        assert together.value(name) == pytest.approx(alone.value(name), rel=1e-9)


@pytest.fixture(scope="module")
def bundles(photos: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data directory with `birds` for every protocol, and one more in half precision. The first
    layer, whose features are few and soon there.
    """
    data = tmp_path_factory.mktemp("data")
    command = ["reference", "build", "birds", "--train", str(photos / "real")]
    command += ["--extractor", "inception", "--layer", "64"]
    command += ["--weights", str(weights), "--unverified-weights"]
    held_out = ["--test", str(photos / "held")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LATENTBENCH_DATA", str(data))
        assert run([*command, *held_out, "--protocol", "all"]) == EXIT_OK
        assert run([*command, "--precision", "fp16"]) == EXIT_OK
    return data


@pytest.fixture
def birds(bundles: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of the bundles, which are found by name; their tests share a cache."""
    monkeypatch.setenv("LATENTBENCH_DATA", str(bundles))
    monkeypatch.setenv("LATENTBENCH_CACHE", str(bundles / "cache"))
    return bundles / "references"


def test_bundles_say_what_they_were_made_with(birds: Path, weights: Path, photos: Path) -> None:
    manifests = {path.stem: read_manifest(path) for path in birds.glob("*.json")}
    assert set(manifests) == {
        "birds-inception-64",
        "birds-inception-64-clean-fid",
        "birds-inception-64-pytorch-fid",
        "birds-inception-64-torchmetrics",
        "birds-inception-64-fp16",
    }
    for stem, manifest in manifests.items():
        protocol = stem.removeprefix("birds-inception-64").lstrip("-")
        assert manifest.settings == {
            "layer": "64",
            "protocol": protocol if protocol in PROTOCOLS else "torch-fidelity",
            "precision": "fp16" if protocol == "fp16" else "exact",
        }
        assert re.fullmatch("[0-9a-f]{64}", manifest.extractor_digest)
        assert manifest.num_test == (0 if protocol == "fp16" else 6)
    assert (
        "--extractor inception --layer 64 --protocol all --train "
        in manifests["birds-inception-64"].command
    )
    assert "--precision fp16" in manifests["birds-inception-64-fp16"].command


def test_a_bundle_gives_the_score_of_its_folder(birds: Path, photos: Path, weights: Path) -> None:
    """FID needs the stored moments alone."""
    options = {"protocol": "clean-fid", "weights": weights, "unverified_weights": True}
    options["metrics"] = "fid"
    bundled = score(photos / "fake", reference="birds", **options)  # type: ignore[arg-type]
    direct = score(photos / "fake", reference=photos / "real", layer="64", **options)  # type: ignore[arg-type]
    assert bundled.extractor == direct.extractor
    assert bundled.value("fid") == pytest.approx(direct.value("fid"), rel=1e-9)
    assert bundled.reference.digest != direct.reference.digest


def test_which_bundle(birds: Path, weights: Path) -> None:
    options = {"weights": weights, "unverified_weights": True, "metrics": "fid"}
    for wanted, stem in (
        ({"protocol": "clean-fid"}, "birds-inception-64-clean-fid"),
        ({"protocol": "torch-fidelity", "precision": "fp16"}, "birds-inception-64-fp16"),
        ({"protocol": "torch-fidelity", "precision": "exact"}, "birds-inception-64"),
        ({"protocol": "pytorch-fid", "precision": "tf32"}, "birds-inception-64-pytorch-fid"),
    ):
        scorer = Scorer(reference="birds", **wanted, **options)  # type: ignore[arg-type]
        assert scorer.reference.manifest == read_manifest(birds / f"{stem}.json")
    for unclear in ({}, {"protocol": "torch-fidelity"}, {"precision": "exact"}):
        with pytest.raises(UsageError, match="say which: --extractor, --protocol, --layer, --prec"):
            Scorer(reference="birds", **unclear, **options)  # type: ignore[arg-type]
    assert {Path(str(file)).stem for file in find_manifests("birds")} == {
        path.stem for path in birds.glob("*.json")
    }


def test_mixed_precision_is_told(birds: Path, weights: Path, photos: Path) -> None:
    options = {"weights": weights, "unverified_weights": True, "metrics": "fid"}
    path = birds / "birds-inception-64.json"
    mixed = score(photos / "fake", reference=path, precision="fp16", **options)  # type: ignore[arg-type]
    assert warnings(mixed) == ["unverified-weights", "mixed-precision"]
    assert "'fp16' against a reference in 'exact'" in mixed.findings[-1].message
    assert mixed.extractor.settings["precision"] == "fp16"
    half = score(photos / "fake", reference=birds / "birds-inception-64-fp16.json", **options)  # type: ignore[arg-type]
    assert half.extractor.settings["precision"] == "fp16"  # that of the bundle
    assert warnings(half) == ["unverified-weights"]
    exact = score(photos / "fake", reference=path, **options)  # type: ignore[arg-type]
    assert exact.extractor.settings["precision"] == "exact"
    assert warnings(exact) == ["unverified-weights"]
    assert len({record.signature for record in (mixed, half, exact)}) == 3
    # half precision moves a feature by 2**-11 of its size: a small change, and not none
    assert half.value("fid") != exact.value("fid")
    assert half.value("fid") == pytest.approx(exact.value("fid"), rel=0.05)


def test_bundles_of_another_layer_protocol_or_weights_are_refused(
    birds: Path, weights: Path, tmp_path: Path
) -> None:
    path = birds / "birds-inception-64-clean-fid.json"
    options = {"reference": path, "weights": weights, "unverified_weights": True}
    with pytest.raises(BundleError, match="built for layer '64', not '768': .* Leave --layer out"):
        Scorer(layer="768", **options)  # type: ignore[arg-type]
    with pytest.raises(BundleError, match="protocol 'clean-fid', not 'pytorch-fid'.*--protocol"):
        Scorer(protocol="pytorch-fid", **options)  # type: ignore[arg-type]
    with pytest.raises(BundleError, match="protocol 'clean-fid', not 'torch-fidelity'"):
        Scorer(protocol="all", **options)  # type: ignore[arg-type]
    with pytest.raises(BundleError, match="holds features of extractor 'inception', not of 'dig"):
        Scorer(extractor="digits", **options)  # type: ignore[arg-type]
    other = save_random_weights(tmp_path / "other.pth", seed=1)
    digest = read_manifest(path).extractor_digest
    with pytest.raises(
        BundleError, match=f"weights of SHA-256 {digest[:12]}, but the extractor in use.*Rebuild"
    ):
        Scorer(**options | {"weights": other})  # type: ignore[arg-type]
    with pytest.raises(BundleError, match="not built for extractor 'inception 768'.*--layer 768"):
        Scorer(**options | {"reference": "birds", "extractor": "inception", "layer": "768"})  # type: ignore[arg-type]


def test_list_and_verify(
    birds: Path, weights: Path, offline: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["reference", "list"]) == EXIT_OK
    out = capsys.readouterr().out
    for protocol in PROTOCOLS:
        assert f"inception 64 {protocol} exact" in out
    assert "inception 64 torch-fidelity fp16" in out
    given_weights = ["--weights", str(weights)]
    # every bundle of the name, and the packaged ones, which take no weights file
    assert run(["reference", "verify", "birds", *given_weights, "--unverified-weights"]) == EXIT_OK
    assert capsys.readouterr().out.count("ok ") == 5
    # without the option these weights are no one's
    assert run(["reference", "verify", "mnist", "birds", *given_weights]) == EXIT_USAGE
    captured = capsys.readouterr()
    assert captured.out.count("FAILED ") == 5
    assert captured.out.count("ok ") == 1
    for path in birds.glob("*.json"):
        assert f"FAILED {path}: weights {weights} are damaged or another file" in captured.out
    assert "5 of 6 references are unfit" in captured.err


def test_the_command_shows_protocols_side_by_side(
    birds: Path,
    photos: Path,
    weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["score", "missing", str(photos / "fake"), "--reference", "birds"]
    command += ["--protocol", "all"]
    command += ["--precision", "exact", "--weights", str(weights), "--unverified-weights"]
    command += ["--metrics", "fid,kid_poly3,inception_score"]
    assert run(command) == EXIT_USAGE  # one of the two is missing
    captured = capsys.readouterr()
    assert "1 scored, 1 failed" in captured.err
    records = read_records(tmp_path / "latentbench-results" / "records.jsonl")
    header, fid = (
        next(line.split() for line in captured.out.splitlines() if line.split()[:1] == [word])
        for word in ("metric", "fid")
    )
    assert header[1:5] == list(PROTOCOLS)
    fids = [record.value("fid") for record in records]
    assert [float(text) for text in fid[1:5]] == [pytest.approx(value, rel=1e-3) for value in fids]
    assert float(fid[5]) == pytest.approx(max(fids) / min(fids), abs=1e-3)
    assert "layer 64, precision exact" in captured.out
    for record in records:
        assert f"signature: {record.signature}\n" in captured.out
    assert captured.err.count("unverified-weights") == 1  # said once, not four times
    files = [path for path in Path("latentbench-results").iterdir() if path.suffix == ".json"]
    assert len(files) == len(records) == 4

    assert run([*command, "--json", "--out", "json"]) == EXIT_USAGE
    failed, *lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert failed["exit_code"] == EXIT_USAGE
    assert [line["extractor"]["settings"]["protocol"] for line in lines] == list(PROTOCOLS)
    assert [line["extractor"]["verified"] for line in lines] == [False] * 4
    assert all(line["from_cache"] for line in lines)
