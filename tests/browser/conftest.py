"""The browser, and what every page keeps: no error on its console, no request but for itself."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.browser.devtools import Browser

FILE = re.compile(r"file://.*\.html")


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(autouse=True)
def _quiet_and_alone(browser: Browser) -> Iterator[None]:
    """Fail when a page logs an error or requests anything but itself."""
    browser.emulate()
    yield
    assert browser.errors == []
    asked = [url for url in browser.requests if not url.startswith("data:")]
    assert all(FILE.fullmatch(url) for url in asked), asked
