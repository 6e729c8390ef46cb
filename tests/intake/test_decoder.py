"""Decoding processes that die, hang or cannot start."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import LatentbenchError
from bench.intake import audit, decoder, reading, worker
from bench.intake.decoder import Entry, decode, default_num_workers
from bench.intake.formats import Decoded, Rejected
from tests.intake.pictures import encode, make_folder
from tests.intake.processes import decoding_processes

NAMES = [f"{i:04d}.png".encode() for i in range(40)]
ENTRIES = [Entry(name) for name in NAMES]


def worker_that(action: str, *names: str, setup: str = "") -> tuple[str, ...]:
    """Return the command of a decoding process that runs `action` on files of `names`."""
    code = (
        "import os, sys, time\n"
        "from bench.intake import worker\n"
        f"{setup}\n"
        "def decode(data, name, convert):\n"
        f"    if name in {tuple(name.encode() for name in names)!r}: {action}\n"
        "    return worker.decode_image(data, name, convert)\n"
        "worker.main(decode)\n"
    )
    return (sys.executable, "-P", "-c", code)


def outcome(folder: Path, **options) -> dict[bytes, str]:
    """Return the finding code of each name, "" if it was read; names come once and in order."""
    result: dict[bytes, str] = {}
    for run in decode(folder, ENTRIES, **options):
        assert run.start == len(result)
        result |= dict.fromkeys(NAMES[run.start : run.start + run.count], run.note)
    assert list(result) == NAMES
    return result


def failed(result: dict[bytes, str]) -> dict[bytes, str]:
    return {name: code for name, code in result.items() if code}


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path / "s", 40)


@pytest.fixture(autouse=True)
def no_process_is_left():
    yield
    assert decoding_processes() == []


@pytest.mark.parametrize("num_workers", [1, 3])
@pytest.mark.parametrize(
    "names", [["0000.png"], ["0039.png"], ["0007.png", "0008.png", "0031.png"]]
)
def test_the_file_that_kills_is_named_and_no_other_is_lost(folder, num_workers, names):
    command = worker_that("os.kill(os.getpid(), 9)", *names)
    result = outcome(folder, command=command, num_workers=num_workers)
    assert failed(result) == dict.fromkeys([name.encode() for name in names], "decoder-died")


def test_an_unforeseen_exception_costs_no_process(folder):
    runs = list(decode(folder, ENTRIES, command=worker_that("raise KeyError", "0005.png")))
    assert [(run.start, run.note, run.detail) for run in runs if run.note] == [
        (5, "image-damaged", "cannot be decoded (KeyError)")
    ]


def test_a_file_has_a_limit_of_processor_time(folder):
    """A loop that catches every `Exception`, as Pillow's plugins do in places."""
    endless = "\n".join(
        [
            "def spin():",
            "    while True:",
            "        try: sum(range(100))",
            "        except Exception: pass",
            "worker.MAX_FILE_S = 0.1",
        ]
    )
    command = worker_that("spin()", "0005.png", "0030.png", setup=endless)
    runs = [run for run in decode(folder, ENTRIES, command=command) if run.note]
    assert [(run.start, run.count, run.note) for run in runs] == [
        (5, 1, "too-slow"),
        (30, 1, "too-slow"),
    ]
    assert runs[0].detail == "more than 0.1 s of processor time"


@pytest.mark.parametrize("num_workers", [1, 3])
def test_all_files_together_have_a_limit_of_processor_time(folder, monkeypatch, num_workers):
    """Each file spins for 0.05 s, of which 0.021 s are allowed: the limit is reached after some."""
    spin = "end = time.process_time() + 0.05\n    while time.process_time() < end: pass"
    setup = f"worker.MAX_FRAME_S = 0.01\ndef spin():\n    {spin}\n"
    command = worker_that("spin()", *[name.decode() for name in NAMES], setup=setup)
    monkeypatch.setattr(decoder, "MAX_OVERTIME_S", 0.3)
    result = outcome(folder, command=command, num_workers=num_workers)
    refused = failed(result)
    assert set(refused.values()) == {"too-slow"}
    assert 1 <= len(result) - len(refused) < 40  # 0.3 s / (0.05 s - 0.021 s) = 10 files
    if num_workers == 1:
        monkeypatch.setattr(decoder, "MAX_OVERTIME_S", 30)
        assert not failed(outcome(folder, command=command, num_workers=num_workers))


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
    """A process killed from outside is replaced; every file is read and none is at fault."""
    whole = audit(folder)
    killed = []

    def kill_once(*_):
        if not killed:
            killed.extend(decoding_processes())
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
    assert decoding_processes()
    runs.close()


