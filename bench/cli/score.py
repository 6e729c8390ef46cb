"""`latentbench score`: submissions become records and tables."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import options
from bench.cli.options import (
    BatchSize,
    Budget,
    Device,
    Json,
    Layer,
    Metrics,
    NoCache,
    Precision,
    Protocol,
    Quiet,
    Resize,
    Spec,
    Submissions,
    UnverifiedWeights,
    Weights,
)
from bench.cli.submission_errors import print_report, report_of
from bench.errors import EXIT_INVALID, EXIT_OK, InvalidSubmission, LatentbenchError, UsageError

if TYPE_CHECKING:
    from bench.records.score_record import ScoreRecord
    from bench.scoring.scorer import Failure

RESULTS_DIR = Path("latentbench-results")
COURSE = "course"  # the protocol that computes a course's numbers


def score(
    submissions: Submissions,
    *,
    reference: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE|DIR",
            help="Reference by name (`latentbench reference list`), its manifest file, a folder or "
            "file of real images, or a statistics file (npz with mu and sigma).",
            rich_help_panel=options.INPUT,
        ),
    ] = "mnist",
    spec: Spec = None,
    resize: Resize = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Read only the first N images of each submission; the record is marked "
            "unofficial.",
            rich_help_panel=options.INPUT,
        ),
    ] = None,
    metrics: Metrics = None,
    extractor: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Network that computes features; `latentbench extractors` lists them.",
            show_default="the one the reference is built for",
            rich_help_panel=options.PROTOCOL,
        ),
    ] = None,
    layer: Layer = None,
    protocol: Protocol = None,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain",
            help="With --protocol course: also show what file format, resizing, extractor and "
            "number of images change, one at a time.",
            rich_help_panel=options.PROTOCOL,
        ),
    ] = False,
    precision: Precision = None,
    weights: Weights = None,
    unverified_weights: UnverifiedWeights = False,
    subset: Annotated[
        int,
        typer.Option(
            min=2,
            metavar="N",
            help="Images that metrics on nearest neighbours use at most, drawn at random.",
            rich_help_panel=options.PROTOCOL,
        ),
    ] = 10_000,
    detector: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Anomaly detector behind the metric anomaly_auc; `latentbench detectors` lists "
            "them.",
            show_default="distance to the 5th nearest training feature",
            rich_help_panel=options.PROTOCOL,
        ),
    ] = None,
    budget: Budget = None,
    seed: Annotated[
        int, options.seed(2**32 - 1, "Seed of all random draws.", options.PROTOCOL)
    ] = 2020,
    batch_size: BatchSize = None,
    compiled: Annotated[
        bool,
        typer.Option(
            "--compile",
            help="Compile the network where that saves time: many images on a GPU.",
            rich_help_panel=options.SPEED,
        ),
    ] = False,
    device: Device = None,
    no_cache: NoCache = False,
    out: Annotated[
        Path, options.out("Folder for the records: a file each, and a line in records.jsonl.")
    ] = RESULTS_DIR,
    json_lines: Json = False,
    no_pictures: Annotated[
        bool,
        typer.Option(
            "--no-pictures",
            help="Do not store the pictures that `latentbench report` shows.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Score submissions against a reference.

    Examples:
      latentbench score samples/ --reference mnist
      latentbench score team-*.zip --spec mnist-10k --out results/
      latentbench score samples/ --metrics fid,recall_k3 --json
      latentbench score samples/ --reference real/ --extractor inception --protocol all
      latentbench score samples/ --reference real/ --protocol course --explain

    Writes a record of each submission and prints a table of its metrics with intervals. A
    submission that cannot be scored does not stop the others: exit code 1, or the code of the
    error if all failures share it.
    """
    from bench.metrics import METRICS
    from bench.runtime.progress import progress_report
    from bench.runtime.terminal import require_writable
    from bench.scoring.results_folder import write_results
    from bench.scoring.scorer import Failure, Scorer
    from bench.scoring.settings import ScoreSettings

    require_writable(out, "records")
    of_course = protocol == COURSE
    if explain and not of_course:
        raise UsageError(f"--explain belongs to --protocol {COURSE}")
    settings = ScoreSettings(
        reference=reference,
        extractor=extractor,
        layer=layer,
        protocol=None if of_course else protocol,
        precision=precision,
        weights=weights,
        unverified_weights=unverified_weights,
        batch_size=batch_size,
        compiled=compiled,
        metrics=options.split(metrics),
        spec=spec,
        resize=resize,
        subset=subset,
        seed=seed,
        detector=detector,
        budget=budget,
        device=device,
        use_cache=not no_cache,
    )
    if of_course:
        from bench.cli.course import print_course

        code = print_course(
            submissions, settings, out, explain=explain, json_lines=json_lines, quiet=quiet
        )
        if code != EXIT_OK:
            raise typer.Exit(code)
        return
    with progress_report(quiet=quiet) as progress:
        scorer = Scorer(settings, progress=progress)
    if metrics is None:
        broken = METRICS.loadable().broken
        sys.stderr.writelines(f"latentbench: omitted: {one.reason}\n" for one in broken)
    failures: list[Failure] = []
    for path in submissions:
        with progress_report(quiet=quiet) as progress:
            result = scorer.attempt(path, limit=limit, progress=progress)
        if isinstance(result, Failure):
            failures.append(result)
            print_failure(result, json_lines=json_lines)
            continue
        try:
            files = write_results(scorer, result, out, pictures=not no_pictures)
        except LatentbenchError as error:
            failures.append(Failure(path, error))
            print_report(error)
            sys.stderr.write(f"latentbench: {error}\n")
            files = []
        print_results(result, files, json_lines=json_lines)
    if failures:
        if len(submissions) > 1:
            scored = len(submissions) - len(failures)
            sys.stderr.write(f"latentbench: {scored} scored, {len(failures)} failed\n")
        codes = {failure.error.exit_code for failure in failures}
        raise typer.Exit(codes.pop() if len(codes) == 1 else EXIT_INVALID)


def print_results(
    records: Sequence[ScoreRecord], files: Sequence[Path], *, json_lines: bool = False
) -> None:
    """Print the records of one submission, one for each protocol, and the files they are in."""
    from bench.tables.score_table import print_record, print_side_by_side

    if json_lines:
        sys.stdout.writelines(record.model_dump_json() + "\n" for record in records)
    else:
        if len(records) == 1:
            print_record(records[0])
        else:
            print_side_by_side(records)
        sys.stdout.writelines(f"written: {file}\n" for file in files)
    sys.stdout.flush()


def print_failure(failure: Failure, *, json_lines: bool = False) -> None:
    """Print why a submission could not be scored, with every finding."""
    from bench.intake import sanitise
    from bench.tables.console import print_findings

    findings = failure.error.findings if isinstance(failure.error, InvalidSubmission) else ()
    if json_lines:
        failed = {
            "source": sanitise(failure.source),
            "error": str(failure.error),
            "exit_code": failure.error.exit_code,
            "findings": [vars(finding) for finding in findings],
            **report_of(failure.error),
        }
        sys.stdout.write(json.dumps(failed) + "\n")
        return
    print_report(failure.error)
    sys.stderr.write(f"latentbench: {failure.error}\n")
    print_findings(findings)
