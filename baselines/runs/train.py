"""Train runs into folders, from the start or a checkpoint to the end.

An interrupt (SIGINT) finishes the current block, writes a checkpoint and raises
`KeyboardInterrupt`. A loss or weight that is not finite ends its own run, not the others of its
stack: the log names step and term, and the last good checkpoint stays. A full disk leaves the last
good checkpoint as well.

Shape legend: S steps, K runs, T terms.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from baselines.models.code_priors import MAX_CODES, fit_code_priors
from baselines.models.random_draws import BLOCK_STEPS
from baselines.recipes.config import RunConfig
from baselines.runs.run_folder import RunFolder, checkpoint_of, data_images, write_grid
from baselines.runs.trouble import find_troubles
from baselines.sampling.trained import trained_from
from baselines.training.build import build_for
from baselines.training.checkpoint import Checkpoint, non_finite_tensor
from baselines.training.engine import BlockTerms, Engine, first_non_finite
from baselines.training.stacked import require_one_program
from baselines.training.training_images import TrainingSet
from bench.errors import EXIT_INVALID, LatentbenchError, UsageError
from bench.runtime.devices import device_description
from bench.runtime.provenance import library_versions, version

Report = Callable[[int, int, dict[str, float]], None]  # step, number of steps, mean terms
NUM_CHECKPOINTS = 20  # checkpoints and grids of a training; log lines are ten times as frequent


class TrainingDiverged(LatentbenchError):
    """A loss or weight that is not finite; the message says where.

    When a job raises it, the ledger records it as a result (`bench.execution.ledger.causes`), with
    `details` of JSON values.
    """

    exit_code = EXIT_INVALID
    is_result = True

    def __init__(self, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.details = dict(details or {})


class ScalarWriter(Protocol):
    """The part of TensorBoard's `SummaryWriter` that training uses."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None: ...

    def close(self) -> None: ...


def train_stack(
    configs: Sequence[RunConfig],
    data: TrainingSet,
    folders: Sequence[Path],
    *,
    device: str = "cpu",
    resume: bool = False,
    report: Report | None = None,
    board: ScalarWriter | None = None,
    graph: bool | None = None,
    milestones: Collection[int] = (),
) -> None:
    """Train runs of one model and length, each into its own folder; several runs train as one
    program.

    With `resume`, training continues from the checkpoints, which must have the same configurations
    and data. Runs at the same step continue together, and a finished run is left unchanged. More
    steps than before train it longer: schedules of tricks keep the length with which the run was
    started, and stay at their end after that.
    `report` gets the terms of the first run, `board` those of every run. After each step of
    `milestones`, which must be ends of blocks, a copy of what sampling needs is saved; training is
    the same with and without.

    Raises `UsageError` (a folder that is taken, a checkpoint of another run, a run that another
    process is training), `TrainingDiverged`
    once the other runs have ended, and `KeyboardInterrupt` after an interrupt.
    """
    for step in milestones:
        if step % BLOCK_STEPS and step != configs[0].num_steps:
            raise UsageError(f"milestone {step}: expected a multiple of {BLOCK_STEPS} steps")
    games = [build_for(config, data) for config in configs]
    require_one_program(games)
    runs = [RunFolder(path) for path in folders]
    for run, config in zip(runs, configs, strict=True):
        if not resume:  # nothing is written to a folder that is taken
            run.checkpoint_for(config, data, resume=False)
    num_steps = configs[0].num_steps
    diverged: list[str] = []
    with ExitStack() as claims:
        for run in runs:
            claims.enter_context(run.claimed())
        checkpoints = [
            run.checkpoint_for(config, data, resume=resume)
            for run, config in zip(runs, configs, strict=True)
        ]
        places = [
            (0, num_steps) if found is None else (found.step, found.schedule_steps)
            for found in checkpoints
        ]
        for place in sorted(set(places)):
            if place[0] >= num_steps:
                continue
            numbers = [number for number, own_place in enumerate(places) if own_place == place]
            own = [games[number] for number in numbers]
            engine = Engine(own if len(own) > 1 else own[0], data, device=device, graph=graph)
            training = _Training(
                [runs[number] for number in numbers], engine, report, board, milestones
            )
            diverged += training.run([checkpoints[number] for number in numbers])
    if diverged:
        raise TrainingDiverged("\n".join(diverged))


