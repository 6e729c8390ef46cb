"""Decoding processes that die, hang or cannot start."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import psutil
import pytest

from bench.errors import LatentbenchError
from bench.intake import audit, decoder, reading
from bench.intake.decoder import Entry, decode, default_num_workers
from tests.intake.pictures import make_folder

NAMES = [f"{i:04d}.png".encode() for i in range(40)]
ENTRIES = [Entry(name) for name in NAMES]


def worker_that(action: str, *names: str) -> tuple[str, ...]:
    """A decoding process that does `action` when it comes to one of `names`."""
    code = (
        "import os, sys, time\n"
        "from bench.intake import worker\n"
        "def decode(data, name, convert):\n"
        f"    if name in {tuple(name.encode() for name in names)!r}: {action}\n"
        "    return worker.decode_image(data, name, convert)\n"
        "worker.main(decode)\n"
    )
    return (sys.executable, "-P", "-c", code)


def outcome(folder: Path, **options) -> dict[bytes, str]:
    """Name -> finding code, "" when it was read; every name must come exactly once."""
    result: dict[bytes, str] = {}
    for run in decode(folder, ENTRIES, **options):
        for name in NAMES[run.start : run.start + run.count]:
            assert name not in result
            result[name] = run.note
    assert set(result) == set(NAMES)
    return result


def failed(result: dict[bytes, str]) -> dict[bytes, str]:
    return {name: code for name, code in result.items() if code}


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path / "s", 40)


@pytest.fixture(autouse=True)
def no_process_is_left():
    yield
    assert psutil.Process().children() == []


@pytest.mark.parametrize("num_workers", [1, 3])
@pytest.mark.parametrize(
    "names", [["0000.png"], ["0039.png"], ["0007.png", "0008.png", "0031.png"]]
)
def test_the_file_that_kills_is_named_and_no_other_is_lost(folder, num_workers, names):
    command = worker_that("os.kill(os.getpid(), 9)", *names)
    result = outcome(folder, command=command, num_workers=num_workers)
    assert failed(result) == dict.fromkeys([name.encode() for name in names], "decoder-died")


def test_an_unforeseen_exception_is_the_same(folder):
    result = outcome(folder, command=worker_that("raise KeyError", "0005.png"))
    assert failed(result) == {b"0005.png": "decoder-died"}


def test_a_file_that_hangs_is_given_up(folder):
    # Every other file must take less than the limit, on a busy machine too.
    command = worker_that("time.sleep(3600)", "0011.png")
    result = outcome(folder, command=command, stall_s=1.0)
    assert failed(result) == {b"0011.png": "decoder-died"}


def test_a_file_that_needs_too_much_memory_is_refused(folder):
    result = outcome(folder, command=worker_that("bytearray(1 << 36)", "0003.png"))
    assert failed(result) == {b"0003.png": "image-bomb"}


def test_more_deaths_than_the_limit_end_the_share(folder, monkeypatch):
    monkeypatch.setattr(decoder, "MAX_DEATHS", 4)
    names = [name.decode() for name in NAMES[10:]]
    result = outcome(folder, command=worker_that("os._exit(1)", *names))
    assert set(failed(result)) == set(NAMES[10:])


def test_a_killed_process_costs_nothing(folder, monkeypatch):
    """Killed from outside, up or not up yet: started again, every file is read, none blamed."""
    whole = audit(folder)
    killed = []

    def kill_once(*_):
        if not killed:
            killed.extend(psutil.Process().children())
            for process in killed:
                process.kill()

    monkeypatch.setattr(decoder, "CHUNK", 4)
    assert audit(folder, num_workers=2, progress=kill_once) == whole
    assert killed


def test_the_audit_names_the_file(folder, monkeypatch):
    command = worker_that("os.abort()", "0020.png")
    monkeypatch.setattr(
        reading, "decode", lambda *args, **options: decode(*args, **options, command=command)
    )
    (finding,) = audit(folder).findings
    assert (finding.code, finding.severity) == ("decoder-died", "error")
    assert finding.examples == ("0020.png",)


def test_a_process_that_cannot_start_says_why(folder):
    command = (sys.executable, "-c", "raise SystemExit('no such module')")
    with pytest.raises(LatentbenchError, match=r"could not be started: no such module"):
        list(decode(folder, ENTRIES, command=command))


def test_leaving_early_ends_the_processes(folder):
    runs = decode(folder, ENTRIES, num_workers=2)
    next(runs)
    assert psutil.Process().children()
    runs.close()


def test_no_entries_no_process(folder):
    assert list(decode(folder, [], command=("/nowhere",))) == []


def test_default_number_of_workers():
    available = len(os.sched_getaffinity(0))
    assert default_num_workers(1) == 1
    assert default_num_workers(1_000_000) == available


def test_the_process_loads_no_heavy_package(folder):
    """Neither torch nor numpy; Pillow only for files that need it. Limits are in force."""
    report = (
        "import json, sys, resource\n"
        "from bench.intake import worker\n"
        "worker.limit_this_process()\n"
        "heavy = [m for m in ('torch', 'numpy', 'PIL', 'pydantic') if m in sys.modules]\n"
        "kinds = (resource.RLIMIT_AS, resource.RLIMIT_FSIZE, resource.RLIMIT_CORE)\n"
        "print(json.dumps([heavy, [resource.getrlimit(k)[0] for k in kinds]]))\n"
    )
    with psutil.Popen([sys.executable, "-P", "-c", report], stdout=-1, env=environment()) as child:
        heavy, limits = json.loads(child.stdout.read())
    assert heavy == []
    assert limits == [4 << 30, 1 << 20, 0]


def test_works_from_a_script_without_a_main_guard(folder, tmp_path):
    """Reached only through the script's own sys.path, from another directory, unguarded."""
    root = Path(__file__).resolve().parents[2]
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(root)!r})\n"
        "from bench.intake import audit\n"
        f"print(audit({str(folder)!r}, num_workers=2).images.images.shape)\n"
    )
    with psutil.Popen([sys.executable, str(script)], stdout=-1, cwd=tmp_path) as child:
        assert child.stdout.read() == b"(40, 28, 28, 1)\n"


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
