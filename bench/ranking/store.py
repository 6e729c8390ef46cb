"""`Store`: everything that happened to a class's submissions, in one SQLite file that only grows.

    submission   a state of a team's files, with the time at which it was first seen
    outcome      what a submission scored on a board: a record, or the reason why there is none
    decision     a disqualification or a readmission by staff
    ranking      one ranking of a board, with its options, and `place` with its rows

A *board* is a protocol: submissions are scored and ranked within one. Rows are never changed or
deleted; triggers of the schema refuse it, and the latest row counts. Several processes may write at
once (WAL, with a wait for the lock).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from bench.errors import InputError, UsageError, reason_of
from bench.intake import sanitise
from bench.records.score_record import FindingEntry, ScoreRecord

VERDICTS = ("disqualified", "admitted")
LOCK_S = 60.0  # wait for another process that writes
APPLICATION = 0x4C42524B  # "LBRK", which SQLite files of this program hold

TABLES = ("board", "submission", "outcome", "decision", "ranking", "place")
MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE board (
        id INTEGER PRIMARY KEY, settings TEXT NOT NULL UNIQUE, created TEXT NOT NULL
    ) STRICT;
    CREATE TABLE submission (
        id INTEGER PRIMARY KEY, team TEXT NOT NULL, fingerprint TEXT NOT NULL,
        source TEXT NOT NULL, received TEXT NOT NULL, UNIQUE (team, fingerprint)
    ) STRICT;
    CREATE TABLE outcome (
        id INTEGER PRIMARY KEY, created TEXT NOT NULL,
        submission INTEGER NOT NULL REFERENCES submission (id),
        board INTEGER NOT NULL REFERENCES board (id),
        record TEXT, error TEXT, findings TEXT NOT NULL DEFAULT '[]',
        CHECK ((record IS NULL) <> (error IS NULL))
    ) STRICT;
    CREATE INDEX outcome_of ON outcome (board, submission);
    CREATE TABLE decision (
        id INTEGER PRIMARY KEY, created TEXT NOT NULL,
        submission INTEGER NOT NULL REFERENCES submission (id),
        verdict TEXT NOT NULL CHECK (verdict IN ('disqualified', 'admitted')),
        reason TEXT NOT NULL CHECK (reason <> '')
    ) STRICT;
    CREATE TABLE ranking (
        id INTEGER PRIMARY KEY, created TEXT NOT NULL,
        board INTEGER NOT NULL REFERENCES board (id), options TEXT NOT NULL
    ) STRICT;
    CREATE TABLE place (
        ranking INTEGER NOT NULL REFERENCES ranking (id),
        submission INTEGER NOT NULL REFERENCES submission (id),
        rank INTEGER, reason TEXT, PRIMARY KEY (ranking, submission),
        CHECK ((rank IS NULL) <> (reason IS NULL))
    ) STRICT;
    """
    + "".join(
        f"CREATE TRIGGER {table}_keeps_{event.lower()} BEFORE {event} ON {table} "
        "BEGIN SELECT RAISE(ABORT, 'rows are never changed or deleted'); END;\n"
        for table in TABLES
        for event in ("UPDATE", "DELETE")
    ),
)


