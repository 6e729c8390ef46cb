"""Files of mean and covariance as references, and as exports."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pytorch_fid import fid_score

import bench
from bench.__main__ import run
from bench.errors import EXIT_OK, EXIT_USAGE, BundleError, UsageError
from bench.extractors import extractor_row
from bench.intake import read_images
from bench.metrics import METRICS
from bench.records.score_record import ScoreRecord
from bench.references.perfect_values import MOMENTS_ONLY
from bench.references.statistics_file import is_statistics_file
from tests.conftest import RealSample, write_pngs

Arrays = dict[str, NDArray[np.generic]]


@pytest.fixture(scope="module")
def folders(mnist: RealSample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 real digits in `real`, 300 others in `fake`."""
    folder = tmp_path_factory.mktemp("digits")
    write_pngs(mnist.images[:400], folder / "real")
    write_pngs(mnist.images[400:700], folder / "fake")
    return folder


@pytest.fixture(scope="module")
def foreign(folders: Path) -> Arrays:
    """Mean and covariance of `real` as pytorch-fid computes them from features."""
    images = read_images(folders / "real").images
    assert images is not None
    features = extractor_row("digits").resolve().load()(images.images).values
    return {"mu": np.mean(features, axis=0), "sigma": np.cov(features, rowvar=False)}


def save(path: Path, arrays: Arrays) -> Path:
    np.savez(path, **arrays)
    return path


def scored(folders: Path, reference: Path, **options: object) -> ScoreRecord:
    settings = {"extractor": "digits", "use_cache": False, **options}
    return bench.score(folders / "fake", reference=reference, **settings)


def codes(record: ScoreRecord) -> set[str]:
    return {finding.code for finding in record.findings}


def test_a_foreign_file_gives_the_value_of_the_images(
    folders: Path, foreign: Arrays, tmp_path: Path
) -> None:
    file = save(tmp_path / "real.npz", foreign)
    record = scored(folders, file, metrics=["fid", "fid_infinity"])
    images = scored(folders, folders / "real", metrics=["fid", "fid_infinity"])
    for metric in ("fid", "fid_infinity"):
        # pytorch-fid's mean is float32, which moves the value by less than 1e-5
        assert record.value(metric) == pytest.approx(images.value(metric), rel=1e-5)
    entry = record.values[0]
    assert entry.n_real is None  # the file does not say it
    assert entry.interval is not None
    assert record.reference_origin is not None
    assert "mu and sigma" in record.reference_origin
    assert "does not name" in record.reference_origin
    assert "statistics-file" in codes(record)
    assert "size-differs" not in codes(record)
    assert record.reference.name == f"{tmp_path.name}/real.npz"


def test_metrics_that_read_single_images_have_the_reason(
    folders: Path, foreign: Arrays, tmp_path: Path
) -> None:
    record = scored(folders, save(tmp_path / "real.npz", foreign))
    values = {entry.metric: entry for entry in record.values}
    for name, metric in METRICS.items():
        if "features" in metric.reads:
            assert values[name].reason == MOMENTS_ONLY
            assert values[name].expected is None
    for name in ("fid", "inception_score", "vendi_score"):
        assert values[name].value is not None
    assert values["fid_test"].reason == "the reference has no held-out images"
    assert values["class_kl"].reason == "the reference holds no class shares"
    assert bench.table(record).shape[0] == len(METRICS)


def test_another_container_of_the_same_statistics_is_the_same_reference(
    folders: Path, foreign: Arrays, tmp_path: Path
) -> None:
    digests = []
    for place, kind in (("a", "<f8"), ("b", ">f8")):
        (tmp_path / place / "x").mkdir(parents=True)
        arrays: Arrays = {name: array.astype(kind) for name, array in foreign.items()}
        np.savez_compressed(tmp_path / place / "x" / "real.npz", **arrays)
        record = scored(folders, tmp_path / place / "x" / "real.npz", metrics="fid")
        digests.append(record.reference.digest)
    assert len(set(digests)) == 1
    other = save(tmp_path / "a" / "x" / "real.npz", {**foreign, "mu": foreign["mu"] + 0.5})  # type: ignore[operator]
    assert scored(folders, other, metrics="fid").reference.digest != digests[0]


