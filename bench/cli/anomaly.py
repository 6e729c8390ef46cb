"""`latentbench anomaly`: detectors of anomalies judged on labelled images."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import anomaly_benchmark
from bench.cli.options import Quiet
from bench.errors import EXIT_INVALID, UsageError

if TYPE_CHECKING:
    from bench.anomaly.folder.record import AnomalyRecord


def anomaly(
    *,
    train: Annotated[
        str | None, typer.Option(help="Normal images: folder, zip, npz, npy or idx file.")
    ] = None,
    test: Annotated[
        str | None, typer.Option(help="Folder with normal/ and anomalous/, or see --labels.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="CSV of name,label for --test: normal, anomalous, 0, 1.")
    ] = None,
    detector: Annotated[
        list[str] | None,
        typer.Option(
            "--detector", "--detectors", help="Names with commas; shallow, network or all."
        ),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="One-class benchmark: mnist, fashion-mnist, torchvision:...")
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            help="Benchmark: seeds of those with chance, or shallow=3,network=1; default: 3."
        ),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(
            help="Training of networks: published, or cpu for a short one; default: published, "
            "in the benchmark without a GPU cpu."
        ),
    ] = None,
    contamination: Annotated[
        str | None,
        typer.Option(help="Benchmark: anomalies in training; none, lecture, neighbours, all."),
    ] = None,
    executor: Annotated[
        str | None,
        typer.Option(
            help="Benchmark: local:N, dask:ADDRESS, slurm:PARTITION, ...; default: local."
        ),
    ] = None,
    ledger: Annotated[
        Path | None,
        typer.Option(help="Benchmark: where done fits are kept, to resume; default: runs/anomaly."),
    ] = None,
    data_root: Annotated[
        Path | None, typer.Option(help="Benchmark: where the data set lies.")
    ] = None,
    option: Annotated[
        list[str] | None, typer.Option("--option", help="NAME=VALUE of the one detector.")
    ] = None,
    extractor: Annotated[
        str | None, typer.Option(help="Extractor of detectors on features; default: digits.")
    ] = None,
    resize: Annotated[
        str | None, typer.Option(help="Folder: WIDTHxHEIGHT to bring images of other sizes to.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path(
        "latentbench-anomaly"
    ),
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=2**32 - 1, help="Folder: seed of every draw; default: 0."),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu or cuda; default: cuda when there is one.")
    ] = None,
    json_line: Annotated[
        bool, typer.Option("--json", help="The record as a JSON line on stdout, no table.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Judge anomaly detectors: fitted on normal images, scored on labelled ones; with --data on
    every class of a data set as the normal one.

    \b
    latentbench anomaly --data mnist --detectors all --seeds 3 --executor local:2
    latentbench anomaly --train normal/ --test test/ --detector pca --detector knn-pixels
    latentbench anomaly --train normal.zip --test mixed/ --labels labels.csv --detector shallow
    latentbench anomaly --train normal/ --test test/ --detector knn-pixels --option k=2
    latentbench anomaly --train normal/ --test test/ --detector ae-conv --budget cpu

    `latentbench detectors` lists them.
    """
    of_folder = {
        "train": train,
        "test": test,
        "labels": labels,
        "option": option or None,
        "resize": resize,
        "seed": seed,
    }
    of_benchmark = {
        "seeds": seeds,
        "contamination": contamination,
        "executor": executor,
        "ledger": ledger,
        "data-root": data_root,
    }
    if data is not None:
        _refuse(of_folder, "--data runs the benchmark", "judge a folder, without --data")
        anomaly_benchmark.run(
            data,
            detectors=",".join(detector or ["shallow"]),
            seeds="3" if seeds is None else seeds,
            executor="local" if executor is None else executor,
            budget=budget,
            contamination="none" if contamination is None else contamination,
            extractor=extractor,
            data_root=data_root,
            device=device,
            ledger=ledger or Path("runs/anomaly"),
            out=out,
            json_lines=json_line,
            quiet=quiet,
        )
        return
    if train is None or test is None:
        raise UsageError(
            "give normal images with --train and labelled ones with --test, or a data set with "
            "--data"
        )
    _refuse(of_benchmark, "--train and --test judge a folder", "run the benchmark, with --data")
    from bench.anomaly.choices import require_budget
    from bench.anomaly.folder.evaluate import evaluate_folder
    from bench.runtime.progress import progress_report
    from bench.tables.console import print_findings

    with progress_report(quiet=quiet) as progress:
        result = evaluate_folder(
            train,
            test,
            detectors=_names(detector),
            labels=labels,
            out=out,
            extractor=extractor or "digits",
            options=_options(option),
            budget=require_budget(budget),
            resize=resize,
            seed=seed or 0,
            device=device,
            progress=progress,
        )
    if json_line:
        sys.stdout.write(result.record.model_dump_json() + "\n")
    else:
        _print(result.record)
        if result.record.findings:
            print_findings(result.record.findings)
        sys.stdout.write(f"record: {out / 'record.json'}, curves: {out / 'roc.svg'}\n")
        sys.stdout.write(
            f"scores of every image, histograms, most anomalous images: {out}/DETECTOR/\n"
        )
    for one in result.left_out:
        sys.stderr.write(f"latentbench: {one.name} left out: {one.reason}\n")
    for one in result.failed:
        sys.stderr.write(f"latentbench: {one.name} failed: {one.reason}\n")
    if result.failed:
        raise typer.Exit(EXIT_INVALID)


