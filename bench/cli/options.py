"""The options that several verbs share, each declared once, and the names that options have.

A verb imports the types below for its parameters: `device: Device = None`. An idea has one name in
all verbs, and in the programs that are started with `python -m`:

    the images that others are compared with     --reference NAME, FILE or DIR
    the network that computes features           --extractor, --layer, --protocol, --precision
    one name of a table                          singular: --detector NAME, --extractor NAME
    several names of a table                     plural: --metrics --detectors --recipes --presets
    a setting by its key, repeatable             --set KEY=VALUE
    the data set to train on or to measure       --data NAME, --data-root DIR, --download
    how many images to make or to use            --num-images N, -n N
    how many images of a submission to read      --limit N
    the random seed, or the first of several     --seed N
    how many seeds, steps, epochs, draws         --num-seeds N, --num-steps N, ...
    how long detectors train their networks      --budget published or cpu
    how many candidates a kept sample may cost   --rejection-budget K
    networks and lengths that a CPU can train    --cpu-sized
    where the work runs                          --executor WHERE, --device NAME
    where results are written                    --out DIR or FILE
    where finished jobs are stored               --ledger DIR
    one JSON object a line instead of tables     --json
    one of several output formats                --format NAME
    continue earlier work                        --resume (verbs with a ledger always do)
    show the plan and run nothing                --dry-run
    rebuild a report from stored results         --render

An option with a plural name takes a list: it may be repeated, and one value may hold several with
commas. `split` is the code that reads such a list.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

# Headings of the help page, in the order in which verbs list their options. An option without a
# heading stands under that of the option before it.
INPUT = "Input"
PROTOCOL = "Protocol (what the values depend on)"
SPEED = "Speed (changes no value beyond rounding)"
OUTPUT = "Output"

Submissions = Annotated[
    list[str],
    typer.Argument(
        metavar="SUBMISSION", help="A folder, zip, npz, npy or idx file of images; one or more."
    ),
]
Spec = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FILE",
        help="Check against a submission spec: mnist-10k, or a TOML file "
        "(`latentbench audit --example-spec` prints one).",
        rich_help_panel=INPUT,
    ),
]
Resize = Annotated[
    str | None,
    typer.Option(
        metavar="WIDTHxHEIGHT",
        help="Resize images of another size to this one.",
    ),
]
DataRoot = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Folder in which data sets are stored.")
]
Download = Annotated[
    bool, typer.Option("--download", help="Download the data set if it is missing.")
]

Layer = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Layer of the extractor.",
        show_default="the reference's, or the extractor's own",
        rich_help_panel=PROTOCOL,
    ),
]
Protocol = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Implementation whose resizing and network to follow: torch-fidelity, clean-fid, "
        "pytorch-fid, torchmetrics; all for each of them in turn; course for the numbers that "
        "course teams quote.",
        show_default="the reference's, or the extractor's own",
        rich_help_panel=PROTOCOL,
    ),
]
Precision = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Arithmetic of the extractor: exact, or the faster and less exact tf32x3, tf32, fp16.",
        show_default="the reference's, or exact",
        rich_help_panel=PROTOCOL,
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE|DIR",
        help="Weights file of the extractor, or the folder that holds it.",
        rich_help_panel=PROTOCOL,
    ),
]
UnverifiedWeights = Annotated[
    bool,
    typer.Option(
        "--unverified-weights",
        help="Accept a weights file whose SHA-256 is not the published one.",
        rich_help_panel=PROTOCOL,
    ),
]
# Options that take all values up to the next option, as in `--against a.json b.json`.
GREEDY = ("--against",)

Metrics = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME,...",
        help="Metrics by name; `latentbench metrics` lists them.",
        show_default="all",
        rich_help_panel=PROTOCOL,
    ),
]
Budget = Annotated[
    str | None,
    typer.Option(
        metavar="published|cpu",
        help="How long detectors train their networks: as published, or a short time on a CPU.",
        rich_help_panel=PROTOCOL,
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one setting; may be repeated."),
]

BatchSize = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Images in one pass through the extractor.",
        show_default="chosen by the free memory",
        rich_help_panel=SPEED,
    ),
]
Device = Annotated[
    str | None,
    typer.Option(
        metavar="cpu|cuda",
        help="Where to compute.",
        show_default="cuda if available",
        rich_help_panel=SPEED,
    ),
]
Executor = Annotated[
    str | None,
    typer.Option(
        metavar="WHERE",
        help="Where the jobs run: inline, local or local:N (N processes), dask:ADDRESS, or "
        "slurm:PARTITION with any of ,gpus=N ,cpus=N ,mem_gb=N ,hours=N.",
        show_default="local",
        rich_help_panel=SPEED,
    ),
]
NoCache = Annotated[
    bool,
    typer.Option("--no-cache", help="Neither read nor write the cache.", rich_help_panel=SPEED),
]

Json = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print one JSON object per line on standard output instead of tables.",
        rich_help_panel=OUTPUT,
    ),
]
Render = Annotated[
    bool,
    typer.Option(
        "--render",
        help="Compute nothing; rebuild the report from the records in --out.",
        rich_help_panel=OUTPUT,
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Show no progress.", rich_help_panel=OUTPUT)
]


def training_data(show_default: str | bool = True, panel: str = INPUT) -> Any:
    """Return the option --data of a verb that trains."""
    return typer.Option(
        metavar="NAME|PATH",
        help="Training images: mnist, fashion-mnist, factors, torchvision:CLASS, or a folder, zip "
        "or npz file.",
        show_default=show_default,
        rich_help_panel=panel,
    )


def num_images(
    minimum: int,
    help_text: str = "Number of images.",
    panel: str = INPUT,
    show_default: str | bool = True,
) -> Any:
    """Return the option --num-images of a verb that needs at least `minimum` images."""
    return typer.Option(
        "--num-images",
        "-n",
        min=minimum,
        metavar="N",
        help=help_text,
        rich_help_panel=panel,
        show_default=show_default,
    )


def seed(maximum: int | None = None, help_text: str = "Random seed.", panel: str = INPUT) -> Any:
    """Return the option --seed."""
    return typer.Option(min=0, max=maximum, metavar="N", help=help_text, rich_help_panel=panel)


def out(help_text: str, metavar: str = "DIR", show_default: str | bool = True) -> Any:
    """Return the option --out."""
    return typer.Option(
        metavar=metavar, help=help_text, show_default=show_default, rich_help_panel=OUTPUT
    )


def split(values: Iterable[str] | None) -> list[str] | None:
    """Return the names given one by one, or several with commas; None for an option not given.

    >>> split(["fid,recall_k3", "kid_poly3"])
    ['fid', 'recall_k3', 'kid_poly3']
    """
    if not values:
        return None
    return [name.strip() for value in values for name in value.split(",") if name.strip()]
