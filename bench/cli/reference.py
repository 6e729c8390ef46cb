"""`latentbench reference`: build, list and verify bundles."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import Quiet


def list_all() -> None:
    """List the references that can be scored against."""
    from bench.references.bundle import bundle_label, list_references
    from bench.tables.console import print_rows

    rows = []
    for file, manifest, problem in list_references():
        if manifest is None:
            sys.stderr.write(f"latentbench: {problem}\n")
            continue
        size = f"{manifest.width_px}x{manifest.height_px}"
        label = bundle_label(manifest)
        counts = [f"{manifest.num_train:,}", f"{manifest.num_test:,}"]
        rows.append([manifest.name, label, size, *counts, str(file)])
    print_rows(["reference", "extractor", "px", "train", "test", "manifest"], rows)


def verify(
    names: Annotated[
        list[str] | None, typer.Argument(help="References or manifests; default: all.")
    ] = None,
    *,
    weights: Annotated[
        Path | None, typer.Option(help="Weights file of the extractor, or its folder.")
    ] = None,
    unverified_weights: Annotated[
        bool, typer.Option("--unverified-weights", help="Accept weights of another digest.")
    ] = False,
) -> None:
    """Check digests, arrays and fitness for the extractors in use. Exit 4 when one is unfit."""
    from bench.errors import BundleError, UsageError
    from bench.extractors import extractor_row
    from bench.extractors.base import ExtractorChoice
    from bench.extractors.weights_files import HostedWeights
    from bench.references.bundle import (
        find_manifests,
        list_references,
        load_reference,
        require_same_extractor,
    )

    files = (
        [file for name in names for file in find_manifests(name)]
        if names
        else [listed.file for listed in list_references()]
    )
    broken = 0
    for file in files:
        try:
            reference = load_reference(file)
            manifest = reference.manifest
            settings = manifest.settings
            row = extractor_row(manifest.extractor)
            choice = ExtractorChoice(
                layer=settings.get("layer"),
                protocol=settings.get("protocol"),
                precision=settings.get("precision"),
                weights=weights if isinstance(row.weights, HostedWeights) else None,
                unverified_weights=unverified_weights,
            )
            extractor = row.resolve(choice)
            require_same_extractor(manifest, extractor)
            extractor.load()
        except UsageError as error:
            broken += 1
            sys.stdout.write(f"FAILED {file}: {error}\n")
        else:
            sys.stdout.write(f"ok {file} sha256 {reference.digest}\n")
    if broken:
        raise BundleError(f"{broken} of {len(files)} references are unfit for use")


def build(
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
    extractor: Annotated[
        str | None,
        typer.Option(help="Extractor to build it for; MNIST and Fashion-MNIST have their own."),
    ] = None,
    layer: Annotated[str | None, typer.Option(help="Layer of the extractor.")] = None,
    protocol: Annotated[
        str | None, typer.Option(help="Protocol of the extractor, or all for a bundle each.")
    ] = None,
    precision: Annotated[str | None, typer.Option(help="Precision of the extractor.")] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Weights file of the extractor, or its folder.")
    ] = None,
    unverified_weights: Annotated[
        bool, typer.Option("--unverified-weights", help="Accept weights of another digest.")
    ] = False,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Images at a time.")] = None,
    resize: Annotated[
        str | None, typer.Option(help="WIDTHxHEIGHT to bring images of other sizes to.")
    ] = None,
    data_root: Annotated[Path | None, typer.Option(help="Where the data set lies.")] = None,
    download: Annotated[bool, typer.Option("--download", help="Fetch it if need be.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the bundle; default: where names are found.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda.")] = None,
    quiet: Quiet = False,
) -> None:
    """Build a reference from a data set or from folders of real images.

    \b
    latentbench reference build mnist --data-root data/
    latentbench reference build birds --train birds/train --test birds/test --extractor inception
    """
    from bench.extractors.base import ExtractorChoice
    from bench.intake import parse_size
    from bench.references.build import build_from
    from bench.runtime.devices import select_device
    from bench.runtime.progress import progress_report

    with progress_report(quiet=quiet) as progress:
        paths = build_from(
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
    for path in paths:
        sys.stdout.write(f"reference {name!r} built: {path}\n")
