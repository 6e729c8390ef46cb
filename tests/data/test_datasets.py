"""Loading data sets from disk: the idx layout, plain and gzipped, and torchvision's classes."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from bench.data import datasets
from bench.data.datasets import load_dataset
from bench.errors import InputError, UnknownNameError, UsageError
from tests.conftest import RealSample


def idx_bytes(array: np.ndarray) -> bytes:
    return (
        b"\0\0\x08"
        + bytes([array.ndim])
        + struct.pack(f">{array.ndim}I", *array.shape)
        + (array.astype(np.uint8).tobytes())
    )


def write_split(folder: Path, prefix: str, sample: RealSample, n: int, *, zipped: bool) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for stem, array in (
        ("images-idx3-ubyte", sample.images[:n, :, :, 0]),
        ("labels-idx1-ubyte", sample.labels[:n]),
    ):
        data = idx_bytes(array)
        name = f"{prefix}-{stem}" + (".gz" if zipped else "")
        (folder / name).write_bytes(gzip.compress(data) if zipped else data)


@pytest.fixture
def small_mnist(monkeypatch: pytest.MonkeyPatch) -> None:
    """MNIST of 40 train and 20 test images."""
    source = datasets.DATASETS["mnist"]._replace(sizes={"train": 40, "test": 20})
    monkeypatch.setitem(datasets.DATASETS, "mnist", source)


@pytest.mark.usefixtures("small_mnist")
@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("inner", ["MNIST/raw", "."])
def test_idx_files_under_a_root(
    tmp_path: Path, mnist: RealSample, inner: str, *, zipped: bool
) -> None:
    write_split(tmp_path / inner, "train", mnist, 40, zipped=zipped)
    write_split(tmp_path / inner, "t10k", mnist, 20, zipped=zipped)
    train = load_dataset("mnist", "train", data_root=tmp_path)
    test = load_dataset("mnist", "test", data_root=tmp_path)
    assert (train.images.shape, test.images.shape) == ((40, 28, 28, 1), (20, 28, 28, 1))
    np.testing.assert_array_equal(train.images, mnist.images[:40])
    np.testing.assert_array_equal(test.labels, mnist.labels[:20])


@pytest.mark.usefixtures("small_mnist")
def test_the_environment_gives_the_root(
    tmp_path: Path, mnist: RealSample, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATENTBENCH_DATA", str(tmp_path))
    write_split(tmp_path / "MNIST" / "raw", "t10k", mnist, 20, zipped=True)
    assert len(load_dataset("mnist", "test").images) == 20


def test_debian_package_is_found(
    tmp_path: Path, fashion: RealSample, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = datasets.DATASETS["fashion-mnist"]._replace(sizes={"train": 0, "test": 30})
    monkeypatch.setitem(datasets.DATASETS, "fashion-mnist", source)
    monkeypatch.setattr(datasets, "DEBIAN_ROOT", tmp_path)
    write_split(tmp_path / "fashion-mnist", "t10k", fashion, 30, zipped=True)
    np.testing.assert_array_equal(load_dataset("fashion-mnist", "test").images, fashion.images[:30])


def test_absent_data_names_the_places_and_the_options(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"not found in .*--data-root or LATENTBENCH_DATA.*--down"):
        load_dataset("mnist", "train", data_root=tmp_path)


def test_a_failed_download_is_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torchvision.datasets

    def refuse(root: str, *, download: bool) -> None:
        raise RuntimeError("no network")

    monkeypatch.setattr(torchvision.datasets, "MNIST", refuse)
    with pytest.raises(UsageError, match="could not be downloaded into .*no network"):
        load_dataset("mnist", "train", data_root=tmp_path, download=True)


@pytest.mark.usefixtures("small_mnist")
def test_counts_that_disagree(tmp_path: Path, mnist: RealSample) -> None:
    write_split(tmp_path, "t10k", mnist, 19, zipped=False)
    with pytest.raises(InputError, match="19 images; the test split has 20"):
        load_dataset("mnist", "test", data_root=tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(mnist.labels[:5]))
    with pytest.raises(InputError, match=r"\(19, 28, 28\).*\(5,\)"):
        load_dataset("mnist", "test", data_root=tmp_path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "must begin with two zero bytes"),
        (b"\0\0\x0d\x01\0\0\0\x01\0\0\0\0", "type code 0x0d"),
        (b"\0\0\x08\x03\0\0", "header cut short"),
        (b"\0\0\x08\x01\0\0\0\x05abc", "5 values, but 3 follow"),
        (b"\0\0\x08\x01\0\0\0\x02abc", "2 values, but 3 follow"),
    ],
)
def test_damaged_idx_files(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(data)
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(np.zeros(3)))
    with pytest.raises(InputError, match=message):
        load_dataset("mnist", "test", data_root=tmp_path)


def test_truncated_gzip(tmp_path: Path) -> None:
    images = idx_bytes(np.zeros((3, 28, 28)))
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(images)[:-4])
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(np.zeros(3)))
    with pytest.raises(InputError, match="cannot be read as an idx file"):
        load_dataset("mnist", "test", data_root=tmp_path)


def test_any_torchvision_class(tmp_path: Path, mnist: RealSample) -> None:
    raw = tmp_path / "KMNIST" / "raw"
    for prefix, n in (("train", 12), ("t10k", 8)):
        write_split(raw, prefix, mnist, n, zipped=False)
    data = load_dataset("torchvision:KMNIST", "test", data_root=tmp_path)
    np.testing.assert_array_equal(data.images, mnist.images[:8])
    np.testing.assert_array_equal(data.labels, mnist.labels[:8])


def test_torchvision_errors(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'KMNIST'"):
        load_dataset("torchvision:KMNST", "test", data_root=tmp_path)
    with pytest.raises(UsageError, match="could not be loaded from"):
        load_dataset("torchvision:CIFAR10", "test", data_root=tmp_path)
    with pytest.raises(UsageError, match="no train and test arrays"):
        load_dataset("torchvision:FakeData", "test", data_root=tmp_path)


def test_unknown_names() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'mnist'"):
        load_dataset("mnst", "test")
    with pytest.raises(UnknownNameError, match="Valid: test, train"):
        load_dataset("mnist", "valid")
