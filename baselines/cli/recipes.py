"""`latentbench recipes`: list the recipes, tricks and losses."""

from __future__ import annotations

import sys


def recipes() -> None:
    """List the recipes, tricks and losses.

    Examples:
      latentbench recipes
      latentbench train course-gan --set tricks.ema=on --set loss=hinge

    Columns: the name, what it is, the source.
    """
    from baselines.models.losses import LOSSES
    from baselines.recipes.table import RECIPES
    from baselines.tricks import TRICKS
    from bench.tables.console import print_rows

    tricks = TRICKS.loadable()
    for kind, rows in (
        ("recipe", RECIPES.values()),
        ("trick (--set tricks.NAME=on)", tricks.rows),
        ("loss (--set loss=NAME)", LOSSES.values()),
    ):
        print_rows(
            [kind, "what it is", "source"], [[row.name, row.title, row.source] for row in rows]
        )
        sys.stdout.write("\n")
    for broken in tricks.broken:
        sys.stderr.write(f"latentbench: {broken.name} omitted: {broken.reason}\n")
