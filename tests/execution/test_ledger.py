"""The ledger alone: claims, states, damage to each of its files, and plans that were edited."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.errors import UsageError
from bench.execution.executors.workers import Workers
from bench.execution.ledger.claims import is_claimed, try_claim
from bench.execution.ledger.ledger import Changed, Ledger
from bench.execution.ledger.work import Job
from bench.execution.scheduling import Event, run_jobs
from tests.execution import works
from tests.execution.conftest import calls, plan, wait_until

HOLD = """
import sys, time
from pathlib import Path
from bench.errors import UsageError
from bench.execution.ledger.claims import try_claim
claim = try_claim(Path(sys.argv[1]))
Path(sys.argv[1]).with_name("taken").write_text(repr(claim is not None))
time.sleep(60)
"""


def test_a_claim_ends_with_its_process_however_it_dies(tmp_path: Path) -> None:
    path = tmp_path / "claim"
    taken = tmp_path / "taken"
    with subprocess.Popen([sys.executable, "-c", HOLD, str(path)]) as holder:
        wait_until(lambda: taken.exists() and taken.read_text() == "True", "the claim")
        assert is_claimed(path)
        assert try_claim(path) is None
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        assert not is_claimed(path)
        claim = try_claim(path)
        assert claim is not None
        claim.release()
        claim.release()


def test_a_claim_holds_between_threads_of_one_process(tmp_path: Path) -> None:
    path = tmp_path / "claim"
    found: list[object] = []
    claim = try_claim(path)
    assert claim is not None
    with claim:
        thread = threading.Thread(target=lambda: found.extend([try_claim(path), is_claimed(path)]))
        thread.start()
        thread.join()
    assert found == [None, True]
    assert not is_claimed(path)
    assert not is_claimed(tmp_path / "never made")


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def garbage(path: Path) -> None:
    path.write_bytes(bytes(range(256)))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "thing").touch()


def of_another_kind(path: Path) -> None:
    path.write_text('{"key": "k1", "number": "one", "values": []}')


def a_list(path: Path) -> None:
    path.write_text("[1, 2]")


DAMAGES = [truncated, garbage, empty, a_directory, of_another_kind, a_list]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_corrupt_result_is_kept_aside_told_and_worked_again(
    ledger: Ledger, trace: Path, inline: Workers, damage: Callable[[Path], None]
) -> None:
    run_jobs(plan(trace), works.square, ledger, inline)
    path = ledger.folder("k1") / "result.json"
    damage(path)
    entry = ledger.entry("k1")
    assert (entry.state, entry.corrupt) == ("corrupt", (path,))
    events: list[Event] = []
    results = run_jobs(plan(trace), works.square, ledger, inline, on_event=events.append)
    assert [result.values for result in results] == [{"square": n * n} for n in range(3)]
    assert calls(trace) == ["k0", "k1", "k1", "k2"]
    aside = path.with_name("result.json.corrupt")
    assert aside.exists()
    (told,) = [event for event in events if event.kind == "corrupt"]
    assert (told.key, told.message) == ("k1", f"{aside} was unreadable and has been renamed")
    assert ledger.entry("k1").corrupt == (aside,)
    assert len(ledger.entry("k1").attempts) == 2  # the first one is kept


def test_an_altered_result_is_corrupt_too(ledger: Ledger, trace: Path, inline: Workers) -> None:
    run_jobs(plan(trace, 2), works.square, ledger, inline)
    path = ledger.folder("k1") / "result.json"
    path.write_text(path.read_text().replace('"square": 1', '"square": 7'))
    assert ledger.entry("k1").state == "corrupt"
    other = (ledger.folder("k0") / "result.json").read_text()
    path.write_text(other)  # sound, of another job
    assert ledger.entry("k1").state == "corrupt"


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_corrupt_description_is_written_anew(
    ledger: Ledger, trace: Path, inline: Workers, damage: Callable[[Path], None]
) -> None:
    ledger.register(plan(trace), "tests.execution.works:square")
    path = ledger.folder("k1") / "job.json"
    damage(path)
    assert ledger.entry("k1").state == "corrupt"
    events: list[Event] = []
    results = run_jobs(plan(trace), works.square, ledger, inline, on_event=events.append)
    assert [result.state for result in results] == ["done"] * 3
    assert [event.key for event in events if event.kind == "corrupt"] == ["k1"]
    assert path.with_name("job.json.corrupt").exists()
    # damage beside a sound result costs no second run
    damage(path)
    run_jobs(plan(trace), works.square, ledger, inline)
    assert calls(trace) == ["k0", "k1", "k2"]
    assert path.with_name("job.json-2.corrupt").exists()


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_corrupt_attempt_is_kept_aside_and_its_number_is_not_used_again(
    ledger: Ledger, trace: Path, inline: Workers, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    jobs = plan(trace, 1, mended=str(tmp_path / "mended"))
    run_jobs(jobs, works.fails, ledger, inline)
    path = ledger.folder("k0") / "attempts" / "0001.json"
    damage(path)
    assert ledger.entry("k0").state == "corrupt"
    (tmp_path / "mended").touch()
    (result,) = run_jobs(jobs, works.fails, ledger, inline)
    assert result.state == "done"
    assert path.with_name("0001.json.corrupt").exists()
    assert [attempt.number for attempt in ledger.entry("k0").attempts] == [2]


@pytest.mark.parametrize("name", ["claim", "attempts", "work", "."])
def test_other_things_in_the_places_of_files_and_folders(
    ledger: Ledger, trace: Path, inline: Workers, name: str
) -> None:
    ledger.register(plan(trace, 1), "tests.execution.works:square")
    place = ledger.folder("k0") / name
    if name == ".":
        (ledger.folder("k0") / "job.json").unlink()
        ledger.folder("k0").rmdir()
        ledger.folder("k0").write_text("a file")
    elif name == "claim":
        place.mkdir()
    else:
        place.write_text("a file")
    (result,) = run_jobs(plan(trace, 1), works.square, ledger, inline)
    assert result.values == {"square": 0}
    assert any(path.name.endswith(".corrupt") for path in ledger.root.rglob("*"))


def test_an_edited_plan_runs_what_is_new_and_tells_the_rest(
    ledger: Ledger, trace: Path, inline: Workers
) -> None:
    old = plan(trace, 4)
    run_jobs(old[:3], works.square, ledger, inline)
    edited = [
        old[0],  # as it was
        Job(key="k1b", label="job 1", payload={"n": 10, "trace": str(trace)}),  # changed
        old[3],  # new; job 2 is no longer planned
    ]
    comparison = ledger.compare(edited)
    assert comparison.done == ("k0",)
    assert comparison.to_run == ("k1b", "k3")
    assert comparison.orphans == ("k2",)
    assert comparison.changed == (Changed("job 1", "k1", "k1b"),)
    results = run_jobs(edited, works.square, ledger, inline)
    assert [result.values for result in results] == [{"square": n * n} for n in (0, 10, 3)]
    assert calls(trace) == ["k0", "k1", "k1b", "k2", "k3"]
    assert ledger.compare(edited).to_run == ()
    assert ledger.entry("k1").state == "done"  # the old result is kept


def test_a_result_is_never_overwritten(ledger: Ledger, trace: Path, inline: Workers) -> None:
    run_jobs(plan(trace, 1), works.square, ledger, inline)
    result = ledger.entry("k0").result
    assert result is not None
    before = (ledger.folder("k0") / "result.json").read_bytes()
    with pytest.raises(FileExistsError):
        ledger.write_result("k0", result)
    assert (ledger.folder("k0") / "result.json").read_bytes() == before


def test_a_ledger_that_is_not_there_yet_is_empty(tmp_path: Path, trace: Path) -> None:
    ledger = Ledger(tmp_path / "nowhere")
    assert ledger.keys() == ()
    assert ledger.entry("k0").state == "todo"
    assert ledger.compare(plan(trace)).to_run == ("k0", "k1", "k2")
    assert not (tmp_path / "nowhere").exists()


def test_reading_changes_nothing(ledger: Ledger, trace: Path, inline: Workers) -> None:
    run_jobs(plan(trace), works.square, ledger, inline)
    garbage(ledger.folder("k1") / "result.json")

    def state() -> list[tuple[str, int]]:
        return [(str(p), os.stat(p).st_mtime_ns) for p in sorted(ledger.root.rglob("*"))]  # noqa: PTH116

    before = state()
    ledger.entries()
    ledger.compare(plan(trace, 1))
    assert state() == before


def test_an_attempt_that_a_dead_process_began_is_closed_as_lost(
    ledger: Ledger, trace: Path, inline: Workers
) -> None:
    run_jobs(plan(trace, 1), works.square, ledger, inline)
    (ledger.folder("k0") / "result.json").unlink()
    path = ledger.folder("k0") / "attempts" / "0001.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"ended": None, "outcome": None}))
    assert ledger.entry("k0").state == "todo"
    run_jobs(plan(trace, 1), works.square, ledger, inline, max_attempts=1)
    first, second = ledger.entry("k0").attempts
    assert (first.outcome, first.cause) == ("failed", "lost")
    assert second.outcome == "done"


def test_what_a_killed_process_left_half_written_is_dropped(
    ledger: Ledger, trace: Path, inline: Workers
) -> None:
    ledger.register(plan(trace, 1), "tests.execution.works:square")
    (ledger.folder("k0") / "attempts").mkdir()
    (ledger.folder("k0") / ".result.json.1.2.tmp").write_text("{")
    (ledger.folder("k0") / "attempts" / ".0001.json.1.2.tmp").write_text("{")
    (result,) = run_jobs(plan(trace, 1), works.square, ledger, inline)
    assert (result.state, result.attempts) == ("done", 1)
    assert not [path for path in ledger.root.rglob(".*") if path.suffix == ".tmp"]


def test_a_ledger_that_vanishes_stops_the_run(ledger: Ledger, trace: Path, inline: Workers) -> None:
    """As on a node that does not see it: nothing is made up there."""

    def vanish(event: Event) -> None:
        if event.kind == "started":
            shutil.rmtree(ledger.root)

    with pytest.raises(UsageError, match="every worker must see the ledger at the same path"):
        run_jobs(plan(trace, 2), works.square, ledger, inline, on_event=vanish)
    assert calls(trace) == []


@pytest.mark.parametrize("name", ["result.json", "claim"])
def test_what_is_not_ours_to_read_is_told_and_left_alone(
    name: str, ledger: Ledger, inline: Workers, trace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refused as another user's file would be: these tests may run as root, who may read all."""
    (job,) = plan(trace, 1)
    with inline:
        run_jobs([job], works.square, ledger, inline)
    path = ledger.folder(job.key) / name
    before = path.read_bytes()
    opened = os.open

    def refused(file: Any, *arguments: Any, **options: Any) -> int:
        if os.fspath(file) == str(path) or os.fspath(file) == os.path.realpath(path):
            raise PermissionError(errno.EACCES, "Permission denied", os.fspath(file))
        return opened(file, *arguments, **options)

    def read_bytes(file: Path) -> bytes:
        descriptor = os.open(file, os.O_RDONLY)
        with os.fdopen(descriptor, "rb") as stream:
            return stream.read()

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refused)
        patched.setattr(Path, "read_bytes", read_bytes)
        for use in (ledger.entry, lambda _key: ledger.compare([job])):
            with pytest.raises(UsageError, match=rf"{name}: not readable by this user.*chmod"):
                use(job.key)
        with inline, pytest.raises(UsageError, match="not readable by this user"):
            run_jobs([job], works.square, ledger, inline)
    assert path.read_bytes() == before
    assert not list(ledger.folder(job.key).glob("*.corrupt"))
    assert ledger.entry(job.key).state == "done"
    assert calls(trace) == [job.key]
