"""How an `ImageStream` ends early: processes that die, consumers that leave, exceptions."""

from __future__ import annotations

import functools
import gc
import signal
import sys
import threading
import time

import numpy as np
import psutil
import pytest

from bench.errors import LatentbenchError
from bench.intake import ImageStream, audit, decoder, reading
from tests.intake.pictures import linked_folder, make_folder
from tests.intake.processes import decoding_processes
from tests.intake.test_decoder import worker_that
from tests.intake.test_decoding_process import environment
from tests.intake.test_stream import drain

pytestmark = pytest.mark.usefixtures("nothing_is_left")


def use(monkeypatch, command, **options):
    """Replace the decoding process by `command`."""
    decode = functools.partial(reading.decode, command=command, **options)
    monkeypatch.setattr(reading, "decode", decode)


def test_processes_killed_in_mid_stream_cost_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(decoder, "CHUNK", 4)
    folder = linked_folder(tmp_path / "s", 120)
    whole = audit(folder)
    with ImageStream(folder, num_workers=2, max_bytes=2 << 20) as stream:
        blocks = [next(stream)]
        children = decoding_processes()
        for process in children:
            process.kill()
        blocks += stream
    assert children
    assert np.array_equal(np.concatenate(blocks), whole.images.images)
    assert stream.report.identity == whole.identity
    assert stream.report.findings == ()


def test_a_file_that_kills_is_named(tmp_path, monkeypatch):
    make_folder(tmp_path, 12)
    use(monkeypatch, worker_that("os.abort()", "0007.png"))
    blocks, report = drain(tmp_path)
    assert sum(map(len, blocks)) <= 7
    (finding,) = report.findings
    assert (finding.code, finding.examples) == ("decoder-died", ("0007.png",))


def test_leaving_early(tmp_path, monkeypatch):
    monkeypatch.setattr(decoder, "CHUNK", 4)
    folder = linked_folder(tmp_path / "s", 200)
    with ImageStream(folder, num_workers=2, max_bytes=1 << 20) as stream:
        next(stream)
        assert decoding_processes()
    assert decoding_processes() == []
    assert list(stream) == []
    with pytest.raises(LatentbenchError, match="once all of its blocks"):
        stream.report  # noqa: B018
    stream.close()
    never_begun = ImageStream(folder)
    never_begun.close()
    assert list(never_begun) == []


def test_leaving_while_a_file_hangs(tmp_path, monkeypatch):
    make_folder(tmp_path, 3)
    use(monkeypatch, worker_that("time.sleep(3600)", "0000.png"))
    with ImageStream(tmp_path):
        time.sleep(0.2)
        begin = time.monotonic()
    assert time.monotonic() - begin < 5.0


def test_an_exception_in_the_consumer(tmp_path):
    folder = linked_folder(tmp_path / "s", 200)

    def consume():
        with ImageStream(folder, num_workers=2, max_bytes=1 << 20) as stream:
            for block in stream:
                block.reshape(7)

    with pytest.raises(ValueError, match="cannot reshape"):
        consume()


def test_a_forgotten_stream_ends(tmp_path):
    folder = linked_folder(tmp_path / "s", 200)
    stream = ImageStream(folder, max_bytes=1 << 20)
    next(stream)
    assert decoding_processes()
    del stream
    gc.collect()


def test_an_exception_in_the_thread_is_raised_in_the_consumer(tmp_path, monkeypatch):
    make_folder(tmp_path, 3)

    def fail(done, total):
        raise ValueError(f"{done} of {total}")

    stream = ImageStream(tmp_path, progress=fail)
    with pytest.raises(ValueError, match="3 of 3"):
        list(stream)
    use(monkeypatch, (sys.executable, "-c", "raise SystemExit('no such module')"))
    with pytest.raises(LatentbenchError, match=r"could not be started: no such module"):
        drain(tmp_path)


def test_an_interrupt_while_waiting_does_not_hang(tmp_path, monkeypatch):
    make_folder(tmp_path, 3)
    use(monkeypatch, worker_that("time.sleep(3600)", "0000.png"))
    main = threading.main_thread().ident
    timer = threading.Timer(0.5, signal.pthread_kill, (main, signal.SIGINT))
    timer.start()
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        next(ImageStream(tmp_path))
    assert time.monotonic() - begin < 5.0
    timer.join()


def test_a_program_that_ends_in_mid_stream_does_not_hang(tmp_path):
    folder = linked_folder(tmp_path / "s", 300)
    code = (
        "import sys\n"
        "from bench.intake import ImageStream\n"
        "stream = ImageStream(sys.argv[1], num_workers=2, max_bytes=1 << 20)\n"
        "next(stream)\n"
        "sys.exit('left')\n"
    )
    command = [sys.executable, "-W", "error", "-c", code, folder]
    with psutil.Popen(command, stderr=-1, env=environment()) as child:
        assert child.stderr.read() == b"left\n"
        assert child.wait(timeout=20) == 1
