"""Kill a command at a random time, run it again, and compare with the same command left alone.

    python -m tests.faults.kill_and_resume --points 300

Each point starts a process for one of the commands below, sends SIGKILL to it and its children
after a random share of the time that it needs, possibly twice, and runs the command once more. What
it leaves must then be readable and equal to the undisturbed result. The processes are forks of this
one, which has run every command once, so that a kill falls into the work and not into the imports.

Exit code 1 when a point fails; its seed and time are printed.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # sums in one order, and forks that own their threads

import argparse
import contextlib
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from baselines.training.checkpoint import read_checkpoint
from bench.__main__ import run
from bench.errors import NothingFoundError
from bench.records.pictures_file import read_exhibits
from bench.records.score_record import read_record_lines, read_records
from bench.references.bundle import load_reference
from tests.baselines.conftest import SMALL
from tests.conftest import DATA, write_pngs

NUM_IMAGES = 60
LIMIT_S = 300.0


class Command(NamedTuple):
    """A command line, and what it leaves."""

    arguments: Sequence[str]
    result: Callable[[Path], Any]
    readable: Callable[[Path], object] = lambda _: None  # raises for a folder that a kill spoiled


def _scores(folder: Path) -> Any:
    (path,) = (folder / "results").glob("*.json")
    (record,) = read_records(path)
    assert read_exhibits(path.with_suffix(".npz"))
    lines = _lines(folder)
    assert lines
    assert all(line.values == record.values for line in lines)
    return [value.model_dump() for value in record.values], record.signature


def _lines(folder: Path) -> Any:
    path = folder / "results" / "records.jsonl"
    with contextlib.suppress(NothingFoundError):  # nothing but a torn line
        return read_record_lines(path).records if path.exists() else []
    return []


def _checkpoint(folder: Path) -> Any:
    (path,) = folder.glob("runs/*/checkpoint.safetensors")
    found = read_checkpoint(path)
    return found.step, {name: value.tolist() for name, value in found.tensors.items()}


def _checkpoints(folder: Path) -> object:
    return [read_checkpoint(path).step for path in folder.glob("runs/*/checkpoint.safetensors")]


def _ablation(folder: Path) -> Any:
    rows = [
        json.loads(line) for line in (folder / "out" / "records.jsonl").read_text().splitlines()
    ]
    return _without_times(rows)


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_times(v) for k, v in value.items() if not k.endswith("_s")}
    return [_without_times(one) for one in value] if isinstance(value, list) else value


def _anomaly(folder: Path) -> Any:
    out = folder / "out"
    record = json.loads((out / "record.json").read_text())
    scores = {path.parent.name: path.read_text() for path in sorted(out.glob("*/scores.csv"))}
    return scores, [one["name"] for one in record["detectors"]]


def _reference(folder: Path) -> Any:
    (path,) = (folder / "refs").glob("*.json")
    reference = load_reference(path)
    return reference.manifest.arrays_sha256, reference.manifest.held_out


def _references(folder: Path) -> object:
    """A manifest that is there is that of its arrays."""
    return [load_reference(path) for path in (folder / "refs").glob("*.json")]


SETTINGS = [f"--set={text}" for text in (*SMALL["dense-gan"], "num_steps=64")]
COMMANDS = {
    "score": Command(
        ["score", "samples", "--metrics", "fid,modes_covered", "--out", "results"],
        _scores,
        readable=_lines,
    ),
    "train": Command(
        ["train", "course-gan", "--data", "digits.npz", *SETTINGS, "--device", "cpu", "--resume"],
        _checkpoint,
        readable=_checkpoints,
    ),
    "ablate": Command(
        ["ablate", "plan.toml", "--out", "out", "--device", "cpu", "--executor", "inline"],
        _ablation,
    ),
    "anomaly": Command(
        ["anomaly", "--train", "samples", "--test", "test", "--detectors", "pca,knn-pixels",
         "--out", "out"],
        _anomaly,
    ),
    "reference": Command(
        ["reference", "build", "mine", "--train", "samples", "--test", "held-out", "--extractor",
         "digits", "--out", "refs"],
        _reference,
        readable=_references,
    ),
}  # fmt: skip


def prepare(folder: Path) -> None:
    """Write what the commands read."""
    with np.load(DATA / "mnist-test-2000.npz") as archive:
        images = archive["images"]
    write_pngs(images[:NUM_IMAGES], folder / "samples")
    write_pngs(images[100:120], folder / "held-out")
    write_pngs(images[200:220], folder / "test" / "normal")
    write_pngs(255 - images[220:230], folder / "test" / "anomalous")
    np.savez(folder / "digits.npz", images=images[:300])
    plan = {
        "name": "tiny", "recipe": "course-gan", "settings": list(SMALL["dense-gan"]),
        "factors": ["label-noise"], "seeds": 1, "num_steps": 40, "num_evaluations": 2,
        "data": "digits.npz", "reference": "mnist", "num_images": 40, "metrics": ["fid"],
    }  # fmt: skip
    lines = [f"{key} = {json.dumps(value)}\n" for key, value in plan.items()]
    (folder / "plan.toml").write_text("".join(lines))


def start(arguments: Sequence[str], folder: Path) -> int:
    """Fork a process that runs one command line in a folder; return its number."""
    pid = os.fork()
    if pid:
        return pid
    code = 99
    try:
        os.setpgid(0, 0)
        os.chdir(folder)
        os.environ["LATENTBENCH_CACHE"] = str(folder / "cache")
        log = os.open(folder / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        for descriptor in (1, 2):
            os.dup2(log, descriptor)
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
        code = run([*arguments, "--quiet"])
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def wait(pid: int, seconds: float) -> int | None:
    """Return the exit status of a process; None, and kill it with its children, if it takes
    longer.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def complete(command: Command, folder: Path) -> float:
    """Run a command to its end and return the seconds that it took."""
    begin = time.monotonic()
    status = wait(start(command.arguments, folder), LIMIT_S)
    assert status == 0, f"exit {status}: {(folder / 'output.txt').read_text()[-2000:]}"
    return time.monotonic() - begin