class _Training:
    """The training of runs that start at the same step."""

    def __init__(
        self,
        runs: list[RunFolder],
        engine: Engine,
        report: Report | None,
        board: ScalarWriter | None,
        milestones: Collection[int],
    ) -> None:
        self.engine, self.report, self.board = engine, report, board
        self.milestones = milestones
        self.active = dict(enumerate(runs))  # by number in the engine, without diverged runs
        self.diverged: list[str] = []

    def run(self, checkpoints: Sequence[Checkpoint | None]) -> list[str]:
        """Train to the end; return a message for every run that diverged."""
        engine = self.engine
        self._start(checkpoints)
        images = sum(game.config.batch_size for game in engine.games)
        self.pace = pace = _Pace(engine.num_steps, engine.step, images)
        with _interrupts() as interrupted:
            while engine.step < engine.num_steps and self.active:
                block = engine.run_block()
                self._drop_diverged(block)
                pace.add(block)
                if pace.is_log_due(engine.step):
                    self._log_terms(pace.means(block.names), pace.images_per_s(engine.step))
                if engine.step in self.milestones and engine.step < engine.num_steps:
                    self._save_milestones()  # before the checkpoint, from which a run resumes
                if engine.step < engine.num_steps:
                    self._save_if_due(interrupted=interrupted())
        for number in list(self.active):
            self._finish(number)
        return self.diverged

    def _start(self, checkpoints: Sequence[Checkpoint | None]) -> None:
        """Load the checkpoints, or create the folders."""
        engine = self.engine
        found = [checkpoint for checkpoint in checkpoints if checkpoint is not None]
        if len(found) == len(checkpoints):
            first = found[0]
            tensors = [checkpoint.tensors for checkpoint in found]
            engine.load(tensors, first.step, schedule_steps=first.schedule_steps)
        for number, run in self.active.items():
            config, before = engine.games[number].config, checkpoints[number]
            if before is None or before.config != config:
                run.make(config)
            run.log(
                "resume" if found else "start",
                step=engine.step,
                num_steps=engine.num_steps,
                device=device_description(engine.device),
                version=version(),
                libraries=library_versions(),
                stacked=engine.num_runs,
                kinds=engine.num_kinds,
            )

    def _drop_diverged(self, block: BlockTerms) -> None:
        for number in list(self.active):
            where = first_non_finite(block, number if block.values.dim() == 3 else None)
            if where is not None:
                self._drop(number, *where)

    def _drop(self, number: int, step: int, term: str) -> None:
        run = self.active.pop(number)
        run.log("diverged", step=step, term=term, **self.pace.spent())
        self.diverged.append(
            f"{run.path}: {term} is not finite at step {step}; the last checkpoint is kept. "
            "Lower learning_rate, or choose another loss or trick."
        )

    def _log_terms(self, terms: list[dict[str, float]], images_per_s: float) -> None:
        engine = self.engine
        for place, (number, run) in enumerate(self.active.items()):
            run.log("terms", step=engine.step, images_per_s=images_per_s, **terms[number])
            if self.report is not None and place == 0:
                self.report(engine.step, engine.num_steps, terms[number])
            if self.board is not None:
                prefix = f"{run.path.name}/" if engine.num_runs > 1 else ""
                for name, value in terms[number].items():
                    self.board.add_scalar(f"{prefix}{name}", value, engine.step)

    def _save_milestones(self) -> None:
        for number in list(self.active):
            checkpoint = self._checkpoint(number, with_priors=True)
            if checkpoint is not None:
                self.active[number].save_milestone(checkpoint, self.pace.spent())

    def _save_if_due(self, *, interrupted: bool) -> None:
        """Write checkpoints and grids when due. After an interrupt, write the checkpoints at once
        and raise `KeyboardInterrupt`.
        """
        if not (self.pace.is_save_due(self.engine.step) or interrupted):
            return
        for number, run in list(self.active.items()):
            checkpoint = self._checkpoint(number)
            if checkpoint is None:
                continue
            run.save(checkpoint, self.pace.spent())
            if interrupted:
                run.log("interrupted", step=self.engine.step, **self.pace.spent())
            else:
                write_grid(run, self.engine, number)
        if interrupted:
            raise KeyboardInterrupt

    def _checkpoint(self, number: int, *, with_priors: bool = False) -> Checkpoint | None:
        """Return a run's checkpoint, with the fitted distribution of an autoencoder's codes if
        asked for. If a weight is not finite, end the run and return None.
        """
        engine = self.engine
        game = engine.games[number]
        checkpoint = checkpoint_of(engine, number)
        bad = non_finite_tensor(checkpoint)
        if bad is not None:
            self._drop(number, engine.step, bad)
            return None
        if with_priors and game.model.kind == "likelihood" and game.latent is None:
            trained = trained_from(checkpoint, engine.device)
            codes = trained.encode(data_images(engine.data, MAX_CODES))
            fitted = fit_code_priors(codes, game.config.seed)
            checkpoint.tensors.update({f"prior/{name}": value for name, value in fitted.items()})
        return checkpoint

    def _finish(self, number: int) -> None:
        engine, run = self.engine, self.active[number]
        spent, images_per_s = self.pace.spent(), self.pace.images_per_s(engine.step)
        checkpoint = self._checkpoint(number, with_priors=True)
        if checkpoint is not None:
            run.save(checkpoint, spent)
            write_grid(run, engine, number)
            for trouble in find_troubles(engine.games[number].config, run.terms()):
                run.log("trouble", **trouble._asdict())
            run.log("end", step=engine.step, images_per_s=images_per_s, **spent)


