"""What scoring leaves in a folder: a record file each, a line in records.jsonl, report pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.errors import UsageError, reason_of
from bench.intake.failures import failure_of
from bench.records.pictures_file import write_exhibits
from bench.records.score_record import (
    ScoreRecord,
    append_record,
    record_file_name,
    write_record,
)
from bench.scoring.scorer import Scorer

RECORDS = "records.jsonl"


def write_results(
    scorer: Scorer, records: Sequence[ScoreRecord], out: Path, *, pictures: bool = True
) -> list[Path]:
    """Write the records of the submission that `scorer` scored last, and return the files.

    Each record gets a file of its own and a line in records.jsonl. With `pictures`, what
    `latentbench report` shows of the images goes into an npz file with the same stem. All records
    are written before the first picture. Raises `UsageError` if a file cannot be written, and
    `LatentbenchError` if the pictures cannot be made; the records are written then.
    """
    files = [out / record_file_name(record) for record in records]
    try:
        for record, file in zip(records, files, strict=True):
            write_record(record, file)
            append_record(record, out / RECORDS)
    except OSError as error:
        raise UsageError(f"{out}: the record cannot be written: {reason_of(error)}") from error
    written = [*files, out / RECORDS]
    for record, file in zip(records, files, strict=True) if pictures else ():
        path = file.with_suffix(".npz")
        try:
            write_exhibits(scorer.exhibits(record), path)
        except OSError as error:
            raise UsageError(
                f"{path}: the pictures cannot be written: {reason_of(error)}"
            ) from error
        except Exception as error:
            raise failure_of(f"{path}: the pictures cannot be made", error) from error
        written.append(path)
    return written
