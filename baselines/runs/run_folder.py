"""What lies in a run's folder, and how it gets there.

    config.json              the complete configuration
    log.jsonl                one event a line: start, terms, checkpoint, end, ...
    checkpoint.safetensors   everything that training depends on, replaced whole
    grids/00001234.png       samples (reconstructions, for an autoencoder) after so many steps
    milestones/00001234.safetensors   what sampling needs after so many steps, where asked for

A run that was killed may have log lines behind its last checkpoint; those steps appear again after
`resume`.
"""

from __future__ import annotations

import datetime
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from baselines.recipes.config import RunConfig
from baselines.sampling.sampler import preview
from baselines.sampling.trained import AVERAGED_GENERATOR, Trained, reconstruct, trained_from
from baselines.training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from baselines.training.engine import Engine
from baselines.training.training_images import TrainingSet
from bench.errors import UsageError
from bench.runtime.whole_files import write_atomically

CHECKPOINT, LOG, CONFIG, GRIDS = "checkpoint.safetensors", "log.jsonl", "config.json", "grids"
MILESTONES = "milestones"
GRID_SIDE = 8


class RunFolder:
    """One run on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def log(self, event: str, **fields: Any) -> None:
        """Append one line of JSON."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        with (self.path / LOG).open("ab+") as stream:
            if stream.tell():
                stream.seek(-1, os.SEEK_END)
                if stream.read() != b"\n":  # cut short by a crash
                    stream.write(b"\n")
            stream.write(json.dumps({"event": event, "at": now, **fields}).encode() + b"\n")

    def events(self) -> list[dict[str, Any]]:
        """All lines of the log; a last line cut short by a crash is left out."""
        found = []
        for line in (self.path / LOG).read_text().splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found

    def checkpoint_for(
        self, config: RunConfig, data: TrainingSet, *, resume: bool
    ) -> Checkpoint | None:
        """The checkpoint to go on from; None where there is none. Raises `UsageError` for a folder
        that is taken, or a checkpoint of another run.
        """
        file = self.path / CHECKPOINT
        if not resume:
            if self.path.exists() and any(self.path.iterdir()):
                raise UsageError(
                    f"{self.path} is taken; go on with --resume, or give another place with --out"
                    if file.is_file() or (self.path / CONFIG).is_file()
                    else f"{self.path} is not empty; give another place with --out"
                )
            return None
        if not file.is_file():
            return None
        checkpoint = read_checkpoint(file)
        before, now = checkpoint.config.model_dump(mode="json"), config.model_dump(mode="json")
        for key, value in now.items():
            if before[key] != value:
                raise UsageError(
                    f"{self.path} was trained with {key}={before[key]!r}, not {value!r}; "
                    "resume with the same settings, or start another run"
                )
        if checkpoint.data_digest != data.digest:
            raise UsageError(f"{self.path} was trained on other images than {data.name} holds now")
        return checkpoint

    def make(self, config: RunConfig) -> None:
        """The folder of a run that starts: its configuration, and a place for grids."""
        (self.path / GRIDS).mkdir(parents=True, exist_ok=True)
        text = json.dumps(config.model_dump(mode="json") | {"digest": config.digest}, indent=2)
        write_atomically(self.path / CONFIG, f"{text}\n".encode())

    def save(self, checkpoint: Checkpoint, spent: Mapping[str, float]) -> None:
        """Write the checkpoint, and a line about it with what the training has cost so far."""
        write_checkpoint(self.path / CHECKPOINT, checkpoint)
        self.log("checkpoint", step=checkpoint.step, **spent)

    def milestone(self, step: int) -> Path:
        """The file of what sampling needs after so many steps."""
        return self.path / MILESTONES / f"{step:08d}.safetensors"

    def save_milestone(self, checkpoint: Checkpoint, spent: Mapping[str, float]) -> None:
        """Write of a checkpoint what sampling needs, and a line about it."""
        needed = {
            name: value
            for name, value in checkpoint.tensors.items()
            if name.startswith(("networks/", "prior/", AVERAGED_GENERATOR))
        }
        write_checkpoint(self.milestone(checkpoint.step), checkpoint._replace(tensors=needed))
        self.log("milestone", step=checkpoint.step, **spent)

    def train_s_until(
        self, step: int, clock: Literal["train_s", "cpu_s"] = "train_s"
    ) -> float | None:
        """Seconds of training behind `step` by either clock of `Pace.spent`, a stack's shared among
        its runs, those that a kill lost left out; None where the log does not tell.
        """
        # first step, runs, seconds by step
        parts: list[tuple[int, int, dict[int, float | None]]] = []
        if not (self.path / LOG).is_file():
            return None
        for event in self.events():
            if event["event"] in ("start", "resume"):
                parts.append((event["step"], event["stacked"], {}))
            elif parts and "train_s" in event:
                parts[-1][2][event["step"]] = event.get(clock)
        found = []
        for place, (first, stacked, known) in enumerate(parts):
            last = min([step, *(later for later, _, _ in parts[place + 1 :])])
            within = [seconds for at, seconds in known.items() if first < at <= last]
            if None in within:
                return None
            found += [max(filter(None, within), default=0.0) / stacked] if within else []
        return round(sum(found), 3) if found else None


