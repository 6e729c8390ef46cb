"""`latentbench score`: submissions to tables and records."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.options import Quiet
from bench.errors import EXIT_INVALID, InvalidSubmission, UsageError
from bench.runtime.destinations import require_writable

if TYPE_CHECKING:
    from bench.records.score_record import ScoreRecord
    from bench.scoring.scorer import Failure, Scorer

RESULTS_DIR = Path("latentbench-results")


def _names(text: str | None) -> list[str] | None:
    if text is None:
        return None
    return [name.strip() for name in text.split(",") if name.strip()]


def score(
    submissions: Annotated[
        list[str], typer.Argument(help="Folders, zips, npz, npy or idx files of images.")
    ],
    *,
    reference: Annotated[
        str, typer.Option(help="Reference by name, its manifest, or a folder of real images.")
    ] = "mnist",
    extractor: Annotated[
        str | None, typer.Option(help="Extractor; default: the one the reference is built for.")
    ] = None,
    layer: Annotated[str | None, typer.Option(help="Layer of the extractor.")] = None,
    protocol: Annotated[
        str | None,
        typer.Option(help="Whose resizing: torch-fidelity, clean-fid, pytorch-fid, ...; or all."),
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="exact, or faster and less exact: tf32x3, tf32, fp16.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Weights file of the extractor, or its folder.")
    ] = None,
    unverified_weights: Annotated[
        bool, typer.Option("--unverified-weights", help="Accept weights of another digest.")
    ] = False,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Images at a time; default: by memory.")
    ] = None,
    compiled: Annotated[
        bool,
        typer.Option("--compile", help="Compile the network when that pays: GPU, many images."),
    ] = False,
    resize: Annotated[
        str | None, typer.Option(help="WIDTHxHEIGHT to bring images of other sizes to.")
    ] = None,
    subset: Annotated[
        int, typer.Option(min=2, help="Images kept of more, for the neighbour metrics.")
    ] = 10_000,
    metrics: Annotated[
        str | None, typer.Option(help="Metrics by name, with commas; default: all of them.")
    ] = None,
    spec: Annotated[
        str | None, typer.Option(help="Demand a submission spec: mnist-10k, or a TOML file.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the records.")] = RESULTS_DIR,
    json_lines: Annotated[
        bool, typer.Option("--json", help="One JSON line each on stdout, no tables.")
    ] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Read only so many images; marks it unofficial.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of every draw.")] = 2020,
    detector: Annotated[
        str | None,
        typer.Option(help="What judges anomaly_auc; default: 5th nearest train feature."),
    ] = None,
    budget: Annotated[
        str | None, typer.Option(help="Training of a --detector: published (default), or cpu.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu or cuda; default: cuda when there is one.")
    ] = None,
    no_exhibits: Annotated[
        bool, typer.Option("--no-exhibits", help="Keep no pictures for a report page.")
    ] = False,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Neither read nor write the cache.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Score submissions against a reference: a table on screen, a record on disk.

    \b
    latentbench score samples/ --reference mnist
    latentbench score team-*.zip --spec mnist-10k --out results/
    latentbench score samples/ --reference real/ --extractor inception --protocol all
    """
    from bench.metrics import METRICS
    from bench.runtime.progress import progress_report
    from bench.scoring.scorer import Failure, Scorer

    require_writable(out, "records")
    with progress_report(quiet=quiet) as progress:
        scorer = Scorer(
            reference=reference,
            extractor=extractor,
            layer=layer,
            protocol=protocol,
            precision=precision,
            weights=weights,
            unverified_weights=unverified_weights,
            batch_size=batch_size,
            compiled=compiled,
            metrics=_names(metrics),
            spec=spec,
            resize=resize,
            subset=subset,
            seed=seed,
            detector=detector,
            budget=budget,
            device=device,
            use_cache=not no_cache,
            progress=progress,
        )
    if metrics is None:
        broken = METRICS.loadable().broken
        sys.stderr.writelines(f"latentbench: left out: {one.reason}\n" for one in broken)
    failures: list[Failure] = []
    for path in submissions:
        with progress_report(quiet=quiet) as progress:
            result = scorer.attempt(path, limit=limit, progress=progress)
        if isinstance(result, Failure):
            failures.append(result)
            _print_failure(result, json_lines=json_lines)
            continue
        try:
            deliver(result, out, json_lines=json_lines)
            if not no_exhibits:
                keep_exhibits(scorer, result, out, quiet=json_lines)
        except UsageError as error:
            failures.append(Failure(path, error))
            sys.stderr.write(f"latentbench: {error}\n")
    if failures:
        if len(submissions) > 1:
            scored = len(submissions) - len(failures)
            sys.stderr.write(f"latentbench: {scored} scored, {len(failures)} failed\n")
        codes = {failure.error.exit_code for failure in failures}
        raise typer.Exit(codes.pop() if len(codes) == 1 else EXIT_INVALID)


def deliver(records: Sequence[ScoreRecord], out: Path, *, json_lines: bool) -> None:
    """Print the records of one submission, then keep them: each as a file of its own, and as a
    line in the folder's records.jsonl.
    """
    from bench.records.score_record import append_record, record_file_name, write_record
    from bench.tables.score_table import print_record, print_side_by_side

    paths = [out / record_file_name(record) for record in records]
    try:
        if json_lines:
            sys.stdout.writelines(record.model_dump_json() + "\n" for record in records)
        else:
            if len(records) == 1:
                print_record(records[0])
            else:
                print_side_by_side(records)
            for path in paths:
                sys.stdout.write(f"record: {path} (and a line in {out / 'records.jsonl'})\n")
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough; the records are kept all the same
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115  (open to the end)
    try:
        for record, path in zip(records, paths, strict=True):
            write_record(record, path)
            append_record(record, out / "records.jsonl")
    except OSError as error:
        raise UsageError(f"{out}: the record could not be written: {error}") from error


def keep_exhibits(
    scorer: Scorer, records: Sequence[ScoreRecord], out: Path, *, quiet: bool = False
) -> None:
    """Write what a report page shows of each record beside its file, under the same stem."""
    from bench.records.pictures_file import write_exhibits
    from bench.records.score_record import record_file_name

    for record in records:
        path = (out / record_file_name(record)).with_suffix(".npz")
        exhibits = scorer.exhibits(record)
        try:
            write_exhibits(exhibits, path)
        except OSError as error:
            raise UsageError(f"{path}: the exhibits could not be written: {error}") from error
        if not quiet:
            _say(f"for latentbench report: {path}\n")


def _say(text: str) -> None:
    """Write a line, unless nobody reads any more."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115  (open to the end)


def _print_failure(failure: Failure, *, json_lines: bool) -> None:
    from bench.intake import sanitise
    from bench.tables.console import print_findings

    findings = failure.error.findings if isinstance(failure.error, InvalidSubmission) else ()
    if json_lines:
        failed = {
            "source": sanitise(failure.source),
            "error": str(failure.error),
            "exit_code": failure.error.exit_code,
            "findings": [vars(finding) for finding in findings],
        }
        sys.stdout.write(json.dumps(failed) + "\n")
        return
    sys.stderr.write(f"latentbench: {failure.error}\n")
    print_findings(findings)
