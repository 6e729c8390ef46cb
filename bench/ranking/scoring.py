"""Score every submission as a job of its own: one that crashes, hangs or is broken harms no other.

A worker keeps its `Scorer`, so that a process loads the reference once. Jobs are known by the files
of the submission, the settings and the code of scoring: the same command again scores only what is
new or was replaced. A job also leaves the page of the submission in its work folder.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.errors import InputError, InvalidSubmission, UsageError
from bench.execution.executors.executors import executor_for
from bench.execution.ledger.ledger import Ledger
from bench.execution.ledger.work import Job, WorkContext
from bench.execution.scheduling import Event, JobResult, run_jobs
from bench.intake.findings import Finding
from bench.ranking.entrants import Entrant, fingerprint
from bench.records.score_record import FindingEntry, ScoreRecord
from bench.runtime.code_digest import code_digest
from bench.tables.numbers import counted

if TYPE_CHECKING:
    from bench.scoring.scorer import Scorer

WORK = "bench.ranking.scoring:score_submission"
PAGE = "report.html"
TIMEOUT_S = 1800.0


class Scored(NamedTuple):
    """An entrant with a record, or with the reason why it has none. `page` is its report."""

    entrant: Entrant
    fingerprint: str
    record: ScoreRecord | None = None
    error: str | None = None
    findings: tuple[FindingEntry, ...] = ()
    page: Path | None = None


def score_entrants(
    entrants: Sequence[Entrant],
    settings: Mapping[str, Any],
    ledger: Ledger,
    executor: str,
    *,
    names: Mapping[str, str],
    timeout_s: float = TIMEOUT_S,
    on_event: Callable[[Event], None] | None = None,
) -> list[Scored]:
    """Score all entrants that the ledger has no result of, and return every one in their order.

    `settings` are JSON values of `ScoreSettings` by name. Records and pages hold the `names` of
    teams, and neither paths nor file names of submissions. Raises `UsageError` for settings that
    cannot be used.
    """
    if settings.get("protocol") == "all":
        raise UsageError("--protocol all gives several scores; a ranking needs one protocol")
    code = code_digest("bench.scoring.scorer")
    jobs: dict[int, Job] = {}
    found: list[Scored | None] = []
    prints: list[str] = []
    for position, entrant in enumerate(entrants):
        try:
            prints.append(fingerprint(entrant.path))
        except InputError as error:
            prints.append("")
            found.append(Scored(entrant, "unreadable", error=str(error)))
            continue
        found.append(None)
        path = str(entrant.path.resolve())
        name = names[entrant.team]
        identity = json.dumps([path, name, prints[-1], settings, code], sort_keys=True)
        key = hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()[:32]
        payload = {"path": path, "name": name, "settings": dict(settings)}
        jobs[position] = Job(key=key, label=entrant.team, payload=payload)
    with executor_for(executor) as workers:
        results = run_jobs(
            jobs.values(),
            WORK,
            ledger,
            workers,
            timeout_s=timeout_s,
            max_attempts=2,
            on_event=on_event,
        )
    for position, result in zip(jobs, results, strict=True):
        found[position] = _scored(entrants[position], prints[position], result, ledger)
    return [one for one in found if one is not None]


def score_submission(payload: Mapping[str, Any], context: WorkContext) -> dict[str, Any]:
    """Score one submission in a worker; a submission that is invalid is a result as well."""
    from bench.reporting.writing import report
    from bench.scoring.results_folder import write_results
    from bench.scoring.scorer import Failure

    scorer = _scorer(json.dumps(payload["settings"], sort_keys=True))
    result = scorer.attempt(payload["path"])
    if isinstance(result, Failure):
        error = result.error
        findings = error.findings if isinstance(error, InvalidSubmission) else ()
        return {
            "error": _reason(findings) or str(error).replace(payload["path"], payload["name"]),
            "findings": [vars(finding) for finding in findings],
        }
    submission = result[0].submission.model_copy(
        update={"name": payload["name"], "source": payload["name"]}
    )
    record = result[0].model_copy(update={"submission": submission})
    write_results(scorer, [record], context.folder, pictures=True)
    report(context.folder, context.folder / PAGE)
    return {"record": record.model_dump(mode="json")}


def _reason(findings: Sequence[Finding]) -> str:
    """Return what is wrong with an invalid submission, and how often."""
    errors = [finding for finding in findings if finding.severity == "error"]
    return "; ".join(
        finding.message + (f" ({counted(finding.count, 'file')})" if finding.count > 1 else "")
        for finding in errors
    )


@functools.lru_cache(maxsize=1)
def _scorer(settings: str) -> Scorer:
    from bench.scoring.scorer import Scorer
    from bench.scoring.settings import ScoreSettings

    return Scorer(ScoreSettings(**json.loads(settings)))


def _scored(entrant: Entrant, print_: str, result: JobResult, ledger: Ledger) -> Scored:
    values = result.values or {}
    if "record" in values:
        page = ledger.work_folder(result.key) / PAGE
        return Scored(
            entrant,
            print_,
            record=ScoreRecord.model_validate(values["record"]),
            page=page if page.exists() else None,
        )
    error = values.get("error") or f"the scoring failed: {result.message or result.cause}"
    findings = tuple(FindingEntry.model_validate(one) for one in values.get("findings", ()))
    return Scored(entrant, print_, error=error, findings=findings)