def _refuse(options: Mapping[str, object], mode: str, others: str) -> None:
    """Raises `UsageError` for options of the other mode that were given."""
    given = [f"--{name}" for name, value in options.items() if value is not None]
    if given:
        raise UsageError(f"{mode}: leave {', '.join(given)} out; they {others}")


def _names(detector: list[str] | None) -> list[str]:
    """Names given one by one or with commas."""
    parts = [part.strip() for given in detector or [] for part in given.split(",")]
    return [part for part in parts if part]


def _options(option: list[str] | None) -> dict[str, float | int | str]:
    found: dict[str, float | int | str] = {}
    for given in option or []:
        name, separator, value = given.partition("=")
        if not separator or not name:
            raise UsageError(f"--option {given!r}: expected NAME=VALUE")
        if name in found:
            raise UsageError(
                f"--option {name} is given twice, as {found[name]} and as {value}; give one"
            )
        found[name] = value
    return found


def _print(record: AnomalyRecord) -> None:
    from bench.tables.console import print_rows
    from bench.tables.numbers import decimals

    sizes = sum(part.num_images for part in record.test)
    sys.stdout.write(
        f"{record.train.num_images:,} normal images to learn from, {sizes:,} labelled ones to "
        "judge by\n\n"
    )
    rows = []
    for entry in sorted(record.detectors, key=lambda entry: -entry.auc):
        interval = entry.interval
        places = 4 if interval is None else max(3, decimals(interval))
        rows.append(
            [
                entry.name + (" (cpu budget)" if entry.budget == "cpu" else ""),
                f"{entry.auc:.4f}",
                ""
                if interval is None
                else f"{interval.low:.{places}f} to {interval.high:.{places}f}",
                f"{entry.average_precision:.4f}",
                f"{entry.fpr_at_95_tpr:.4f}",
                f"{entry.num_normal:,} + {entry.num_anomalous:,}",
                f"{entry.fit_s:.1f} + {entry.score_s:.1f}",
                entry.seen,
            ]
        )
    print_rows(
        [
            "detector",
            "AUC",
            "95 % interval",
            "AP",
            "FPR at 95 % TPR",
            "normal + anomalous",
            "fit + score, s",
            "has seen",
        ],
        rows,
    )
    sys.stdout.write("95 % interval of the AUC: DeLong, for another draw of both kinds\n")
