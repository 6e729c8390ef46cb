"""npz files with several arrays: which of them holds the images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.errors import UsageError
from bench.intake import audit, repair, split_array_name
from tests.intake.pictures import digit

DIGITS = np.stack([digit(i) for i in range(12)])  # uint8 12,28,28
OTHERS = DIGITS[::-1].copy()


@pytest.mark.parametrize(
    ("arrays", "chosen"),
    [
        ({"anything": DIGITS}, "anything"),
        ({"arr_0": DIGITS, "arr_1": np.arange(12)}, "arr_0"),
        ({"labels": np.arange(12), "z": DIGITS}, "z"),
        ({"images": DIGITS, "masks": OTHERS}, "images"),
        ({"mu": np.zeros(4), "sigma": np.eye(4), "arr_0": DIGITS}, "arr_0"),
    ],
)
def test_one_array_of_images(tmp_path: Path, arrays: dict[str, np.ndarray], chosen: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    report = audit(tmp_path / "a.npz")
    assert report.valid
    assert report.array_name == chosen
    assert np.array_equal(report.images.images[..., 0], DIGITS)


@pytest.mark.parametrize("names", [("arr_0", "arr_1"), ("x_train", "x_test")])
def test_several_arrays_of_images(tmp_path: Path, names: tuple[str, str]) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, **{names[0]: DIGITS, names[1]: OTHERS[:9], "y": np.arange(12)})
    (finding,) = audit(path).findings
    assert finding.code == "array-choice"
    for part in (f"{names[0]} uint8 12,28,28", f"{names[1]} uint8 9,28,28", "y int64 12"):
        assert part in finding.message
    assert "FILE.npz:NAME" in finding.fix
    report = audit(f"{path}:{names[1]}")
    assert report.valid
    assert (report.num_files, report.array_name) == (9, names[1])
    assert report.source == f"{path}:{names[1]}"
    assert np.array_equal(report.images.images[..., 0], OTHERS[:9])


def test_candidates_of_another_type_or_order_count_too(tmp_path: Path) -> None:
    """The wrong one of two must not be taken because the right one needs a conversion."""
    path = tmp_path / "a.npz"
    np.savez(path, floats=DIGITS / 255, thumbnails=DIGITS[:, ::4, ::4])
    assert [finding.code for finding in audit(path).findings] == ["array-choice"]
    assert [finding.code for finding in audit(f"{path}:floats").findings] == ["array-dtype"]
    np.savez(path, planar=DIGITS[:, None], masks=DIGITS)
    assert [finding.code for finding in audit(path).findings] == ["array-choice"]


def test_an_array_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, one=DIGITS, two=DIGITS)
    with pytest.raises(UsageError, match=r"a.npz holds no array 'tow'; it holds one uint8 12,28"):
        audit(f"{path}:tow")
    with pytest.raises(UsageError, match="b.npz does not exist"):
        audit(tmp_path / "b.npz:one")


def test_no_array_of_images(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, mu=np.zeros(4), sigma=np.eye(4))
    (finding,) = audit(path).findings
    assert finding.code == "array-choice"
    assert "--reference" in finding.message


def test_repair_takes_the_named_array(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", one=DIGITS, two=OTHERS[:5])
    assert repair(tmp_path / "a.npz:two", tmp_path / "fixed").num_written == 5


def test_names_of_arrays_in_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert split_array_name("a/b.NPZ:x") == (Path("a/b.NPZ"), "x")
    for path in ("a.npz", "a.npz:", "torchvision:CIFAR10", "a.npy:x", "c:/a.npz"):
        assert split_array_name(path) == (Path(path), None)
    Path("odd.npz:x").touch()
    assert split_array_name("odd.npz:x") == (Path("odd.npz:x"), None)
