"""Extractors and the references made for them: bundles, real images, one protocol or all."""

from __future__ import annotations

import functools
import json
import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.__main__ import run
from bench.errors import (
    EXIT_OK,
    EXIT_USAGE,
    BundleError,
    InputError,
    InvalidSubmission,
    NothingFoundError,
    UsageError,
)
from bench.extractors import EXTRACTORS
from bench.extractors.base import ResolvedExtractor
from bench.extractors.torchvision_nets import build
from bench.extractors.weights_files import WITHOUT_DOWNLOAD, HostedWeights
from bench.intake import ImageStream, audit
from bench.records.score_record import ScoreRecord, read_records
from bench.records.submission import submission_name
from bench.references.lookup import find_manifests
from bench.references.manifest import read_manifest
from bench.scoring.scorer import Failure, Scorer, score, score_many
from bench.studies.image_sets import photo_crops
from tests.conftest import RealSample, write_pngs
from tests.inception_weights import save_random_weights

PROTOCOLS = ("torch-fidelity", "clean-fid", "pytorch-fid", "torchmetrics")
FAST = ["fid", "precision_k3", "mean_confidence"]
PLAIN = {"extractor": "random-conv", "metrics": ["fid", "precision_k3"]}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of 32x32 crops: 7 in `real`, 5 in `fake`, 6 in `held`."""
    folder = tmp_path_factory.mktemp("photos")
    for seed, (name, num) in enumerate({"real": 7, "fake": 5, "held": 6}.items()):
        write_pngs(photo_crops(num, 32, 32, seed), folder / name)
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random_weights(tmp_path_factory.mktemp("weights") / "random.pth")


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise BundleError("no network")

    monkeypatch.setattr("bench.runtime.download.fetch", fail)


def forbid_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: ResolvedExtractor, device: str = "cpu") -> None:
        raise AssertionError(f"{self.name} was loaded")

    monkeypatch.setattr(ResolvedExtractor, "load", fail)


def values(record: ScoreRecord) -> dict[str, float | None]:
    return {entry.metric: entry.value for entry in record.values}


def warnings(record: ScoreRecord) -> list[str]:
    """Codes of warnings, apart from that about the few images of these tests."""
    codes = [finding.code for finding in record.findings if finding.severity == "warning"]
    return [code for code in codes if code != "few-images"]


# ------------------------------------------------------------------------ real images as reference


def test_the_container_of_real_images_does_not_matter(photos: Path, tmp_path: Path) -> None:
    images = photo_crops(7, 32, 32, 0)
    np.savez(tmp_path / "real.npz", images=images)
    np.save(tmp_path / "real.npy", images)
    shutil.make_archive(str(tmp_path / "real"), "zip", photos / "real")
    found = {}
    for place in (photos / "real", *(tmp_path / f"real.{kind}" for kind in ("npz", "npy", "zip"))):
        record = score(photos / "fake", reference=place, use_cache=False, **PLAIN)  # type: ignore[arg-type]
        found[place.name] = values(record)
        assert record.reference.name == submission_name(place)
        entries = {entry.metric: entry for entry in record.values}
        assert (entries["fid"].n_real, entries["fid"].n_fake) == (7, 5)
        assert entries["fid"].expected is None
        assert entries["fid"].expected_source == "the reference has no held-out images"
    for kind in ("npz", "npy", "zip"):
        assert found[f"real.{kind}"] == found["real"]


def test_a_reference_of_real_images_is_that_of_a_bundle_of_them(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """FID needs the moments only, which a bundle holds in full; its features are rounded."""
    command = ["reference", "build", "x", "--train", str(photos / "real"), "--out", str(tmp_path)]
    assert run([*command, "--extractor", "random-conv"]) == EXIT_OK
    bundle = score(photos / "fake", reference=tmp_path / "x-random-conv.json", metrics="fid")
    images = score(photos / "fake", reference=photos / "real", **PLAIN)  # type: ignore[arg-type]
    assert images.value("fid") == pytest.approx(bundle.value("fid"), rel=1e-12)


def test_inception_is_the_default_and_says_what_it_needs(photos: Path, offline: None) -> None:
    with pytest.raises(BundleError) as caught:
        Scorer(reference=photos / "real")
    said = str(caught.value)
    for part in (
        "weights-inception-2015-12-05-6726825d.pth",
        "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/",
        "SHA-256: 6726825d",
        "--weights FILE",
        "LATENTBENCH_WEIGHTS",
        f"Extractors that need no download: {WITHOUT_DOWNLOAD}",
    ):
        assert part in said


def test_the_extractors_that_need_no_download_are_those_of_the_table() -> None:
    names = re.sub(r" \(.*?\)| and", "", WITHOUT_DOWNLOAD).replace(",", " ").split()
    local = [row for row in EXTRACTORS.values() if not isinstance(row.weights, HostedWeights)]
    assert sorted(names) == sorted(row.name for row in local)
    assert {row.name for row in local if row.side_px == 28} == {"digits", "fashion"}


@pytest.mark.parametrize(
    "extractor",
    [
        "random-conv",
        "pixels",
        "torchvision:resnet18",
    ],
)
def test_other_extractors(photos: Path, tmp_path: Path, extractor: str) -> None:
    options = {}
    if extractor.startswith("torchvision"):
        torch.manual_seed(0)
        network = build("resnet18").to_empty(device="cpu")
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.05)
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.reset_running_stats()
        torch.save(network.state_dict(), tmp_path / "resnet18.pth")
        options = {"weights": tmp_path / "resnet18.pth", "unverified_weights": True}
    record = score(
        photos / "fake",
        reference=photos / "real",
        extractor=extractor,
        metrics=FAST,
        **options,  # type: ignore[arg-type]
    )
    assert record.value("fid") > 0
    assert record.extractor.name == extractor
    assert record.extractor.verified == (not options)
    codes = [finding.code for finding in record.findings]
    assert codes == ["few-images", *(["unverified-weights"] if options else [])]


def test_a_class_of_your_own(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mean of red, green and blue: FID by hand from two means and covariances."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    (tmp_path / "my_means.py").write_text(
        "import numpy as np\n\n\nclass Means:\n    def __call__(self, images):\n"
        "        return images.mean(axis=(1, 2)).astype(np.float32)\n"
    )
    record = score(
        photos / "fake", reference=photos / "real", extractor="my_means:Means", metrics="fid"
    )
    real, fake = (
        photo_crops(num, 32, 32, seed).mean(axis=(1, 2)).astype(np.float32).astype(np.float64)
        for seed, num in ((0, 7), (1, 5))
    )
    covariances = np.cov(real.T), np.cov(fake.T)
    roots = np.sqrt(np.linalg.eigvals(covariances[0] @ covariances[1]).real)
    expected = ((real.mean(0) - fake.mean(0)) ** 2).sum()
    expected += np.trace(covariances[0]) + np.trace(covariances[1]) - 2 * roots.sum()
    assert record.value("fid") == pytest.approx(expected, rel=1e-8)


def test_a_name_that_is_both_a_bundle_and_a_folder(
    mnist: RealSample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bundle is meant, unless a slash says that it is a path."""
    monkeypatch.chdir(tmp_path)
    write_pngs(mnist.images[:30], tmp_path / "mnist")
    options = {"extractor": "digits", "metrics": "fid"}
    assert Scorer(reference="mnist", **options).reference.manifest.num_train == 60_000  # type: ignore[arg-type]
    for name in ("mnist/", "./mnist", str(tmp_path / "mnist")):
        assert Scorer(reference=name, **options).reference.manifest.num_train == 30  # type: ignore[arg-type]


