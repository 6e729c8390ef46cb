"""The command `latentbench`: parse, call, print, exit. Every verb loads what it needs itself, so
that `--help` is quick. Further verbs come through the entry-point group `latentbench.verbs`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.errors import EXIT_INVALID, InvalidSubmission, UsageError

if TYPE_CHECKING:
    from bench.intake import AuditReport
    from bench.record import ScoreRecord
    from bench.scoring import Failure

VERBS_GROUP = "latentbench.verbs"
RESULTS_DIR = Path("latentbench-results")

HELP = """Score folders of generated images, honestly.

\b
Examples:
  latentbench demo                              see it work, nothing to prepare
  latentbench score samples/ --reference mnist  a table, and a record on disk
  latentbench audit samples/ --spec mnist-10k   every problem in one pass, with the fix
  latentbench score a.zip b/ c.npz --json       several at once, a JSON line each
  latentbench reference list                    what can be scored against

\b
Exit codes: 0 ok, 1 invalid submission or regression, 2 interrupted, 3 internal error,
4 usage error, 5 nothing found.
"""

app = typer.Typer(
    help=HELP,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)
reference_app = typer.Typer(
    help="Build, list and verify reference bundles.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(reference_app, name="reference")


def _version(wanted: bool) -> None:
    if wanted:
        from bench.provenance import version

        sys.stdout.write(f"latentbench {version()}\n")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit.", is_eager=True, callback=_version
        ),
    ] = False,
) -> None:
    pass


def _names(text: str | None) -> list[str] | None:
    if text is None:
        return None
    return [name.strip() for name in text.split(",") if name.strip()]


@app.command()
def score(
    submissions: Annotated[
        list[str], typer.Argument(help="Folders, zips, npz, npy or idx files of images.")
    ],
    *,
    reference: Annotated[
        str, typer.Option(help="Reference by name, or the path of a manifest.")
    ] = "mnist",
    extractor: Annotated[
        str | None, typer.Option(help="Extractor; default: the one the reference is built for.")
    ] = None,
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
    device: Annotated[
        str | None, typer.Option(help="cpu or cuda; default: cuda when there is one.")
    ] = None,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Neither read nor write the cache.")
    ] = False,
) -> None:
    """Score submissions against a reference: a table on screen, a record on disk.

    \b
    latentbench score samples/ --reference mnist
    latentbench score team-*.zip --spec mnist-10k --out results/
    """
    from bench.console import progress_report
    from bench.scoring import Failure, Scorer

    scorer = Scorer(
        reference=reference,
        extractor=extractor,
        metrics=_names(metrics),
        seed=seed,
        device=device,
        use_cache=not no_cache,
        spec=spec,
    )
    failures: list[Failure] = []
    for path in submissions:
        with progress_report() as progress:
            result = scorer.attempt(path, limit=limit, progress=progress)
        if isinstance(result, Failure):
            failures.append(result)
            _print_failure(result, json_lines=json_lines)
        else:
            deliver(result, out, json_lines=json_lines)
    if failures:
        if len(submissions) > 1:
            scored = len(submissions) - len(failures)
            sys.stderr.write(f"latentbench: {scored} scored, {len(failures)} failed\n")
        codes = {failure.error.exit_code for failure in failures}
        raise typer.Exit(codes.pop() if len(codes) == 1 else EXIT_INVALID)


def deliver(record: ScoreRecord, out: Path, *, json_lines: bool) -> None:
    """Print one record and keep it: its own file, and a line in the folder's records.jsonl."""
    from bench.record import SHORT_DIGEST, append_record, write_record

    stem = (
        f"{safe_file_name(record.submission.name)}-{record.submission.pixel_digest[:SHORT_DIGEST]}"
    )
    path = out / f"{stem}.json"
    try:
        write_record(record, path)
        append_record(record, out / "records.jsonl")
    except OSError as error:
        raise UsageError(f"{out}: the record cannot be written: {error}") from error
    if json_lines:
        sys.stdout.write(record.model_dump_json() + "\n")
        return
    from bench.console import print_record

    print_record(record)
    sys.stdout.write(f"record: {path} (and a line in {out / 'records.jsonl'})\n")


def safe_file_name(name: str) -> str:
    """Letters, digits, dot, minus and underscore of a name, at most 60, never empty or hidden."""
    kept = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in name)
    return kept.lstrip(".")[:60] or "submission"


