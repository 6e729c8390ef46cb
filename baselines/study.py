"""The published study: every recipe on every data set with several seeds, trained, sampled, scored.

    python -m baselines.study --out reports/baselines --work runs/study
    python -m baselines.study --cpu-sized
    python -m baselines.study --recipes dcgan course-gan --data mnist --share 0.05

One command that resumes: what is trained is not trained again (`train --resume` for the rest), what
is scored is not scored again, also where the runs themselves are gone. `--share` shortens every
training to a share of its recipe's steps, `--cpu-sized` to the share of `CPU_SHARES`, and the
report says so. A run that diverges is a row of the report, not an end of it.

records.jsonl holds one line for each (data, recipe, seed, sampling); README.md and the grids are
rendered from it, and `--render` does only that.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from baselines.config import RunConfig
from baselines.data import TrainingSet, load_training_set
from baselines.priors import PRIORS
from baselines.recipes import RECIPES, recipe_config
from baselines.run_folder import LOG, RunFolder, grid_picture, load_run
from baselines.runs import TrainingDiverged, train_stack
from baselines.sample import write_manifest, write_samples
from baselines.sampling import Sampler, SamplingOptions, manifest_of
from baselines.spectrum import checkerboard_ratio
from baselines.study_report import METRICS, render
from baselines.trained import reconstruct
from bench.datasets import load_dataset
from bench.devices import device_description, select_device
from bench.errors import LatentbenchError
from bench.record import ScoreRecord
from bench.scoring import Scorer
from bench.stats import write_atomically

DATA = ("mnist", "fashion-mnist")
NUM_IMAGES = 10_000
NUM_SEEDS = 3
RECORDS = "records.jsonl"
# Sampling tricks, on the recipes where they are shown.
SAMPLING = {
    "truncation-1.0": SamplingOptions(truncation=1.0),
    "truncation-0.5": SamplingOptions(truncation=0.5),
    "discriminator-rejection-80": SamplingOptions(rejection_gamma=80),
    "budgeted-rejection-2": SamplingOptions(budget=2),
    "latent-rejection-0.8": SamplingOptions(latent_share=0.8),
}
SAMPLED_RECIPES = ("course-gan", "dcgan")
# Shares of each recipe's steps that a core or two can train: the first prefix that fits counts.
CPU_SHARES = {
    "ae-": 0.1,
    "vae": 0.05,
    "course-gan": 0.1,
    "dcgan": 0.06,
    "": 0.02,
}
PLAIN, RECONSTRUCTION, DIVERGED = "plain", "reconstruction", "diverged"

Key = tuple[str, str, int, str]  # data, recipe, seed, sampling


class Cell(NamedTuple):
    """All seeds of one recipe on one data set."""

    data: str
    recipe: str
    configs: list[RunConfig]
    folders: list[Path]


def shortened(recipe: str, data: str, seed: int, share: float) -> RunConfig:
    """The recipe's configuration with a share of its steps, at least 16."""
    full = recipe_config(recipe, data=data, seed=seed)
    steps = max(16, math.ceil(full.num_steps * share))
    return recipe_config(recipe, data=data, seed=seed, settings=[f"num_steps={steps}"])


def cpu_share(recipe: str) -> float:
    """The share of a recipe's steps in the CPU-sized study."""
    return next(share for prefix, share in CPU_SHARES.items() if recipe.startswith(prefix))


def samplings(recipe: str) -> dict[str, SamplingOptions | None]:
    """The ways in which a run is sampled; None stands for reconstructions of test images."""
    if recipe_config(recipe).model_row.latent is None:
        ways: dict[str, SamplingOptions | None] = {
            f"prior-{prior}": SamplingOptions(prior=prior) for prior in PRIORS
        }
        return ways | {RECONSTRUCTION: None}
    found: dict[str, SamplingOptions | None] = {PLAIN: SamplingOptions()}
    return found | dict(SAMPLING) if recipe in SAMPLED_RECIPES else found


