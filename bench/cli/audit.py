"""`latentbench audit`: every problem of a submission in one pass, and a corrected copy."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.options import INPUT, OUTPUT, Json, Quiet, Spec
from bench.cli.submission_errors import print_report, report_of
from bench.errors import EXIT_INVALID, EXIT_OK, LatentbenchError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.intake import AuditReport, SubmissionSpec
    from bench.records.score_record import FindingEntry


def audit(
    submissions: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SUBMISSION", help="A folder, zip, npz, npy or idx file of images; one or more."
        ),
    ] = None,
    *,
    spec: Spec = None,
    content: Annotated[
        bool,
        typer.Option(
            "--content",
            help="Look at the images too: value range, blur, duplicates, copies.",
            rich_help_panel=INPUT,
        ),
    ] = False,
    reference: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="With --content: compare the images with this reference.",
            rich_help_panel=INPUT,
        ),
    ] = None,
    repair: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write a corrected copy, with all of the images, to this new folder.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    json_lines: Json = False,
    example_spec: Annotated[
        bool,
        typer.Option(
            "--example-spec",
            help="Print a submission spec with every key explained, and exit.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Find every problem of a submission in one pass, with its fix.

    Examples:
      latentbench audit samples/ --spec mnist-10k
      latentbench audit team-*.zip --spec mnist-10k --json
      latentbench audit samples/ --repair samples-fixed/
      latentbench audit samples/ --content --reference mnist
      latentbench audit --example-spec > course.toml

    Exit code 1 if a submission is invalid; of several, the largest exit code.
    """
    from bench.intake import example_spec as spec_file
    from bench.intake import load_spec
    from bench.intake.failures import failure_of

    if example_spec:
        sys.stdout.write(spec_file())
        return
    if not submissions:
        raise UsageError("no submission is given; name a folder, zip, npz, npy or idx file")
    if reference is not None and not content:
        raise UsageError("--reference needs --content, which compares the images with it")
    if repair is not None and len(submissions) > 1:
        raise UsageError("--repair writes one corrected copy; give one submission at a time")
    wanted = None if spec is None else load_spec(spec)
    codes = []
    for path in submissions:
        try:
            report, on_images = _audited(path, wanted, content, reference, quiet=quiet)
        except Exception as error:  # noqa: BLE001  (no submission stops the others)
            failure = failure_of(path, error)
            _print_failure(path, failure, json_lines=json_lines)
            codes.append(failure.exit_code)
            continue
        if (report.findings or on_images) and len(submissions) > 1 and not json_lines:
            sys.stderr.write(f"{report.source}:\n")
        _print_report(report, on_images, json_lines=json_lines)
        codes.append(EXIT_OK if report.valid else EXIT_INVALID)
    if repair is not None and not _repair(submissions[0], repair, wanted, quiet=quiet):
        codes.append(EXIT_INVALID)
    if any(codes):
        raise typer.Exit(max(codes))


def _audited(
    path: str, spec: SubmissionSpec | None, content: bool, reference: str | None, *, quiet: bool
) -> tuple[AuditReport, Sequence[FindingEntry]]:
    """Return the report of one submission and, with --content, the findings about its images."""
    from bench.intake import audit as run_audit
    from bench.runtime.progress import progress_report

    with progress_report(quiet=quiet) as progress:

        def reading(done: int, total: int) -> None:
            progress("read", done, total)

        if content:
            from bench.scoring.content_audit import audit_content

            return audit_content(path, reference, spec=spec, progress=reading)
        return run_audit(path, spec=spec, keep_pixels=False, progress=reading), ()


def _print_report(
    report: AuditReport, on_images: Sequence[FindingEntry], *, json_lines: bool
) -> None:
    from bench.tables.console import print_findings, print_first_findings

    if json_lines:
        summary = {
            "source": report.source,
            "kind": report.kind,
            "valid": report.valid,
            "num_files": report.num_files,
            "findings": [vars(finding) for finding in (*report.findings, *on_images)],
        }
        sys.stdout.write(json.dumps(summary) + "\n")
        return
    print_findings(report.findings)
    print_first_findings(on_images)
    verdict = "valid" if report.valid else "invalid"
    sys.stdout.write(f"{report.source}: {verdict}, {report.num_files:,} files{_shape(report)}\n")


def _print_failure(path: str, error: LatentbenchError, *, json_lines: bool) -> None:
    """Report a submission that cannot be read at all, among others that can."""
    from bench.intake import sanitise

    if json_lines:
        failed = {"source": sanitise(path), "error": str(error), "exit_code": error.exit_code}
        sys.stdout.write(json.dumps(failed | report_of(error)) + "\n")
    else:
        print_report(error)
        sys.stderr.write(f"latentbench: {error}\n")


def _repair(path: str, out: Path, spec: SubmissionSpec | None, *, quiet: bool) -> bool:
    """Write the corrected copy and report on it; return whether there is one."""
    from bench.intake import repair as run_repair
    from bench.runtime.progress import progress_report
    from bench.tables.console import print_findings

    with progress_report(quiet=quiet) as progress:
        repaired = run_repair(
            path, out, spec=spec, progress=lambda done, total: progress("repair", done, total)
        )
    refused = ", ".join(f"{finding.code} ({finding.count:,})" for finding in repaired.refused)
    if repaired.out is None:
        sys.stderr.write(
            f"latentbench: nothing was written to {out}, because not every image can be repaired: "
            f"{refused}. Make these files again, or remove them, and repeat the command\n"
        )
        return False
    sys.stderr.write(f"latentbench: all {repaired.num_written:,} images written to {out}\n")
    print_findings(repaired.converted, repaired=True)
    if refused:
        sys.stderr.write(f"not in the copy: {refused}\n")
    return True


def _shape(report: AuditReport) -> str:
    identity = report.identity
    if identity is None:
        return ""
    mode = "grey" if identity.channels == 1 else "RGB"
    return f", {identity.num_images:,} images of {identity.width}x{identity.height} px, {mode}"
