"""The store: rows that never change, several writers, older and foreign files."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

import bench.ranking.store as store_module
from bench.errors import InputError, UsageError
from bench.ranking.store import MIGRATIONS, TABLES, Decision, Store
from tests.records.test_score_record import record

WRITER = """
import sys
from bench.ranking.store import Store
store = Store(sys.argv[1])
board = store.board({"reference": "mnist"})
for k in range(10):
    number = store.submission(f"team {sys.argv[2]}", "x.zip", fingerprint=f"{k}")
    store.add_outcome(board, number, error="no zip")
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "ranking.sqlite3")


def test_what_is_written_is_read_again(store: Store) -> None:
    board = store.board({"reference": "mnist", "seed": 1})
    assert board == store.board({"seed": 1, "reference": "mnist"})
    assert board != store.board({"seed": 2, "reference": "mnist"})
    time = "2026-12-01T00:00:00+00:00"
    number = store.submission("ada", "ada.zip", fingerprint="f", received=time)
    store.add_outcome(board, number, error="no zip")
    store.add_outcome(board, number, record=record())
    (entry,) = store.entries(board, [number])
    assert (entry.team, entry.received, entry.error) == ("ada", time, None)
    assert entry.record == record()
    assert [one.error for one in store.history("ada")] == ["no zip", None]
    assert store.history("bob") == []
    store.decide(number, Decision("disqualified", "handed in twice"))
    store.decide(number, Decision("admitted", "a mistake of ours"))
    assert store.entries(board, [number])[0].decision == Decision("admitted", "a mistake of ours")


def test_boards_do_not_mix(store: Store) -> None:
    one, other = store.board({"seed": 1}), store.board({"seed": 2})
    number = store.submission("ada", "ada.zip", fingerprint="f")
    store.add_outcome(one, number, record=record())
    assert store.entries(one, [number])[0].record is not None
    assert store.entries(other, [number])[0].record is None


def test_rows_are_never_changed_or_deleted(store: Store) -> None:
    board = store.board({})
    number = store.submission("ada", "ada.zip", fingerprint="f")
    store.add_outcome(board, number, error="x")
    store.decide(number, Decision("disqualified", "x"))
    store.add_ranking(board, {}, {number: 1})
    raw = sqlite3.connect(store.path)
    for table in TABLES:
        column = raw.execute(f"SELECT name FROM pragma_table_info('{table}')").fetchone()[0]
        statements = [f"DELETE FROM {table}", f"UPDATE {table} SET {column} = {column}"]
        for statement in statements:
            with pytest.raises(sqlite3.IntegrityError, match="never changed or deleted"):
                raw.execute(statement)


@pytest.mark.parametrize("decision", [Decision("maybe", "x"), Decision("admitted", "")])
def test_values_that_the_schema_refuses(store: Store, decision: Decision) -> None:
    number = store.submission("ada", "ada.zip", fingerprint="f")
    with pytest.raises(UsageError, match="CHECK constraint failed"):
        store.decide(number, decision)
    with pytest.raises(UsageError, match="FOREIGN KEY constraint failed"):
        store.decide(99, Decision("admitted", "x"))


def test_sixteen_processes_lose_nothing(store: Store) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(store.path), str(k)]) for k in range(16)
    ]
    assert [writer.wait() for writer in writers] == [0] * 16
    entries = store.history()
    assert len(entries) == 160
    assert len({(entry.team, entry.fingerprint) for entry in entries}) == 160
    assert all(entry.error == "no zip" for entry in entries)


def test_a_newer_file_is_refused_and_kept(store: Store) -> None:
    store.close()
    raw = sqlite3.connect(store.path)
    raw.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    raw.close()
    before = store.path.read_bytes()
    with pytest.raises(UsageError, match="has version 2, and this Latentbench knows 1: install"):
        Store(store.path)
    assert store.path.read_bytes() == before


def test_an_older_file_is_brought_up_to_date_and_keeps_its_rows(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One transaction for each version: a migration that fails leaves the file as it was."""
    number = store.submission("ada", "ada.zip", fingerprint="f")
    store.close()
    good = "CREATE TABLE note (text TEXT NOT NULL) STRICT; INSERT INTO note VALUES ('a; b');"
    monkeypatch.setattr(store_module, "MIGRATIONS", (*MIGRATIONS, good, "CREATE TABLE note (x);"))
    with pytest.raises(InputError, match="table note already exists"):
        Store(store.path)
    raw = sqlite3.connect(store.path)
    assert raw.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS) + 1,)
    assert raw.execute("SELECT text FROM note").fetchall() == [("a; b",)]
    raw.close()
    monkeypatch.setattr(store_module, "MIGRATIONS", (*MIGRATIONS, good))
    assert [(entry.id, entry.team) for entry in Store(store.path).history()] == [(number, "ada")]


def test_files_that_are_no_store(tmp_path: Path) -> None:
    (tmp_path / "damaged").write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    (tmp_path / "text").write_text("name,path\n" * 100)
    foreign = sqlite3.connect(tmp_path / "foreign")
    foreign.execute("CREATE TABLE books (title TEXT)")
    foreign.close()
    for name, message in (
        ("damaged", "restore a copy"),
        ("text", "file is not a database: restore a copy"),
        ("foreign", "is an SQLite file of another program"),
    ):
        with pytest.raises(InputError, match=f"{name}.*{message}"):
            Store(tmp_path / name)
    with pytest.raises(InputError, match="unable to open database file|Is a directory"):
        Store(tmp_path)


def test_a_locked_store(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = sqlite3.connect(store.path, isolation_level=None)
    raw.execute("BEGIN IMMEDIATE")
    store._connection.execute("PRAGMA busy_timeout = 10")
    with pytest.raises(InputError, match="database is locked: another process holds it"):
        store.board({})
    raw.execute("ROLLBACK")
    assert store.board({}) == 1


def test_a_failed_write_leaves_nothing(store: Store) -> None:
    board = store.board({})
    number = store.submission("ada", "ada.zip", fingerprint="f")
    with pytest.raises(UsageError, match="FOREIGN KEY"):
        store.add_ranking(board, {}, {number: 1, 99: 2})
    raw = sqlite3.connect(store.path)
    assert raw.execute("SELECT count(*) FROM ranking").fetchone() == (0,)
