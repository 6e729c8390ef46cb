"""`latentbench reference`: build, list and verify bundles."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer


def list_all() -> None:
    """List the references that can be scored against."""
    from bench.console import print_rows
    from bench.references import list_references

    rows = []
    for file, manifest, problem in list_references():
        if manifest is None:
            sys.stderr.write(f"latentbench: {problem}\n")
            continue
        size = f"{manifest.width_px}x{manifest.height_px}"
        counts = [f"{manifest.num_train:,}", f"{manifest.num_test:,}"]
        rows.append([manifest.name, manifest.extractor, size, *counts, str(file)])
    print_rows(["reference", "extractor", "px", "train", "test", "manifest"], rows)


def verify(
    names: Annotated[
        list[str] | None, typer.Argument(help="References or manifests; default: all.")
    ] = None,
) -> None:
    """Check digests, arrays and fitness for the extractors in use. Exit 4 when one is unfit."""
    from bench.errors import BundleError, UsageError
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
        else [listed.file for listed in list_references()]
    )
    broken = 0
    for file in files:
        try:
            reference = load_reference(file)
            row = extractor_row(reference.manifest.extractor)
            row.read_weights()
            require_same_weights(reference.manifest, row)
        except UsageError as error:
            broken += 1
            sys.stdout.write(f"FAILED {error}\n")
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
    from bench.devices import select_device
    from bench.reference_build import build_from

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