def read_rows(path: Path) -> dict[Key, dict[str, Any]]:
    """Rows by what they are about; a later line takes the place of an earlier one."""
    if not path.is_file():
        return {}
    rows = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    return {(r["data"], r["recipe"], r["seed"], r["sampling"]): r for r in rows}


def append_row(path: Path, row: dict[str, Any]) -> None:
    with path.open("a") as stream:
        stream.write(json.dumps(row) + "\n")


def is_done(done: dict[Key, dict[str, Any]], cell: Cell, config: RunConfig, sampling: str) -> bool:
    """Whether a row of this very configuration is there."""
    kept = done.get((cell.data, cell.recipe, config.seed, sampling))
    return kept is not None and kept["config_digest"] == config.digest


def missing(cell: Cell, done: dict[Key, dict[str, Any]]) -> Cell | None:
    """The seeds of a cell that lack a row; None when there are none. A run that diverged has one
    row and no other.
    """
    open_places = [
        place
        for place, config in enumerate(cell.configs)
        if not is_done(done, cell, config, DIVERGED)
        and not all(is_done(done, cell, config, name) for name in samplings(cell.recipe))
    ]
    if not open_places:
        return None
    return cell._replace(
        configs=[cell.configs[place] for place in open_places],
        folders=[cell.folders[place] for place in open_places],
    )


def train_cell(cell: Cell, data: TrainingSet, device: str) -> dict[int, str]:
    """Train what is missing, as one program on a GPU; gives the seeds that diverged, with the
    reason. A run that diverged is not tried again.
    """
    places = [place for place in range(len(cell.configs)) if _divergence(cell, place) is None]
    groups = [places] if device.startswith("cuda") else [[place] for place in places]
    for group in filter(None, groups):
        configs = [cell.configs[place] for place in group]
        with contextlib.suppress(TrainingDiverged):  # its log has the reason
            train_stack(
                configs, data, [cell.folders[place] for place in group], device=device, resume=True
            )
    reasons = {config.seed: _divergence(cell, n) for n, config in enumerate(cell.configs)}
    return {seed: reason for seed, reason in reasons.items() if reason is not None}


def _divergence(cell: Cell, place: int) -> str | None:
    """Why a run ended before its time, from its log."""
    folder = RunFolder(cell.folders[place])
    last = (folder.events() or [{}])[-1] if (folder.path / LOG).is_file() else {}
    if last.get("event") != "diverged":
        return None
    return f"{last['term']} is not finite at step {last['step']}"


def cost(folder: Path) -> dict[str, Any]:
    """Seconds of training, a stack's shared among its runs, and the pace at the end."""
    events = RunFolder(folder).events()
    stacked = next(e["stacked"] for e in events if e["event"] in ("start", "resume"))
    seconds = sum(e["train_s"] for e in events if e["event"] in ("end", "interrupted"))
    last = next(e for e in reversed(events) if e["event"] == "end")
    return {
        "train_s": round(seconds / stacked, 2),
        "images_per_s": last["images_per_s"],
        "stacked": stacked,
    }


def score_run(
    cell: Cell,
    place: int,
    scorer: Scorer,
    *,
    test: NDArray[np.uint8],
    options: argparse.Namespace,
    done: dict[Key, dict[str, Any]],
) -> None:
    """Sample and score one run in every way that has no row yet."""
    config, folder = cell.configs[place], cell.folders[place]
    trained = load_run(folder, options.device)
    for name, way in samplings(cell.recipe).items():
        if is_done(done, cell, config, name):
            continue
        num = options.num_images
        extra: dict[str, Any] = {}
        if way is None:
            images = reconstruct(trained, test[:num])
        else:
            samples = Sampler(trained, way).sample(num)
            images = samples.images
            extra = {"acceptance_rate": samples.acceptance_rate, "num_forced": samples.num_forced}
            write_manifest(folder / f"samples-{name}", manifest_of(trained, way, 0, samples))
        target = folder / f"samples-{name}"
        write_samples(images, target, replace=True)
        record = scorer.score(target)
        if config.seed == 0:
            sheet = options.out / "grids" / f"{cell.data}-{cell.recipe}-{name}.png"
            sheet.parent.mkdir(parents=True, exist_ok=True)
            grid_picture(images[:64]).save(sheet)
        row = row_of(cell, config, name, record) | extra | cost(folder)
        row["checkerboard_ratio"] = round(checkerboard_ratio(images), 4)
        row["device"] = device_description(options.device)
        append_row(options.out / RECORDS, row)
        if not options.keep_samples:
            shutil.rmtree(target)


