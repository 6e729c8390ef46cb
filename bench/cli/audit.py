"""`latentbench audit`: every problem of a submission in one pass, and a corrected copy."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.options import Quiet
from bench.errors import EXIT_INVALID, UsageError

if TYPE_CHECKING:
    from bench.intake import AuditReport, Finding
    from bench.records.score_record import FindingEntry


def audit(
    submission: Annotated[str, typer.Argument(help="Folder, zip, npz, npy or idx file.")],
    *,
    spec: Annotated[
        str | None, typer.Option(help="Demand a submission spec: mnist-10k, or a TOML file.")
    ] = None,
    repair: Annotated[
        Path | None, typer.Option(help="Write a corrected copy of all that can be corrected.")
    ] = None,
    content: Annotated[
        bool, typer.Option("--content", help="Look at the images too: range, blur, repeats, ...")
    ] = False,
    reference: Annotated[
        str | None, typer.Option(help="With --content: compare with this reference's images.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The report as JSON on stdout.")] = False,
    quiet: Quiet = False,
) -> None:
    """Find every problem of a submission in one pass, with the fix. Exit 1 when it is invalid.

    \b
    latentbench audit samples/ --spec mnist-10k
    latentbench audit samples/ --repair samples-fixed/
    latentbench audit samples/ --content --reference mnist
    """
    from bench.intake import audit as run_audit
    from bench.intake import load_spec
    from bench.intake import repair as run_repair
    from bench.runtime.progress import progress_report
    from bench.tables.console import print_findings

    if reference is not None and not content:
        raise UsageError("--reference is for --content: what the images are compared with")
    wanted = None if spec is None else load_spec(spec)
    about_content: tuple[FindingEntry, ...] = ()
    with progress_report(quiet=quiet) as progress:

        def reading(done: int, total: int) -> None:
            progress("read", done, total)

        if content:
            from bench.scoring.content_audit import audit_content

            report, about_content = audit_content(
                submission, reference, spec=wanted, progress=reading
            )
        else:
            report = run_audit(submission, spec=wanted, keep_pixels=False, progress=reading)
    everything: list[Finding | FindingEntry] = [*report.findings, *about_content]
    if as_json:
        summary = {
            "source": report.source,
            "kind": report.kind,
            "valid": report.valid,
            "num_files": report.num_files,
            "findings": [vars(finding) for finding in everything],
        }
        sys.stdout.write(json.dumps(summary) + "\n")
    else:
        print_findings(everything)
        verdict = "valid" if report.valid else "invalid"
        sys.stdout.write(
            f"{report.source}: {verdict}, {report.num_files:,} files{_shape(report)}\n"
        )
    if repair is not None:
        with progress_report(quiet=quiet) as progress:
            repaired = run_repair(
                submission,
                repair,
                spec=wanted,
                progress=lambda done, total: progress("repair", done, total),
            )
        sys.stderr.write(
            f"latentbench: {repaired.num_written:,} images written to {repair}\n"
            if repaired.out is not None
            else "latentbench: nothing could be repaired, nothing was written\n"
        )
        for title, findings in (
            ("changed form", repaired.converted),
            ("left out", repaired.left_out),
        ):
            if findings:
                sys.stderr.write(f"{title}:\n")
                print_findings(findings)
    if not report.valid:
        raise typer.Exit(EXIT_INVALID)


def _shape(report: AuditReport) -> str:
    identity = report.identity
    if identity is None:
        return ""
    mode = "grey" if identity.channels == 1 else "RGB"
    return f", {identity.num_images:,} images of {identity.width}x{identity.height} px, {mode}"
