"""`rank`: from a folder of submissions to places, kept in a store."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.errors import UsageError
from bench.execution.ledger.ledger import Ledger
from bench.execution.scheduling import Event
from bench.ranking import places as order
from bench.ranking.entrants import find_entrants
from bench.ranking.names import shown_names
from bench.ranking.places import MetricPlaces, metric_places
from bench.ranking.rules import SPEC, disqualified
from bench.ranking.scoring import TIMEOUT_S, score_entrants
from bench.ranking.store import Entry, Store
from bench.records.score_record import ScoreRecord
from bench.runtime.terminal import require_writable

STORE = "ranking.sqlite3"
LATE = "handed in after the deadline"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A submission on the board: its place, or the reason why it has none."""

    entry: Entry
    place: int | None = None
    reason: str | None = None
    page: Path | None = None  # its report

    @property
    def record(self) -> ScoreRecord | None:
        return self.entry.record


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """A ranking of N submissions: those with a place first, best first, then the others by team.

    `by` are the metrics in order, `weights` those of a weighted sum of places. `matrix` compares
    the ranked submissions in the first metric, in the order of `rows`; None without any. `names`
    are shown for teams.
    """

    rows: tuple[Row, ...]
    by: tuple[str, ...]
    weights: Mapping[str, float] = field(default_factory=dict)
    matrix: MetricPlaces | None = None
    reference: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    deadline: str | None = None

    @property
    def ranked(self) -> tuple[Row, ...]:
        """The rows with a place."""
        return tuple(row for row in self.rows if row.place is not None)


def rank(
    sources: Iterable[str | Path],
    settings: Mapping[str, Any],
    *,
    work: str | Path,
    by: Iterable[str] = ("fid",),
    weights: Mapping[str, float] | None = None,
    without_rules: Collection[str] = (),
    deadline: str | None = None,
    names: Callable[[Iterable[str]], Mapping[str, str]] = shown_names,
    executor: str = "local",
    timeout_s: float = TIMEOUT_S,
    on_event: Callable[[Event], None] | None = None,
) -> Ranking:
    """Find, score and rank submissions, and keep all of it in the folder `work`.

    `settings` are options of `ScoreSettings` by name, as JSON values. `by` orders submissions by a
    metric, and ties by the next; with `weights` the weighted sum of places counts instead. Only
    submissions received by `deadline` (ISO 8601) are ranked, of each team the last; the time of a
    submission is that of the run that first saw it. `names` gives the names to show, see
    `bench.ranking.names`.

    Raises `NothingFoundError` without submissions, `UsageError` for options that cannot be used,
    and `InputError` for sources or a store that cannot be read.
    """
    by, weights = tuple(by), dict(weights or {})
    limit = None if deadline is None else _moment(deadline)
    work = Path(work)
    require_writable(work, "scores")
    entrants = find_entrants(sources)
    shown = names(entrant.team for entrant in entrants)
    if SPEC in without_rules:
        settings = {**settings, "spec": None}
        without_rules = [name for name in without_rules if name != SPEC]
    disqualified((), without=without_rules)  # refuses unknown rules before anything is scored
    store = Store(work / STORE)
    try:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        board = store.board(settings)
        ledger = Ledger(work / "ledger")
        scored = score_entrants(
            entrants,
            settings,
            ledger,
            executor,
            names=shown,
            timeout_s=timeout_s,
            on_event=on_event,
        )
        numbers: list[int] = []
        for one in scored:
            number = store.submission(
                one.entrant.team,
                str(one.entrant.path),
                fingerprint=one.fingerprint,
                received=now,
            )
            numbers.append(number)
            (known,) = store.entries(board, [number])
            if (known.record, known.error) != (one.record, one.error):
                store.add_outcome(
                    board, number, record=one.record, error=one.error, findings=one.findings
                )
        entries = store.entries(board, numbers)
        if limit is not None:
            entries = [_in_time(store, board, entry, limit) for entry in entries]
        pages = {number: one.page for number, one in zip(numbers, scored, strict=True)}
        ranking = ranking_of(
            entries, by=by, weights=weights, without_rules=without_rules, deadline=limit
        )
        options = {"by": by, "weights": weights, "without_rules": sorted(without_rules)}
        places = {row.entry.id: row.place or row.reason or "" for row in ranking.rows}
        store.add_ranking(board, {**options, "deadline": deadline}, places)
    finally:
        store.close()
    rows = tuple(
        Row(entry=row.entry, place=row.place, reason=row.reason, page=pages.get(row.entry.id))
        for row in ranking.rows
    )
    return Ranking(
        rows=rows,
        by=ranking.by,
        weights=weights,
        matrix=ranking.matrix,
        reference=str(settings.get("reference", "")),
        names=shown,
        deadline=deadline,
    )


def ranking_of(
    entries: Iterable[Entry],
    *,
    by: tuple[str, ...],
    weights: Mapping[str, float] | None = None,
    without_rules: Collection[str] = (),
    deadline: datetime | None = None,
) -> Ranking:
    """Return the ranking of entries of one board. Raises `UsageError` when a record lacks a metric
    that the ranking needs.
    """
    entries = sorted(entries, key=lambda entry: entry.team)
    reasons = disqualified(entries, without=without_rules)
    for entry in entries:
        if deadline is not None and datetime.fromisoformat(entry.received) > deadline:
            reasons[entry.id] = LATE
        if entry.error is not None:
            reasons[entry.id] = entry.error
    admitted = [entry for entry in entries if entry.id not in reasons and entry.record is not None]
    records = [entry.record for entry in admitted if entry.record is not None]
    placed: tuple[int, ...] = ()
    if records and weights:
        placed = order.by_weights(records, weights)
    elif records:
        placed = order.by_order(records, by)
    first = next(iter(weights)) if weights else by[0]
    matrix = metric_places(records, first) if records else None
    found = [Row(entry=e, place=place) for e, place in zip(admitted, placed, strict=True)]
    position = {entry.id: number for number, entry in enumerate(admitted)}
    if matrix is not None:
        rank_in_order = {row: number for number, row in enumerate(matrix.order)}
        found.sort(key=lambda row: (row.place or 0, rank_in_order[position[row.entry.id]]))
        matrix = _sorted_matrix(matrix, [position[row.entry.id] for row in found])
    found += [Row(entry=e, reason=reasons[e.id]) for e in entries if e.id in reasons]
    return Ranking(rows=tuple(found), by=by, weights=weights or {}, matrix=matrix)


def _sorted_matrix(matrix: MetricPlaces, rows: list[int]) -> MetricPlaces:
    return MetricPlaces(
        matrix.metric,
        tuple(matrix.places[row] for row in rows),
        tuple(range(len(rows))),
        matrix.differences[rows][:, rows],
        matrix.p_values[rows][:, rows],
    )


def _in_time(store: Store, board: int, entry: Entry, limit: datetime) -> Entry:
    """Return the submission of the team that counts: the last one that was there in time, or the
    late one where there is none.
    """
    if datetime.fromisoformat(entry.received) <= limit:
        return entry
    return store.before(board, entry.team, limit) or entry


def _moment(text: str) -> datetime:
    """Return a moment with its time zone; UTC where none is given. Raises `UsageError`."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            f"deadline {text!r}: expected a date and a time, as in 2026-12-01T18:00+01:00"
        ) from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)
