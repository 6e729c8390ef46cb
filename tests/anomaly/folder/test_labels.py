"""Labelled test images: two subfolders, or a CSV; what does not fit is told with file and line."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from bench.anomaly.folder.labels import read_labelled, read_labels
from bench.errors import InputError, InvalidSubmission, NothingFoundError, UsageError
from bench.intake import parse_size
from tests.conftest import RealSample, write_pngs


@pytest.fixture
def folder(mnist: RealSample, tmp_path):
    """5 normal and 3 anomalous digits."""
    write_pngs(mnist.images[:5], tmp_path / "test" / "normal")
    write_pngs(mnist.images[5:8], tmp_path / "test" / "anomalous")
    return tmp_path / "test"


@pytest.fixture
def flat(mnist: RealSample, tmp_path):
    """00000.png to 00003.png, and the CSV that labels them."""
    write_pngs(mnist.images[:4], tmp_path / "mixed")
    lines = ["00000.png,normal", "00001.png,anomalous", "00002.png,0", "00003.png,1"]
    (tmp_path / "labels.csv").write_text("\n".join(["name,label", *lines]) + "\n")
    return tmp_path


def test_subfolders(folder, mnist: RealSample):
    found = read_labelled(folder)
    np.testing.assert_array_equal(found.images, mnist.images[:8])
    assert found.labels.tolist() == [0] * 5 + [1] * 3
    assert found.labels.dtype == np.int64
    assert found.names[:2] == ("normal/00000.png", "normal/00001.png")
    assert found.names[5:] == tuple(f"anomalous/0000{i}.png" for i in range(3))


def test_a_csv(flat, mnist: RealSample):
    found = read_labelled(flat / "mixed", flat / "labels.csv")
    np.testing.assert_array_equal(found.images, mnist.images[:4])
    assert found.labels.tolist() == [0, 1, 0, 1]
    assert found.names[0] == "00000.png"


def test_ways_to_write_a_csv(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_bytes(b'\xef\xbb\xbfName, Label\r\n"a, b.png",Normal\r\n\r\nc.png , ANOMALOUS\r\n')
    assert read_labels(path) == {"a, b.png": (0, 2), "c.png": (1, 4)}
    path.write_text("a.png,0\nb.png,1\n")
    assert read_labels(path) == {"a.png": (0, 1), "b.png": (1, 2)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("00000.png,nan", "labels.csv:1: label 'nan' of 00000.png: expected normal, anomalous"),
        ("name,label\n00000.png,", "labels.csv:2: label '' of 00000.png"),
        ("00000.png,0.5", "labels.csv:1: label '0.5'"),
        ("00000.png", "labels.csv:1: 1 cell, expected a name and a label with one comma"),
        ("00000.png;1", "labels.csv:1: 1 cell, .* comma between them, not ';'"),
        ("00000.png\t1", r"labels.csv:1: 1 cell, .* comma between them, not '\\t'"),
        ("00000.png,1,0", "labels.csv:1: 3 cells, .* a name with a comma stands in double quotes"),
        (",normal", "labels.csv:1: a label without a name; write name,label"),
        ("00000.png,0\n\n00000.png,1", "labels.csv:3: 00000.png has a label in line 1 already"),
        ("", "labels.csv: no labels; expected lines of name,label"),
        ("name,label\n", "no labels"),
        (
            "00000.png,0\n00001.png,1\n00002.png,1\n00003.png,1\nnone.png,0\nother.png,0",
            "labels.csv:5: no image is named none.png in .*mixed .and of 1 more.",
        ),
        ("00000.png,0\n00001.png,1", "no label for 00002.png, 00003.png of .*mixed"),
        (
            "".join(f"0000{i}.png,normal\n" for i in range(4)),
            "labels.csv: every image is normal; .* both kinds, so add images labelled anomalous",
        ),
        ("\x1b[31m.png,2", r"label '2' of \\x1b\[31m.png"),
        ("00000.png," + "9" * 200_000, "labels.csv:1: not a line of CSV"),
    ],
)
def test_labels_that_do_not_fit(flat, text, message):
    (flat / "labels.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_labelled(flat / "mixed", flat / "labels.csv")


def test_labels_that_cannot_be_read(flat):
    what_to_do = "give a CSV file of name,label with --labels"
    with pytest.raises(
        UsageError, match=f"absent.csv: the labels cannot be read: No such file.*; {what_to_do}"
    ):
        read_labelled(flat / "mixed", flat / "absent.csv")
    with pytest.raises(UsageError, match=f"mixed: .* cannot be read: Is a directory; {what_to_do}"):
        read_labelled(flat / "mixed", flat / "mixed")
    with pytest.raises(UsageError, match=f"the labels cannot be read: .*null.*; {what_to_do}"):
        read_labelled(flat / "mixed", "labels\0.csv")


@pytest.mark.parametrize(("encoding", "byte"), [("utf-16", 0), ("latin-1", 1)])
def test_labels_in_another_encoding(flat, encoding, byte):
    (flat / "labels.csv").write_bytes("bären.png,1\n".encode(encoding))
    with pytest.raises(UsageError, match=f"byte {byte} is not UTF-8 text; save the file as CSV in"):
        read_labelled(flat / "mixed", flat / "labels.csv")


def test_folders_that_are_not_of_two_kinds(folder, flat, mnist: RealSample):
    with pytest.raises(UsageError, match="has no subfolder normal and no anomalous"):
        read_labelled(flat / "mixed")
    with pytest.raises(UsageError, match="is not a folder"):
        read_labelled(flat / "labels.csv")
    (folder / ".DS_Store").touch()
    read_labelled(folder)
    write_pngs(mnist.images[:1], folder / "perhaps")
    with pytest.raises(InputError, match="holds perhaps next to normal/ and anomalous/"):
        read_labelled(folder)


def test_an_empty_kind(folder):
    for image in (folder / "anomalous").iterdir():
        image.unlink()
    with pytest.raises(NothingFoundError, match="anomalous holds no image file"):
        read_labelled(folder)
    (folder / "anomalous").rmdir()
    with pytest.raises(UsageError, match="has no subfolder anomalous"):
        read_labelled(folder)


def test_what_intake_finds_is_told(folder):
    (folder / "normal" / "00002.png").write_bytes(b"no image")
    with pytest.raises(InvalidSubmission) as caught:
        read_labelled(folder)
    assert caught.value.findings


def test_sizes_and_colours(folder, mnist: RealSample):
    for image in (folder / "anomalous").iterdir():
        image.unlink()
    colour = np.zeros((14, 14, 3), np.uint8)
    colour[..., 0] = 200
    Image.fromarray(colour).save(folder / "anomalous" / "red.png")
    with pytest.raises(InputError, match="normal images are 28x28 px, anomalous ones 14x14 px"):
        read_labelled(folder)
    found = read_labelled(folder, resize=parse_size("14x14"))
    assert found.images.shape == (6, 14, 14, 3)
    np.testing.assert_array_equal(found.images[5], colour)
    np.testing.assert_array_equal(found.images[:5, ..., 0], found.images[:5, ..., 2])


def test_empty_lines_before_the_header(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("\n , \nname,label\na.png,0\n")
    assert read_labels(path) == {"a.png": (0, 4)}
    path.write_text("a.png,0\nname,label\n")
    with pytest.raises(InputError, match=r"labels.csv:2: label 'label' of name"):
        read_labels(path)


def test_names_with_spaces(tmp_path, mnist: RealSample):
    """A name's own spaces count; others around it do not."""
    write_pngs(mnist.images[:3], tmp_path / "mixed")
    for old, new in (("00000.png", " a.png"), ("00001.png", "b c .png")):
        (tmp_path / "mixed" / old).rename(tmp_path / "mixed" / new)
    labels = tmp_path / "labels.csv"
    labels.write_text(" a.png,1\n  b c .png ,0\n 00002.png,0\n")
    found = read_labelled(tmp_path / "mixed", labels)
    assert dict(zip(found.names, found.labels.tolist(), strict=True)) == {
        " a.png": 1,
        "b c .png": 0,
        "00002.png": 0,
    }


def test_names_of_an_array_are_shown(tmp_path, mnist: RealSample):
    np.save(tmp_path / "images.npy", mnist.images[:12])
    (tmp_path / "labels.csv").write_text("0.png,1\n")
    with pytest.raises(InputError, match="names are as audit prints them, such as 0+[^0-9]*$"):
        read_labelled(tmp_path / "images.npy", tmp_path / "labels.csv")