def checkpoint_of(engine: Engine, run: int = 0) -> Checkpoint:
    """One run of an engine as it is now."""
    return Checkpoint(
        config=engine.games[run].config,
        step=engine.step,
        tensors=engine.tensors(run),
        data_digest=engine.data.digest,
        image_shape=engine.data.image_shape,
        num_classes=engine.data.num_classes,
    )


def load_run(folder: Path, device: str = "cpu") -> Trained:
    """The trained networks of a run's folder (or of a checkpoint file)."""
    path = folder / CHECKPOINT if folder.is_dir() else folder
    return trained_from(read_checkpoint(path), device)


def data_images(data: TrainingSet, num: int) -> NDArray[np.uint8]:
    """Images spread evenly over a training set, which may be sorted: uint8 N,H,W,C; all of them
    where there are no more than `num`.
    """
    last, count = len(data.images) - 1, min(num, len(data.images))
    places = torch.arange(count) * last // max(count - 1, 1)
    picked = data.images.index_select(0, places.to(data.images.device))
    return np.asarray(picked.permute(0, 2, 3, 1).cpu().numpy())


def write_grid(run: RunFolder, engine: Engine, number: int) -> None:
    """A sheet of 64 samples as training stands; always of the same latents."""
    trained = trained_from(checkpoint_of(engine, number), engine.device)
    num = GRID_SIDE**2
    if trained.game.latent is not None:
        images = preview(trained, num)
    else:
        images = reconstruct(trained, data_images(engine.data, num))
    write_sheet(images, run.path / GRIDS / f"{engine.step:08d}.png")


def grid_picture(images: NDArray[np.uint8], columns: int = GRID_SIDE) -> Image.Image:
    """uint8 N,H,W,C -> one picture, row by row, with gaps of 2 px; empty places are black."""
    num, height, width, channels = images.shape
    rows = -(-num // columns)
    sheet = np.zeros((rows * (height + 2) - 2, columns * (width + 2) - 2, channels), np.uint8)
    for place, image in enumerate(images):
        top, left = place // columns * (height + 2), place % columns * (width + 2)
        sheet[top : top + height, left : left + width] = image
    return Image.fromarray(sheet[..., 0] if channels == 1 else sheet)


def write_sheet(images: NDArray[np.uint8], path: Path) -> None:
    """The picture of uint8 N,H,W,C images as a small PNG file, whole or not at all."""
    buffer = io.BytesIO()
    grid_picture(images).save(buffer, format="PNG", optimize=True)
    write_atomically(path, buffer.getvalue())
