"""A run's folder: its files, and how they are read and written.

    config.json              the complete configuration
    log.jsonl                one event per line: start, terms, checkpoint, trouble, end, ...
    checkpoint.safetensors   everything that training depends on, replaced atomically
    grids/00001234.png       samples after 1,234 steps (for an autoencoder, reconstructions)
    milestones/00001234.safetensors   what sampling needs after 1,234 steps, if asked for
    .claim                   locked by the process that trains the run

A killed run may have log lines after its last checkpoint; those steps appear again after `resume`.
"""

from __future__ import annotations

import datetime
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
from bench.errors import BundleError, UsageError
from bench.execution.ledger.claims import claim_within
from bench.runtime.whole_files import append_line, write_atomically

CHECKPOINT, LOG, CONFIG, GRIDS = "checkpoint.safetensors", "log.jsonl", "config.json", "grids"
MILESTONES, CLAIM = "milestones", ".claim"
CLAIM_WAIT_S = 0.3  # longer than a look at the claim holds it
GRID_SIDE = 8


class RunFolder:
    """The folder of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def log(self, event: str, **fields: Any) -> None:
        """Append one line of JSON."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        line = json.dumps({"event": event, "at": now, **fields})
        append_line(self.path / LOG, line.encode(), sync=False)

    def events(self) -> list[dict[str, Any]]:
        """Return all events of the log, without lines that a crash cut short."""
        found = []
        for line in (self.path / LOG).read_bytes().split(b"\n"):
            try:
                event = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(event, dict) and "event" in event:
                found.append(event)
        return found

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Hold the right to train this run, so that no two processes write one folder.

        The kernel gives it back when the process ends. Raises `UsageError` if another process or
        thread holds it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        claim = claim_within(self.path / CLAIM, CLAIM_WAIT_S)
        if claim is None:
            raise UsageError(
                f"{self.path} is being trained by another process; wait until it has ended and "
                "continue the run with --resume, or give another folder with --out"
            )
        with claim:
            yield

    def terms(self) -> list[dict[str, Any]]:
        """Return the lines of terms in the order of steps; of a step that a killed run repeated,
        the last.
        """
        lines = {event["step"]: event for event in self.events() if event["event"] == "terms"}
        return [lines[step] for step in sorted(lines)]

    def troubles(self) -> list[str]:
        """Return what went wrong in the training that ended last, in words."""
        found: list[str] = []
        for event in self.events() if (self.path / LOG).is_file() else ():
            if event["event"] in ("start", "resume"):
                found = []
            elif event["event"] == "trouble":
                found.append(event["message"])
        return found

    def checkpoint_for(
        self, config: RunConfig, data: TrainingSet, *, resume: bool
    ) -> Checkpoint | None:
        """Return the checkpoint to resume from, or None. The run may be trained longer than before.

        Raises `UsageError` for a folder that is not empty, unless `resume` is set, and for a
        checkpoint of another configuration or data set, or of a longer training.
        """
        file = self.path / CHECKPOINT
        if not resume:
            if self.path.exists() and any(one.name != CLAIM for one in self.path.iterdir()):
                raise UsageError(
                    f"{self.path} has a run already; continue it with --resume, or give another "
                    "folder with --out"
                    if file.is_file() or (self.path / CONFIG).is_file()
                    else f"{self.path} is not empty; give another folder with --out"
                )
            return None
        if not file.is_file():
            return None
        checkpoint = read_checkpoint(file)
        before, now = checkpoint.config.model_dump(mode="json"), config.model_dump(mode="json")
        for key, value in now.items():
            if key == "num_steps" and before[key] <= value:
                continue
            if before[key] != value:
                raise UsageError(
                    f"{self.path} was trained with {key}={before[key]!r}, not {value!r}; "
                    "resume with the same settings, or start another run"
                )
        if checkpoint.data_digest != data.digest:
            raise UsageError(
                f"{self.path} was trained on other images than {data.name} has now; resume with "
                "the same images, or start another run"
            )
        return checkpoint

    def make(self, config: RunConfig) -> None:
        """Create the folder of a new run, with its configuration and the folder of grids."""
        (self.path / GRIDS).mkdir(parents=True, exist_ok=True)
        text = json.dumps(config.model_dump(mode="json") | {"digest": config.digest}, indent=2)
        write_atomically(self.path / CONFIG, f"{text}\n".encode())

    def save(self, checkpoint: Checkpoint, spent: Mapping[str, float]) -> None:
        """Write the checkpoint and log it, with the cost of the training so far."""
        write_checkpoint(self.path / CHECKPOINT, checkpoint)
        self.log("checkpoint", step=checkpoint.step, **spent)

    def milestone(self, step: int) -> Path:
        """Return the path of the milestone after `step` steps."""
        return self.path / MILESTONES / f"{step:08d}.safetensors"

    def save_milestone(self, checkpoint: Checkpoint, spent: Mapping[str, float]) -> None:
        """Write the part of a checkpoint that sampling needs, and log it."""
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
        """Return the seconds of training up to `step`, or None if the log does not say.

        `clock` is wall time or processor time. The runs of a stack share its time equally. Time
        that a kill lost does not count.
        """
        # for each start: first step, number of runs, seconds by step
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
    """Return the checkpoint of one run of an engine at its current step."""
    return Checkpoint(
        config=engine.games[run].config,
        step=engine.step,
        schedule_steps=engine.schedule_steps,
        tensors=engine.tensors(run),
        data_digest=engine.data.digest,
        image_shape=engine.data.image_shape,
        num_classes=engine.data.num_classes,
    )