def _print_failure(failure: Failure, *, json_lines: bool) -> None:
    from bench.console import print_findings
    from bench.intake import sanitise

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


@app.command()
def audit(
    submission: Annotated[str, typer.Argument(help="Folder, zip, npz, npy or idx file.")],
    *,
    spec: Annotated[
        str | None, typer.Option(help="Demand a submission spec: mnist-10k, or a TOML file.")
    ] = None,
    repair: Annotated[
        Path | None, typer.Option(help="Write a corrected copy of all that can be corrected.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The report as JSON on stdout.")] = False,
) -> None:
    """Find every problem of a submission in one pass, with the fix. Exit 1 when it is invalid.

    \b
    latentbench audit samples/ --spec mnist-10k
    latentbench audit samples/ --repair samples-fixed/
    """
    from bench.console import print_findings, progress_report
    from bench.intake import audit as run_audit
    from bench.intake import load_spec
    from bench.intake import repair as run_repair

    wanted = None if spec is None else load_spec(spec)
    with progress_report() as progress:
        report = run_audit(
            submission, spec=wanted, progress=lambda done, total: progress("read", done, total)
        )
    if as_json:
        summary = {
            "source": report.source,
            "kind": report.kind,
            "valid": report.valid,
            "num_files": report.num_files,
            "findings": [vars(finding) for finding in report.findings],
        }
        sys.stdout.write(json.dumps(summary) + "\n")
    else:
        print_findings(report.findings)
        verdict = "valid" if report.valid else "invalid"
        sys.stdout.write(
            f"{report.source}: {verdict}, {report.num_files:,} files{_shape(report)}\n"
        )
    if repair is not None:
        with progress_report() as progress:
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
    if report.images is None:
        return ""
    num_images, height, width, channels = report.images.images.shape
    mode = "grey" if channels == 1 else "RGB"
    return f", {num_images:,} images of {width}x{height} px, {mode}"


@reference_app.command("list")
def reference_list() -> None:
    """List the references that can be scored against."""
    from bench.console import print_rows
    from bench.references import list_references, read_manifest

    rows = []
    for name, files in sorted(list_references().items()):
        for file in files:
            manifest = read_manifest(file)
            rows.append(
                [
                    name,
                    manifest.extractor,
                    f"{manifest.width_px}x{manifest.height_px}",
                    f"{manifest.num_train:,}",
                    f"{manifest.num_test:,}",
                    str(file),
                ]
            )
    print_rows(["reference", "extractor", "px", "train", "test", "manifest"], rows)


@reference_app.command("verify")
def reference_verify(
    names: Annotated[
        list[str] | None, typer.Argument(help="References or manifests; default: all.")
    ] = None,
) -> None:
    """Check digests, arrays and fitness for the extractors in use. Exit 4 when one is unfit."""
    from bench.errors import BundleError
    from bench.extractors import extractor_row
    from bench.references import (
        find_manifest,
        list_references,
        load_reference,
        require_same_weights,
    )

    files = (
        [find_manifest(name) for name in names]
        if names
        else [file for group in list_references().values() for file in group]
    )
    broken = 0
    for file in files:
        try:
            reference = load_reference(file)
            row = extractor_row(reference.manifest.extractor)
            row.read_weights()
            require_same_weights(reference.manifest, row)
        except BundleError as error:
            broken += 1
            sys.stdout.write(f"FAILED {error}\n")
        else:
            sys.stdout.write(f"ok {file} sha256 {reference.digest}\n")
    if broken:
        raise BundleError(f"{broken} of {len(files)} references are unfit for use")


@reference_app.command("build")
def reference_build(
    name: Annotated[str, typer.Argument(help="Name of the reference to build.")],
    *,
    data: Annotated[
        str | None,
        typer.Option(help="Data set: mnist, fashion-mnist, torchvision:CLASS. Default: NAME."),
    ] = None,
    train: Annotated[
        Path | None, typer.Option(help="Folder, zip, npz, npy or idx of real images instead.")
    ] = None,
    test: Annotated[Path | None, typer.Option(help="The same for held-out real images.")] = None,
    extractor: Annotated[str, typer.Option(help="Extractor to build it for.")] = "digits",
    data_root: Annotated[Path | None, typer.Option(help="Where the data set lies.")] = None,
    download: Annotated[bool, typer.Option("--download", help="Fetch it if need be.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the bundle; default: where names are found.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda.")] = None,
) -> None:
    """Build a reference from a data set or from folders of real images.

    \b
    latentbench reference build mnist --data-root data/
    latentbench reference build birds --train birds/train --test birds/test --extractor digits
    """
    from bench.console import progress_report
    from bench.reference_build import build_from
    from bench.scoring import select_device

    with progress_report() as progress:
        path = build_from(
            name,
            out,
            data=data,
            train=train,
            test=test,
            extractor=extractor,
            data_root=data_root,
            download=download,
            device=select_device(device),
            progress=progress,
        )
    sys.stdout.write(f"reference {name!r} built: {path}\n")


