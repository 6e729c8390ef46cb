"""What the cache serves: the same content under any name, never the score of other content."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import bench
from bench.extractors import extractor_row
from bench.extractors.base import ResolvedExtractor
from bench.intake import Size, load_spec
from bench.records.score_record import ScoreRecord
from bench.references.build import build_references
from bench.references.real_images import RealImages
from bench.runtime.cache import KINDS, Cache, default_root
from bench.scoring.result_cache import Reading
from bench.scoring.scorer import Scorer
from tests.conftest import RealSample, write_pngs

FAST = ["fid", "precision_k3", "inception_score"]


class Scoring:
    """`score` and `Scorer` against a small reference; that of `mnist` takes longer to load."""

    reference: Path

    def __call__(self, path: Path, **options: object) -> ScoreRecord:
        defaults = {"reference": self.reference, "metrics": FAST}
        return bench.score(path, **defaults | options)  # type: ignore[arg-type]


score = Scoring()


@pytest.fixture(scope="module", autouse=True)
def _small(mnist: RealSample, tmp_path_factory: pytest.TempPathFactory) -> None:
    (score.reference,) = build_references(
        "small",
        tmp_path_factory.mktemp("bundle"),
        extractors=[extractor_row("digits").resolve()],
        train=RealImages(mnist.images[200:300]),
        test=RealImages(mnist.images[300:370]),
        command="made by a test",
    )


@pytest.fixture
def folder(mnist: RealSample, tmp_path: Path) -> Path:
    return write_pngs(mnist.images[:40], tmp_path / "samples")


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Called, it makes sure that no features are computed from then on."""

    def forbid() -> None:
        def fail(self: ResolvedExtractor, device: str = "cpu") -> None:
            raise AssertionError(f"{self.name} was loaded")

        monkeypatch.setattr(ResolvedExtractor, "load", fail)

    return forbid


def entries(kind: str) -> list[Path]:
    return sorted((default_root() / kind).glob("*"))


def fresh(path: Path, **options: object) -> ScoreRecord:
    return score(path, use_cache=False, **options)


def test_the_same_content_under_another_name(
    folder: Path, tmp_path: Path, no_network: Callable[[], None]
) -> None:
    first = score(folder)
    assert not first.from_cache
    no_network()
    copy = Path(shutil.copytree(folder, tmp_path / "team-b" / "copied"))
    for path in copy.iterdir():
        os.utime(path, (10**9, 10**9))
    moved = folder.rename(tmp_path / "renamed")
    packed = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", copy))
    for place in (copy, moved, packed):
        for times in (1, 2):  # by what is in it, then by the hint of where it lies
            again = score(place)
            assert again.from_cache, (place, times)
            assert again.values == first.values
            assert again.submission.sequence_digest == first.submission.sequence_digest
            assert again.submission.name.endswith(place.name)
        assert again.timings_s.keys() == {"intake"}
    assert len(entries("scores")) == len(entries("features")) == 1
    assert len(entries("hints")) == 4


def test_other_metrics_take_the_features_that_are_there(
    folder: Path, no_network: Callable[[], None]
) -> None:
    expected = fresh(folder).value("precision_k3")
    score(folder, metrics="fid")
    no_network()
    other = score(folder, metrics="precision_k3")
    assert not other.from_cache
    assert other.value("precision_k3") == expected


def _npy(images: np.ndarray, place: Path) -> None:
    np.save(place, images)


def _bmps(images: np.ndarray, place: Path) -> None:
    place.mkdir(exist_ok=True)
    for number, image in enumerate(images):
        Image.fromarray(image[..., 0]).save(place / f"{number:03d}.bmp")


@pytest.mark.parametrize(("write", "name"), [(_npy, "x.npy"), (_bmps, "x")])
def test_a_changed_file_of_the_same_name_size_and_time(
    mnist: RealSample, tmp_path: Path, write: Callable[[np.ndarray, Path], None], name: str
) -> None:
    """Uncompressed, so that other pixels take as many bytes. Names, sizes and times say that
    nothing has changed; the score must not believe them.
    """
    place = tmp_path / name
    images = mnist.images[:40].copy()

    def put(images: np.ndarray) -> str | None:
        write(images, place)
        for path in [*place.glob("*"), place]:
            os.utime(path, ns=(10**18, 10**18))
        return Reading(place, None, None, None).key()

    key = put(images)
    first = score(place)
    images[7] = 255 - images[7]  # one image of forty
    assert put(images) == key
    second = score(place)
    assert not second.from_cache
    assert second.values == fresh(place).values
    assert second.value("fid") != first.value("fid")
    assert second.submission.sequence_digest != first.submission.sequence_digest
    # and back again: the first score, from the cache, though the hint says the second
    images[7] = 255 - images[7]
    assert put(images) == key
    third = score(place)
    assert third.from_cache
    assert third.values == first.values


