"""`latentbench metrics`, `extractors`, `detectors` and `cache`: what there is."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Annotated

import typer

SHORT = "cpu "  # before the name of a constant: its value with the budget cpu


def metrics() -> None:
    """List the metrics: what each is, which way is better, where it comes from."""
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
    """List the extractors: what each sees, its choices, the digest of its weights."""
    from bench.extractors import EXTRACTORS, FORMS
    from bench.tables.console import print_rows

    rows = []
    for row in EXTRACTORS.values():
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


def detectors() -> None:
    """List the anomaly detectors: what each is, what it sees, where it comes from."""
    from bench.anomaly.detectors import loadable_detectors
    from bench.anomaly.detectors.base import SEEN
    from bench.tables.console import print_rows

    rows, broken = loadable_detectors()
    print_rows(
        ["detector", "what it is", "reads", "beside normal images", "trains", "source"],
        [
            [r.name, r.title, r.reads, SEEN[r.labels], "a network" if r.trains else "", r.source]
            for r in rows
        ],
    )
    networks = [row for row in rows if row.trains]
    if networks:
        sys.stdout.write("\nTraining of networks, published and with --budget cpu:\n")
    sys.stdout.writelines(f"  {row.name}: {_budgets(row.constants)}\n" for row in networks)
    sys.stderr.writelines(f"latentbench: {one.name} left out: {one.reason}\n" for one in broken)


def _budgets(constants: Mapping[str, float | int | str]) -> str:
    """What the budgets of a detector differ in."""
    short = {
        name.removeprefix(SHORT): value
        for name, value in constants.items()
        if name.startswith(SHORT)
    }
    if not short:
        return "its author does not say"
    told = [
        ", ".join(f"{name} {by[name]}" for name in short if name in by) for by in (constants, short)
    ]
    return f"{told[0]}; cpu: {told[1]}"


def cache(
    *,
    clear: Annotated[bool, typer.Option("--clear", help="Delete every entry.")] = False,
) -> None:
    """Show where the cache lies and how large it is; --clear empties it."""
    from bench.runtime.cache import Cache, default_root

    kept = Cache(default_root())
    sys.stdout.write(f"location: {kept.root} (LATENTBENCH_CACHE moves it)\n")
    if clear:
        removed = kept.clear()
        sys.stdout.write(
            f"deleted: {removed.num_entries} entries, {_megabytes(removed.num_bytes)}\n"
        )
        return
    sizes = kept.sizes()
    for kind, size in sorted(sizes.items()):
        sys.stdout.write(f"{kind}: {size.num_entries} entries, {_megabytes(size.num_bytes)}\n")
    total = sum(size.num_bytes for size in sizes.values())
    sys.stdout.write(f"total: {_megabytes(total)}\n")


def _megabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:.1f} MB"
