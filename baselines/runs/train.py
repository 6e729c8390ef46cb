"""Training into folders, from start or checkpoint to end.

Interrupts (SIGINT) end the block at hand, write a checkpoint and raise `KeyboardInterrupt`. A loss
or weight that is not finite ends its run, not the others of its stack, with an event that names
step and term, and leaves the last good checkpoint; so does a full disk.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from baselines.models.code_priors import MAX_CODES, fit_priors
from baselines.models.random_draws import BLOCK_STEPS
from baselines.recipes.config import RunConfig
from baselines.runs.interrupts import interrupts
from baselines.runs.pace import Pace
from baselines.runs.run_folder import RunFolder, checkpoint_of, data_images, write_grid
from baselines.sampling.trained import trained_from
from baselines.training.build import build_for
from baselines.training.checkpoint import Checkpoint, non_finite_tensor
from baselines.training.engine import BlockTerms, Engine, first_non_finite
from baselines.training.stacked import require_one_program
from baselines.training.training_images import TrainingSet
from bench.errors import EXIT_INVALID, LatentbenchError, UsageError
from bench.runtime.devices import device_description
from bench.runtime.provenance import library_versions, version

Report = Callable[[int, int, dict[str, float]], None]  # step, steps in all, mean terms


class TrainingDiverged(LatentbenchError):
    """A loss or weight that is not finite; the message says where. To what runs jobs it is a result
    (`bench.execution.ledger.causes`), with `details` of JSON values.
    """

    exit_code = EXIT_INVALID
    is_result = True

    def __init__(self, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.details = dict(details or {})


class ScalarWriter(Protocol):
    """What is asked of TensorBoard's `SummaryWriter`."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None: ...

    def close(self) -> None: ...


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
    """Train runs of one model and length, as one program when they are several, each into a folder
    of its own.

    With `resume`, training goes on behind the checkpoints, which must be of the same configurations
    and data: runs that stand at one step together, a finished run not at all. `report` shows the
    first run; `board` gets every run. What sampling needs is kept as it stands after each of the
    steps `milestones`, which are ends of blocks; training is the same with and without. Raises
    `UsageError` (folder taken, checkpoint of another run), `TrainingDiverged` when the others have
    ended, `KeyboardInterrupt` after an interrupt.
    """
    for step in milestones:
        if step % BLOCK_STEPS and step != configs[0].num_steps:
            raise UsageError(f"milestone {step}: expected a multiple of {BLOCK_STEPS} steps")
    games = [build_for(config, data) for config in configs]
    require_one_program(games)
    runs = [RunFolder(path) for path in folders]
    checkpoints = [
        run.checkpoint_for(config, data, resume=resume)
        for run, config in zip(runs, configs, strict=True)
    ]
    steps = [0 if checkpoint is None else checkpoint.step for checkpoint in checkpoints]
    diverged: list[str] = []
    for step in sorted(set(steps)):
        if step >= configs[0].num_steps:
            continue
        places = [place for place, reached in enumerate(steps) if reached == step]
        own = [games[place] for place in places]
        engine = Engine(own if len(own) > 1 else own[0], data, device=device, graph=graph)
        training = _Training([runs[place] for place in places], engine, report, board, milestones)
        diverged += training.run([checkpoints[place] for place in places])
    if diverged:
        raise TrainingDiverged("\n".join(diverged))


class _Training:
    """Runs that stand at one step, from there to the end."""

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
        self.alive = dict(enumerate(runs))  # by number in the engine, less those that diverged
        self.diverged: list[str] = []

    def run(self, checkpoints: Sequence[Checkpoint | None]) -> list[str]:
        """Train to the end; gives what diverged, and where."""
        engine = self.engine
        self._start(checkpoints)
        images = sum(game.config.batch_size for game in engine.games)
        self.pace = pace = Pace(engine.num_steps, engine.step, images)
        with interrupts() as interrupted:
            while engine.step < engine.num_steps and self.alive:
                block = engine.run_block()
                self._drop_diverged(block)
                pace.add(block)
                if pace.is_log_due(engine.step):
                    self._tell(pace.means(block.names), pace.images_per_s(engine.step))
                if engine.step in self.milestones and engine.step < engine.num_steps:
                    self._mark()  # before a checkpoint of the same step, behind which a run resumes
                if engine.step < engine.num_steps:
                    self._keep(interrupted=interrupted())
        for number in list(self.alive):
            self._finish(number)
        return self.diverged

    def _start(self, checkpoints: Sequence[Checkpoint | None]) -> None:
        """Take up the checkpoints, or make the folders."""
        engine = self.engine
        found = [checkpoint for checkpoint in checkpoints if checkpoint is not None]
        if len(found) == len(checkpoints):
            engine.load([checkpoint.tensors for checkpoint in found], found[0].step)
        for number, run in self.alive.items():
            if not found:
                run.make(engine.games[number].config)
            run.log(
                "resume" if found else "start",
                step=engine.step,
                device=device_description(engine.device),
                version=version(),
                libraries=library_versions(),
                stacked=engine.num_runs,
                kinds=engine.num_kinds,
            )

    def _drop_diverged(self, block: BlockTerms) -> None:
        for number in list(self.alive):
            where = first_non_finite(block, number if block.values.dim() == 3 else None)
            if where is not None:
                self._drop(number, *where)

    def _drop(self, number: int, step: int, term: str) -> None:
        run = self.alive.pop(number)
        run.log("diverged", step=step, term=term, **self.pace.spent())
        self.diverged.append(
            f"{run.path}: {term} is not finite at step {step}; the last checkpoint is kept. "
            "Lower learning_rate, or choose another loss or trick."
        )

    def _tell(self, terms: list[dict[str, float]], images_per_s: float) -> None:
        engine = self.engine
        for place, (number, run) in enumerate(self.alive.items()):
            run.log("terms", step=engine.step, images_per_s=images_per_s, **terms[number])
            if self.report is not None and place == 0:
                self.report(engine.step, engine.num_steps, terms[number])
            if self.board is not None:
                prefix = f"{run.path.name}/" if engine.num_runs > 1 else ""
                for name, value in terms[number].items():
                    self.board.add_scalar(f"{prefix}{name}", value, engine.step)

    def _mark(self) -> None:
        """Keep what sampling needs, as it stands."""
        for number in list(self.alive):
            checkpoint = self._checkpoint(number, with_priors=True)
            if checkpoint is not None:
                self.alive[number].save_milestone(checkpoint, self.pace.spent())

    def _keep(self, *, interrupted: bool) -> None:
        """Checkpoints and grids when they are due; a checkpoint and the end after an interrupt."""
        if not (self.pace.is_save_due(self.engine.step) or interrupted):
            return
        for number, run in list(self.alive.items()):
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
        """A run as it is, with the distribution of an autoencoder's codes where that is asked for;
        None, and the run ends, where a weight is not finite.
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
            fitted = fit_priors(codes, game.config.seed)
            checkpoint.tensors.update({f"prior/{name}": value for name, value in fitted.items()})
        return checkpoint

    def _finish(self, number: int) -> None:
        engine, run = self.engine, self.alive[number]
        spent, images_per_s = self.pace.spent(), self.pace.images_per_s(engine.step)
        checkpoint = self._checkpoint(number, with_priors=True)
        if checkpoint is not None:
            run.save(checkpoint, spent)
            write_grid(run, engine, number)
            run.log("end", step=engine.step, images_per_s=images_per_s, **spent)
