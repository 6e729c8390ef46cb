"""Training into a folder, from start or checkpoint to end.

Interrupts (SIGINT) end the block at hand, write a checkpoint and raise `KeyboardInterrupt`. A loss
that is not finite ends the run with an event that names step and term, and leaves the last good
checkpoint; so does a full disk.
"""

from __future__ import annotations

import json
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from baselines.build import build_for
from baselines.checkpoint import Checkpoint, read_checkpoint
from baselines.config import RunConfig
from baselines.data import TrainingSet
from baselines.draws import BLOCK_STEPS
from baselines.engine import BlockTerms, Engine, first_non_finite
from baselines.priors import MAX_CODES, fit_priors
from baselines.run_folder import (
    CHECKPOINT,
    CONFIG,
    GRIDS,
    RunFolder,
    checkpoint_of,
    data_images,
    write_grid,
)
from baselines.trained import trained_from
from bench.devices import device_description
from bench.errors import EXIT_INVALID, LatentbenchError, UsageError
from bench.provenance import library_versions, version
from bench.stats import write_atomically

PARTS = 20  # checkpoints and grids over a training, log lines ten times as many

Report = Callable[[int, int, dict[str, float]], None]  # step, steps in all, mean terms


class TrainingDiverged(LatentbenchError):
    """A loss that is not finite; the message says where."""

    exit_code = EXIT_INVALID