def test_a_hint_that_lies_is_harmless(mnist: RealSample, folder: Path, tmp_path: Path) -> None:
    """It names the pixels of another submission, whose score is in the cache."""
    other = write_pngs(mnist.images[100:160], tmp_path / "other")
    record, wrong = score(folder), score(other)
    key = Reading(folder, None, None, None).key()
    assert key is not None
    lie = json.dumps([wrong.submission.sequence_digest, wrong.submission.num_images])
    Cache(default_root()).put("hints", key, lie.encode())
    again = score(folder)
    assert again.values == record.values
    assert again.submission.num_images == 40


@pytest.mark.parametrize("kind", ["scores", "features", "hints", "held-out"])
@pytest.mark.parametrize("damage", ["flip", "cut", "folder"])
def test_a_damaged_entry_is_made_again(folder: Path, kind: str, damage: str) -> None:
    first = score(folder)
    if kind != "scores":  # else the score is served and nothing else is looked at
        for path in entries("scores"):
            path.unlink()
    assert entries(kind)
    for path in entries(kind):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.unlink()
        if damage == "folder":
            path.mkdir()
        else:
            path.write_bytes(data if damage == "flip" else data[:-1])
    again = score(folder)
    assert not again.from_cache
    assert again.values == first.values
    if damage != "folder":  # mended
        assert score(folder).from_cache


def test_a_cache_that_is_cleared_in_between(folder: Path) -> None:
    scorer = Scorer(reference=score.reference, metrics=FAST)
    first = scorer.score(folder)
    for kind in KINDS:
        shutil.rmtree(default_root() / kind, ignore_errors=True)
        again = scorer.score(folder)
        assert again.values == first.values
    Cache(default_root()).clear()
    assert scorer.score(folder).values == first.values
    assert scorer.score(folder).from_cache


def test_without_a_cache_nothing_is_written(folder: Path) -> None:
    fresh(folder)
    fresh(folder, reference=folder, extractor="digits")
    assert not default_root().exists()


def test_without_a_cache_nothing_is_read(folder: Path, no_network: Callable[[], None]) -> None:
    score(folder)
    held = {path: path.read_bytes() for kind in KINDS for path in entries(kind)}
    again = fresh(folder)
    assert not again.from_cache
    assert {path: path.read_bytes() for kind in KINDS for path in entries(kind)} == held
    no_network()
    with pytest.raises(AssertionError, match="digits was loaded"):
        fresh(folder)


def test_a_cache_that_cannot_be_written(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file where the folder should be: as a home that is read-only, also to root."""
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("LATENTBENCH_CACHE", str(tmp_path / "file" / "cache"))
    record = score(folder)
    assert record.values == fresh(folder).values
    assert not score(folder).from_cache


def test_two_sizes_never_share_a_score(folder: Path) -> None:
    options = {"reference": folder, "extractor": "random-conv"}
    records = [
        score(folder, metrics=["fid"], resize=resize, **options)
        for resize in (None, "20x20", "20x24", "24x20")
        for _ in range(2)
    ]
    assert [record.from_cache for record in records] == [False, True] * 4
    assert [record.submission.resize for record in records[::2]] == [
        None,
        "20x20",
        "20x24",
        "24x20",
    ]
    assert len({record.signature for record in records}) == 4
    assert len({record.submission.sequence_digest for record in records}) == 4


def test_every_choice_has_its_own_score(folder: Path) -> None:
    choices = [
        {},
        {"seed": 1},
        {"subset": 20},
        {"subset": 20, "seed": 1},
        {"subset": 21},
        {"metrics": ["fid"]},
        {"reference": "mnist"},
        {"limit": 39},
    ]
    for choice in choices:
        assert not score(folder, **choice).from_cache, choice
    for choice in choices:
        assert score(folder, **choice).from_cache, choice


def test_with_a_limit_the_whole_is_not_served(folder: Path) -> None:
    whole = score(folder)
    part = score(folder, limit=30)
    assert (whole.submission.num_images, part.submission.num_images) == (40, 30)
    assert not part.from_cache
    assert (whole.official, part.official) == (True, False)
    generous = score(folder, limit=40)
    assert generous.from_cache
    assert generous.official


def test_readings(folder: Path, tmp_path: Path) -> None:
    """The key of a hint changes with the files and with how they are read."""
    plain = Reading(folder, None, None, None)
    key = plain.key()
    assert key == Reading(str(folder), None, None, None).key()
    keys = [
        key,
        Reading(folder, load_spec("mnist-10k"), None, None).key(),
        Reading(folder, None, 5, None).key(),
        Reading(folder, None, None, Size(8, 9)).key(),
        Reading(folder, None, None, Size(9, 8)).key(),
    ]
    first = folder / "00000.png"
    os.utime(first, ns=(5, 5))
    keys.append(plain.key())
    first.write_bytes(first.read_bytes() + b"\0")
    os.utime(first, ns=(5, 5))
    keys.append(plain.key())
    first.rename(folder / "a.png")
    keys.append(plain.key())
    (folder / "a.png").unlink()
    keys.append(plain.key())
    copy = shutil.copytree(folder, tmp_path / "copy")
    keys.append(Reading(copy, None, None, None).key())
    assert len(set(keys)) == len(keys) == 10
    assert Reading(tmp_path / "missing", None, None, None).key() is None
    (folder / "dangling.png").symlink_to(tmp_path / "nowhere")
    assert plain.key() is None