class Decision(NamedTuple):
    """What staff decided about a submission."""

    verdict: str  # "disqualified" or "admitted"
    reason: str


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A submission and its latest outcome on a board: `record`, or `error` with the `findings`."""

    id: int
    team: str
    source: str
    fingerprint: str
    received: str
    record: ScoreRecord | None = None
    error: str | None = None
    findings: tuple[FindingEntry, ...] = ()
    decision: Decision | None = None


class Store:
    """The file. Raises `InputError` for one that is damaged, locked, or no file of this program,
    and `UsageError` for one of a newer version.

    >>> import tempfile
    >>> store = Store(Path(tempfile.mkdtemp()) / "class.sqlite3")
    >>> number = store.submission("ada", "ada.zip", fingerprint="f" * 64)
    >>> number == store.submission("ada", "ada.zip", fingerprint="f" * 64)
    True
    >>> [entry.team for entry in store.history()]
    ['ada']
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._shown = sanitise(str(path))
        with self._errors():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self.path, timeout=LOCK_S, isolation_level=None)
            self._connection.row_factory = sqlite3.Row
            self._connection.execute("PRAGMA foreign_keys = ON")
            self._migrate()

    def close(self) -> None:
        """Release the file."""
        self._connection.close()

    def board(self, settings: Mapping[str, Any]) -> int:
        """Return the board of these settings; the first call makes it."""
        text = json.dumps(settings, sort_keys=True)
        with self._writing():
            self._connection.execute(
                "INSERT OR IGNORE INTO board (settings, created) VALUES (?, ?)", (text, _now())
            )
            return int(self._one("SELECT id FROM board WHERE settings = ?", text)["id"])

    def submission(
        self, team: str, source: str, *, fingerprint: str, received: str | None = None
    ) -> int:
        """Return the number of a team's submission in this state; the first call adds it."""
        with self._writing():
            self._connection.execute(
                "INSERT OR IGNORE INTO submission (team, fingerprint, source, received) "
                "VALUES (?, ?, ?, ?)",
                (team, fingerprint, source, received or _now()),
            )
            query = "SELECT id FROM submission WHERE team = ? AND fingerprint = ?"
            return int(self._one(query, team, fingerprint)["id"])

    def add_outcome(
        self,
        board: int,
        submission: int,
        *,
        record: ScoreRecord | None = None,
        error: str | None = None,
        findings: Iterable[FindingEntry] = (),
    ) -> None:
        """Add a record, or the reason why there is none."""
        text = json.dumps([finding.model_dump() for finding in findings])
        with self._writing():
            self._connection.execute(
                "INSERT INTO outcome (created, submission, board, record, error, findings) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (
                    _now(),
                    submission,
                    board,
                    None if record is None else record.model_dump_json(),
                    error,
                    text,
                ),
            )

    def decide(self, submission: int, decision: Decision) -> None:
        """Add a decision, which replaces earlier ones about this submission."""
        with self._writing():
            self._connection.execute(
                "INSERT INTO decision (created, submission, verdict, reason) VALUES (?, ?, ?, ?)",
                (_now(), submission, *decision),
            )

    def add_ranking(
        self, board: int, options: Mapping[str, Any], places: Mapping[int, int | str]
    ) -> int:
        """Add a ranking: the rank of each submission, or the reason why it has none."""
        with self._writing():
            number = self._connection.execute(
                "INSERT INTO ranking (created, board, options) VALUES (?, ?, ?)",
                (_now(), board, json.dumps(options, sort_keys=True)),
            ).lastrowid
            self._connection.executemany(
                "INSERT INTO place (ranking, submission, rank, reason) VALUES (?, ?, ?, ?)",
                [
                    (
                        number,
                        submission,
                        *((place, None) if isinstance(place, int) else (None, place)),
                    )
                    for submission, place in places.items()
                ],
            )
        return int(number or 0)

    def entries(self, board: int, submissions: Sequence[int]) -> list[Entry]:
        """Return these submissions with their latest outcomes on a board and latest decisions."""
        return [entry for number in submissions for entry in self._entries(board, number)]

    def history(self, team: str | None = None) -> list[Entry]:
        """Return the submissions of a team, or of all, oldest first, with every outcome."""
        rows = self._all(
            "SELECT s.*, o.record, o.error, o.findings FROM submission s LEFT JOIN outcome o "
            "ON o.submission = s.id WHERE s.team = ? OR ? IS NULL ORDER BY s.id, o.id",
            team,
            team,
        )
        return [self._entry(row) for row in rows]

    def before(self, board: int, team: str, moment: datetime) -> Entry | None:
        """Return the latest submission of a team up to a moment that a board has an outcome of."""
        rows = self._all(
            "SELECT id, received FROM submission WHERE team = ? ORDER BY id DESC", team
        )
        for row in rows:
            if datetime.fromisoformat(row["received"]) <= moment:
                (found,) = self._entries(board, row["id"])
                if found.record is not None or found.error is not None:
                    return found
        return None

    def latest_places(self) -> dict[str, int]:
        """Return the places by team in the latest ranking; empty without one."""
        rows = self._all(
            "SELECT s.team, p.rank FROM place p JOIN submission s ON s.id = p.submission "
            "WHERE p.ranking = (SELECT max(id) FROM ranking) AND p.rank IS NOT NULL"
        )
        return {row["team"]: row["rank"] for row in rows}

    def _entries(self, board: int, submission: int) -> Iterator[Entry]:
        rows = self._all(
            "SELECT s.*, o.record, o.error, o.findings FROM submission s LEFT JOIN outcome o "
            "ON o.submission = s.id AND o.board = ? WHERE s.id = ? ORDER BY o.id DESC LIMIT 1",
            board,
            submission,
        )
        return map(self._entry, rows)

    def _entry(self, row: sqlite3.Row) -> Entry:
        decision = self._all(
            "SELECT verdict, reason FROM decision WHERE submission = ? ORDER BY id DESC LIMIT 1",
            row["id"],
        )
        return Entry(
            id=row["id"],
            team=row["team"],
            source=row["source"],
            fingerprint=row["fingerprint"],
            received=row["received"],
            record=row["record"] and ScoreRecord.model_validate_json(row["record"]),
            error=row["error"],
            findings=tuple(map(FindingEntry.model_validate, json.loads(row["findings"] or "[]"))),
            decision=Decision(*decision[0]) if decision else None,
        )

    def _migrate(self) -> None:
        """Bring the schema to today's version, in one transaction each."""
        version = self._pragma("user_version")
        known = self._pragma("application_id")
        if known not in (0, APPLICATION) or (
            known == 0 and self._all("SELECT 1 FROM sqlite_master LIMIT 1")
        ):
            raise InputError(f"{self._shown} is an SQLite file of another program; name another")
        if version > len(MIGRATIONS):
            raise UsageError(
                f"{self._shown} has version {version}, and this Latentbench knows "
                f"{len(MIGRATIONS)}: install a newer one"
            )
        if not known:
            self._connection.execute("PRAGMA journal_mode = WAL")
        while version < len(MIGRATIONS):
            with self._writing():
                version = self._pragma("user_version")  # another process may have been faster
                if version < len(MIGRATIONS):
                    for statement in _statements(MIGRATIONS[version]):
                        self._connection.execute(statement)
                    version += 1
                    self._connection.execute(f"PRAGMA user_version = {version}")
                    self._connection.execute(f"PRAGMA application_id = {APPLICATION}")

    def _pragma(self, name: str) -> int:
        return int(self._one(f"PRAGMA {name}")[0])

    def _one(self, query: str, *values: object) -> sqlite3.Row:
        return self._all(query, *values)[0]

    def _all(self, query: str, *values: object) -> list[sqlite3.Row]:
        with self._errors():
            return self._connection.execute(query, values).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """A transaction: whole, or not at all."""
        with self._errors():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.IntegrityError as error:
            raise UsageError(f"{self._shown}: {error}") from error
        except (sqlite3.Error, OSError) as error:
            advice = {
                "database is locked": "another process holds it; wait until that has finished",
                "database or disk is full": "free some space, and run the command again",
            }.get(str(error), "restore a copy of the file, or name another")
            raise InputError(f"{self._shown}: {reason_of(error)}: {advice}") from error


def _statements(script: str) -> Iterator[str]:
    """Split a script at the semicolons that end statements."""
    statement = ""
    for part in script.split(";"):
        statement += part + ";"
        if sqlite3.complete_statement(statement):
            if statement.strip(" \n;"):
                yield statement
            statement = ""


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
