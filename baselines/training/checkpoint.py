"""A run's tensors in one safetensors file, its JSON in the header: written whole or not at all.

    networks/<network>/<name>              parameters and buffers
    optimisers/<network>/<name>/<key>      what the optimiser carries for a parameter
    tricks/<trick>/<key>                   what a trick carries from step to step
    prior/<name>                           the distribution of an autoencoder's codes, when fitted

The header holds step, configuration and data digest. There is no random state to keep
(`baselines.models.random_draws`). A stack writes one such file for each of its runs, which can be
taken up as a
single run.

Shape legend: K runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from baselines.recipes.config import RunConfig, make_config
from baselines.training.steps import Lanes
from bench.errors import BundleError, LatentbenchError, UsageError
from bench.runtime.whole_files import write_atomically

FORMAT = 1


class Checkpoint(NamedTuple):
    """`step` updates were done; `tensors` by name, on the CPU; `shape` C,H,W of the images."""

    config: RunConfig
    step: int
    tensors: dict[str, Tensor]
    data_digest: str
    image_shape: tuple[int, int, int]
    num_classes: int


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write to a temporary file and move it into place: an `OSError` leaves the earlier one."""
    meta = {
        "format": FORMAT,
        "config": checkpoint.config.model_dump(mode="json"),
        "step": checkpoint.step,
        "data_digest": checkpoint.data_digest,
        "image_shape": checkpoint.image_shape,
        "num_classes": checkpoint.num_classes,
    }
    tensors = {name: value.contiguous() for name, value in checkpoint.tensors.items()}
    write_atomically(path, save(tensors, metadata={"latentbench": json.dumps(meta)}))


def read_checkpoint(path: Path) -> Checkpoint:
    """Raises `UsageError` when there is none, `BundleError` when it is damaged or of another
    format.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no checkpoint; train the run first")
    try:
        with safe_open(path, "pt") as file:
            meta: dict[str, Any] = json.loads((file.metadata() or {})["latentbench"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if meta["format"] != FORMAT:
            raise BundleError(f"{path}: format {meta['format']}, this version reads {FORMAT}")
        channels, height, width = meta["image_shape"]
        return Checkpoint(
            config=make_config(meta["config"]),
            step=int(meta["step"]),
            tensors=tensors,
            data_digest=str(meta["data_digest"]),
            image_shape=(int(channels), int(height), int(width)),
            num_classes=int(meta["num_classes"]),
        )
    except LatentbenchError:
        raise
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise BundleError(f"{path}: not a readable checkpoint: {error}") from error


def non_finite_tensor(checkpoint: Checkpoint) -> str | None:
    """The first weight or statistic of a network that is not finite; None when all are."""
    for name, value in checkpoint.tensors.items():
        if name.startswith("networks/") and not torch.isfinite(value).all():
            return name
    return None


def _named(lanes: Lanes) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of the lanes, optimiser states aside, with its name."""
    for network in lanes.modules:
        for name, value in {**lanes.parameters[network], **lanes.buffers[network]}.items():
            yield f"networks/{network}/{name}", value
    for key, value in lanes.state.items():
        yield f"tricks/{key}", value


def _optimiser_entries(lanes: Lanes) -> Iterator[tuple[str, Tensor]]:
    for network, optimiser in lanes.optimisers.items():
        for name, parameter in lanes.parameters[network].items():
            for key, value in optimiser.state.get(parameter, {}).items():
                if isinstance(value, Tensor):
                    yield f"optimisers/{network}/{name}/{key}", value


def lane_tensors(lanes: Lanes, run: int = 0) -> dict[str, Tensor]:
    """Copies on the CPU of one run's tensors. Steps of optimisers are shared by a stack."""

    def own(value: Tensor) -> Tensor:
        picked = value if lanes.num_runs is None or value.dim() == 0 else value[run]
        return picked.detach().to("cpu", copy=True).contiguous()

    return {name: own(value) for name, value in [*_named(lanes), *_optimiser_entries(lanes)]}


@torch.no_grad()
def load_lane(lanes: Lanes, each: Sequence[Mapping[str, Tensor]]) -> None:
    """Copy runs' tensors into the lanes, in place. Raises `UsageError` naming what is missing."""

    def joined(name: str) -> Tensor:
        for tensors in each:
            if name not in tensors:
                raise UsageError(f"the checkpoint has no tensor {name!r}; it is of another run")
        is_shared = each[0][name].dim() == 0 and name.startswith("optimisers/")
        if lanes.num_runs is None or is_shared:
            return each[0][name]
        return torch.stack([tensors[name] for tensors in each])

    for name, value in _named(lanes):
        found = joined(name)
        if found.shape != value.shape:
            raise UsageError(
                f"{name}: shape {tuple(found.shape)} in the checkpoint, {tuple(value.shape)} here"
            )
        value.copy_(found)
    for network, optimiser in lanes.optimisers.items():
        for name, parameter in lanes.parameters[network].items():
            prefix = f"optimisers/{network}/{name}/"
            keys = [key for key in each[0] if key.startswith(prefix)]
            optimiser.state[parameter] = {
                key.removeprefix(prefix): _placed(joined(key), parameter) for key in keys
            }


def _placed(value: Tensor, parameter: Tensor) -> Tensor:
    """A copy of an optimiser's tensor: in the parameter's memory layout, as a fused optimiser reads
    it, or, for a count of steps, on the parameter's device.
    """
    if value.shape == parameter.shape:
        return torch.empty_like(parameter, requires_grad=False).copy_(value)
    return value.to(parameter.device, copy=True)
