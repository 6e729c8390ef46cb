"""`python -m bench` in a process of its own: pipes, terminals, closed streams."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
from pathlib import Path

from bench.errors import (
    EXIT_OK,
    EXIT_USAGE,
)
from bench.records.score_record import read_records

FAST = "fid,precision_k3"


def test_module_and_pipe(digits_folder: Path, tmp_path: Path) -> None:
    """`python -m bench` in a process of its own, its reader gone before it prints."""
    command = [sys.executable, "-m", "bench", "metrics"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    error = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait() == EXIT_OK
    assert error == ""


def test_a_reader_that_goes_away_loses_no_record(digits_folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "score", str(digits_folder), str(digits_folder)]
    command += ["--metrics", FAST, "--json", "--out", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, error = process.communicate()
    assert process.returncode == EXIT_OK, error.decode()
    assert len(read_records(tmp_path / "records.jsonl")) == 2


def test_head_reads_one_byte_and_the_record_is_there(digits_folder: Path, tmp_path: Path) -> None:
    """What is printed exceeds no pipe buffer here, so only the exit code and the record count."""
    command = f"{sys.executable} -m bench score {digits_folder} --metrics {FAST} --out {tmp_path}"
    result = subprocess.run(
        ["/bin/bash", "-o", "pipefail", "-c", f"{command} | head -c 1"],
        capture_output=True,
        check=False,
    )
    assert result.returncode == EXIT_OK, result.stderr.decode()
    assert len(result.stdout) == 1
    (record,) = read_records(tmp_path / "records.jsonl")
    assert [entry.metric for entry in record.values] == FAST.split(",")


def test_a_reader_that_goes_away_changes_no_exit_code(tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "x.png").write_bytes(b"junk")
    command = [sys.executable, "-m", "bench", "audit", "bad", "missing", "--json"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    )
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, error = process.communicate()
    assert process.returncode == EXIT_USAGE, error.decode()
    assert b"Traceback" not in error


def test_a_terminal_without_the_characters(digits_folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "score", str(digits_folder), "--metrics", "fid"]
    result = subprocess.run(
        [*command, "--out", str(tmp_path)],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        check=False,
    )
    assert result.returncode == EXIT_OK, result.stderr.decode()


def test_a_closed_standard_input_blames_nobody(digits_folder: Path) -> None:
    command = f"exec {sys.executable} -m bench audit {digits_folder} <&-"
    result = subprocess.run(["/bin/sh", "-c", command], capture_output=True, check=False)
    assert result.returncode == EXIT_OK, result.stderr.decode()


def test_a_terminal_sees_a_progress_bar(digits_folder: Path, tmp_path: Path) -> None:
    """Standard error on a terminal of its own; a pipe gets plain lines or nothing."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "bench", "audit", str(digits_folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, cwd=tmp_path)
    os.close(theirs)
    seen = b""
    with contextlib.suppress(OSError):  # Linux: the far end of a closed terminal
        while chunk := os.read(ours, 65536):
            seen += chunk
    os.close(ours)
    out, _ = process.communicate()
    assert process.returncode == EXIT_OK
    assert "read" in seen.decode()
    assert "300/300" in seen.decode()
    assert b"300/300" not in out
