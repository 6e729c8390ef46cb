"""Training of small networks on preprocessed images, one or K of one architecture as one program.

A job is a network, the float images of its normal set, a seed and tensors that its objective reads
(a centre, a radius). A step draws a batch of places from the job's own set (`baselines.draws`, with
replacement) and makes one Adam step with weight decay added to the gradient. Stacked jobs are
evaluated under `torch.func.vmap` and share one optimiser, which is elementwise: job k of a stack
equals the single one up to the order of float32 sums (tested: 1e-4 relative). The rate falls to a
tenth at step `milestone`.

Shape legend: K jobs, N images of a set, B images of a batch, C,H,W an image.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from baselines.draws import BLOCK_STEPS, Draw, draw_block, integers
from baselines.runs import TrainingDiverged
from baselines.tricks.base import Net

CHECKED_STEPS = 50  # between two looks at the losses
Objective = Callable[[Net, Tensor, Mapping[str, Tensor]], tuple[Tensor, Tensor]]
Carried = dict[str, Tensor]
OnStep = Callable[[int, Tensor, Carried], None]


@dataclass(kw_only=True)
class Job:
    """`images` float32 N,C,H,W and `carried` lie on the network's device; trained in place."""

    network: nn.Module
    images: Tensor
    seed: int
    carried: Carried = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long and how fast; `stage` names the draws and the errors."""

    stage: str
    num_steps: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    milestone: int


class _Evaluated(NamedTuple):
    losses: Tensor  # K
    details: Tensor  # K,B: what the objective says of each image


class _Lane:
    """The tensors of K jobs: a stack's with a leading K, or those of a single network."""

    def __init__(self, jobs: Sequence[Job], objective: Objective) -> None:
        self.jobs, self.objective = jobs, objective
        self.stacked = len(jobs) > 1
        networks = [job.network.train() for job in jobs]
        self.carried: Carried = {
            key: torch.stack([job.carried[key] for job in jobs]) for key in jobs[0].carried
        }
        if self.stacked:
            parameters, self.buffers = torch.func.stack_module_state(networks)
            self.parameters = {k: v.detach().requires_grad_() for k, v in parameters.items()}
            self.template = copy.deepcopy(networks[0]).to("meta")
        else:
            # 1.5 times as fast on a CPU
            networks[0].to(memory_format=torch.channels_last)
            self.parameters = dict(networks[0].named_parameters())
            self.buffers, self.template = dict(networks[0].named_buffers()), networks[0]

    def evaluate(self, x: Tensor) -> _Evaluated:
        """Losses and details for batches K,B,C,H,W."""
        if not self.stacked:
            carried = {key: value[0] for key, value in self.carried.items()}
            net = Net(self.template, self.parameters, self.buffers)
            batch = x[0].contiguous(memory_format=torch.channels_last)
            loss, details = self.objective(net, batch, carried)
            return _Evaluated(loss[None], details[None])

        def one(
            parameters: Carried, buffers: Carried, x: Tensor, carried: Carried
        ) -> tuple[Tensor, Tensor]:
            net = Net(self.template, parameters, buffers, stacked=True)
            return self.objective(net, x, carried)

        found = torch.func.vmap(one)(self.parameters, self.buffers, x, self.carried)
        return _Evaluated(*found)

    @torch.no_grad()
    def write_back(self) -> None:
        """Trained values into the jobs' own networks."""
        for number, job in enumerate(self.jobs):
            job.carried = {key: value[number].clone() for key, value in self.carried.items()}
            if self.stacked:
                own = {**dict(job.network.named_parameters()), **dict(job.network.named_buffers())}
                for name, value in {**self.parameters, **self.buffers}.items():
                    own[name].copy_(value[number])


def train_jobs(
    jobs: Sequence[Job],
    objective: Objective,
    schedule: Schedule,
    *,
    stack: bool | None = None,
    on_step: OnStep | None = None,
) -> None:
    """Train every job in place. `objective(net, x, carried)` gives a loss and details B of one
    batch; `on_step(step, details K,B, carried)` may change what is carried (K,...) in place.

    `stack` None stacks several jobs on a GPU and trains them one after the other on a CPU. Raises
    `TrainingDiverged`.
    """
    stacking = jobs[0].images.is_cuda if stack is None else stack
    groups = [list(jobs)] if stacking else [[job] for job in jobs]
    for number, group in enumerate(groups):
        _train_group(_Lane(group, objective), schedule, on_step, first=number)


def _train_group(lane: _Lane, schedule: Schedule, on_step: OnStep | None, first: int) -> None:
    pool = torch.cat([job.images for job in lane.jobs]) if lane.stacked else lane.jobs[0].images
    parameters = list(lane.parameters.values())
    optimiser = torch.optim.Adam(
        parameters, schedule.learning_rate, weight_decay=schedule.weight_decay, fused=True
    )
    places: Tensor | None = None
    for step in range(schedule.num_steps):
        if step % BLOCK_STEPS == 0:
            places = _places(lane.jobs, schedule, step // BLOCK_STEPS)
        if step == schedule.milestone:
            for group in optimiser.param_groups:
                group["lr"] = schedule.learning_rate / 10
        assert places is not None  # noqa: S101  (step 0 made some)
        found = lane.evaluate(_gathered(pool, places[:, step % BLOCK_STEPS]))
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(found.losses.sum(), inputs=parameters)
        optimiser.step()
        if on_step is not None:
            on_step(step, found.details.detach(), lane.carried)
        if step % CHECKED_STEPS == 0 or step == schedule.num_steps - 1:
            _require_finite(found.losses, step, schedule, first)
    lane.write_back()


def _places(jobs: Sequence[Job], schedule: Schedule, block: int) -> Tensor:
    """Places in the pool of a block of steps: K,BLOCK_STEPS,B."""
    rows, start = [], 0
    for job in jobs:
        draw = Draw((schedule.batch_size,), integers(len(job.images)))
        device = str(job.images.device)
        drawn = draw_block({schedule.stage: draw}, job.seed, block, device)
        rows.append(drawn[schedule.stage] + start)
        start += len(job.images)
    return torch.stack(rows)


def _gathered(pool: Tensor, places_KB: Tensor) -> Tensor:
    picked = pool.index_select(0, places_KB.flatten())
    return picked.view(*places_KB.shape, *pool.shape[1:])


def _require_finite(losses: Tensor, step: int, schedule: Schedule, first: int) -> None:
    for number, loss in enumerate(losses.detach().tolist()):
        if not math.isfinite(loss):
            raise TrainingDiverged(
                f"{schedule.stage}, normal set {first + number}: the loss is not finite at step "
                f"{step} of {schedule.num_steps}; choose a lower learning_rate"
            )


@torch.no_grad()
def in_eval(network: nn.Module, x: Tensor) -> Tensor:
    """The network's output in eval mode, without gradients."""
    out: Tensor = network.eval()(x)
    return out
