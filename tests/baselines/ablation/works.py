"""The work of a run with accidents, importable by workers."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from typing import Any
from unittest import mock

from baselines.ablation.run import evaluated_runs
from baselines.ablation.run.evaluated_runs import EvaluatedRun
from baselines.runs.run_folder import RunFolder
from baselines.training.checkpoint import Checkpoint
from bench.execution.ledger.work import WorkContext

SAVE, EVALUATE = RunFolder.save, EvaluatedRun._evaluate


def killed_once(payload: Mapping[str, Any], context: WorkContext) -> Mapping[str, Any]:
    """In its first attempt, a run with learning rate 2e-4 is killed after its second checkpoint,
    after further steps, any other when one of its evaluations is scored.
    """
    if context.attempt > 1:
        return evaluated_runs.do_run(payload, context)
    if payload["config"]["learning_rate"] == 2e-4:
        with mock.patch.object(RunFolder, "save", _save_twice):
            return evaluated_runs.do_run(payload, context)
    with mock.patch.object(EvaluatedRun, "_evaluate", _evaluate_once):
        return evaluated_runs.do_run(payload, context)


def _save_twice(run: RunFolder, checkpoint: Checkpoint, spent: Mapping[str, float]) -> None:
    if sum(event["event"] == "checkpoint" for event in run.events()) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    SAVE(run, checkpoint, spent)


def _evaluate_once(run: EvaluatedRun, step: int) -> None:
    if run.scores is not None:
        os.kill(os.getpid(), signal.SIGKILL)
    EVALUATE(run, step)


def fails(payload: Mapping[str, Any], context: WorkContext) -> Mapping[str, Any]:
    raise ValueError(f"seven is not a colour in {context.key[:4]}")
