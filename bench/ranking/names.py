"""The names that a board shows: those of the teams, names from a file, or pseudonyms.

A pseudonym depends on the team and a secret only, so that it is the same on every board of a course
and nobody without the secret can tell it from the team's name.
"""

from __future__ import annotations

import csv
import hashlib
import hmac
import io
from collections.abc import Iterable, Mapping
from pathlib import Path

from bench.errors import InputError, UsageError, reason_of
from bench.intake import sanitise
from bench.runtime.whole_files import write_atomically
from bench.tables.escaping import csv_cell

MIN_SECRET_BYTES = 16
ALPHABET = "bcdfghjkmnpqrstvwxz"  # consonants, which spell no word


def read_names(path: str | Path) -> dict[str, str]:
    """Return display names by team, from a CSV file with the columns `team` and `name`.

    Raises `InputError` for another file, and for two names of one team.
    """
    shown = sanitise(str(path))
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{shown}: {reason_of(error)}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{shown}: not UTF-8 text; save it as CSV UTF-8") from error
    rows = csv.DictReader(io.StringIO(text))
    if not {"team", "name"} <= set(rows.fieldnames or ()):
        raise InputError(f"{shown}: expected the columns team and name in the first line")
    names: dict[str, str] = {}
    for row in rows:
        team, name = (row["team"] or "").strip(), (row["name"] or "").strip()
        if not team or not name or team in names:
            problem = (
                "a second name of this team" if team in names else "expected a team and a name"
            )
            raise InputError(f"{shown}, line {rows.line_num}: {problem}")
        names[team] = name
    return names


def read_secret(path: str | Path) -> bytes:
    """Return the secret in a file. Raises `InputError` and, for a short one, `UsageError`."""
    try:
        secret = Path(path).read_bytes().strip()
    except OSError as error:
        raise InputError(f"{sanitise(str(path))}: {reason_of(error)}") from error
    if len(secret) < MIN_SECRET_BYTES:
        raise UsageError(
            f"{sanitise(str(path))}: {len(secret)} bytes; a secret needs {MIN_SECRET_BYTES}, "
            "for example from `openssl rand -hex 32`"
        )
    return secret


def pseudonym(team: str, secret: bytes) -> str:
    """Return the pseudonym of a team, of 50 bits.

    >>> pseudonym("ada", b"a secret of 16 bytes")
    'team-dhkq-bvbk-pdwd'
    """
    number = int.from_bytes(
        hmac.new(secret, team.encode("utf-8", "surrogateescape"), hashlib.sha256).digest(), "big"
    )
    letters = []
    for _ in range(12):
        number, letter = divmod(number, len(ALPHABET))
        letters.append(ALPHABET[letter])
    return "-".join(["team", *("".join(letters[at : at + 4]) for at in (0, 4, 8))])


def shown_names(
    teams: Iterable[str], names: Mapping[str, str] | None = None, secret: bytes | None = None
) -> dict[str, str]:
    """Return the name that a board shows for each team. Raises `UsageError` when two teams would
    be shown by one name.
    """
    shown = {
        team: pseudonym(team, secret) if secret is not None else (names or {}).get(team, team)
        for team in teams
    }
    by_name: dict[str, str] = {}
    for team, name in shown.items():
        other = by_name.setdefault(name, team)
        if other != team:
            raise UsageError(
                f"teams {sanitise(other)} and {sanitise(team)} are both shown as {sanitise(name)}"
            )
    return shown


def write_mapping(shown: Mapping[str, str], path: str | Path) -> None:
    """Write which name stands for which team, to a CSV file that nobody but staff should read."""
    rows = [f"{csv_cell(name)},{csv_cell(team)}" for team, name in sorted(shown.items())]
    text = "\n".join(["name,team", *rows, ""])
    write_atomically(Path(path), text.encode("utf-8", "replace"))
    Path(path).chmod(0o600)
