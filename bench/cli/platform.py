"""`latentbench platform`: a bundle that scores submissions on a course platform."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.cli import options
from bench.cli.options import Spec, Weights


def platform(
    target: Annotated[
        str,
        typer.Argument(
            metavar="PLATFORM", help="One of codabench, gradescope, evalai, huggingface."
        ),
    ],
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="Folder for the bundle: a new or empty one.")
    ],
    *,
    reference: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE",
            help="Reference by name (`latentbench reference list`), or its manifest file, which "
            "the bundle then holds.",
            rich_help_panel=options.INPUT,
        ),
    ] = "mnist",
    spec: Spec = None,
    weights: Weights = None,
    metrics: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME,...",
            help="Columns of the leaderboard, which is ordered by the first one.",
            show_default="fid,precision_k3,recall_k3",
            rich_help_panel=options.PROTOCOL,
        ),
    ] = None,
    title: Annotated[
        str,
        typer.Option(
            metavar="TEXT", help="Title of the competition.", rich_help_panel=options.OUTPUT
        ),
    ] = "Generated images",
    image: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Name of the image that you push, for codabench, such as docker.io/you/scoring:1.",
            show_default="a name to replace",
            rich_help_panel=options.OUTPUT,
        ),
    ] = None,
) -> None:
    """Write a bundle that scores submissions on a course platform.

    Examples:
      latentbench platform codabench bundle/ --spec mnist-10k --image docker.io/you/scoring:1
      latentbench platform gradescope bundle/ --spec mnist-10k --metrics fid,recall_k3
      latentbench platform evalai bundle/ --title "Digits 2026"
      latentbench platform huggingface bundle/ --reference fashion-mnist

    The bundle holds this version of latentbench and all that a score needs, so that scoring works
    without a network. Its README.md says how to upload it.
    """
    from bench.platforms.platforms import make_bundle

    bundle = make_bundle(
        target,
        out,
        title=title,
        reference=reference,
        spec=spec,
        metrics=options.split(metrics),
        weights=weights,
        image=image,
    )
    size = sum(file.stat().st_size for file in bundle.files)
    sys.stdout.write(
        f"written: {out}, {len(bundle.files)} files, {size / 1e6:.0f} MB\n"
        f"{bundle.platform.title}: {bundle.platform.next_steps}\n"
    )
