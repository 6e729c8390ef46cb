"""Folders and zips with a folder for each class, and what else may lie in a folder."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bench.errors import NothingFoundError, UsageError
from bench.intake import ImageStream, audit
from tests.intake.pictures import digit


@pytest.fixture
def sorted_into(tmp_path: Path) -> Path:
    """Nine digits in the folders `dog`, `cat` and `ant`, with droppings beside them."""
    for i in range(9):
        folder = tmp_path / "set" / ("dog", "cat", "ant")[i % 3]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(digit(i)).save(folder / f"{i}.png")
    for folder in ("set", "set/dog"):
        (tmp_path / folder / ".ipynb_checkpoints").mkdir()
        (tmp_path / folder / ".ipynb_checkpoints" / "0-checkpoint.png").touch()
    return tmp_path / "set"


def in_zip(folder: Path, name: str) -> Path:
    return Path(shutil.make_archive(str(folder.parent / name), "zip", folder))


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_classes_are_the_sorted_folders(sorted_into: Path, kind: str) -> None:
    path = sorted_into if kind == "folder" else in_zip(sorted_into, "set")
    report = audit(path, classes=True)
    assert report.valid
    assert [finding.code for finding in report.findings] == ["ignored-file"]
    assert report.class_names == ("ant", "cat", "dog")
    assert report.labels is not None
    assert report.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert report.images is not None
    assert report.images.names[:4] == ("ant/2.png", "ant/5.png", "ant/8.png", "cat/1.png")
    for name, image in zip(report.images.names, report.images.images, strict=True):
        assert np.array_equal(image[..., 0], digit(int(name[4])))
    with ImageStream(path, classes=True) as stream:
        assert sum(len(block) for block in stream) == 9


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_a_submission_has_no_classes(sorted_into: Path, kind: str) -> None:
    path = sorted_into if kind == "folder" else in_zip(sorted_into, "set")
    with pytest.raises(NothingFoundError, match=r"It holds 3 folder\(s\), such as ant: give one"):
        audit(path)


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_a_flat_folder_stays_flat(sorted_into: Path, kind: str) -> None:
    """Images beside folders are a mistake, whether or not classes are allowed."""
    shutil.copy(sorted_into / "dog" / "0.png", sorted_into / "z.png")
    path = sorted_into if kind == "folder" else in_zip(sorted_into, "set")
    report = audit(path, classes=True)
    assert "nested-folder" in [finding.code for finding in report.findings]
    assert report.labels is None
    assert report.num_files == 1


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_no_deeper_folders(sorted_into: Path, kind: str) -> None:
    (sorted_into / "dog" / "more").mkdir()
    shutil.copy(sorted_into / "dog" / "0.png", sorted_into / "dog" / "more")
    path = sorted_into if kind == "folder" else in_zip(sorted_into, "set")
    assert [f.code for f in audit(path, classes=True).findings if f.severity == "error"] == [
        "nested-folder"
    ]


def test_links_to_classes_are_not_followed(sorted_into: Path, tmp_path: Path) -> None:
    (sorted_into / "elk").symlink_to(tmp_path)
    assert not audit(sorted_into, classes=True).valid


def test_a_class_without_images_is_no_class(sorted_into: Path) -> None:
    (sorted_into / "bee").mkdir()
    assert audit(sorted_into, classes=True).class_names == ("ant", "cat", "dog")


@pytest.mark.parametrize("kind", ["folder", "zip"])
@pytest.mark.parametrize(
    ("name", "count", "message"),
    [
        ("gif", 3, "It holds 3 .gif files: GIF has a palette and several frames; save every frame"),
        ("pt", 1, "It holds 1 .pt file: tensors of PyTorch are not read"),
        ("npy", 2, "It holds 2 .npy files: give one of them"),
        ("txt", 2, "It holds 2 .txt files."),
    ],
)
def test_files_of_another_kind_are_named(
    tmp_path: Path, kind: str, name: str, count: int, message: str
) -> None:
    folder = tmp_path / "x"
    folder.mkdir()
    for i in range(count):
        (folder / f"{i}.{name}").write_bytes(b"GIF89a")
    (folder / "readme").touch()
    with pytest.raises(NothingFoundError, match=f"holds no image file .*{message}"):
        audit(folder if kind == "folder" else in_zip(folder, "y"))


def test_a_file_of_torch_is_called_one(tmp_path: Path) -> None:
    """By its name or, with none, by what `torch.save` writes. It is never unpickled."""
    for name in ("a.pt", "b.pth", "c.ckpt", "images"):
        torch.save(torch.zeros(3), tmp_path / name)
        with pytest.raises(UsageError, match=f"{name} is a file of PyTorch, which is never loaded"):
            audit(tmp_path / name)
    with zipfile.ZipFile(tmp_path / "no-torch", "w") as archive:
        archive.writestr("0.png", b"")
    assert audit(tmp_path / "no-torch").kind == "zip"


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [("a.gif", b"GIF89a", "GIF"), ("b", b"%PDF-1.4", "PDF"), ("c.pkl", b"\x80\x04", "PICKLE")],
)
def test_a_single_file_is_called_what_it_is(
    tmp_path: Path, name: str, data: bytes, kind: str
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(UsageError, match=rf"a single file of another kind \({kind}\)"):
        audit(tmp_path / name)
