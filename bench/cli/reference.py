"""`latentbench reference`: list, build, export and verify references."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli import options
from bench.cli.options import (
    BatchSize,
    DataRoot,
    Device,
    Download,
    Layer,
    Precision,
    Protocol,
    Quiet,
    Resize,
    UnverifiedWeights,
    Weights,
)

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


def list_references() -> None:
    """List the references to score against.

    Examples:
      latentbench reference list
      latentbench score samples/ --reference mnist

    Columns: the name, the extractor, the size of its images, the numbers of train and test images,
    the manifest file. One that cannot be read is reported.
    """
    from bench.references.lookup import list_references as listed
    from bench.tables.console import print_rows

    rows = []
    for file, manifest, problem in listed():
        if manifest is None:
            sys.stderr.write(f"latentbench: {problem}\n")
            continue
        size = f"{manifest.width_px}x{manifest.height_px}"
        label = manifest.label
        counts = [f"{manifest.num_train:,}", f"{manifest.num_test:,}"]
        rows.append([manifest.name, label, size, *counts, str(file)])
    print_rows(["reference", "extractor", "px", "train", "test", "manifest"], rows)


def verify(
    references: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="REFERENCE", help="A name or a manifest file.", show_default="all references"
        ),
    ] = None,
    *,
    weights: Weights = None,
    unverified_weights: UnverifiedWeights = False,
) -> None:
    """Check that references are undamaged and fit the installed extractors.

    Examples:
      latentbench reference verify
      latentbench reference verify mnist birds/birds-inception.json

    Compares digests and arrays with the manifest, and the weights with those that the reference
    was built with. Exit code 4 if one is unfit for use.
    """
    from bench.errors import BundleError, UsageError
    from bench.references.lookup import find_manifests, list_references

    files = (
        [file for name in references for file in find_manifests(name)]
        if references
        else [listed.file for listed in list_references()]
    )
    broken = 0
    for file in files:
        try:
            digest = _verified(file, weights, unverified_weights=unverified_weights)
        except UsageError as error:
            broken += 1
            sys.stdout.write(f"FAILED {file}: {error}\n")
        else:
            sys.stdout.write(f"ok {file} sha256 {digest}\n")
    if broken:
        raise BundleError(f"{broken} of {len(files)} references are unfit for use")


def _verified(file: Traversable, weights: Path | None, *, unverified_weights: bool) -> str:
    """Return the digest of a reference. Raises `UsageError` for one that is unfit."""
    from bench.extractors import extractor_row
    from bench.extractors.base import ExtractorChoice
    from bench.extractors.weights_files import HostedWeights
    from bench.references.bundle import load_reference, require_same_extractor

    reference = load_reference(file)
    settings = reference.manifest.settings
    row = extractor_row(reference.manifest.extractor)
    choice = ExtractorChoice(
        layer=settings.get("layer"),
        protocol=settings.get("protocol"),
        precision=settings.get("precision"),
        weights=weights if isinstance(row.weights, HostedWeights) else None,
        unverified_weights=unverified_weights,
    )
    extractor = row.resolve(choice)
    require_same_extractor(reference.manifest, extractor)
    extractor.load()
    return reference.digest


def build(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the new reference.")],
    *,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Data set: mnist, fashion-mnist, factors or torchvision:CLASS.",
            show_default="the reference's name",
            rich_help_panel=options.INPUT,
        ),
    ] = None,
    train: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Real images instead of a data set: a folder, zip, npz, npy or idx file.",
            rich_help_panel=options.INPUT,
        ),
    ] = None,
    test: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="With --train: held-out real images.",
            rich_help_panel=options.INPUT,
        ),
    ] = None,
    resize: Resize = None,
    data_root: DataRoot = None,
    download: Download = False,
    extractor: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Extractor to build it for; required unless the data set has its own, as mnist "
            "and fashion-mnist have.",
            rich_help_panel=options.PROTOCOL,
        ),
    ] = None,
    layer: Layer = None,
    protocol: Protocol = None,
    precision: Precision = None,
    weights: Weights = None,
    unverified_weights: UnverifiedWeights = False,
    batch_size: BatchSize = None,
    device: Device = None,
    out: Annotated[
        Path | None,
        options.out("Folder for the reference.", "DIR", "the one where names are looked up"),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Build a reference from a data set, or from folders of real images.

    Examples:
      latentbench reference build mnist --data-root data/
      latentbench reference build birds --train train/ --test test/ --extractor inception
      latentbench reference build photos --train a/ --test b/ --extractor inception --protocol all

    Writes a manifest (JSON) and arrays (npz): moments and features of the training images, features
    of the test images, thresholds. Afterwards: latentbench score samples/ --reference NAME.
    """
    from bench.extractors.base import ExtractorChoice
    from bench.intake import parse_size
    from bench.references.build import build_from
    from bench.runtime.devices import select_device
    from bench.runtime.progress import progress_report

    with progress_report(quiet=quiet) as progress:
        files = build_from(
            name,
            out,
            data=data,
            train=train,
            test=test,
            extractor=extractor,
            choice=ExtractorChoice(
                layer=layer,
                protocol=protocol,
                precision=precision,
                weights=weights,
                unverified_weights=unverified_weights,
                batch_size=batch_size,
            ),
            resize=None if resize is None else parse_size(resize),
            data_root=data_root,
            download=download,
            device=select_device(device),
            progress=progress,
        )
    sys.stdout.writelines(f"reference {name!r} built: {file}\n" for file in files)


def export(
    reference: Annotated[
        str,
        typer.Argument(
            metavar="REFERENCE", help="A name, a manifest file, or a folder or file of real images."
        ),
    ],
    *,
    split: Annotated[
        str,
        typer.Option(
            metavar="train|test",
            help="Whose statistics: of the training images, or of the test images of a reference.",
            rich_help_panel=options.INPUT,
        ),
    ] = "train",
    resize: Resize = None,
    extractor: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Extractor; `latentbench extractors` lists them.",
            show_default="the one the reference is built for; inception for real images",
            rich_help_panel=options.PROTOCOL,
        ),
    ] = None,
    layer: Layer = None,
    protocol: Protocol = None,
    precision: Precision = None,
    weights: Weights = None,
    unverified_weights: UnverifiedWeights = False,
    batch_size: BatchSize = None,
    device: Device = None,
    out: Annotated[Path, options.out("File to write.", "FILE.npz")],
    quiet: Quiet = False,
) -> None:
    """Write mean and covariance as a file that other programs read.

    Examples:
      latentbench reference export mnist --out mnist.npz
      latentbench reference export real/ --extractor inception --protocol pytorch-fid --out real.npz
      latentbench score samples/ --reference real.npz

    Writes the arrays mu and sigma (float64, divisor n - 1), as pytorch-fid, clean-fid, EDM and ADM
    read them, with num_images and origin beside them.
    """
    from bench.runtime.progress import progress_report
    from bench.scoring.statistics_export import export_statistics

    with progress_report(quiet=quiet) as progress:
        file = export_statistics(
            out,
            split=split,
            progress=progress,
            reference=reference,
            extractor=extractor,
            layer=layer,
            protocol=protocol,
            precision=precision,
            weights=weights,
            unverified_weights=unverified_weights,
            batch_size=batch_size,
            resize=resize,
            device=device,
        )
    sys.stdout.write(f"written: {file}\n")