def test_arrays_of_adm(folders: Path, foreign: Arrays, tmp_path: Path, mnist: RealSample) -> None:
    """ADM stores spatial moments and images beside them; the name of an array chooses it."""
    more = {"mu_s": np.zeros(3), "sigma_s": np.eye(3), "arr_0": mnist.images[:400]}
    file = save(tmp_path / "adm.npz", {**foreign, **more})
    statistics = scored(folders, file, metrics=["fid", "precision_k3"])
    images = scored(folders, Path(f"{file}:arr_0"), metrics=["fid", "precision_k3"])
    assert statistics.reference_origin is not None
    assert "by ADM" in statistics.reference_origin
    assert statistics.value("fid") == pytest.approx(images.value("fid"), rel=1e-5)
    assert images.reference_origin is None
    assert 0 < images.value("precision_k3") <= 1
    with pytest.raises(BundleError, match=r"of 128 features, but extractor 'random-conv' has 544"):
        scored(folders, file, extractor="random-conv")
    with pytest.raises(BundleError, match=r"compare with its images: --reference .*adm.npz:arr_0"):
        scored(folders, file, extractor="random-conv")


def test_another_width_is_refused_before_a_network_runs(folders: Path, tmp_path: Path) -> None:
    file = save(tmp_path / "a.npz", {"mu": np.zeros(2048), "sigma": np.eye(2048)})
    with pytest.raises(BundleError, match="of 2,048 features, but extractor 'digits' has 128"):
        scored(folders, file)


@pytest.mark.parametrize("n", [300, 60])
def test_an_export_is_what_pytorch_fid_reads(
    folders: Path, tmp_path: Path, mnist: RealSample, n: int
) -> None:
    """Also with fewer images than features, when the covariance has no full rank."""
    real = write_pngs(mnist.images[1000 : 1000 + n], tmp_path / "some")
    file = bench.export_statistics(tmp_path / "x.npz", reference=real, extractor="digits")
    images = read_images(real).images
    assert images is not None
    features = extractor_row("digits").resolve().load()(images.images).values.astype(np.float64)
    mu, sigma = fid_score.compute_statistics_of_path(str(file), None, 50, 128, "cpu")
    assert mu == pytest.approx(features.mean(axis=0), rel=1e-6, abs=1e-6)
    assert sigma == pytest.approx(np.cov(features, rowvar=False), rel=1e-6, abs=1e-6)
    record = scored(folders, file, extractor=None, metrics="fid")
    whole = scored(folders, real, metrics="fid")
    assert record.value("fid") == pytest.approx(whole.value("fid"), rel=1e-9)
    assert record.values[0].n_real == n
    assert record.extractor.name == "digits"  # the file says it
    assert record.reference_origin is not None
    assert "train split of" in record.reference_origin
    assert "statistics-file" not in codes(record)
    bare = save(tmp_path / "bare.npz", {"mu": mu, "sigma": sigma})
    assert scored(folders, bare, metrics="fid").value("fid") == pytest.approx(
        whole.value("fid"), rel=1e-6
    )