def test_no_entries_no_process(folder):
    assert list(decode(folder, [], command=("/nowhere",))) == []


def test_default_number_of_workers():
    available = len(os.sched_getaffinity(0))
    assert default_num_workers(1) == 1
    assert default_num_workers(1_000_000) == available
    assert default_num_workers(500, 1 << 30) == available  # few files, but large ones


VARIED = [(28, 28), (64, 64, 3), (28, 28), (28, 28), (90, 40), (5, 5, 3), (28, 28)]


@pytest.fixture(scope="module")
def varied(tmp_path_factory):
    """Write 40 files of varied sizes and modes, some of them refused; return their contents."""
    path = tmp_path_factory.mktemp("varied")
    rng = np.random.default_rng(0)
    held: list[bytes] = []
    for i, name in enumerate(NAMES):
        picture = rng.integers(0, 256, VARIED[i % 7], dtype=np.uint8)
        data = encode(picture) if i % 5 else encode(picture)[:-9]
        (path / os.fsdecode(name)).write_bytes(data)
        held.append(picture.tobytes() if i % 5 else b"")
    return path, held


@pytest.mark.parametrize("frame_bytes", [1, 5000, 4 << 20])
@pytest.mark.parametrize("chunk", [1, 4, 512])
@pytest.mark.parametrize("num_workers", [1, 2, 7])
def test_order_and_completeness(varied, monkeypatch, num_workers, chunk, frame_bytes):
    """Every image comes once, in its place, for any number of workers, chunks and frames."""
    folder, held = varied
    monkeypatch.setattr(decoder, "CHUNK", chunk)
    command = worker_that("pass", setup=f"worker.MAX_FRAME_BYTES = {frame_bytes}")
    place = 0
    for run in decode(folder, ENTRIES, num_workers=num_workers, command=command):
        assert run.start == place
        assert run.count <= chunk
        if run.kind == "rejected":
            assert held[place : place + run.count] == [b""] * run.count
        else:
            pixels = reading.pixels_of(run)
            for i, image in enumerate(pixels):
                assert image.tobytes() == held[place + i]
        place += run.count
    assert place == 40


@pytest.mark.parametrize("frame_bytes", [1, 3000])
def test_after_a_death_the_rest_stays_in_its_place(varied, monkeypatch, frame_bytes):
    folder, _ = varied
    names = ["0006.png", "0017.png", "0038.png"]
    monkeypatch.setattr(decoder, "CHUNK", 7)
    setup = f"worker.MAX_FRAME_BYTES = {frame_bytes}"
    command = worker_that("os.kill(os.getpid(), 9)", *names, setup=setup)
    result = failed(outcome(folder, command=command, num_workers=3))
    cut = dict.fromkeys(NAMES[::5], "png-truncated")
    assert result == cut | dict.fromkeys([name.encode() for name in names], "decoder-died")


RESULTS = st.lists(
    st.one_of(
        st.integers(0, 40).map(lambda size: Decoded("pixels", 1, size, 1, "", bytes(size))),
        st.sampled_from(["a", "b"]).map(Rejected),
    ),
    max_size=60,
)