def test_a_folder_of_any_other_name_needs_no_slash(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(photos)
    digests = {
        Scorer(reference=name, **PLAIN).reference.digest  # type: ignore[arg-type]
        for name in ("real", "real/", "./real", "held/../real", Path("real"))
    }
    assert len(digests) == 1


def test_the_same_real_images_elsewhere_are_the_same_reference(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores of two machines are compared by their signatures, whatever the folders above."""
    digests = set()
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        shutil.copytree(photos / "real", tmp_path / place / "data" / "real")
        digests.add(Scorer(reference=tmp_path / place / "data" / "real", **PLAIN).reference.digest)  # type: ignore[arg-type]
    assert len(digests) == 1
    assert Scorer(reference=photos / "held", **PLAIN).reference.digest not in digests  # type: ignore[arg-type]


def test_features_of_real_images_are_kept(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = score(photos / "fake", reference=photos / "real", **PLAIN)  # type: ignore[arg-type]
    forbid_networks(monkeypatch)
    again = Scorer(reference=photos / "real", **PLAIN)  # type: ignore[arg-type]
    assert again.score(photos / "fake").values == first.values
    with pytest.raises(AssertionError, match="random-conv was loaded"):
        Scorer(reference=photos / "real", use_cache=False, **PLAIN)  # type: ignore[arg-type]
    with pytest.raises(AssertionError, match="random-conv was loaded"):
        Scorer(reference=photos / "held", **PLAIN)  # type: ignore[arg-type]


def test_a_large_reference_is_kept_in_part(mnist: RealSample, tmp_path: Path) -> None:
    real = write_pngs(mnist.images[:90], tmp_path / "real")
    fake = write_pngs(mnist.images[90:150], tmp_path / "fake")
    options = {"reference": real, "extractor": "digits", "metrics": ["fid", "density_k5"]}
    whole, some = score(fake, **options), score(fake, subset=40, **options)  # type: ignore[arg-type]
    # the same moments; FID takes another way when no features are at hand that make them up
    assert some.value("fid") == pytest.approx(whole.value("fid"), rel=1e-9)
    sizes = {entry.metric: (entry.n_real, entry.n_fake) for entry in some.values}
    assert sizes == {"fid": (90, 60), "density_k5": (40, 40)}


def test_real_images_in_a_folder_for_each_class(photos: Path, tmp_path: Path) -> None:
    """The same images in another order: the layout of torchvision's ImageFolder."""
    for i, file in enumerate(sorted((photos / "real").iterdir())):
        (tmp_path / "set" / f"class {i % 2}").mkdir(parents=True, exist_ok=True)
        shutil.copy(file, tmp_path / "set" / f"class {i % 2}")
    flat = score(photos / "fake", reference=photos / "real", **PLAIN)  # type: ignore[arg-type]
    nested = score(photos / "fake", reference=tmp_path / "set", **PLAIN)  # type: ignore[arg-type]
    for metric in ("fid", "precision_k3"):
        assert nested.value(metric) == pytest.approx(flat.value(metric), rel=1e-6)
    files = [*(tmp_path / "set").rglob("*.png")]
    assert len(files) == nested.values[0].n_real == 7


@pytest.mark.parametrize(("num", "warned"), [(10, True), (99, True), (100, False)])
def test_few_images_give_a_warning(
    mnist: RealSample, tmp_path: Path, num: int, warned: bool
) -> None:
    images = write_pngs(mnist.images[:num], tmp_path / "few")
    record = score(images, metrics="modes_covered")
    found = [finding for finding in record.findings if finding.code == "few-images"]
    assert bool(found) == warned
    if warned:
        assert f"{num} images are too few" in found[0].message
        assert "at least 1,000" in found[0].fix
    # also when the values come from the cache
    assert score(images, metrics="modes_covered").findings == record.findings


def test_too_few_real_images(mnist: RealSample, tmp_path: Path) -> None:
    few = write_pngs(mnist.images[:5], tmp_path / "few")
    with pytest.raises(InputError, match="few: 5 train images; a reference needs at least 6"):
        Scorer(reference=few, extractor="digits")
    write_pngs(mnist.images[:6], few)
    fake = write_pngs(mnist.images[20:30], tmp_path / "fake")
    assert score(fake, reference=few, extractor="digits", metrics="fid").value("fid") > 0


def test_real_images_that_are_not_valid(photos: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    shutil.copytree(photos / "real", bad)
    (bad / "torn.png").write_bytes((bad / "00000.png").read_bytes()[:80])
    write_pngs(photo_crops(2, 40, 48), tmp_path / "other")
    (tmp_path / "other" / "00000.png").rename(bad / "z.png")
    (bad / "sub").mkdir()
    (bad / "sub" / "x.png").write_bytes((bad / "00000.png").read_bytes())
    with pytest.raises(InvalidSubmission, match="bad: not a valid submission") as caught:
        Scorer(reference=bad, **PLAIN)  # type: ignore[arg-type]
    assert caught.value.findings == audit(bad, keep_pixels=False).findings
    codes = {finding.code for finding in caught.value.findings}  # type: ignore[attr-defined]
    assert {"mixed-sizes", "nested-folder"} < codes
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(NothingFoundError, match="empty holds no image file"):
        Scorer(reference=empty, **PLAIN)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "an empty reference: give a name, a manifest, or a folder"),
        ("missing/", "missing: no such reference manifest .* no folder or file of real images"),
        ("missing/x.json", "x.json: no such reference manifest"),
        ("missing", "unknown reference 'missing'. Valid: fashion-mnist, mnist"),
    ],
)
def test_references_that_are_not_there(
    photos: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    """An empty name must not stand for the current folder, though that holds images."""
    monkeypatch.chdir(photos / "real")
    with pytest.raises(UsageError, match=message):
        Scorer(reference=name, **PLAIN)  # type: ignore[arg-type]


def test_resizing_brings_both_sides_to_one_size(photos: Path, tmp_path: Path) -> None:
    mixed = write_pngs(photo_crops(7, 40, 48), tmp_path / "mixed")
    (mixed / "z.png").write_bytes((photos / "real" / "00000.png").read_bytes())
    with pytest.raises(InvalidSubmission, match="mixed-sizes"):
        Scorer(reference=mixed, **PLAIN)  # type: ignore[arg-type]
    scorer = Scorer(reference=mixed, resize="24x16", **PLAIN)  # type: ignore[arg-type]
    manifest = scorer.reference.manifest
    assert (manifest.width_px, manifest.height_px, manifest.resize) == (24, 16, "24x16")
    record = scorer.score(photos / "fake")
    assert (record.submission.width_px, record.submission.height_px) == (24, 16)
    assert record.value("fid") > 0
    # the same pixels on both sides
    assert scorer.score(mixed).value("fid") == pytest.approx(0, abs=1e-6)


# ------------------------------------------------------------------ what an extractor may be asked


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocol": "cleanfid"}, "unknown protocol of extractor 'inception' 'cleanfid'. Did you"),
        ({"layer": "20"}, "unknown layer .* Valid: 192, 2048, 64, 768, logits"),
        ({"precision": "bf16"}, "unknown precision .* Did you mean 'fp16'. Valid: exact, fp16, "),
        ({"extractor": "digits", "protocol": "all"}, "'digits' has no choice of protocol; leave"),
        ({"extractor": "digits", "layer": "64"}, "'digits' has no choice of layer; leave it out"),
        ({"extractor": "vgg16", "layer": "fc3"}, "unknown layer .* Valid: fc2, fc2_relu"),
        ({"batch_size": 0}, "batch size 0: expected at least 1"),
        ({"extractor": "random-conv", "weights": "x.pth"}, "takes no weights file"),
        ({"weights": "missing.pth"}, "--weights missing.pth: there is no such file or folder"),
        ({"subset": 1}, "subset 1: expected at least 2 images"),
        ({"resize": "32x"}, "expected WIDTHxHEIGHT"),
    ],
)
def test_choices_that_are_not_there(
    photos: Path, offline: None, options: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        Scorer(reference=photos / "real", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocol": "clean-fid"}, "'digits' has no choice of protocol; leave it out"),
        ({"extractor": "digits", "protocol": "all"}, "'digits' has no choice of protocol"),
        ({"layer": "64"}, "'digits' has no choice of layer"),
        ({"extractor": "inception", "protocol": "x"}, "unknown protocol .* Valid: clean-fid"),
        ({"protocol": "all"}, "not built for extractor 'inception torch-fidelity', only for"),
        ({"extractor": "inception", "protocol": "all"}, "Build it: latentbench reference build m"),
    ],
)
def test_choices_that_no_bundle_has(options: dict[str, object], message: str) -> None:
    """What an extractor cannot do is told as such, not as a bundle that could be built."""
    with pytest.raises(UsageError, match=message):
        Scorer(reference="mnist", **options)  # type: ignore[arg-type]


def test_weights_of_another_digest(
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.pth").write_bytes(b"not these")
    command = ["score", str(photos / "fake"), "--reference", str(photos / "real")]
    assert run([*command, "--weights", "w.pth"]) == EXIT_USAGE
    err = capsys.readouterr().err
    found = "e5be27a64e06683c6568ca684ab714d94c54e50fa02ba5f159f8d3f13d5836b8"  # by sha256sum
    for part in ("w.pth", found, "6726825d", "https://github.com/toshas", "--unverified-weights"):
        assert part in err
    assert run([*command, "--weights", "w.pth", "--unverified-weights"]) == EXIT_USAGE
    assert "w.pth cannot be read" in capsys.readouterr().err
    assert run([*command, "--weights", "missing.pth"]) == EXIT_USAGE
    assert "--weights missing.pth: there is no such file" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*.json*"))


# -------------------------------------------------------------------------------- every protocol


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


# ------------------------------------------------------------------------ bundles of every protocol


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
