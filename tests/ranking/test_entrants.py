"""Which submissions are found in folders, archives and CSV files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.errors import InputError, LatentbenchError, NothingFoundError, UsageError
from bench.ranking.entrants import find_entrants, fingerprint


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def found(*sources: Path) -> dict[str, Path]:
    return {entrant.team: entrant.path for entrant in find_entrants(sources)}


def test_a_folder_of_teams(tmp_path: Path) -> None:
    """Zips as macOS and Jupyter leave them, samples at each of the places where teams put them."""
    touch(
        tmp_path / "ada" / "samples" / "0.png",
        tmp_path / "ada" / "README.md",
        tmp_path / "bob" / "0.PNG",
        tmp_path / "cleo" / "out" / "0.png",
        tmp_path / "cleo" / ".ipynb_checkpoints" / "0.png",
        tmp_path / "cleo" / "__MACOSX" / "0.png",
        tmp_path / "dan" / "final.zip",
        tmp_path / "eve" / "one" / "0.png",
        tmp_path / "eve" / "two" / "0.png",
        tmp_path / "fay (1).zip",
        tmp_path / "gus.idx.gz",
        tmp_path / "notes.txt",
        tmp_path / ".DS_Store",
    )
    assert found(tmp_path) == {
        "ada": tmp_path / "ada" / "samples",
        "bob": tmp_path / "bob",
        "cleo": tmp_path / "cleo" / "out",
        "dan": tmp_path / "dan" / "final.zip",
        "eve": tmp_path / "eve",  # which of the two is meant? the audit says what is wrong
        "fay (1)": tmp_path / "fay (1).zip",
        "gus": tmp_path / "gus.idx.gz",
    }


def test_a_csv_file(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "samples" / "0.png", tmp_path / "b.zip")
    (tmp_path / "class.csv").write_text("name,path\nTeam A,a\n=B,b.zip\n", encoding="utf-8-sig")
    expected = {"Team A": tmp_path / "a" / "samples", "=B": tmp_path / "b.zip"}
    assert found(tmp_path / "class.csv") == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("team,file\nA,b.zip\n", "columns team, file; expected name and path"),
        ("", "columns none; expected"),
        ("name,path\nA,no.zip\n", "line 2: no.zip: there is no such file or folder; paths are rel"),
        ("name,path\nA\n", "line 2: expected a name and a path"),
    ],
)
def test_csv_files_that_are_refused(tmp_path: Path, text: str, message: str) -> None:
    touch(tmp_path / "b.zip")
    (tmp_path / "class.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        find_entrants([tmp_path / "class.csv"])


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "class.csv").write_bytes(b"name,path\n\xff\xfe,x\n")
    with pytest.raises(InputError, match="class.csv: 'utf-8' codec can't decode"):
        find_entrants([tmp_path / "class.csv"])


def test_sources_that_are_refused(tmp_path: Path) -> None:
    touch(tmp_path / "images" / "0.png", tmp_path / "a" / "x.zip", tmp_path / "b" / "x.zip")
    (tmp_path / "empty").mkdir()
    cases: list[tuple[list[Path], type[LatentbenchError], str]] = [
        ([tmp_path / "empty"], NothingFoundError, "no submission in .*empty: expected a folder"),
        ([tmp_path / "no"], InputError, "there is no such file or folder"),
        ([tmp_path / "images"], UsageError, "holds images itself.*`latentbench score` scores one"),
        ([tmp_path / "a", tmp_path / "b"], UsageError, "two submissions of team x: .*a/x.zip and"),
    ]
    for sources, error, message in cases:
        with pytest.raises(error, match=message):
            find_entrants(sources)


def test_a_replaced_file_changes_the_fingerprint(tmp_path: Path) -> None:
    touch(tmp_path / "t" / "samples" / "0.png")
    first = fingerprint(tmp_path / "t")
    assert fingerprint(tmp_path / "t") == first
    os.utime(tmp_path / "t" / "samples" / "0.png", ns=(1, 1))
    changed = fingerprint(tmp_path / "t")
    (tmp_path / "t" / "samples" / "0.png").rename(tmp_path / "t" / "samples" / "1.png")
    assert len({first, changed, fingerprint(tmp_path / "t")}) == 3
    with pytest.raises(InputError, match="No such file or directory"):
        fingerprint(tmp_path / "gone.zip")
