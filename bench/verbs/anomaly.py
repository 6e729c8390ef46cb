"""`latentbench anomaly`: detectors of anomalies judged on labelled images."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.errors import UsageError
from bench.verbs import one_class
from bench.verbs.options import Quiet

if TYPE_CHECKING:
    from bench.anomaly.record import AnomalyRecord


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
    seeds: Annotated[int, typer.Option(min=1, help="Benchmark: seeds of those with chance.")] = 3,
    budget: Annotated[
        str | None, typer.Option(help="Benchmark: published, or cpu for short trainings.")
    ] = None,
    contamination: Annotated[
        str, typer.Option(help="Benchmark: anomalies in training; lecture, neighbours, all.")
    ] = "none",
    executor: Annotated[
        str, typer.Option(help="Benchmark: local:N, dask:ADDRESS, slurm:PARTITION, ...")
    ] = "local",
    ledger: Annotated[
        Path, typer.Option(help="Benchmark: where done fits are kept, to resume.")
    ] = Path("runs/anomaly"),
    data_root: Annotated[Path | None, typer.Option(help="Where the data set lies.")] = None,
    option: Annotated[
        list[str] | None, typer.Option("--option", help="NAME=VALUE of the one detector.")
    ] = None,
    extractor: Annotated[
        str | None, typer.Option(help="Extractor of detectors on features; default: digits.")
    ] = None,
    resize: Annotated[
        str | None, typer.Option(help="WIDTHxHEIGHT to bring images of other sizes to.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the results.")] = Path(
        "latentbench-anomaly"
    ),
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of every draw.")] = 0,
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

    `latentbench detectors` lists them.
    """
    if data is not None:
        if train is not None or test is not None or labels is not None or option:
            raise UsageError("--data runs the benchmark: leave --train, --test and --option out")
        one_class.run(
            data,
            detectors=",".join(detector or ["shallow"]),
            seeds=seeds,
            executor=executor,
            budget=budget,
            contamination=contamination,
            extractor=extractor,
            data_root=data_root,
            device=device,
            ledger=ledger,
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
    from bench.anomaly.folder import evaluate_folder
    from bench.console import print_findings
    from bench.progress import progress_report

    with progress_report(quiet=quiet) as progress:
        result = evaluate_folder(
            train,
            test,
            detectors=_names(detector),
            labels=labels,
            out=out,
            extractor=extractor or "digits",
            options=_options(option),
            resize=resize,
            seed=seed,
            device=device,
            progress=progress,
        )
    if json_line:
        sys.stdout.write(result.record.model_dump_json() + "\n")
        return
    _print(result.record)
    if result.record.findings:
        print_findings(result.record.findings)
    sys.stdout.write(f"record: {out / 'record.json'}, curves: {out / 'roc.svg'}\n")
    sys.stdout.write(f"scores of every image, histograms, most anomalous images: {out}/DETECTOR/\n")


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
        found[name] = value
    return found


def _print(record: AnomalyRecord) -> None:
    from bench.console import print_rows
    from bench.detectors.base import SEEN
    from bench.numerals import decimals

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
                entry.name,
                f"{entry.auc:.4f}",
                ""
                if interval is None
                else f"{interval.low:.{places}f} to {interval.high:.{places}f}",
                f"{entry.average_precision:.4f}",
                f"{entry.fpr_at_95_tpr:.4f}",
                f"{entry.num_normal:,} + {entry.num_anomalous:,}",
                f"{entry.fit_s:.1f} + {entry.score_s:.1f}",
                SEEN[entry.labels],
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
