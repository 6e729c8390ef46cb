from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.intake.processes import decoding_processes


@pytest.fixture
def nothing_is_left() -> Iterator[None]:
    """Fail a test that leaves a thread of a stream, or a decoding process, behind."""
    yield
    assert [thread.name for thread in threading.enumerate() if thread.name == "image-stream"] == []
    assert decoding_processes() == []
