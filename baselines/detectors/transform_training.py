"""Networks learn which transform an image went through: one, or K of one shape as one program.

A step draws images and transforms at random from the job's own generator and makes one Adam step;
the rate falls to 0 along a half cosine. The number of steps does not depend on the size of a normal
set, so that all jobs of a stack end together, each after the batches that it would see alone. A
stack is evaluated under `torch.func.vmap` (convolutions become grouped ones, the statistics of
batch norm K,C are moved in place) and has one Adam, which is elementwise. It holds the activations
of K batches at a time; what comes after the training goes job by job.

Job k equals the single one up to the order of float32 sums. Tested: after 20 steps in float64
weights, statistics and scores to 1e-10 (measured: 1e-14), after 3 steps in float32 to 1e-4 of their
norms (1.4e-6). Longer trainings part further, as two single ones in two memory layouts do: after 51
steps of float32 simple scores by up to 9e-4 of the largest, in either case.

Shape legend: K jobs, N images of a set, B images of a batch, C,H,W an image, T transforms, P the
pixels of one.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.data import scaled
from baselines.detectors.transforms import transformed
from baselines.runs import TrainingDiverged
from baselines.tricks.base import Net

CHECKED_STEPS = 50  # between two looks at the losses
Tensors = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class TransformJob:
    """`network`, trained in place, `normal` uint8 N,C,H,W and the generator of its draws lie on one
    device; `name` is for errors.
    """

    name: str
    network: nn.Module
    normal: Tensor
    generator: torch.Generator


@dataclass(frozen=True, kw_only=True)
class TransformSchedule:
    """How long and how fast."""

    num_steps: int
    batch_size: int
    learning_rate: float


class _Single:
    """One network, on images in channels-last layout: faster on a CPU."""

    def __init__(self, job: TransformJob) -> None:
        self.network = job.network.train()
        self.parameters = list(self.network.parameters())

    def losses(self, x: Tensor, turned: Tensor) -> Tensor:
        """Of batches 1,B,C,H,W and transforms 1,B: 1."""
        batch = x[0].contiguous(memory_format=torch.channels_last)
        return F.cross_entropy(self.network(batch), turned[0])[None]

    def write_back(self) -> None:
        """Nothing: the job's own network was trained."""


class _Stack:
    """The tensors of K networks, with a leading K."""

    def __init__(self, jobs: Sequence[TransformJob]) -> None:
        self.networks = [job.network.train() for job in jobs]
        weights, self.buffers = torch.func.stack_module_state(self.networks)
        self.weights: Tensors = {  # planar, as the batches of a grouped convolution are
            name: value.detach().contiguous().requires_grad_() for name, value in weights.items()
        }
        self.parameters = list(self.weights.values())
        self.template = copy.deepcopy(self.networks[0]).to("meta")

    def losses(self, x: Tensor, turned: Tensor) -> Tensor:
        """Of batches K,B,C,H,W and transforms K,B: K."""

        def one(weights: Tensors, buffers: Tensors, x: Tensor, turned: Tensor) -> Tensor:
            net = Net(self.template, weights, buffers, stacked=True)
            return F.cross_entropy(net(x), turned)

        found: Tensor = torch.func.vmap(one)(self.weights, self.buffers, x, turned)
        return found

    @torch.no_grad()
    def write_back(self) -> None:
        """Weights and statistics into the jobs' own networks."""
        for number, network in enumerate(self.networks):
            own = {**dict(network.named_parameters()), **dict(network.named_buffers())}
            for name, value in {**self.weights, **self.buffers}.items():
                own[name].copy_(value[number])


def train_transforms(
    jobs: Sequence[TransformJob],
    indices: Tensor,
    schedule: TransformSchedule,
    *,
    stack: bool | None = None,
) -> None:
    """Train every job in place to name the row of `indices` T,P that an image was moved by.

    `stack` None stacks several jobs on a GPU and trains them one after the other on a CPU. Raises
    `TrainingDiverged`.
    """
    stacking = indices.is_cuda if stack is None else stack
    for group in [list(jobs)] if stacking else [[job] for job in jobs]:
        _train_group(group, indices, schedule)


def _train_group(
    jobs: Sequence[TransformJob], indices: Tensor, schedule: TransformSchedule
) -> None:
    lane = _Stack(jobs) if len(jobs) > 1 else _Single(jobs[0])
    pool = torch.cat([job.normal for job in jobs]) if len(jobs) > 1 else jobs[0].normal
    optimiser = torch.optim.Adam(lane.parameters, schedule.learning_rate, fused=True)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, schedule.num_steps)
    for step in range(schedule.num_steps):
        places, turned = _drawn(jobs, len(indices), schedule.batch_size)
        x = transformed(pool[places.flatten()], indices[turned.flatten()])
        x = scaled(x, "signed").view(*places.shape, *pool.shape[1:])
        losses = lane.losses(x, turned)
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(losses.sum(), inputs=lane.parameters)  # jobs share no parameter
        optimiser.step()
        rate.step()
        if step % CHECKED_STEPS == 0 or step == schedule.num_steps - 1:
            _require_finite(losses, jobs, step, schedule.num_steps)
    lane.write_back()


def _drawn(jobs: Sequence[TransformJob], num_transforms: int, batch: int) -> tuple[Tensor, Tensor]:
    """Places in the pool and transforms of one step, int64 K,B each."""
    places, turned, start = [], [], 0
    for job in jobs:
        generator, device = job.generator, job.normal.device
        which = torch.randint(len(job.normal), (batch,), generator=generator, device=device)
        places.append(which + start)
        turned.append(torch.randint(num_transforms, (batch,), generator=generator, device=device))
        start += len(job.normal)
    return torch.stack(places), torch.stack(turned)


def _require_finite(
    losses: Tensor, jobs: Sequence[TransformJob], step: int, num_steps: int
) -> None:
    for job, loss in zip(jobs, losses.detach().tolist(), strict=True):
        if not math.isfinite(loss):
            raise TrainingDiverged(
                f"{job.name}: the loss is not finite at step {step} of {num_steps}; "
                "choose a lower learning_rate"
            )
