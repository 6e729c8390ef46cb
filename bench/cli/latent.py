"""`latentbench latent`: measures and pictures of latent spaces."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import options
from bench.cli.options import DataRoot, Device, Download, Quiet, Resize

if TYPE_CHECKING:
    from bench.latent.record import LatentRecord


def latent(
    spaces: Annotated[
        list[str],
        typer.Argument(
            metavar="SPACE",
            help="A trained run, pca, pixels, or your own package.module:Class; one or more.",
        ),
    ],
    *,
    data: Annotated[str, options.training_data()] = "mnist",
    data_root: DataRoot = None,
    download: Download = False,
    resize: Resize = None,
    num_images: Annotated[
        int, options.num_images(2, "Number of training images, and of held-out images.")
    ] = 10_000,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GROUP,...",
            help="Groups of measures: interpolation, arithmetic, traversal, prior, "
            "disentanglement, representation, invariance, reuse.",
            show_default="all",
            rich_help_panel=options.PROTOCOL,
        ),
    ] = None,
    extractor: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Network that computes features; `latentbench extractors` lists them.",
            show_default="that of the reference of the data set, or hog",
            rich_help_panel=options.PROTOCOL,
        ),
    ] = None,
    dimensions: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="N",
            help="Dimensions of pca.",
            rich_help_panel=options.PROTOCOL,
        ),
    ] = 32,
    invert: Annotated[
        bool,
        typer.Option(
            "--invert",
            help="Search for the code of a real image where a model has no encoder.",
            rich_help_panel=options.PROTOCOL,
        ),
    ] = False,
    other: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Data that the models were not trained on, to measure reuse; as --data.",
            rich_help_panel=options.INPUT,
        ),
    ] = None,
    seed: Annotated[int, options.seed(2**31 - 1, "Seed of all random draws.")] = 0,
    device: Device = None,
    out: Annotated[Path, options.out("Folder for records, table, pictures and page.")] = Path(
        "latentbench-latent"
    ),
    quiet: Quiet = False,
) -> None:
    """Measure latent spaces: interpolation, arithmetic, traversal and more.

    Examples:
      latentbench latent runs/vae-mnist-0 --data mnist --out latent/
      latentbench latent runs/vae-mnist-0 runs/infogan-mnist-0 --only interpolation,traversal
      latentbench latent my_models:MyVae --data images/ --resize 28x28
      latentbench latent pca pixels --data fashion-mnist -n 2000
      latentbench latent runs/vae-factors-0 --data factors --only disentanglement
      latentbench latent runs/ae-dense-fashion-mnist-0 --data fashion-mnist --other mnist

    The baselines pca and pixels are always part of the table. Every value carries its definition,
    the number of units, the seed and an interval where there is one. A value that a model or data
    set cannot have is absent, with the reason.
    """
    from bench.latent.run import run_spaces
    from bench.runtime.devices import select_device
    from bench.runtime.terminal import require_writable

    require_writable(out, "the records")
    records = run_spaces(
        spaces,
        out,
        data=data,
        data_root=data_root,
        download=download,
        resize=resize,
        num_images=num_images,
        only=options.split(only),
        extractor=extractor,
        dimensions=dimensions,
        invert=invert,
        other=other,
        seed=seed,
        device=select_device(device),
        progress=None if quiet else _print_step,
    )
    _print_table(records)
    sys.stdout.write(f"written: {out / 'report.html'}, {out / 'table.csv'}\n")


def _print_step(step: str) -> None:
    sys.stderr.write(f"latentbench: {step}\n")
    sys.stderr.flush()


def _print_table(records: list[LatentRecord]) -> None:
    """Print the values that the page shows first; all are in the table."""
    from bench.latent.measures import MEASURES
    from bench.latent.table import shown, table_rows
    from bench.tables.console import print_rows

    rows = [
        [
            f"{row.title} ({row.variant})" if row.variant else row.title,
            *map(shown, row.cells),
            f"{max(cell.n for cell in row.cells if cell is not None):,}",
        ]
        for row in table_rows(records)
        if MEASURES[row.name].is_headline(row.variant)
    ]
    print_rows(["measure", *(record.name for record in records), "n"], rows)
