"""Train a run longer than it was started for.

The number of steps belongs to a run's configuration and may be part of its folder's name. A longer
run therefore gets a folder of its own: it starts as a copy of the longest shorter run, whose folder
stays as it is.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from baselines.recipes.config import RunConfig
from baselines.runs.run_folder import CHECKPOINT, CONFIG, GRIDS, LOG, RunFolder
from bench.runtime.whole_files import write_atomically


def find_shorter_run(out: Path, config: RunConfig) -> Path | None:
    """Return the folder in `out` of the run that differs from `config` only in that it has fewer
    steps, the longest one if there are several, or None. Runs without a checkpoint do not count.
    """
    wanted = config.model_dump(mode="json")
    length = wanted.pop("num_steps")
    found: list[tuple[int, Path]] = []
    for file in sorted(out.glob(f"*/{CONFIG}")):
        try:
            own = json.loads(file.read_text())
        except (OSError, ValueError):
            continue
        if not isinstance(own, dict) or not (file.parent / CHECKPOINT).is_file():
            continue
        steps = own.pop("num_steps", None)
        alike = all(own.get(key) == value for key, value in wanted.items())
        if alike and isinstance(steps, int) and steps < length:
            found.append((steps, file.parent))
    return max(found)[1] if found else None


def start_from(shorter: Path, folder: Path, config: RunConfig) -> None:
    """Make `folder` the run of `config` that continues the run in `shorter`.

    The checkpoint is copied last: a folder without one starts again. Raises `UsageError` if another
    process trains in `folder`.
    """
    run = RunFolder(folder)
    with run.claimed():
        run.make(config)
        write_atomically(folder / LOG, (shorter / LOG).read_bytes())
        run.log("continues", run=shorter.name)
        shutil.copytree(shorter / GRIDS, folder / GRIDS, dirs_exist_ok=True)
        write_atomically(folder / CHECKPOINT, (shorter / CHECKPOINT).read_bytes())
