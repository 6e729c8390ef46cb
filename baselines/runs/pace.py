"""When a training logs and saves, its mean terms in between, and what it has cost.

Shape legend: S steps, K runs, T terms.
"""

from __future__ import annotations

import math
import time
from typing import Any

from baselines.models.random_draws import BLOCK_STEPS
from baselines.training.engine import BlockTerms

PARTS = 20  # checkpoints and grids over a training, log lines ten times as many


class Pace:
    """From `step` to `total` steps, `images_per_step` images each; the clock starts now."""

    def __init__(self, total: int, step: int, images_per_step: int) -> None:
        self.save_every = max(1, math.ceil(total / PARTS / BLOCK_STEPS)) * BLOCK_STEPS
        self.log_every = max(1, math.ceil(total / PARTS / 10 / BLOCK_STEPS)) * BLOCK_STEPS
        self.first = self.last_log = self.last_save = step
        self.total, self.images_per_step = total, images_per_step
        self.started, self.started_cpu = time.perf_counter(), time.process_time()
        self.sums: Any = 0.0
        self.count = 0

    def add(self, block: BlockTerms) -> None:
        self.sums = self.sums + block.values.sum(0).double()
        self.count += len(block.values)

    def means(self, names: tuple[str, ...]) -> list[dict[str, float]]:
        """Mean terms of each run since the last call."""
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
        """Since the start, for the log: `train_s` by the clock, and `cpu_s` of processor time of
        this process with all of its threads, which work beside it on the machine does not lengthen.
        """
        return {
            "train_s": round(time.perf_counter() - self.started, 2),
            "cpu_s": round(time.process_time() - self.started_cpu, 2),
        }

    def images_per_s(self, step: int) -> float:
        """Of all runs together, since the start."""
        images = (step - self.first) * self.images_per_step
        return round(images / (time.perf_counter() - self.started), 1)
