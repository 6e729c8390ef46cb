"""`Outcome`: one submission scored on a platform.

Images are scored in the order of a hash of their pixels, so that two submissions that differ in the
names of their files get the same result to the last digit. `latentbench score` takes them in the
order of the names; its values differ in the last digits, and those of metrics that draw images at
random, such as `kid_poly3`, by less than their spread.
"""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.content.observer import image_hashes
from bench.errors import EXIT_INTERNAL, EXIT_OK, InvalidSubmission, LatentbenchError
from bench.intake import Finding, read_images, sanitise
from bench.intake.failures import failure_of
from bench.intake.images_folder import images_folder
from bench.platforms.settings import PlatformSettings, read_settings
from bench.records.score_record import FindingEntry, ScoreRecord, ScoreValue
from bench.reporting.opening import opening
from bench.reporting.writing import report
from bench.scoring.results_folder import write_results
from bench.scoring.scorer import Scorer
from bench.scoring.settings import ScoreSettings
from bench.tables.directions import DIRECTIONS
from bench.tables.numbers import counted, expected_text, value_with_interval

SUBMISSION = "submission"


class Outcome(NamedTuple):
    """What a platform shows of one submission.

    `scores` are finite numbers by column, in the order of the settings; empty if `error` says why
    there are none. `opening` has the verdict and the three findings that matter most, `table` a
    line for each column. `findings` are those of an invalid submission. `exit_code` is 0 only for a
    scored submission. `page` is the report, if it was asked for.
    """

    scores: dict[str, float]
    opening: tuple[str, ...] = ()
    table: tuple[str, ...] = ()
    error: str = ""
    findings: tuple[Finding, ...] = ()
    exit_code: int = EXIT_OK
    record: ScoreRecord | None = None
    page: str = ""

    @property
    def text(self) -> str:
        """Everything in words, one statement a line."""
        if self.error:
            return "\n".join([f"no score: {self.error}", *self.fixes])
        return "\n".join([*self.opening, *self.table])

    @property
    def fixes(self) -> list[str]:
        """What to do about an invalid submission, a line for each error."""
        return [
            f"{one.message} ({counted(one.count, 'file')}). What to do: {one.fix}"
            for one in self.findings
            if one.severity == "error"
        ]


def score_submission(submission: Path, settings_file: Path, *, page: bool = False) -> Outcome:
    """Score a folder or archive by the settings of a bundle, and never raise for what is wrong with
    the submission or with the bundle: the outcome says it.
    """
    try:
        settings = read_settings(settings_file)
        options = ScoreSettings(**settings.score_options(settings_file.parent))
    except LatentbenchError as error:
        return _failed(
            f"the scoring is not set up correctly; please tell the staff: {error}", error
        )
    try:
        path = images_folder(submission) if submission.is_dir() else submission
        return _scored(path, settings, options, page=page)
    except Exception as error:  # noqa: BLE001  (whatever a submission brings to light)
        failure = failure_of(SUBMISSION, error)
        findings = failure.findings if isinstance(failure, InvalidSubmission) else ()
        reason = str(failure)
        if findings:
            errors = [one.message for one in findings if one.severity == "error"]
            reason = f"not a valid submission: {'; '.join(errors)}"
        return _failed(reason.replace(str(submission), SUBMISSION), failure, findings)


def _failed(reason: str, error: LatentbenchError, findings: tuple[Finding, ...] = ()) -> Outcome:
    return Outcome(
        {},
        error=sanitise(reason, 2000),
        findings=findings,
        exit_code=error.exit_code or EXIT_INTERNAL,
    )


def _scored(
    path: Path, settings: PlatformSettings, options: ScoreSettings, *, page: bool
) -> Outcome:
    read = read_images(path, spec=options.submission_spec)
    if read.images is None:
        raise InvalidSubmission("the images could not be read", read.findings)
    images, names, warnings = read.images.images, read.images.names, read.findings
    order = np.argsort(image_hashes(images), kind="stable")
    images = images[order]
    del read
    scorer = Scorer(options)
    record = scorer.score_images(images, name=SUBMISSION)
    del images
    record = record.model_copy(
        update={
            "findings": tuple(FindingEntry(**vars(one)) for one in warnings)
            + tuple(_named(one, [names[place] for place in order]) for one in record.findings)
        }
    )
    entries = {entry.metric: entry for entry in record.values}
    for name in settings.metrics:
        value = entries[name].value
        if value is None or not math.isfinite(value):
            return Outcome(
                {},
                error=sanitise(f"{name} has no value: {entries[name].reason}", 2000),
                exit_code=1,
                record=record,
            )
    return Outcome(
        {name: float(entries[name].value or 0.0) for name in settings.metrics},
        opening=tuple(sanitise(line, 2000) for line in opening(record).lines),
        table=tuple(_line(entries[name]) for name in settings.metrics),
        record=record,
        page=_page(scorer, record) if page else "",
    )


def _named(finding: FindingEntry, names: list[str]) -> FindingEntry:
    """Return a finding with file names as examples in place of positions."""
    examples = tuple(names[int(one)] if one.isdigit() else one for one in finding.examples)
    return finding.model_copy(update={"examples": examples})


def _line(entry: ScoreValue) -> str:
    perfect = "" if entry.expected is None else f"; perfect {expected_text(entry)}"
    phrase = DIRECTIONS[entry.direction].phrase
    return f"{entry.metric} {value_with_interval(entry)}, {phrase}{perfect}"


def _page(scorer: Scorer, record: ScoreRecord) -> str:
    with tempfile.TemporaryDirectory() as folder:
        files = write_results(scorer, [record], Path(folder))
        page = report(files[0], Path(folder) / "report.html", use_cache=False)
        return page.read_text(encoding="utf-8")