def test_export_of_a_bundle(
    folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mnist.npz"
    assert run(["reference", "export", "mnist", "--out", str(file)]) == EXIT_OK
    assert f"written: {file}" in capsys.readouterr().out
    bundle = bench.score(folders / "fake", reference="mnist", metrics="fid")
    assert scored(folders, file, metrics="fid").value("fid") == pytest.approx(
        bundle.value("fid"), rel=1e-9
    )
    test = bench.export_statistics(tmp_path / "test.npz", reference="mnist", split="test")
    held_out = bench.score(folders / "fake", reference="mnist", metrics="fid_test")
    assert scored(folders, test, metrics="fid").value("fid") == pytest.approx(
        held_out.value("fid_test"), rel=1e-9
    )
    assert scored(folders, test, metrics="fid").values[0].n_real == 10_000
    # a file of statistics can be exported again
    again = bench.export_statistics(tmp_path / "again.npz", reference=test)
    assert np.load(again)["sigma"] == pytest.approx(np.load(test)["sigma"], rel=1e-12, abs=1e-15)
    assert run(["reference", "export", "mnist", "--out", str(tmp_path / "x.npy")]) == EXIT_USAGE
    assert "ends in .npz" in capsys.readouterr().err
    command = ["reference", "export", "mnist", "--split", "val", "--out", str(file)]
    assert run(command) == EXIT_USAGE
    assert "holds no moments of the split 'val'" in capsys.readouterr().err


def test_a_file_of_another_extractor_is_refused(tmp_path: Path, folders: Path) -> None:
    file = bench.export_statistics(
        tmp_path / "x.npz", reference=folders / "real", extractor="digits"
    )
    with pytest.raises(BundleError, match=r"was made with digits, weights 2376dd92bf7c; in use is"):
        scored(folders, file, extractor="fashion")
    arrays = dict(np.load(file))
    stated = json.loads(str(arrays["origin"]))
    arrays["origin"] = np.array(json.dumps({**stated, "extractor_digest": "0" * 64}))
    with pytest.raises(BundleError, match="weights 000000000000; in use is digits, weights 2376"):
        scored(folders, save(tmp_path / "y.npz", arrays))
    arrays["origin"] = np.array("[]")
    with pytest.raises(BundleError, match="array 'origin' is not JSON of the form"):
        scored(folders, save(tmp_path / "y.npz", arrays))


def test_all_protocols_at_once_are_refused(tmp_path: Path, folders: Path) -> None:
    file = save(tmp_path / "a.npz", {"mu": np.zeros(2048), "sigma": np.eye(2048)})
    with pytest.raises(UsageError, match="holds statistics of one protocol; name it"):
        scored(folders, file, extractor="inception", protocol="all")


D = 128
EYE = np.eye(D)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"mu": np.array(["a"] * D)}, "array 'mu' is str"),
        ({"mu": np.full(D, np.nan)}, "array 'mu' holds NaN"),
        ({"sigma": np.where(EYE > 0, np.inf, 0)}, "array 'sigma' holds NaN or infinite"),
        ({"sigma": EYE.astype(complex)}, "array 'sigma' is complex128, expected floats"),
        ({"sigma": np.array([object()])}, "array 'sigma' cannot be read: .*Python objects"),
        ({"mu": np.zeros((1, D))}, r"mu has shape \(1, 128\) and sigma \(128, 128\); expected"),
        ({"sigma": EYE[:, :9]}, r"sigma \(128, 9\)"),
        ({"sigma": EYE + np.triu(np.ones((D, D)), 1)}, "sigma is not symmetric"),
        ({"sigma": -EYE}, "sigma has the negative eigenvalue -1, so it is no covariance"),
        ({"num_images": np.array(1)}, "num_images must be one integer of at least 2"),
        ({"num_images": np.array([9, 9])}, "num_images must be one integer"),
        ({"num_images": np.array(9.5)}, "num_images must be one integer"),
    ],
)
def test_arrays_that_are_no_statistics(
    tmp_path: Path, folders: Path, changed: Arrays, message: str
) -> None:
    file = save(tmp_path / "a.npz", {"mu": np.zeros(D), "sigma": EYE, **changed})
    with pytest.raises(BundleError, match=message):
        scored(folders, file, metrics="fid")


def test_rounding_to_float32_is_no_negative_eigenvalue(
    folders: Path, tmp_path: Path, mnist: RealSample
) -> None:
    few = write_pngs(mnist.images[:60], tmp_path / "few")  # rank 59 of 128
    file = bench.export_statistics(tmp_path / "x.npz", reference=few, extractor="digits")
    arrays = {name: np.load(file)[name].astype(np.float32) for name in ("mu", "sigma")}
    assert np.linalg.eigvalsh(arrays["sigma"].astype(np.float64))[0] < 0
    record = scored(folders, save(tmp_path / "y.npz", arrays), metrics="fid")
    assert record.value("fid") == pytest.approx(
        scored(folders, few, metrics="fid").value("fid"), rel=1e-3
    )


def test_other_npz_files_are_images(tmp_path: Path, mnist: RealSample) -> None:
    assert not is_statistics_file(save(tmp_path / "a.npz", {"images": mnist.images[:9]}))
    (tmp_path / "b.npz").write_bytes(b"no zip")
    assert not is_statistics_file(tmp_path / "b.npz")
    assert not is_statistics_file(tmp_path)
