"""How `latentbench latent` opens a trained run. Reading this row loads no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.latent.sources import SpaceSource


def _is_run(path: Path) -> bool:
    return path.suffix == ".safetensors" or (path / "config.json").is_file()


def _open(path: Path, device: str) -> Any:
    from baselines.latent.spaces import run_space

    return run_space(path, device)


RUNS = SpaceSource(
    name="runs",
    title="the folder of a run of `latentbench train`, or its checkpoint",
    recognises=_is_run,
    open=_open,
)
