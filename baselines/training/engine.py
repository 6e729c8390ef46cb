"""The engine: it runs steps in blocks, eagerly on a CPU, as one CUDA graph per step on a GPU.

All draws of a block are made at once and stay on the device. A step reads its slice by a counter
that also lives on the device, so that the whole step (gather, scaling, forward, backward,
optimiser, tricks) is captured once and replayed. Losses go into a history on the device, which is
read once per block. Eager and captured steps run the same function on the same draws.

Several runs train as one program. One small network cannot fill a GPU. There, runs that differ only
in seed or learning rates are stacked, and the stacks (runs with other tricks, losses or sizes of
one model) are branches of one CUDA graph on separate streams, so that their kernels overlap. On a
CPU, runs take turns step by step: one run already keeps a core busy, and batched products are
slower than single ones (measured: 0.55 of the speed with 8 course GANs).

Shape legend: S steps of a block, K runs, T terms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor

from baselines.models.random_draws import BLOCK_STEPS, draw_block
from baselines.training.build import Game, draws_of
from baselines.training.checkpoint import lane_tensors, load_lane
from baselines.training.stacked import require_one_program, single_lanes, stacked_lanes, stacks_of
from baselines.training.steps import adversarial_step, single_step
from baselines.training.training_images import TrainingSet
from bench.errors import UsageError

WARM_UP_STEPS = 3  # eager steps before a capture, in which libraries allocate their buffers


class BlockTerms(NamedTuple):
    """The terms of steps `start` .. `start + len(values) - 1`: float32 n,T, or n,K,T for several
    runs.
    """

    start: int
    names: tuple[str, ...]
    values: Tensor


class Engine:
    """The training of one game, or of K games of one model, on a data set on the device.

    `graph` None captures CUDA graphs on a GPU; False never does. `stack` None stacks similar games
    on a GPU and lets them take turns on a CPU. `subsets` gives each game its own images, as int64
    indices into the data; it draws the same images as from a data set of these alone. Raises
    `UsageError` for games of different models or lengths.
    """

    def __init__(
        self,
        games: Game | Sequence[Game],
        data: TrainingSet,
        *,
        device: str = "cpu",
        graph: bool | None = None,
        stack: bool | None = None,
        subsets: Sequence[Tensor] | None = None,
    ) -> None:
        self.games: list[Game] = [games] if isinstance(games, Game) else list(games)
        if not self.games:
            raise UsageError("no run to train; give at least one")
        game = self.games[0]
        self.data, self.device, self.step = data, device, 0
        self.schedule_steps = game.config.num_steps  # after which the schedules of tricks end
        cuda = device.startswith("cuda")
        self._single = isinstance(games, Game)
        stacking = not self._single and (cuda if stack is None else stack)
        require_one_program(self.games)
        self._runs = (
            stacks_of([each.config for each in self.games])
            if stacking
            else [[number] for number in range(len(self.games))]
        )  # numbers in `games`, for each of the lanes
        self.lanes = [
            stacked_lanes([self.games[number] for number in runs], device)
            if len(runs) > 1
            else single_lanes(self.games[runs[0]], device)
            for runs in self._runs
        ]
        self._place = {
            number: (lanes, place)
            for lanes, runs in zip(self.lanes, self._runs, strict=True)
            for place, number in enumerate(runs)
        }
        in_order = torch.tensor([number for runs in self._runs for number in runs], device=device)
        self._order = in_order.argsort()
        self._streams = (
            [torch.cuda.Stream(device) for _ in self.lanes]  # type: ignore[no-untyped-call]
            if cuda and len(self.lanes) > 1
            else []
        )
        self._subsets = _checked_subsets(subsets, len(self.games), len(data.images), device)
        self._draws = [
            draws_of(each, len(data.images) if subset is None else len(subset))
            for each, subset in zip(self.games, self._subsets, strict=True)
        ]
        self._advance = adversarial_step if game.model.kind == "adversarial" else single_step
        self._blocks: list[dict[str, Tensor]] = [{} for _ in self.lanes]
        self._block_number = -1
        self._slot = torch.zeros(1, dtype=torch.int64, device=device)
        self._progress = torch.zeros(BLOCK_STEPS, device=device)
        self._history: Tensor | None = None
        self._names: tuple[str, ...] = ()
        self._use_graph = cuda if graph is None else graph
        self._graph: torch.cuda.CUDAGraph | None = None
        self._eager_steps = 0
        if self._use_graph and not cuda:
            raise UsageError(f"device {device!r} has no CUDA graphs; use cuda, or graph=None")

    @property
    def num_steps(self) -> int:
        """Steps of the whole training."""
        return self.games[0].config.num_steps

    @property
    def num_runs(self) -> int:
        """Number of games."""
        return len(self.games)

    @property
    def num_kinds(self) -> int:
        """Number of groups of runs that differ in more than seed and learning rates."""
        return len(stacks_of([game.config for game in self.games]))

    def run_block(self) -> BlockTerms:
        """Run the steps up to the end of the block or of the training and return their terms."""
        start = self.step
        block = start // BLOCK_STEPS
        stop = min((block + 1) * BLOCK_STEPS, self.num_steps)
        with _on_device(self.device):
            if block != self._block_number:
                self._fill(block)
            self._slot.fill_(start % BLOCK_STEPS)
            for _ in range(start, stop):
                self._run_step()
                self.step += 1
        assert self._history is not None  # noqa: S101  (at least one step has run)
        offset = block * BLOCK_STEPS
        return BlockTerms(
            start, self._names, self._history[start - offset : stop - offset].clone().cpu()
        )

    def tensors(self, run: int = 0) -> dict[str, Tensor]:
        """Return all tensors of one run on the CPU, named as in a checkpoint."""
        return lane_tensors(*self._place[run])

    def load(
        self,
        tensors: Sequence[dict[str, Tensor]],
        step: int,
        *,
        schedule_steps: int | None = None,
    ) -> None:
        """Resume training after `step` from each run's tensors. `schedule_steps` None is the whole
        training. Raises `UsageError` if the tensors do not fit.
        """
        self.schedule_steps = schedule_steps or self.num_steps
        for lanes, runs in zip(self.lanes, self._runs, strict=True):
            load_lane(lanes, [tensors[number] for number in runs])
        self.step, self._block_number, self._graph, self._eager_steps = step, -1, None, 0

    def _fill(self, block: int) -> None:
        """Draw the numbers of a block, in place where a graph reads those of the previous one."""
        each = [
            _subset_indices(draw_block(draws, game.config.seed, block, self.device), subset)
            for game, draws, subset in zip(self.games, self._draws, self._subsets, strict=True)
        ]
        for lanes, runs, stored in zip(self.lanes, self._runs, self._blocks, strict=True):
            fresh = each[runs[0]]
            if lanes.num_runs is not None:
                fresh = {n: torch.stack([each[run][n] for run in runs], dim=1) for n in fresh}
            for name, value in fresh.items():
                if name in stored:
                    stored[name].copy_(value)
                else:
                    stored[name] = value
        first = block * BLOCK_STEPS
        steps = torch.arange(first, first + BLOCK_STEPS, device=self.device)
        self._progress.copy_((steps / self.schedule_steps).clamp_max(1))
        self._block_number = block

    def _run_step(self) -> None:
        if not self._use_graph:
            self._step_once()
            return
        if self._graph is not None:
            self._graph.replay()
            return
        if self._eager_steps < WARM_UP_STEPS:
            stream = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
            stream.wait_stream(torch.cuda.current_stream(self.device))
            with torch.cuda.stream(stream):
                self._step_once()
            torch.cuda.current_stream(self.device).wait_stream(stream)
            self._eager_steps += 1
            return
        for lanes in self.lanes:
            for optimiser in lanes.optimisers.values():
                optimiser.zero_grad(set_to_none=True)
        graph = torch.cuda.CUDAGraph()
        # a capture records without running; "thread_local" lets other threads use the GPU meanwhile
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self._step_once()
        self._graph = graph
        graph.replay()

    def _step_once(self) -> None:
        progress = self._progress.index_select(0, self._slot)[0]
        each = []
        with self._branches() as branch:
            for number, (lanes, block) in enumerate(zip(self.lanes, self._blocks, strict=True)):
                with branch(number):
                    draws = {name: v.index_select(0, self._slot)[0] for name, v in block.items()}
                    terms = self._advance(lanes, self.data, draws, progress)
                    each.append(torch.stack(list(terms.values()), dim=-1))
        self._names = tuple(terms)
        values = each[0]
        if not self._single:
            values = torch.cat([own.reshape(-1, len(terms)) for own in each])
            values = values.index_select(0, self._order)
        if self._history is None:
            self._history = torch.zeros(BLOCK_STEPS, *values.shape, device=self.device)
        self._history.index_copy_(0, self._slot, values[None])
        self._slot.add_(1)

    @contextmanager
    def _branches(self) -> Iterator[Callable[[int], AbstractContextManager[Any]]]:
        """Yield a context per lanes: a stream that branches off the current one and joins it again,
        or nothing for a single lane.
        """
        if not self._streams:
            yield lambda _number: nullcontext()
            return
        current = torch.cuda.current_stream(self.device)
        for stream in self._streams:
            stream.wait_stream(current)
        try:
            yield lambda number: torch.cuda.stream(self._streams[number])
        finally:  # without the join, a failed capture would raise an error about open branches
            for stream in self._streams:
                current.wait_stream(stream)


@contextmanager
def _on_device(device: str) -> Iterator[None]:
    """Make this GPU the current one, which a capture needs, and use deterministic algorithms."""
    if not device.startswith("cuda"):
        yield
        return
    before = torch.backends.cudnn.deterministic
    torch.backends.cudnn.deterministic = True
    try:
        with torch.cuda.device(device):
            yield
    finally:
        torch.backends.cudnn.deterministic = before


def _checked_subsets(
    subsets: Sequence[Tensor] | None, num_runs: int, num_images: int, device: str
) -> list[Tensor | None]:
    """Return one subset per run, on the device; None is the whole data set."""
    if subsets is None:
        return [None] * num_runs
    if len(subsets) != num_runs:
        raise UsageError(f"{num_runs} runs: expected {num_runs} subsets, got {len(subsets)}")
    for number, subset in enumerate(subsets):
        if not len(subset) or int(subset.min()) < 0 or int(subset.max()) >= num_images:
            raise UsageError(
                f"subset {number} of the data: expected indices 0..{num_images - 1}, at least one"
            )
    return [subset.to(device) for subset in subsets]


def _subset_indices(draws: dict[str, Tensor], subset: Tensor | None) -> dict[str, Tensor]:
    """Turn indices into a subset into indices into the data."""
    if subset is None:
        return draws
    return {n: subset[v] if n.endswith("/index") else v for n, v in draws.items()}


def first_non_finite(block: BlockTerms, run: int | None = None) -> tuple[int, str] | None:
    """Return the first step of a block and the term whose value is not finite, or None.

    >>> values = torch.tensor([[1.0, 2.0], [1.0, float("nan")]])
    >>> first_non_finite(BlockTerms(16, ("d_loss", "g_loss"), values))
    (17, 'g_loss')
    """
    values = block.values if run is None else block.values[:, run]
    bad = ~torch.isfinite(values)
    if not bad.any():
        return None
    row = int(bad.any(dim=1).nonzero()[0])
    return block.start + row, block.names[int(bad[row].nonzero()[0])]


def train_through(engine: Engine, on_block: Callable[[BlockTerms], None] | None = None) -> None:
    """Run all remaining blocks, calling `on_block` after each."""
    while engine.step < engine.num_steps:
        block = engine.run_block()
        if on_block is not None:
            on_block(block)
