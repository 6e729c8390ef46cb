"""The GitHub action `.github/actions/score`: score a folder, compare it, and say so on GitHub.

Reads the inputs of the action from the environment (`INPUT_FOLDER`, `INPUT_REFERENCE`,
`INPUT_SPEC`, `INPUT_METRICS`, `INPUT_BASELINE`, `INPUT_TOLERANCE`, `INPUT_OUT`). Writes the record,
a summary in Markdown to `GITHUB_STEP_SUMMARY`, an annotation for each finding and regression to
standard output, and the outputs `record`, `verdict` and `regression` to `GITHUB_OUTPUT`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from bench.comparing import views
from bench.comparing.comparison import Comparison, compare
from bench.errors import (
    EXIT_INVALID,
    EXIT_OK,
    EXIT_USAGE,
    InvalidSubmission,
    LatentbenchError,
    UsageError,
    reason_of,
)
from bench.intake import sanitise
from bench.records.finding_order import by_urgency
from bench.records.score_record import ScoreRecord, read_records
from bench.reporting.opening import opening
from bench.reporting.writing import report
from bench.runtime.whole_files import append_line
from bench.scoring.results_folder import write_results
from bench.scoring.scorer import Failure, Scorer
from bench.tables.escaping import markdown_text

LEVELS = {"error": "error", "warning": "warning", "info": "notice"}
MOST_ANNOTATIONS = 10  # GitHub shows no more of one level for a step


def main(environment: Mapping[str, str] | None = None) -> int:
    """Run the action, and return the exit code: 1 for an invalid folder or a regression."""
    given = os.environ if environment is None else environment
    try:
        return _run(given)
    except LatentbenchError as error:
        sys.stdout.write(annotation("error", "latentbench", str(error)))
        return error.exit_code
    except OSError as error:
        sys.stdout.write(annotation("error", "latentbench", reason_of(error)))
        return EXIT_USAGE


def annotation(level: str, title: str, message: str) -> str:
    r"""Return a workflow command that annotates the run.

    >>> annotation("error", "a:b", "50 % of\nthem")
    '::error title=a%3Ab::50 %25 of%0Athem\n'
    """
    text = _escaped(message)
    return f"::{level} title={_escaped(title).replace(':', '%3A').replace(',', '%2C')}::{text}\n"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _run(given: Mapping[str, str]) -> int:
    folder = given.get("INPUT_FOLDER", "")
    if not folder:
        raise UsageError("the input folder is empty: give the folder or archive of the images")
    out = Path(given.get("INPUT_OUT") or "latentbench-results")
    summary = _file(given, "GITHUB_STEP_SUMMARY")
    outputs = _file(given, "GITHUB_OUTPUT")
    baseline = given.get("INPUT_BASELINE") or None
    base = None if baseline is None else read_records(baseline)  # fails before the work
    scorer = Scorer(
        reference=given.get("INPUT_REFERENCE") or "mnist",
        spec=given.get("INPUT_SPEC") or None,
        metrics=given.get("INPUT_METRICS") or None,
    )
    result = scorer.attempt(folder)
    if isinstance(result, Failure):
        _append(summary, ["## Latentbench report", "", *_failure_lines(result)])
        _append(outputs, ["regression=false"])
        return result.error.exit_code or EXIT_INVALID
    files = write_results(scorer, result, out)
    record = result[0]
    page = report(files[0], out / "report.html")
    markdown = report(files[0], out / "report.md").read_text(encoding="utf-8")
    first, rest = by_urgency(record.findings, MOST_ANNOTATIONS)
    for one in (*first, *rest[: MOST_ANNOTATIONS - len(first)]):
        said = f"{one.message}. {one.fix}"
        sys.stdout.write(annotation(LEVELS[one.severity], one.code, said))
    found = None if base is None else _compared(base, record, given.get("INPUT_TOLERANCE") or None)
    if found is not None:
        for change in found.regressions:
            said = f"{change.metric} is worse than the baseline"
            sys.stdout.write(annotation("error", f"regression {change.metric}", said))
        markdown += f"\n## Against the baseline\n\n{views.markdown(found)}"
    _append(summary, markdown.splitlines())
    _append(
        outputs,
        [
            f"record={files[0]}",
            f"page={page}",
            f"verdict={sanitise(opening(record).placed, 2000)}",
            f"regression={'false' if found is None or found.ok else 'true'}",
        ],
    )
    sys.stdout.write("\n".join(opening(record).lines) + "\n")
    return EXIT_OK if found is None or found.ok else EXIT_INVALID


def _compared(base: list[ScoreRecord], record: ScoreRecord, tolerance: str | None) -> Comparison:
    """Compare the record with the latest one of the baseline, whatever they are called."""
    latest = base[-1]
    renamed = latest.model_copy(
        update={
            "submission": latest.submission.model_copy(
                update={"name": record.submission.name, "source": record.submission.source}
            )
        }
    )
    return compare([renamed], [record], tolerance=tolerance)


def _failure_lines(failure: Failure) -> Iterable[str]:
    """Annotate a failure, and yield it as lines of the summary."""
    error = failure.error
    findings = error.findings if isinstance(error, InvalidSubmission) else ()
    sys.stdout.write(annotation("error", "no score", str(error)))
    yield f"No score: {markdown_text(str(error))}"
    yield ""
    for one in findings:
        said = f"{one.message} ({one.count:,}). {one.fix}"
        sys.stdout.write(annotation(LEVELS[one.severity], one.code, said))
        yield f"- **{markdown_text(one.code)}**: {markdown_text(said)}"


def _file(given: Mapping[str, str], name: str) -> Path | None:
    return Path(given[name]) if given.get(name) else None


def _append(path: Path | None, lines: Iterable[str]) -> None:
    """Add lines to a file of the runner; elsewhere there is none."""
    made = list(lines)
    if path is not None:
        append_line(path, "\n".join(made).encode("utf-8", "replace"), sync=False)


if __name__ == "__main__":
    sys.exit(main())
