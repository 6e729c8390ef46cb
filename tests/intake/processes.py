"""The decoding processes that a test started."""

from __future__ import annotations

import psutil


def decoding_processes() -> list[psutil.Process]:
    """Return the children of this process, zombies included.

    Processes that multiprocessing keeps alive for the whole session are left out.
    """
    return [child for child in psutil.Process().children() if not _kept_for_the_session(child)]


def _kept_for_the_session(process: psutil.Process) -> bool:
    try:
        return "multiprocessing." in " ".join(process.cmdline())
    except psutil.ZombieProcess:
        return False
