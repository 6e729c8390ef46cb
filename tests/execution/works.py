"""Work for the tests: importable by workers, light, and leaving traces in files that tests count.

A payload says what to do. `trace`: a file that gets a line for every call. `until`: a file that the
work waits for, so that a test decides when it ends.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.execution.ledger.work import WorkContext

DEADLINE_S = 60.0
Payload = Mapping[str, Any]


class OutOfMemoryError(RuntimeError):
    """Named as torch's."""


class TrainingDiverged(Exception):
    """An outcome of the experiment, marked as packages mark theirs."""

    is_result = True


class Diverged(TrainingDiverged):
    """The same, with details to record."""

    def __init__(self, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.details = dict(details or {})


def note(payload: Payload, context: WorkContext) -> None:
    """One line in the trace, whole even when several processes write."""
    with Path(payload["trace"]).open("a") as stream:
        stream.write(f"{context.key} {context.attempt} {os.getpid()}\n")


def until(path: str | Path) -> None:
    """Wait for a file, for at most a minute."""
    end = time.monotonic() + DEADLINE_S
    while not Path(path).exists():
        if time.monotonic() > end:
            raise AssertionError(f"{path} never came")
        time.sleep(0.01)


def square(payload: Payload, context: WorkContext) -> dict[str, Any]:
    note(payload, context)
    if "until" in payload:
        until(payload["until"])
    return {"square": payload["n"] ** 2}


def square_in_steps(payload: Payload, context: WorkContext) -> dict[str, Any]:
    """Three steps, each kept in the folder; kills its process at `kill_at` in the first attempt."""
    note(payload, context)
    kept = context.folder / "step"
    first = int(kept.read_text()) if kept.exists() else 0
    for step in range(first, 3):
        if context.attempt == 1 and payload.get("kill_at") == step:
            os.kill(os.getpid(), signal.SIGKILL)
        kept.write_text(str(step + 1))
    return {"square": payload["n"] ** 2, "steps_of_last_attempt": 3 - first}


def always_killed(payload: Payload, context: WorkContext) -> dict[str, Any]:
    note(payload, context)
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def sleeps(payload: Payload, context: WorkContext) -> dict[str, Any]:
    """Longer than it may; with `saves`, a step further at every attempt, and done at the third."""
    note(payload, context)
    kept = context.folder / "step"
    step = int(kept.read_text()) + 1 if kept.exists() else 1
    if payload.get("saves"):
        kept.write_text(str(step))
        if step == 3:
            return {"steps": step}
    if payload.get("deaf"):
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        time.sleep(0.01)
    raise AssertionError("nothing stopped it")


def saves_on_interrupt(payload: Payload, context: WorkContext) -> dict[str, Any]:
    """Goes on in its second attempt where Ctrl-C ended the first."""
    note(payload, context)
    saved = context.folder / "saved"
    if saved.exists():
        return {"resumed": True}
    (context.folder / "ready").touch()
    try:
        until(context.folder / "never")
    except KeyboardInterrupt:
        saved.touch()
        raise
    return {"resumed": False}


def ignores_interrupts(payload: Payload, context: WorkContext) -> dict[str, Any]:
    note(payload, context)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    (context.folder / "ready").touch()
    until(context.folder / "never")
    return {}


def diverges(payload: Payload, context: WorkContext) -> dict[str, Any]:
    note(payload, context)
    if payload.get("own_class"):
        raise TrainingDiverged("loss is NaN at step 1")
    raise Diverged("loss is NaN at step 1", {"step": 1})


def needs_memory(payload: Payload, context: WorkContext) -> dict[str, Any]:
    """Fits when it was asked to take a quarter of the memory."""
    note(payload, context)
    if context.memory_step < payload.get("fits_at", 2):
        raise OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    return {"memory_step": context.memory_step}


def fails(payload: Payload, context: WorkContext) -> dict[str, Any]:
    """Until the file `mended` is there."""
    note(payload, context)
    if "mended" in payload and Path(payload["mended"]).exists():
        return {"mended": True}
    raise ValueError("seven is not a colour")


def fills_disk(payload: Payload, context: WorkContext) -> dict[str, Any]:
    """Fails while the file `full` is there."""
    note(payload, context)
    if Path(payload["full"]).exists():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "weights.safetensors")
    return {"written": True}


def leaves(payload: Payload, context: WorkContext) -> dict[str, Any]:
    note(payload, context)
    sys.exit(3)


def not_json(payload: Payload, context: WorkContext) -> dict[str, Any]:
    note(payload, context)
    return {"metrics": {"fid": float("nan") if payload["n"] else {1, 2}}}


def loses_device(payload: Payload, context: WorkContext) -> dict[str, Any]:
    """A CUDA error poisons its process: a later call in it would fail too."""
    note(payload, context)
    if context.attempt == 1:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")
    return {"pid": os.getpid()}


def many_squares(
    payloads: Sequence[Payload], contexts: Sequence[WorkContext]
) -> list[dict[str, Any] | Exception]:
    """Together up to `room`; a job with `bad` breaks the whole call, one with `nan` only itself."""
    for payload, context in zip(payloads, contexts, strict=True):
        note(payload, context)
    if len(payloads) > payloads[0].get("room", 99):
        raise OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    if any(payload.get("bad") for payload in payloads):
        raise ValueError("seven is not a colour")
    return [
        Diverged("loss is NaN at step 1")
        if payload.get("nan")
        else {"square": payload["n"] ** 2, "together": len(payloads)}
        for payload in payloads
    ]


def one_square(payload: Payload, context: WorkContext) -> dict[str, Any]:
    """The single form of `many_squares`."""
    (result,) = many_squares([payload], [context])
    if isinstance(result, Exception):
        raise result
    return result


def threads(payload: Payload, context: WorkContext) -> dict[str, Any]:
    return {"threads": os.environ["OMP_NUM_THREADS"], "group": os.getpgid(0), "pid": os.getpid()}