class _Pace:
    """When a training of `total` steps logs and saves, its mean terms since the last log line, and
    its cost. The clock starts when the object is made, at step `step`.
    """

    def __init__(self, total: int, step: int, images_per_step: int) -> None:
        self.save_every = max(1, math.ceil(total / NUM_CHECKPOINTS / BLOCK_STEPS)) * BLOCK_STEPS
        self.log_every = max(1, math.ceil(total / NUM_CHECKPOINTS / 10 / BLOCK_STEPS)) * BLOCK_STEPS
        self.first = self.last_log = self.last_save = step
        self.total, self.images_per_step = total, images_per_step
        self.started, self.started_cpu = time.perf_counter(), time.process_time()
        self.sums: Any = 0.0
        self.count = 0

    def add(self, block: BlockTerms) -> None:
        self.sums = self.sums + block.values.sum(0).double()
        self.count += len(block.values)

    def means(self, names: tuple[str, ...]) -> list[dict[str, float]]:
        """Return the mean terms of each run since the last call."""
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

    def spent(self) -> dict[str, float]:
        """Return the cost since the start: `train_s` of wall time, and `cpu_s` of processor time of
        all threads of this process, which other work on the machine does not lengthen.
        """
        return {
            "train_s": round(time.perf_counter() - self.started, 2),
            "cpu_s": round(time.process_time() - self.started_cpu, 2),
        }

    def images_per_s(self, step: int) -> float:
        """Return the speed of all runs together since the start."""
        images = (step - self.first) * self.images_per_step
        return round(images / (time.perf_counter() - self.started), 1)


@contextmanager
def _interrupts() -> Iterator[Callable[[], bool]]:
    """Yield a function that returns whether SIGINT has arrived.

    The first SIGINT is only remembered; a second one raises `KeyboardInterrupt` at once. Outside
    the main thread, which receives the signals, the function always returns False.
    """
    arrived = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield arrived.is_set
        return
    before = signal.getsignal(signal.SIGINT)

    def remember(_number: int, _frame: FrameType | None) -> None:
        if arrived.is_set():
            raise KeyboardInterrupt
        arrived.set()

    signal.signal(signal.SIGINT, remember)
    try:
        yield arrived.is_set
    finally:
        signal.signal(signal.SIGINT, before)
