"""Which submissions there are to rank, and to which team each belongs.

A source is one of

    a folder of submissions   each archive in it is a team's, and each folder: its images are in
                              `samples/`, in the folder itself, or in its only subfolder
    an archive or array       a team's submission, named after the file
    a CSV file                the columns `name` and `path`, paths relative to the file
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from bench.errors import InputError, NothingFoundError, UsageError, reason_of
from bench.intake import sanitise
from bench.intake.images_folder import ARCHIVES, children_of, images_folder, is_image

MAX_CSV_BYTES = 10 << 20


class Entrant(NamedTuple):
    """A team and the path of its submission."""

    team: str
    path: Path


def find_entrants(sources: Iterable[str | Path]) -> list[Entrant]:
    """Return the submissions of all sources, sorted by team.

    Raises `NothingFoundError` when there is none, `InputError` for a source that cannot be read,
    and `UsageError` when two submissions have one team name.
    """
    given = [Path(source) for source in sources]
    found = [entrant for source in given for entrant in _of_source(source)]
    if not found:
        raise NothingFoundError(
            f"no submission in {', '.join(sanitise(str(path)) for path in given) or 'nothing'}: "
            "expected a folder with an archive or a folder of images for each team, or a CSV file "
            "with the columns name and path"
        )
    by_team: dict[str, Entrant] = {}
    for entrant in found:
        other = by_team.setdefault(entrant.team, entrant)
        if other is not entrant:
            raise UsageError(
                f"two submissions of team {sanitise(entrant.team)}: {sanitise(str(other.path))} "
                f"and {sanitise(str(entrant.path))}; rename one, or name both in a CSV file"
            )
    return [by_team[team] for team in sorted(by_team)]


def fingerprint(path: Path) -> str:
    """Return the SHA-256 of the names, sizes and times of change of a submission's files. It
    changes when a file is replaced. Raises `InputError` for a path that cannot be read.
    """
    try:
        if path.is_dir():
            names = sorted(
                os.path.join(folder, name)  # noqa: PTH118  (bytes of a name that is not UTF-8)
                for folder, _, files in os.walk(path)
                for name in files
            )
            lines = [(os.path.relpath(name, path), os.stat(name)) for name in names]  # noqa: PTH116
        else:
            lines = [(path.name, path.stat())]
    except OSError as error:
        raise InputError(f"{sanitise(str(path))}: {reason_of(error)}") from error
    digest = hashlib.sha256()
    for name, status in lines:
        digest.update(os.fsencode(name) + f"\0{status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _of_source(source: Path) -> Iterator[Entrant]:
    if source.suffix.lower() == ".csv":
        yield from _of_csv(source)
    elif source.is_dir():
        yield from _of_folder(source)
    elif source.exists():
        yield Entrant(_team(source), source)
    else:
        raise InputError(f"{sanitise(str(source))}: there is no such file or folder")


def _of_folder(folder: Path) -> Iterator[Entrant]:
    children = children_of(folder)
    if any(is_image(child) for child in children):
        raise UsageError(
            f"{sanitise(str(folder))} holds images itself: expected a folder with an archive or a "
            "folder for each team; `latentbench score` scores one submission"
        )
    for child in children:
        if child.is_dir():
            yield Entrant(child.name, images_folder(child))
        elif child.suffix.lower() in ARCHIVES:
            yield Entrant(_team(child), child)


def _team(path: Path) -> str:
    name = path.name.removesuffix(".gz") if path.name.lower().endswith(".gz") else path.name
    return Path(name).stem


def _of_csv(path: Path) -> Iterator[Entrant]:
    shown = sanitise(str(path))
    try:
        if path.stat().st_size > MAX_CSV_BYTES:
            raise InputError(
                f"{shown}: larger than {MAX_CSV_BYTES >> 20} MB; is it a list of names?"
            )
        rows = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig")))
        fields = [] if rows.fieldnames is None else list(rows.fieldnames)
        if not {"name", "path"} <= set(fields):
            found = ", ".join(map(sanitise, fields)) or "none"
            raise InputError(f"{shown}: columns {found}; expected name and path")
        for row in rows:
            name, given = (row["name"] or "").strip(), (row["path"] or "").strip()
            if not name or not given:
                raise InputError(f"{shown}, line {rows.line_num}: expected a name and a path")
            target = path.parent / given
            if not target.exists():
                raise InputError(
                    f"{shown}, line {rows.line_num}: {sanitise(given)}: there is no such file or "
                    "folder; paths are relative to the CSV file"
                )
            yield Entrant(name, images_folder(target) if target.is_dir() else target)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{shown}: {reason_of(error)}") from error
