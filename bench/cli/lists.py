"""`latentbench metrics`, `extractors`, `detectors` and `cache`: what is available and stored."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Annotated

import typer

SHORT = "cpu "  # prefix of a detector's constant that holds its value with the budget cpu


def metrics() -> None:
    """List the metrics.

    Examples:
      latentbench metrics
      latentbench score samples/ --metrics fid,recall_k3

    Columns: the name, what is measured, which direction is better, the unit, the source.
    """
    from bench.metrics import METRICS
    from bench.tables.console import print_rows
    from bench.tables.directions import DIRECTIONS

    rows, broken = METRICS.loadable()
    print_rows(
        ["metric", "what it is", "better", "unit", "source"],
        [[m.name, m.title, DIRECTIONS[m.direction].word, m.unit, m.citation] for m in rows],
    )
    sys.stderr.writelines(f"latentbench: {one.reason}\n" for one in broken)


def extractors() -> None:
    """List the feature extractors.

    Examples:
      latentbench extractors
      latentbench score samples/ --reference real/ --extractor inception --layer 768

    Columns: the name, what it is, the number of features, the input, the choices of layer,
    protocol and precision, the start of the SHA-256 of its weights.
    """
    from bench.extractors import EXTRACTORS, FORMS
    from bench.tables.console import print_rows

    rows = []
    extractor_rows, broken = EXTRACTORS.loadable()
    for row in extractor_rows:
        size = "any size" if row.side_px is None else f"{row.side_px}x{row.side_px} px"
        choices = [row.layers, row.protocols, row.precisions]
        rows.append(
            [
                row.name,
                row.title,
                "by image" if row.feature_dim is None else str(row.feature_dim),
                f"{'grey' if row.channels == 1 else 'RGB'}, {size}",
                "; ".join(", ".join(choice) for choice in choices if choice),
                row.weights.sha256[:12],
            ]
        )
    rows += [[form, title, "", "", "", ""] for form, title in FORMS.items()]
    print_rows(
        ["extractor", "what it is", "features", "input", "choices", "weights sha256"],
        rows,
    )
    sys.stderr.writelines(f"latentbench: {one.name} omitted: {one.reason}\n" for one in broken)


def detectors() -> None:
    """List the anomaly detectors.

    Examples:
      latentbench detectors
      latentbench anomaly --train normal/ --test test/ --detectors pca,knn-pixels
      latentbench score samples/ --detector pca

    Columns: the name, what it is, what it reads (pixels or features), the labels it uses, whether
    it trains a network, the source. Training lengths of networks follow.
    """
    from bench.anomaly.detectors import DETECTORS
    from bench.anomaly.detectors.base import SEEN
    from bench.tables.console import print_rows

    rows, broken = DETECTORS.loadable()
    print_rows(
        ["detector", "what it is", "reads", "beside normal images", "trains", "source"],
        [
            [r.name, r.title, r.reads, SEEN[r.labels], "a network" if r.trains else "", r.source]
            for r in rows
        ],
    )
    networks = [row for row in rows if row.trains]
    if networks:
        sys.stdout.write("\nTraining of networks, with --budget published; cpu:\n")
    sys.stdout.writelines(f"  {row.name}: {_budgets(row.constants)}\n" for row in networks)
    sys.stderr.writelines(f"latentbench: {one.name} omitted: {one.reason}\n" for one in broken)


def _budgets(constants: Mapping[str, float | int | str]) -> str:
    """Return the constants in which the two budgets of a detector differ."""
    short = {
        name.removeprefix(SHORT): value
        for name, value in constants.items()
        if name.startswith(SHORT)
    }
    if not short:
        return "not documented by its author"
    published, cpu = (
        ", ".join(f"{name} {values[name]}" for name in short if name in values)
        for values in (constants, short)
    )
    return f"{published}; cpu: {cpu}"


def cache(
    *,
    clear: Annotated[bool, typer.Option("--clear", help="Delete every entry.")] = False,
) -> None:
    """Show the size of the cache, or empty it.

    Examples:
      latentbench cache
      latentbench cache --clear

    The cache holds features, scores and pictures of submissions. The environment variable
    LATENTBENCH_CACHE sets its folder.
    """
    from bench.runtime.cache import Cache, default_root

    stored = Cache(default_root())
    sys.stdout.write(f"location: {stored.root} (set LATENTBENCH_CACHE to change it)\n")
    if clear:
        removed = stored.clear()
        sys.stdout.write(
            f"deleted: {removed.num_entries} entries, {_megabytes(removed.num_bytes)}\n"
        )
        return
    sizes = stored.sizes()
    for kind, size in sorted(sizes.items()):
        sys.stdout.write(f"{kind}: {size.num_entries} entries, {_megabytes(size.num_bytes)}\n")
    total = sum(size.num_bytes for size in sizes.values())
    sys.stdout.write(f"total: {_megabytes(total)}\n")


def _megabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:.1f} MB"
