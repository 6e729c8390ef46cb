"""`latentbench score --protocol course`: the numbers that a course quotes, and why they differ."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.errors import EXIT_OK, InputError, NothingFoundError
from bench.records.score_record import safe_file_name
from bench.runtime.progress import progress_report
from bench.runtime.whole_files import write_atomically
from bench.scoring.settings import ScoreSettings
from bench.studies.course import CourseValue, course_values, document
from bench.tables.console import print_rows
from bench.tables.numbers import number


def print_course(
    submissions: Sequence[str],
    settings: ScoreSettings,
    out: Path,
    *,
    explain: bool,
    json_lines: bool,
    quiet: bool,
) -> int:
    """Compute, write and print the course's numbers of each submission; return the exit code.

    A submission that cannot be scored does not stop the others.
    """
    code = EXIT_OK
    for submission in submissions:
        try:
            with progress_report(quiet=quiet) as progress:
                values = course_values(submission, settings, explain=explain, progress=progress)
        except (InputError, NothingFoundError) as error:
            sys.stderr.write(f"latentbench: {error}\n")
            code = error.exit_code
            continue
        found = document(submission, values)
        file = out / f"{safe_file_name(str(found['submission']))}-course.json"
        write_atomically(file, (json.dumps(found, indent=2) + "\n").encode())
        if json_lines:
            sys.stdout.write(json.dumps(found) + "\n")
            continue
        sys.stdout.write(f"{found['submission']}\n")
        _print_table(values)
        sys.stdout.write(f"written: {file}\n")
    sys.stdout.flush()
    return code


def _print_table(values: Sequence[CourseValue]) -> None:
    plain = [value for value in values if not value.changed]
    print_rows(
        ["metric", "as", "value", "images"],
        [[one.metric, one.tool, number(one.value), f"{one.num_images:,}"] for one in plain],
    )
    changed = [value for value in values if value.changed]
    if changed:
        sys.stdout.write("\nWhy home and platform differ: one thing changed at a time\n")
        print_rows(
            ["metric", "changed", "value", "difference", "images"],
            [
                [
                    one.metric,
                    one.changed,
                    number(one.value),
                    f"{one.difference:+.4g}",
                    f"{one.num_images:,}",
                ]
                for one in changed
            ],
        )
