"""The decoding processes that a test has started."""

from __future__ import annotations

import psutil


def decoding_processes() -> list[psutil.Process]:
    """The children of this process, the dead that nobody waited for among them; without those that
    multiprocessing keeps for a whole session once a test has started a process through it.
    """
    return [child for child in psutil.Process().children() if not _kept_for_the_session(child)]


def _kept_for_the_session(process: psutil.Process) -> bool:
    try:
        return "multiprocessing." in " ".join(process.cmdline())
    except psutil.ZombieProcess:
        return False
