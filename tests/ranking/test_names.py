"""Names that a board shows: pseudonyms by hand, names from files, names that clash."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path

import pytest

from bench.errors import InputError, UsageError
from bench.ranking.names import (
    ALPHABET,
    pseudonym,
    read_names,
    read_secret,
    shown_names,
    write_mapping,
)

SECRET = b"a secret of 16 bytes"


def test_a_pseudonym_is_of_the_team_and_the_secret() -> None:
    digest = int(hmac.new(SECRET, b"ada", hashlib.sha256).hexdigest(), 16)
    letters = "".join(ALPHABET[digest // len(ALPHABET) ** k % len(ALPHABET)] for k in range(12))
    assert pseudonym("ada", SECRET) == f"team-{letters[:4]}-{letters[4:8]}-{letters[8:]}"
    others = {pseudonym(team, secret) for team in ("ada", "bob") for secret in (SECRET, b"y" * 16)}
    assert len(others) == 4


def test_names_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "names.csv"
    path.write_text("team,name\nada,Ada Lovelace\n", encoding="utf-8-sig")
    assert shown_names(["ada", "bob"], read_names(path)) == {"ada": "Ada Lovelace", "bob": "bob"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name\nx\n", "expected the columns team and name"),
        ("team,name\nada,A\nada,B\n", "line 3: a second name of this team"),
        ("team,name\nada,\n", "line 2: expected a team and a name"),
    ],
)
def test_files_of_names_that_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "names.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_names(tmp_path / "names.csv")


def test_one_name_for_two_teams() -> None:
    with pytest.raises(UsageError, match="teams ada and bob are both shown as bob"):
        shown_names(["ada", "bob"], {"ada": "bob"})


def test_secrets(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(SECRET + b"\n")
    assert read_secret(tmp_path / "secret") == SECRET
    (tmp_path / "short").write_bytes(b"1234\n")
    with pytest.raises(UsageError, match="short: 4 bytes; a secret needs 16"):
        read_secret(tmp_path / "short")
    with pytest.raises(InputError, match="No such file"):
        read_secret(tmp_path / "no")


def test_the_mapping_is_private_and_runs_no_formula(tmp_path: Path) -> None:
    write_mapping({"=ada": "team-x", "bob": "team-y"}, tmp_path / "map.csv")
    assert (tmp_path / "map.csv").read_text() == "name,team\nteam-x,'=ada\nteam-y,bob\n"
    assert (tmp_path / "map.csv").stat().st_mode & 0o077 == 0