class ScalarWriter(Protocol):
    """What is asked of TensorBoard's `SummaryWriter`."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None: ...


def train_run(
    config: RunConfig,
    data: TrainingSet,
    folder: Path,
    *,
    device: str = "cpu",
    resume: bool = False,
    report: Report | None = None,
    board: ScalarWriter | None = None,
    graph: bool | None = None,
) -> Path:
    """Train one run into a folder; gives the folder. See `train_stack` for the rest."""
    train_stack(
        [config],
        data,
        [folder],
        device=device,
        resume=resume,
        report=report,
        board=board,
        graph=graph,
    )
    return folder


def train_stack(
    configs: list[RunConfig],
    data: TrainingSet,
    folders: list[Path],
    *,
    device: str = "cpu",
    resume: bool = False,
    report: Report | None = None,
    board: ScalarWriter | None = None,
    graph: bool | None = None,
) -> None:
    """Train runs, as one program when they are several, each into a folder of its own.

    With `resume`, training goes on behind the checkpoints, which must be of the same configurations
    and data; a finished run is left as it is. Raises `UsageError` (folder taken, checkpoint of
    another run), `TrainingDiverged`, and `KeyboardInterrupt` after an interrupt.
    """
    runs = [RunFolder(path) for path in folders]
    games = [build_for(config, data) for config in configs]
    engine = Engine(games if len(games) > 1 else games[0], data, device=device, graph=graph)
    _prepare(runs, configs, engine, resume=resume)
    total, started = engine.num_steps, time.perf_counter()
    if engine.step >= total:
        return
    for run in runs:
        run.log(
            "resume" if engine.step else "start",
            step=engine.step,
            device=device_description(device),
            version=version(),
            libraries=library_versions(),
            stacked=len(runs),
        )
    pace = _Pace(total, engine.step)
    first_step = engine.step
    with _interrupts() as interrupted:
        while engine.step < total:
            block = engine.run_block()
            _require_finite(runs, block)
            pace.add(block)
            if pace.is_log_due(engine.step):
                terms = pace.means(block.names)
                speed = _images_per_s(engine, first_step, started)
                for number, run in enumerate(runs):
                    run.log("terms", step=engine.step, images_per_s=speed, **terms[number])
                _show(report, board, engine, terms[0])
            if engine.step < total:
                spent_s = time.perf_counter() - started
                _keep(runs, engine, pace, spent_s if interrupted() else None)
    seconds = time.perf_counter() - started
    for number, run in enumerate(runs):
        _finish(run, engine, number, seconds, _images_per_s(engine, first_step, started))


def _show(
    report: Report | None, board: ScalarWriter | None, engine: Engine, terms: dict[str, float]
) -> None:
    if report is not None:
        report(engine.step, engine.num_steps, terms)
    if board is not None:
        for name, value in terms.items():
            board.add_scalar(name, value, engine.step)


def _keep(runs: list[RunFolder], engine: Engine, pace: _Pace, interrupted_s: float | None) -> None:
    """Checkpoints and grids when they are due; a checkpoint and the end after an interrupt."""
    if interrupted_s is not None:
        for number, run in enumerate(runs):
            run.save(engine, number)
            run.log("interrupted", step=engine.step, train_s=round(interrupted_s, 2))
        raise KeyboardInterrupt
    if pace.is_save_due(engine.step):
        for number, run in enumerate(runs):
            run.save(engine, number)
            write_grid(run, engine, number)


def _finish(run: RunFolder, engine: Engine, number: int, seconds: float, speed: float) -> None:
    extra = {}
    game = engine.games[number]
    if game.model.kind == "likelihood" and game.latent is None:
        trained = trained_from(checkpoint_of(engine, number), engine.device)
        codes = trained.encode(data_images(engine.data, MAX_CODES))
        fitted = fit_priors(codes, game.config.seed)
        extra = {f"prior/{name}": value for name, value in fitted.items()}
    run.save(engine, number, **extra)
    write_grid(run, engine, number)
    run.log("end", step=engine.step, train_s=round(seconds, 2), images_per_s=speed)


def _prepare(
    runs: list[RunFolder], configs: list[RunConfig], engine: Engine, *, resume: bool
) -> None:
    """Make the folders, or read the checkpoints in them."""
    found = [(run.path / CHECKPOINT).is_file() for run in runs]
    for run, present in zip(runs, found, strict=True):
        if not resume and run.path.exists() and any(run.path.iterdir()):
            raise UsageError(
                f"{run.path} is taken; go on with --resume, or give another place with --out"
                if present
                else f"{run.path} is not empty; give another place with --out"
            )
    if resume and all(found):
        checkpoints = [read_checkpoint(run.path / CHECKPOINT) for run in runs]
        for run, config, checkpoint in zip(runs, configs, checkpoints, strict=True):
            _require_same(run, config, engine.data, checkpoint)
        steps = {checkpoint.step for checkpoint in checkpoints}
        if len(steps) > 1:
            raise UsageError(f"the stacked runs stopped at different steps: {sorted(steps)}")
        engine.load([checkpoint.tensors for checkpoint in checkpoints], steps.pop())
        return
    for run, config in zip(runs, configs, strict=True):
        (run.path / GRIDS).mkdir(parents=True, exist_ok=True)
        text = json.dumps(config.model_dump(mode="json") | {"digest": config.digest}, indent=2)
        write_atomically(run.path / CONFIG, f"{text}\n".encode())


def _require_same(
    run: RunFolder, config: RunConfig, data: TrainingSet, checkpoint: Checkpoint
) -> None:
    before, now = checkpoint.config.model_dump(mode="json"), config.model_dump(mode="json")
    for key, value in now.items():
        if before[key] != value:
            raise UsageError(
                f"{run.path} was trained with {key}={before[key]!r}, not {value!r}; "
                "resume with the same settings, or start another run"
            )
    if checkpoint.data_digest != data.digest:
        raise UsageError(f"{run.path} was trained on other images than {data.name} holds now")


def _require_finite(runs: list[RunFolder], block: BlockTerms) -> None:
    for number, run in enumerate(runs):
        where = first_non_finite(block, number if block.values.dim() == 3 else None)
        if where is not None:
            step, term = where
            run.log("diverged", step=step, term=term)
            raise TrainingDiverged(
                f"{run.path}: {term} is not finite at step {step}; the last checkpoint is kept. "
                "Lower learning_rate, or choose another loss or trick."
            )


class _Pace:
    """When to log and save; mean terms since the last log."""

    def __init__(self, total: int, step: int) -> None:
        self.save_every = max(1, math.ceil(total / PARTS / BLOCK_STEPS)) * BLOCK_STEPS
        self.log_every = max(1, math.ceil(total / PARTS / 10 / BLOCK_STEPS)) * BLOCK_STEPS
        self.last_log = self.last_save = step
        self.total = total
        self.sums: Any = 0.0
        self.count = 0

    def add(self, block: BlockTerms) -> None:
        self.sums = self.sums + block.values.sum(0).double()
        self.count += len(block.values)

    def means(self, names: tuple[str, ...]) -> list[dict[str, float]]:
        """Mean terms of each run since the last call."""
        rows = (self.sums / self.count).reshape(-1, len(names)).tolist()
        self.sums, self.count = 0.0, 0
        return [dict(zip(names, row, strict=True)) for row in rows]

    def is_log_due(self, step: int) -> bool:
        due = step - self.last_log >= self.log_every or step >= self.total
        if due:
            self.last_log = step
        return due

    def is_save_due(self, step: int) -> bool:
        due = step - self.last_save >= self.save_every
        if due:
            self.last_save = step
        return due


@contextmanager
def _interrupts() -> Iterator[Callable[[], bool]]:
    """While inside, the first SIGINT is remembered; a second one raises at once."""
    seen = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield seen.is_set
        return
    before = signal.getsignal(signal.SIGINT)

    def remember(_number: int, _frame: FrameType | None) -> None:
        if seen.is_set():
            raise KeyboardInterrupt
        seen.set()

    signal.signal(signal.SIGINT, remember)
    try:
        yield seen.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def _images_per_s(engine: Engine, first_step: int, started: float) -> float:
    images = (engine.step - first_step) * engine.games[0].config.batch_size * engine.num_runs
    return round(images / (time.perf_counter() - started), 1)