@app.command()
def ladder(
    *,
    data: Annotated[str, typer.Option(help="Data set whose test split is damaged.")] = "mnist",
    other: Annotated[str, typer.Option(help="Data set to mix in.")] = "fashion-mnist",
    data_root: Annotated[Path | None, typer.Option(help="Where both data sets lie.")] = None,
    num_images: Annotated[int, typer.Option("--num-images", "-n", min=100)] = 5_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of every draw.")] = 0,
    out: Annotated[Path, typer.Option(help="Folder for records and report.")] = Path("ladder"),
    render: Annotated[
        bool, typer.Option("--render", help="Rebuild the report from the records in --out.")
    ] = False,
) -> None:
    """Damage real images at rising levels and see which metric notices. Exit 1 when FID does not.

    \b
    latentbench ladder --data mnist --other fashion-mnist --out ladder-mnist
    latentbench ladder --out ladder-mnist --render
    """
    from bench.console import progress_report
    from bench.ladder import run_study, write_report

    if not render:
        with progress_report() as progress:
            run_study(
                out,
                data=data,
                other=other,
                data_root=data_root,
                num_images=num_images,
                seed=seed,
                progress=progress,
            )
    failed = write_report(out)
    sys.stdout.write(f"report: {out / 'README.md'}\n")
    if failed:
        sys.stderr.write(f"latentbench: FID does not rise strictly along {', '.join(failed)}\n")
        raise typer.Exit(EXIT_INVALID)


@app.command("metrics")
def list_metrics() -> None:
    """List the metrics: what each is, which way is better, where it comes from."""
    from bench.console import ARROWS, print_rows
    from bench.metrics import METRICS

    print_rows(
        ["metric", "what it is", "better", "unit", "source"],
        [[m.name, m.title, ARROWS[m.direction], m.unit, m.citation] for m in METRICS.values()],
    )


@app.command("extractors")
def list_extractors() -> None:
    """List the extractors, with the digests of their weights."""
    from bench.console import print_rows
    from bench.extractors import EXTRACTORS

    print_rows(
        ["extractor", "what it is", "features", "input", "weights sha256"],
        [
            [
                row.name,
                row.title,
                str(row.feature_dim),
                f"{row.side_px}x{row.side_px} px",
                row.sha256,
            ]
            for row in EXTRACTORS.values()
        ],
    )


@app.command()
def cache(
    *,
    clear: Annotated[bool, typer.Option("--clear", help="Delete every entry.")] = False,
) -> None:
    """Show where the cache lies and how large it is; --clear empties it."""
    from bench.cache import Cache, default_root

    kept = Cache(default_root())
    sys.stdout.write(f"location: {kept.root} (LATENTBENCH_CACHE moves it)\n")
    if clear:
        removed = kept.clear()
        sys.stdout.write(
            f"deleted: {removed.num_entries} entries, {_megabytes(removed.num_bytes)}\n"
        )
        return
    sizes = kept.sizes()
    for kind, size in sorted(sizes.items()):
        sys.stdout.write(f"{kind}: {size.num_entries} entries, {_megabytes(size.num_bytes)}\n")
    total = sum(size.num_bytes for size in sizes.values())
    sys.stdout.write(f"total: {_megabytes(total)}\n")


def _megabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:.1f} MB"


def register_verbs() -> None:
    """Add the verbs of the entry-point group. One that cannot be imported is told, not fatal; a
    name that is taken already raises.
    """
    taken = {command.name or "" for command in app.registered_commands}
    for entry in sorted(metadata.entry_points(group=VERBS_GROUP), key=lambda e: e.name):
        try:
            verb: Callable[..., None] = entry.load()
        except ImportError as error:
            sys.stderr.write(f"latentbench: verb {entry.name!r} cannot be loaded: {error}\n")
            continue
        if entry.name in taken:
            continue
        app.command(entry.name)(verb)
