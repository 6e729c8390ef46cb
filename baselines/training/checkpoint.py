"""Checkpoints: a run's tensors in one safetensors file with JSON in the header, written atomically.

    networks/<network>/<name>              parameters and buffers
    optimisers/<network>/<name>/<key>      the optimiser's state of a parameter
    tricks/<trick>/<key>                   the state of a trick
    prior/<name>                           the distribution of an autoencoder's codes, once fitted

The header holds step, configuration, length of schedules and data digest. There is no random state
to save (`baselines.models.random_draws`). A stack writes one file for each of its runs, which can
be resumed as a single run.

Shape legend: K runs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from baselines.recipes.config import RunConfig, make_config
from baselines.training.steps import Lanes
from baselines.tricks import TRICKS
from bench.errors import BundleError, LatentbenchError, UsageError
from bench.runtime.failures import failure_line
from bench.runtime.whole_files import write_atomically

FORMAT = 1
MAX_COUNT = 1 << 40


class Checkpoint(NamedTuple):
    """A run after `step` updates: tensors by name, on the CPU, and what is needed to build it.

    `schedule_steps` is the number of steps after which the schedules of tricks have ended: that
    with which the run was started, also if it is trained longer.
    """

    config: RunConfig
    step: int
    schedule_steps: int
    tensors: dict[str, Tensor]
    data_digest: str
    image_shape: tuple[int, int, int]
    num_classes: int


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint atomically: an `OSError` leaves the previous file unchanged."""
    meta = {
        "format": FORMAT,
        "config": checkpoint.config.model_dump(mode="json"),
        "step": checkpoint.step,
        "schedule_steps": checkpoint.schedule_steps,
        "data_digest": checkpoint.data_digest,
        "image_shape": checkpoint.image_shape,
        "num_classes": checkpoint.num_classes,
    }
    tensors = {name: value.contiguous() for name, value in checkpoint.tensors.items()}
    write_atomically(path, save(tensors, metadata={"latentbench": json.dumps(meta)}))


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises `UsageError` for a missing file and for a trick whose package is not installed, and
    `BundleError` for a damaged file, another format or values that no training writes.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no checkpoint; train the run first")
    try:
        with safe_open(path, "pt") as file:
            meta: dict[str, Any] = json.loads((file.metadata() or {})["latentbench"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return _checkpoint(path, meta, tensors)
    except LatentbenchError:
        raise
    except Exception as error:  # a damaged file may raise anything
        raise BundleError(f"{path}: not a readable checkpoint: {failure_line(error)}") from error


def _checkpoint(path: Path, meta: Mapping[str, Any], tensors: dict[str, Tensor]) -> Checkpoint:
    """Return the checkpoint of a header. Raises anything for one that no training wrote."""
    if meta["format"] != FORMAT:
        raise BundleError(f"{path}: format {meta['format']}, this version reads {FORMAT}")
    _require_tricks(path, meta["config"])
    channels, height, width = (_count(meta, "image_shape", place) for place in range(3))
    try:
        config = make_config(meta["config"], trained=True)
    except UsageError as error:
        raise BundleError(f"{path}: {error}") from error
    return Checkpoint(
        config=config,
        step=_count(meta, "step"),
        schedule_steps=_count({"schedule_steps": config.num_steps, **meta}, "schedule_steps"),
        tensors=tensors,
        data_digest=str(meta["data_digest"]),
        image_shape=(channels, height, width),
        num_classes=_count(meta, "num_classes"),
    )


def _count(meta: Mapping[str, Any], key: str, place: int | None = None) -> int:
    """Return a number of the header. Raises `ValueError` for anything but a plain count."""
    value = meta[key] if place is None else meta[key][place]
    if type(value) is not int or not 0 <= value <= MAX_COUNT:
        raise ValueError(f"{key} is {value!r}, expected a number from 0 to {MAX_COUNT:,}")
    return value


def _require_tricks(path: Path, config: Mapping[str, Any]) -> None:
    for name in config.get("tricks", {}):
        if name not in TRICKS:
            raise UsageError(
                f"{path}: the run was trained with trick {name!r}, which is not installed; "
                f"install the package that provides it (entry-point group {TRICKS.group})"
            )


def non_finite_tensor(checkpoint: Checkpoint) -> str | None:
    """Return the name of the first weight or statistic that is not finite, or None."""
    for name, value in checkpoint.tensors.items():
        if name.startswith("networks/") and not torch.isfinite(value).all():
            return name
    return None


def _named(lanes: Lanes) -> Iterator[tuple[str, Tensor]]:
    """Yield every tensor of the lanes, except optimiser states, with its name."""
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
    """Copy one run's tensors to the CPU. The runs of a stack share the optimisers' step counts."""

    def own(value: Tensor) -> Tensor:
        picked = value if lanes.num_runs is None or value.dim() == 0 else value[run]
        return picked.detach().to("cpu", copy=True).contiguous()

    return {name: own(value) for name, value in [*_named(lanes), *_optimiser_entries(lanes)]}


@torch.no_grad()
def load_lane(lanes: Lanes, each: Sequence[Mapping[str, Tensor]]) -> None:
    """Copy the tensors of runs into the lanes, in place.

    Raises `UsageError` naming a tensor that is missing or has another shape.
    """

    def joined(name: str) -> Tensor:
        for tensors in each:
            if name not in tensors:
                raise UsageError(
                    f"the checkpoint has no tensor {name!r}; it belongs to another run"
                )
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
    """Copy an optimiser's tensor to the parameter's device.

    A tensor of the parameter's shape takes its memory layout, which a fused optimiser needs.
    """
    if value.shape == parameter.shape:
        return torch.empty_like(parameter, requires_grad=False).copy_(value)
    return value.to(parameter.device, copy=True)
