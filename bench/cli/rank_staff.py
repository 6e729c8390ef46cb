"""`latentbench rank compare`, `history` and `decide`: what staff ask of the private folders."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from bench.errors import UsageError
from bench.intake import sanitise
from bench.ranking.agreement import agreement
from bench.ranking.rank import STORE
from bench.ranking.store import VERDICTS, Decision, Store
from bench.tables.console import print_rows
from bench.tables.numbers import value_with_interval


def compare(words: Sequence[str]) -> None:
    """Print how well the latest rankings in two private folders agree."""
    if len(words) != 2:
        raise UsageError("rank compare: give the private folders of two boards")
    places = []
    for folder in words:
        with closing(_store(folder)) as store:
            places.append(store.latest_places())
    found = agreement(*places)
    sys.stdout.write(
        f"Kendall's tau-b {found.tau:.3f} [{found.low:.3f}, {found.high:.3f}] "
        f"over {found.num_teams} teams\n"
    )


def history(words: Sequence[str]) -> None:
    """Print every submission in a private folder, or those of one team, oldest first."""
    if not 1 <= len(words) <= 2:
        raise UsageError("rank history: give the private folder of a board, and perhaps a team")
    with closing(_store(words[0])) as store:
        entries = store.history(*words[1:])
    if len(words) == 2 and not entries:
        raise UsageError(f"no submission of team {sanitise(words[1])} in {sanitise(words[0])}")
    rows = []
    for entry in entries:
        first = entry.record.values[0] if entry.record and entry.record.values else None
        outcome = entry.error or "not scored"
        if first is not None:
            outcome = f"{first.metric} {value_with_interval(first)}"
        decided = "" if entry.decision is None else ": ".join(entry.decision)
        shown = (str(entry.id), entry.team, entry.received, outcome, decided)
        rows.append([sanitise(text, 200) for text in shown])
    print_rows(["number", "team", "received", "outcome", "decision"], rows)


def decide(words: Sequence[str]) -> None:
    """Add a decision about the latest submission of a team, or about that of a number.

    The next ranking follows it.
    """
    if len(words) != 4 or words[2] not in VERDICTS:
        raise UsageError(
            "rank decide: give the private folder, a team or #NUMBER of a submission, the word "
            "disqualified or admitted, and the reason, as in: rank decide board-private/ ada "
            'disqualified "two accounts"'
        )
    folder, team, verdict, reason = words
    with closing(_store(folder)) as store:
        entries = [one for one in store.history() if team in (one.team, f"#{one.id}")]
        if not entries:
            raise UsageError(f"no submission of team {sanitise(team)} in {sanitise(folder)}")
        store.decide(entries[-1].id, Decision(verdict, reason))
    sys.stdout.write(f"{sanitise(team)}: {verdict}; run the ranking again to apply it\n")


def _store(folder: str) -> Store:
    path = Path(folder) / STORE
    if not path.exists():
        raise UsageError(f"{sanitise(folder)} holds no {STORE}: give the --work folder of a board")
    return Store(path)