def run_here(command: Command, folder: Path) -> None:
    """Run a command in this process, for what it imports and loads."""
    before, cache = Path.cwd(), os.environ.get("LATENTBENCH_CACHE")
    os.environ["LATENTBENCH_CACHE"] = str(folder / "cache")
    os.chdir(folder)
    try:
        with (
            (folder / "output.txt").open("w") as log,
            contextlib.redirect_stdout(log),
            contextlib.redirect_stderr(log),
        ):
            status = run([*command.arguments, "--quiet"])
    finally:
        os.chdir(before)
        del os.environ["LATENTBENCH_CACHE"]
        if cache is not None:
            os.environ["LATENTBENCH_CACHE"] = cache
    assert status == 0, (folder / "output.txt").read_text()[-2000:]


class Outcome(NamedTuple):
    """What came of one command: kills that hit, those that came too late, and failures."""

    num_killed: int
    num_late: int
    failures: list[str]


def try_command(name: str, num_points: int, seed: int, place: Path) -> Outcome:
    """Kill a command at `num_points` random times; compare each result with the undisturbed one."""
    command = COMMANDS[name]
    draws = random.Random(f"{name} {seed}")  # noqa: S311
    origin = place / "origin"
    origin.mkdir(parents=True)
    prepare(origin)
    warm = shutil.copytree(origin, place / "warm")
    run_here(command, warm)
    held_out = warm / "cache" / "held-out"  # what real images score is no work of the command
    if held_out.is_dir():
        shutil.copytree(held_out, origin / "cache" / "held-out")
    alone = shutil.copytree(origin, place / "alone")
    duration_s = complete(command, alone)
    expected = command.result(alone)
    num_killed = num_late = 0
    failures = []
    for point in range(num_points):
        folder = shutil.copytree(origin, place / f"point-{point}")
        times = [draws.uniform(0, duration_s) for _ in range(1 + (draws.random() < 0.25))]
        try:
            for seconds in times:
                was_late = wait(start(command.arguments, folder), seconds) is not None
                num_late += was_late
                num_killed += not was_late
                command.readable(folder)
            complete(command, folder)
            assert command.result(folder) == expected, "another result"
        except Exception as error:  # noqa: BLE001  (a failure of any kind is the finding)
            shown = ", ".join(f"{seconds:.3f}" for seconds in times)
            failures.append(f"{name}: killed after {shown} s of {duration_s:.3f}: {error!r}")
        shutil.rmtree(folder)
    return Outcome(num_killed, num_late, failures)


def main() -> int:
    """Run the points and print what came of them; return the exit code."""
    parser = argparse.ArgumentParser(description="Kill commands at random times and resume them.")
    parser.add_argument("--points", type=int, default=300, help="in all, over all commands")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--commands", nargs="+", choices=list(COMMANDS), default=list(COMMANDS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    os.environ["PYTHONPATH"] = str(Path(__file__).parents[2])
    failures: list[str] = []
    for place, name in enumerate(options.commands):
        share = (options.points + place) // len(options.commands)
        with tempfile.TemporaryDirectory() as folder:
            found = try_command(name, share, options.seed, Path(folder).resolve())
        sys.stdout.write(
            f"{name}: {share} points, {found.num_killed} kills, {found.num_late} came after the "
            f"end, {len(found.failures)} failed\n"
        )
        sys.stdout.flush()
        failures += found.failures
    sys.stdout.writelines(f"{line}\n" for line in failures)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
