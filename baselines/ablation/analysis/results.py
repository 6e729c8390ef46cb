"""`RunResult`, the result of one run, and the tables that the analysis reads.

The final table has a row for each run (cell and seed):

    cell, seed, outcome, reason, train_s, <a column for each factor>, <a column for each metric>

The curve table has the same columns and `step`, with a row for each evaluation. Missing values are
NaN: metrics without a value, times shared with runs of other settings, and all final metrics of a
diverged run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, NonNegativeInt, model_validator

from baselines.ablation.design.cells import Run

Outcome = Literal["finished", "diverged"]
CELL, SEED, STEP, OUTCOME, REASON, TRAIN_S = "cell", "seed", "step", "outcome", "reason", "train_s"
FINISHED, DIVERGED = "finished", "diverged"


class Evaluation(BaseModel):
    """Scores of samples after `step` steps. `values` are by metric, None without a value; `train_s`
    is the training time until then, in seconds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: NonNegativeInt
    values: dict[str, FiniteFloat | None]
    train_s: FiniteFloat | None = Field(None, ge=0)


class RunResult(BaseModel):
    """The result of a run. A diverged run has a `reason` and the evaluations it reached.

    `perfect` holds the known scores of real images by metric. `data_digest` identifies the training
    images; `protocol` is the signature of the scores without its part on images. If `stacked` runs
    were trained together, `train_s` is this run's share; `shared` means that some of them had other
    settings, so that the share says nothing about this run's own cost.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    outcome: Outcome
    reason: str | None = None
    evaluations: tuple[Evaluation, ...] = ()
    train_s: FiniteFloat | None = Field(None, ge=0)
    perfect: dict[str, FiniteFloat | None] = {}
    data_digest: str | None = None
    protocol: str | None = None
    device: str | None = None
    stacked: int = Field(1, ge=1)
    shared: bool = False
    sample_s: FiniteFloat | None = Field(None, ge=0)  # of all evaluations
    score_s: FiniteFloat | None = Field(None, ge=0)

    @model_validator(mode="after")
    def _whole(self) -> RunResult:
        if self.outcome == "diverged" and not self.reason:
            raise ValueError("a diverged run needs a reason")
        if self.outcome == "finished" and not self.evaluations:
            raise ValueError("a finished run needs its evaluations")
        steps = [entry.step for entry in self.evaluations]
        if steps != sorted(set(steps)):
            raise ValueError(f"the evaluations' steps are not increasing: {steps}")
        return self


def _row(run: Run) -> dict[str, Any]:
    return {CELL: run.label, SEED: run.seed, **run.levels}


def _own_s(result: RunResult) -> float | None:
    return None if result.shared else result.train_s


def final_frame(runs: Sequence[Run], results: Mapping[str, RunResult]) -> pd.DataFrame:
    """Return the final table, with a row for each run that has a result."""
    rows = []
    for run in runs:
        result = results.get(run.key)
        if result is None:
            continue
        last = result.evaluations[-1].values if result.outcome == FINISHED else {}
        rows.append(
            _row(run)
            | {OUTCOME: result.outcome, REASON: result.reason, TRAIN_S: _own_s(result)}
            | {metric: last.get(metric) for metric in run.metrics}
        )
    return _numeric(pd.DataFrame(rows), runs)


def curve_frame(runs: Sequence[Run], results: Mapping[str, RunResult]) -> pd.DataFrame:
    """Return the curve table, with a row for each evaluation of each run that has a result."""
    rows = []
    for run in runs:
        result = results.get(run.key)
        for entry in () if result is None else result.evaluations:
            values = {metric: entry.values.get(metric) for metric in run.metrics}
            own_s = None if result is None or result.shared else entry.train_s
            rows.append(_row(run) | {STEP: entry.step, TRAIN_S: own_s} | values)
    return _numeric(pd.DataFrame(rows), runs)


def _numeric(frame: pd.DataFrame, runs: Sequence[Run]) -> pd.DataFrame:
    """Return the table with measured columns as float64, even those that are all None."""
    for name in {TRAIN_S, *(metric for run in runs for metric in run.metrics)}:
        if name in frame:
            frame[name] = frame[name].astype("float64")
    return frame