def load_run(folder: Path, device: str = "cpu") -> Trained:
    """Load the trained networks of a run's folder, or of a checkpoint file.

    Raises what `read_checkpoint` raises.
    """
    path = folder / CHECKPOINT if folder.is_dir() else folder
    checkpoint = read_checkpoint(path)
    try:
        return trained_from(checkpoint, device)
    except BundleError as error:
        raise BundleError(f"{path}: {error}") from error


def data_images(data: TrainingSet, num: int) -> NDArray[np.uint8]:
    """Return up to `num` images, uint8 N,H,W,C, spread evenly over a training set that may be
    sorted.
    """
    last, count = len(data.images) - 1, min(num, len(data.images))
    index = torch.arange(count) * last // max(count - 1, 1)
    picked = data.images.index_select(0, index.to(data.images.device))
    return np.asarray(picked.permute(0, 2, 3, 1).cpu().numpy())


def write_grid(run: RunFolder, engine: Engine, number: int) -> None:
    """Write a sheet of 64 samples at the current step, always of the same latents; nothing for a
    model that makes no images.
    """
    if not engine.games[number].model.makes_images:
        return
    trained = trained_from(checkpoint_of(engine, number), engine.device)
    num = GRID_SIDE**2
    if trained.game.latent is not None:
        images = preview(trained, num)
    else:
        images = reconstruct(trained, data_images(engine.data, num))
    write_sheet(images, run.path / GRIDS / f"{engine.step:08d}.png")


def grid_picture(images: NDArray[np.uint8], columns: int = GRID_SIDE) -> Image.Image:
    """Join uint8 N,H,W,C images into one picture, row by row, with gaps of 2 px. Empty places are
    black.

    >>> grid_picture(np.zeros((3, 28, 28, 1), np.uint8), columns=2).size
    (58, 58)
    """
    num, height, width, channels = images.shape
    rows = -(-num // columns)
    sheet = np.zeros((rows * (height + 2) - 2, columns * (width + 2) - 2, channels), np.uint8)
    for place, image in enumerate(images):
        top, left = place // columns * (height + 2), place % columns * (width + 2)
        sheet[top : top + height, left : left + width] = image
    return Image.fromarray(sheet[..., 0] if channels == 1 else sheet)


def write_sheet(images: NDArray[np.uint8], path: Path) -> None:
    """Write the picture of uint8 N,H,W,C images as an optimised PNG file, atomically."""
    buffer = io.BytesIO()
    grid_picture(images).save(buffer, format="PNG", optimize=True)
    write_atomically(path, buffer.getvalue())
