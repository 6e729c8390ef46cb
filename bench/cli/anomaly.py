"""`latentbench anomaly`: evaluate anomaly detectors on labelled images, or on a whole data set."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import anomaly_benchmark, options
from bench.cli.options import Budget, DataRoot, Device, Executor, Json, Quiet, Resize, Settings
from bench.errors import EXIT_INVALID, UsageError

if TYPE_CHECKING:
    from bench.anomaly.folder.record import AnomalyRecord

FOLDER = "Labelled images (--train and --test)"
BENCHMARK = "One-class benchmark of a data set (--data)"


def anomaly(
    *,
    train: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="Normal images to learn from: a folder, zip, npz, npy or idx file.",
            rich_help_panel=FOLDER,
        ),
    ] = None,
    test: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="Labelled images: a folder with the subfolders normal/ and anomalous/, or any "
            "images with --labels.",
            rich_help_panel=FOLDER,
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="CSV file of name,label for the images of --test; a label is normal, anomalous, "
            "0 or 1.",
            rich_help_panel=FOLDER,
        ),
    ] = None,
    threshold_fpr: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Hold out a fifth of the normal images and take the cut-off that at most this "
            "share of normal images exceeds, such as 0.05. Images of --test without labels then "
            "get a verdict each.",
            rich_help_panel=FOLDER,
        ),
    ] = None,
    resize: Resize = None,
    settings: Settings = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=2**32 - 1,
            metavar="N",
            help="Seed of all random draws.",
            show_default="0",
            rich_help_panel=FOLDER,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Data set: mnist, fashion-mnist, factors or torchvision:CLASS. Each class in turn "
            "is the normal one.",
            rich_help_panel=BENCHMARK,
        ),
    ] = None,
    data_root: DataRoot = None,
    num_seeds: Annotated[
        str | None,
        typer.Option(
            metavar="N|NAME=N,...",
            help="Seeds of detectors with random draws: a number, or one for each detector or "
            "group, as in shallow=3,network=1.",
            show_default="3",
            rich_help_panel=BENCHMARK,
        ),
    ] = None,
    contamination: Annotated[
        str | None,
        typer.Option(
            metavar="none|lecture|neighbours|all",
            help="Also train on normal images with 1 to 20 % of another class among them: lecture "
            "mixes 7 into 5, neighbours the next but one class into each, all every pair.",
            show_default="none",
            rich_help_panel=BENCHMARK,
        ),
    ] = None,
    ledger: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder of finished jobs; the same command resumes them.",
            show_default="runs/anomaly",
            rich_help_panel=BENCHMARK,
        ),
    ] = None,
    detectors: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME,...",
            help="Detectors, or the groups shallow (without a network), network, all; `latentbench "
            "detectors` lists them.",
            show_default="shallow, with --data",
            rich_help_panel=options.PROTOCOL,
        ),
    ] = None,
    budget: Budget = None,
    extractor: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Extractor of the detectors that read features.",
            show_default="digits",
            rich_help_panel=options.PROTOCOL,
        ),
    ] = None,
    executor: Executor = None,
    device: Device = None,
    out: Annotated[Path, options.out("Folder for the results.")] = Path("latentbench-anomaly"),
    json_lines: Json = False,
    quiet: Quiet = False,
) -> None:
    """Evaluate anomaly detectors.

    Examples:
      latentbench anomaly --train normal/ --test test/ --detectors pca,knn-pixels
      latentbench anomaly --train normal.zip --test mixed/ --labels labels.csv --detectors shallow
      latentbench anomaly --train normal/ --test test/ --detectors knn-pixels --set k=2
      latentbench anomaly --train normal/ --test test/ --detectors ae-conv --budget cpu
      latentbench anomaly --train normal/ --test new/ --detectors pca --threshold-fpr 0.05
      latentbench anomaly --data mnist --detectors all --num-seeds 3 --executor local:2

    Detectors learn from normal images and score labelled ones. With --data, every class of a data
    set is the normal one in turn; only that benchmark takes --executor. Exit code 1 if a detector
    fails; the others are evaluated.
    """
    of_folder = {
        "train": train,
        "test": test,
        "labels": labels,
        "threshold-fpr": threshold_fpr,
        "set": settings or None,
        "resize": resize,
        "seed": seed,
    }
    of_benchmark = {
        "num-seeds": num_seeds,
        "contamination": contamination,
        "executor": executor,
        "ledger": ledger,
        "data-root": data_root,
    }
    names = options.split(detectors)
    if data is not None:
        _refuse(of_folder, "--data runs the benchmark", "only for labelled images")
        anomaly_benchmark.run(
            data,
            detectors=",".join(["shallow"] if names is None else names),
            num_seeds="3" if num_seeds is None else num_seeds,
            executor="local" if executor is None else executor,
            budget=budget,
            contamination="none" if contamination is None else contamination,
            extractor=extractor,
            data_root=data_root,
            device=device,
            ledger=ledger or Path("runs/anomaly"),
            out=out,
            json_lines=json_lines,
            quiet=quiet,
        )
        return
    if train is None or test is None:
        raise UsageError(
            "give normal images with --train and labelled ones with --test, or a data set with "
            "--data"
        )
    _refuse(of_benchmark, "--train and --test name images", "only for the benchmark, with --data")
    if threshold_fpr is not None and labels is None and not _has_labels(test):
        _judge(
            train,
            test,
            names or [],
            threshold_fpr=threshold_fpr,
            extractor=extractor or "digits",
            given=_settings(settings) | ({} if budget is None else {"budget": budget}),
            resize=resize,
            seed=seed or 0,
            device=device,
            out=out,
            json_lines=json_lines,
            quiet=quiet,
        )
        return
    from bench.anomaly.choices import require_budget
    from bench.anomaly.folder.evaluate import evaluate_folder
    from bench.runtime.progress import progress_report
    from bench.tables.console import print_findings

    with progress_report(quiet=quiet) as progress:
        result = evaluate_folder(
            train,
            test,
            detectors=names or [],
            labels=labels,
            out=out,
            extractor=extractor or "digits",
            options=_settings(settings),
            budget=require_budget(budget),
            resize=resize,
            seed=seed or 0,
            device=device,
            threshold_fpr=threshold_fpr,
            progress=progress,
        )
    from bench.reporting.writing import report

    page = report(out, out / "report.html")
    if json_lines:
        sys.stdout.write(result.record.model_dump_json() + "\n")
    else:
        _print(result.record)
        if result.record.findings:
            print_findings(result.record.findings)
        sys.stdout.write(f"written: {page} (a page), {out / 'record.json'}\n")
        sys.stdout.write(
            f"scores of every image, histograms, most anomalous images: {out}/DETECTOR/\n"
        )
    for one in result.left_out:
        sys.stderr.write(f"latentbench: {one.name} omitted: {one.reason}\n")
    for one in result.failed:
        sys.stderr.write(f"latentbench: {one.name} failed: {one.reason}\n")
    if result.failed:
        raise typer.Exit(EXIT_INVALID)


def _has_labels(test: str) -> bool:
    """Return whether a folder has one of the subfolders that label its images."""
    from bench.anomaly.folder.labels import KINDS

    return any((Path(test) / kind).is_dir() for kind in KINDS)


def _judge(
    train: str,
    test: str,
    detectors: list[str],
    *,
    threshold_fpr: float,
    extractor: str,
    given: dict[str, float | int | str],
    resize: str | None,
    seed: int,
    device: str | None,
    out: Path,
    json_lines: bool,
    quiet: bool,
) -> None:
    """Judge images without labels and print how many are anomalous."""
    from bench.anomaly.folder.verdicts import VERDICTS, judge_folder
    from bench.runtime.progress import progress_report
    from bench.tables.console import print_findings, print_rows

    with progress_report(quiet=quiet) as progress:
        result = judge_folder(
            train,
            test,
            detectors=detectors,
            threshold_fpr=threshold_fpr,
            out=out,
            extractor=extractor,
            options=given or None,
            resize=resize,
            seed=seed,
            device=device,
            progress=progress,
        )
    record = result.record
    if json_lines:
        sys.stdout.write(record.model_dump_json() + "\n")
    else:
        held = record.detectors[0].threshold.num_held_out
        sys.stdout.write(
            f"fitted to {record.train.num_images - held:,} normal images, cut-off from {held:,} "
            f"others at a false positive rate of {threshold_fpr:g}\n\n"
        )
        print_rows(
            ["detector", "cut-off", "images", "anomalous"],
            [
                [one.name, f"{one.threshold.value:.6g}", f"{one.num_images:,}",
                 f"{one.num_anomalous:,} ({one.num_anomalous / one.num_images:.1%})"]
                for one in record.detectors
            ],
        )  # fmt: skip
        if record.findings:
            print_findings(record.findings)
        sys.stdout.write(f"verdict of every image: {out}/DETECTOR/{VERDICTS}\n")
    for missed in record.failed:
        sys.stderr.write(f"latentbench: {missed.name} failed: {missed.reason}\n")
    if record.failed:
        raise typer.Exit(EXIT_INVALID)


def _refuse(given: Mapping[str, object], mode: str, purpose: str) -> None:
    """Raise `UsageError` if an option of the other mode was given."""
    names = [f"--{name}" for name, value in given.items() if value is not None]
    if names:
        raise UsageError(f"{mode}: remove {', '.join(names)}: {purpose}")


def _settings(given: list[str] | None) -> dict[str, float | int | str]:
    """Return KEY=VALUE texts as a dictionary. Raises `UsageError`."""
    found: dict[str, float | int | str] = {}
    for text in given or []:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise UsageError(f"--set {text!r}: expected KEY=VALUE")
        if name in found:
            raise UsageError(
                f"--set {name} is given twice, as {found[name]} and as {value}; give one"
            )
        found[name] = value
    return found


def _print(record: AnomalyRecord) -> None:
    from bench.tables.console import print_rows
    from bench.tables.numbers import decimals

    num_test = sum(part.num_images for part in record.test)
    sys.stdout.write(
        f"trained on {record.train.num_images:,} normal images, evaluated on {num_test:,} "
        "labelled ones\n\n"
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
                f"{entry.average_precision:.4f} ({entry.prevalence:.4f})",
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
            "AP (by chance)",
            "FPR at 95 % TPR",
            "normal + anomalous",
            "fit + score, s",
            "has seen",
        ],
        rows,
    )
    sys.stdout.write("95 % interval of the AUC: DeLong, over draws of both kinds of images\n")
    for entry in record.detectors:
        found = entry.threshold
        if found is not None:
            sys.stdout.write(
                f"{entry.name}: cut-off {found.value:.6g} from {found.num_held_out:,} held-out "
                f"normal images, at a false positive rate of {found.fpr:g}; above it are "
                f"{found.found_fpr or 0:.1%} of the normal and {found.found_tpr or 0:.1%} of the "
                "anomalous test images\n"
            )
