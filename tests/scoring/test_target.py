"""Extractors and the references made for them: bundles, real images, one protocol or all."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.__main__ import run
from bench.errors import (
    EXIT_OK,
    BundleError,
    InputError,
    InvalidSubmission,
    NothingFoundError,
)
from bench.extractors import EXTRACTORS
from bench.extractors.torchvision_nets import build
from bench.extractors.weights_files import WITHOUT_DOWNLOAD, HostedWeights
from bench.intake import audit
from bench.records.submission import submission_name
from bench.scoring.scorer import Scorer, score
from bench.studies.image_sets import photo_crops
from tests.conftest import RealSample, write_pngs
from tests.scoring.targets import FAST, PLAIN, forbid_networks, values

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


# -------------------------------------------------------------------------------- every protocol


# ------------------------------------------------------------------------ bundles of every protocol