def row_of(cell: Cell, config: RunConfig, sampling: str, record: ScoreRecord) -> dict[str, Any]:
    """One line of records.jsonl."""
    full = recipe_config(cell.recipe, data=cell.data).num_steps
    return {
        "data": cell.data,
        "recipe": cell.recipe,
        "seed": config.seed,
        "sampling": sampling,
        "num_steps": config.num_steps,
        "share": config.num_steps / full,
        "config_digest": config.digest,
        "num_images": record.submission.num_images,
        "values": {entry.metric: entry.value for entry in record.values},
        "perfect": {entry.metric: entry.expected for entry in record.values},
        "signature": record.signature,
        "created_at": record.created_at,
    }


def run_study(options: argparse.Namespace) -> None:
    """Every cell in turn, the report rendered after each."""
    records = options.out / RECORDS
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.data:
        data = load_training_set(name, data_root=options.data_root, device=options.device)
        test = load_dataset(name, "test", data_root=options.data_root).images
        scorer = Scorer(reference=name, device=options.device, metrics=METRICS)
        for recipe in options.recipes:
            share = cpu_share(recipe) if options.cpu_sized else options.share
            configs = [shortened(recipe, name, s, share) for s in range(options.seeds)]
            folders = [options.work / f"{recipe}-{name}-{c.seed}-{c.digest[:8]}" for c in configs]
            cell = missing(Cell(name, recipe, configs, folders), read_rows(records))
            if cell is None:
                continue
            reasons = train_cell(cell, data, options.device)
            for place, config in enumerate(cell.configs):
                done = read_rows(records)
                if config.seed in reasons:
                    append_row(records, diverged_row(cell, config, reasons[config.seed]))
                    continue
                score_run(cell, place, scorer, test=test, options=options, done=done)
            _render(options.out)
            sys.stderr.write(f"{name} {recipe}: done\n")


def diverged_row(cell: Cell, config: RunConfig, reason: str) -> dict[str, Any]:
    """The line of a run that has no samples."""
    full = recipe_config(cell.recipe, data=cell.data).num_steps
    return {
        "data": cell.data,
        "recipe": cell.recipe,
        "seed": config.seed,
        "sampling": DIVERGED,
        "num_steps": config.num_steps,
        "share": config.num_steps / full,
        "config_digest": config.digest,
        "reason": reason,
    }


def _render(out: Path) -> None:
    rows: Iterable[dict[str, Any]] = read_rows(out / RECORDS).values()
    write_atomically(out / "README.md", render(list(rows), out / "grids").encode())


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("reports/baselines"))
    parser.add_argument("--work", type=Path, default=Path("runs/study"), help="runs, resumed")
    parser.add_argument("--recipes", nargs="+", choices=list(RECIPES), default=list(RECIPES))
    parser.add_argument("--data", nargs="+", default=list(DATA))
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--seeds", type=int, default=NUM_SEEDS)
    parser.add_argument("--share", type=float, default=1.0, help="of each recipe's steps")
    parser.add_argument("--cpu-sized", action="store_true", help="shares that a CPU can train")
    parser.add_argument("--num-images", type=int, default=NUM_IMAGES)
    parser.add_argument("--device")
    parser.add_argument("--keep-samples", action="store_true")
    parser.add_argument("--render", action="store_true", help="only render the report again")
    options = parser.parse_args(arguments)
    try:
        options.device = select_device(options.device)
        if not options.render:
            run_study(options)
        _render(options.out)
    except LatentbenchError as error:
        sys.stderr.write(f"study: {error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
