"""The cache: whole entries or none, and never in the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.runtime.cache import Cache, KindSize, cache_key, default_root

KEY, ONE, TWO = "c" * 64, "1" * 64, "2" * 64


def test_what_is_put_is_found(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.put("features", "a" * 64, b"payload")
    assert cache.get("features", "a" * 64) == b"payload"
    assert cache.get("features", "b" * 64) is None
    assert cache.get("scores", "a" * 64) is None


@pytest.mark.parametrize("damage", [b"", b"short", None])
def test_a_damaged_entry_is_absent(tmp_path: Path, damage: bytes | None) -> None:
    cache = Cache(tmp_path)
    cache.put("scores", KEY, b"payload")
    path = tmp_path / "scores" / KEY
    data = path.read_bytes()
    path.write_bytes(data[:-1] + b"X" if damage is None else damage)
    assert cache.get("scores", KEY) is None


def test_without_a_root_nothing_is_kept() -> None:
    cache = Cache(None)
    cache.put("scores", KEY, b"payload")
    assert cache.get("scores", KEY) is None
    assert cache.sizes() == {}


def test_a_place_that_cannot_be_written_is_passed_over(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    cache = Cache(blocked)
    cache.put("scores", KEY, b"payload")
    assert cache.get("scores", KEY) is None


def test_sizes_and_clear(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.put("scores", ONE, b"1234")
    cache.put("scores", TWO, b"12")
    cache.put("features", ONE, b"")
    # 32 bytes of digest stand before each payload
    assert cache.sizes() == {"scores": KindSize(2, 70), "features": KindSize(1, 32)}
    assert cache.clear() == KindSize(3, 102)
    assert cache.sizes() == {}


def test_key_depends_on_every_part_and_not_on_their_order() -> None:
    assert cache_key({"a": 1, "b": "x"}) == cache_key({"b": "x", "a": 1})
    assert cache_key({"a": 1}) != cache_key({"a": 2})
    assert cache_key({"a": 1}) != cache_key({"a": "1"})


def test_location(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LATENTBENCH_CACHE", str(tmp_path / "here"))
    assert default_root() == tmp_path / "here"
    monkeypatch.delenv("LATENTBENCH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_root() == tmp_path / "xdg" / "latentbench"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_root() == Path.home() / ".cache" / "latentbench"


def test_clear_deletes_nothing_that_is_not_an_entry(tmp_path: Path) -> None:
    for name in ("Documents/thesis.tex", "features/notes.txt", "other/" + KEY):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("precious")
    cache = Cache(tmp_path)
    cache.put("features", KEY, b"")
    assert cache.clear() == KindSize(1, 32)
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 3
