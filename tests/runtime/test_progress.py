"""Progress: bars on a terminal, lines elsewhere, nothing when asked to be quiet."""

from __future__ import annotations

import io
from contextlib import redirect_stderr

import pytest

from bench.__main__ import run
from bench.errors import EXIT_OK
from bench.runtime import progress
from bench.runtime.amounts import duration
from bench.runtime.progress import progress_report


class Clock:
    """Stands for `time.monotonic` in `bench.runtime.progress`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 100.0
        monkeypatch.setattr(progress.time, "monotonic", lambda: self.now_s)


class Terminal(io.StringIO):
    """A standard error that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    for name, text in {"TERM": "xterm", "COLUMNS": "120", "LINES": "40"}.items():
        monkeypatch.setenv(name, text)
    return Terminal()


def test_a_line_every_five_seconds_with_rate_and_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock(monkeypatch)
    with progress_report() as report:
        for done in range(1000, 14_000, 1000):  # 1,000 images each second
            report("features", done, 14_000)
            clock.now_s += 1
    told = capsys.readouterr().err.splitlines()
    # the first 1,000 were done when the clock started: they count in no rate
    assert told == [
        "features: 6,000 of 14,000, 1,000 images/s, 8 s left",
        "features: 11,000 of 14,000, 1,000 images/s, 3 s left",
    ]


def test_each_stage_has_a_rate_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = Clock(monkeypatch)
    with progress_report() as report:
        report("weights.pth", 0, 0)
        clock.now_s += 10
        report("weights.pth", 25_000_000, 0)
        report("train", 500, 10_000, "loss 1.5")
        clock.now_s += 6
        report("train", 503, 10_000, "loss 1.2")
        clock.now_s += 6
        report("metrics", 2, 18)
    assert capsys.readouterr().err.splitlines() == [
        "weights.pth: 25.0 MB, 2.5 MB/s",
        "train: 503 of 10,000, 0.5 steps/s, 5 h 17 min left, loss 1.2",  # 9,497 / 0.5 s
        "metrics: 2 of 18",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (119.4, "119 s"), (150, "2 min"), (7170, "120 min"), (7230, "2 h 00 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == {"120 min": "2 h 00 min"}.get(text, text)


def test_a_terminal_sees_bars_with_rate_and_time_left(terminal: Terminal) -> None:
    with redirect_stderr(terminal), progress_report() as report:
        for done in range(0, 10_001, 500):
            report("features of train", done, 10_000)
        report("train", 3, 7, "loss 1.25")
    seen = terminal.getvalue()
    for words in ("features of train", "10,000/10,000", "images/s", "3/7", "loss 1.25", "\x1b["):
        assert words in seen


def test_an_unknown_total_and_markup_on_a_terminal(terminal: Terminal) -> None:
    with redirect_stderr(terminal), progress_report() as report:
        report("fetch [red]x.pth", 5_000_000, 0)
        report("fetch [red]x.pth", 6_000_000, 0)
    assert "6.0 MB" in terminal.getvalue()


def test_quiet_says_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], terminal: Terminal
) -> None:
    clock = Clock(monkeypatch)
    with redirect_stderr(terminal), progress_report(quiet=True) as report:
        report("features", 0, 10)
        clock.now_s += 60
        report("features", 10, 10)
    assert terminal.getvalue() == ""
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "verb",
    ["score", "audit", "ladder", "study", "reference build", "demo", "train", "sample"],
)
def test_every_verb_of_long_work_can_be_quiet(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*verb.split(), "--help"]) == EXIT_OK
    assert "--quiet" in capsys.readouterr().out


def test_a_quiet_verb_on_a_terminal(digits_folder, tmp_path, terminal: Terminal) -> None:
    command = ["score", str(digits_folder), "--metrics", "fid", "--out", str(tmp_path)]
    with redirect_stderr(terminal):
        assert run(command) == EXIT_OK
    assert "300/300" in terminal.getvalue()
    terminal.seek(0)
    terminal.truncate()
    with redirect_stderr(terminal):
        assert run([*command, "--no-cache", "--quiet"]) == EXIT_OK
    assert terminal.getvalue() == ""