@given(results=RESULTS, chunk=st.integers(1, 20), frame_bytes=st.integers(1, 100))
def test_frames_end_where_chunks_end(results, chunk, frame_bytes):
    """Nothing is lost, and no frame has files of two chunks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker, "MAX_FRAME_BYTES", frame_bytes)
        sizes = [len(results[at : at + chunk]) for at in range(0, len(results), chunk)]
        sent = list(worker.frames(iter(results), sizes))
    place = 0
    for frame in sent:
        header_size, data_size, _ = worker.FRAME.unpack_from(frame)
        rows = json.loads(frame[worker.FRAME.size :][:header_size])
        assert len(frame) == worker.FRAME.size + header_size + data_size
        begin, num_bytes = place, 0
        for count, kind, _, width, *_ in rows:
            for result in results[place : place + count]:
                assert isinstance(result, Rejected) == (kind == "rejected")
                num_bytes += 0 if kind == "rejected" else width
            place += count
        assert num_bytes == data_size
        assert begin // chunk == (place - 1) // chunk
    assert place == len(results)


def large_folder(path: Path, num_images: int) -> list[Entry]:
    """Black RGB images of 120,000 bytes each."""
    path.mkdir()
    data = encode(np.zeros((200, 200, 3), np.uint8))
    names = [f"{i:04d}.png" for i in range(num_images)]
    for name in names:
        (path / name).write_bytes(data)
    return [Entry(name.encode()) for name in names]


def test_a_process_that_is_too_far_ahead_waits(tmp_path, monkeypatch):
    """While the first file is slow, the other process decodes up to the limit and a full pipe."""
    entries = large_folder(tmp_path / "s", 120)
    log = tmp_path / "log"
    held: list[int] = []
    listen = decoder._listen

    def watch(lanes, lowest, *rest):
        held.append(sum(lane.num_bytes for lane in lanes if lane is not lowest))
        listen(lanes, lowest, *rest)

    monkeypatch.setattr(decoder, "_listen", watch)
    monkeypatch.setattr(decoder, "CHUNK", 1)
    monkeypatch.setattr(decoder, "MAX_AHEAD_CHUNKS", 1000)
    slow = "time.sleep(2.0)"
    setup = (
        "def read_file(name, folder, read=worker.read_file):\n"
        f"    with open({str(log)!r}, 'ab') as log: log.write(name + b' ')\n"
        "    return read(name, folder)\n"
        "worker.read_file = read_file\n"
    )
    bound = 3 << 20
    runs = decode(
        tmp_path / "s",
        entries,
        num_workers=2,
        command=worker_that(slow, "0000.png", setup=setup),
        max_ahead_bytes=bound,
    )
    first = next(runs)
    ahead = [name for name in log.read_bytes().split() if int(name[:4]) % 2]
    # One more image is decoded than fits into the pipe.
    assert 5 <= len(ahead) <= (bound + (1 << 20)) // 120_000 + 2
    assert [first.start, *(run.start for run in runs)] == list(range(120))
    assert 0 < max(held) <= bound


def test_refused_files_are_bounded_by_their_number(tmp_path, monkeypatch):
    make_folder(tmp_path / "s", 40)
    for name in NAMES[::2]:
        (tmp_path / "s" / os.fsdecode(name)).write_bytes(b"")
    distances: list[int] = []
    listen = decoder._listen

    def watch(lanes, *rest):
        places = [lane.position for lane in lanes if lane.position < len(NAMES)]
        distances.append(max(places, default=0) - min(places, default=0))
        listen(lanes, *rest)

    monkeypatch.setattr(decoder, "_listen", watch)
    monkeypatch.setattr(decoder, "CHUNK", 1)
    monkeypatch.setattr(decoder, "MAX_AHEAD_CHUNKS", 3)
    result = outcome(
        tmp_path / "s", num_workers=2, command=worker_that("time.sleep(1)", "0001.png")
    )
    assert failed(result) == dict.fromkeys(NAMES[::2], "empty-file")
    assert 2 <= max(distances) <= 3 * 2 + 2


def test_silence_of_a_process_that_is_not_read_is_no_fault(folder, monkeypatch):
    """The second process waits while the first chunk takes 2.5 s."""
    monkeypatch.setattr(decoder, "CHUNK", 10)
    monkeypatch.setattr(decoder, "MAX_AHEAD_CHUNKS", 0)
    slow = [name.decode() for name in NAMES[:10]]
    command = worker_that("time.sleep(0.25)", *slow, setup="worker.MAX_FRAME_S = 0.1")
    assert not failed(outcome(folder, command=command, num_workers=2, stall_s=1.0))


def test_slow_files_of_one_chunk_are_no_stall(folder):
    slow = [name.decode() for name in NAMES[:10]]
    command = worker_that("time.sleep(0.25)", *slow, setup="worker.MAX_FRAME_S = 0.1")
    assert not failed(outcome(folder, command=command, num_workers=1, stall_s=1.0))


def test_a_slow_consumer_is_no_stall(folder, monkeypatch):
    monkeypatch.setattr(decoder, "CHUNK", 4)
    notes = []
    for run in decode(folder, ENTRIES, num_workers=2, stall_s=0.5):
        notes.append(run.note)
        if run.start in (0, 20):
            time.sleep(1.2)
    assert set(notes) == {""}


def test_cancelling_ends_the_wait_for_a_file_that_hangs(folder):
    begin = time.monotonic()
    command = worker_that("time.sleep(3600)", "0000.png")
    runs = decode(
        folder, ENTRIES, command=command, is_cancelled=lambda: time.monotonic() > begin + 0.3
    )
    assert list(runs) == []
    assert time.monotonic() - begin < 5.0
