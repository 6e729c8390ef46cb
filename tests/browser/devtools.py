"""A page in a real browser, driven through Chromium's DevTools protocol.

The protocol runs over two pipes (`--remote-debugging-pipe`): JSON messages that end with a zero
byte, no port and no websocket.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, Self

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
TIMEOUT_S = 90.0
KEYS = {"Tab": 9, "Enter": 13, " ": 32}


class Browser:
    """A headless browser with one page.

    `requests` holds the addresses requested since the page was opened, without those that the
    page's policy stopped; `errors` holds the warnings and errors on its console.
    """

    def __init__(self, profile: Path) -> None:
        program = next((found for name in NAMES if (found := shutil.which(name))), None)
        if program is None:
            raise FileNotFoundError(f"no browser: none of {', '.join(NAMES)} is installed")
        for_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()
        options = [
            "--headless=new",
            "--no-sandbox",  # the sandbox does not run as root
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--no-first-run",
            "--disable-background-networking",
            f"--user-data-dir={profile}",
            "--remote-debugging-pipe",
        ]
        # the protocol is spoken on descriptors 3 and 4; bash, for sh may not know 10 and above
        script = f'exec "$@" 3<&{for_browser} 4>&{from_browser}'
        self._process = subprocess.Popen(
            ["/bin/bash", "-c", script, "bash", program, *options],
            pass_fds=(for_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(for_browser)
        os.close(from_browser)
        self._buffer = b""
        self._number = 0
        self._session: str | None = None
        self._asked: dict[str, str] = {}
        self.errors: list[str] = []
        self._loaded = False
        try:
            target = self.send("Target.createTarget", url="about:blank")["targetId"]
            attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
            self._session = attached["sessionId"]
            for domain in ("Page", "Network", "Runtime", "Log"):
                self.send(f"{domain}.enable")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(TIMEOUT_S)
        os.close(self._out)
        os.close(self._in)

    def send(self, method: str, **params: object) -> Any:
        """Call a method of the protocol and wait for its result."""
        self._number += 1
        message: dict[str, object] = {"id": self._number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]

    def _receive(self) -> dict[str, Any]:
        deadline = time.monotonic() + TIMEOUT_S
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], deadline - time.monotonic())
            data = os.read(self._in, 1 << 20) if ready else b""
            if not data:
                raise TimeoutError("the browser says nothing")
            self._buffer += data
        text, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        self._note(message.get("method", ""), message.get("params", {}))
        return message

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Network.requestWillBeSent":
            self._asked[params["requestId"]] = params["request"]["url"]
        elif method == "Network.loadingFailed" and params.get("blockedReason") == "csp":
            self._asked.pop(params["requestId"], None)
        elif method == "Runtime.exceptionThrown":
            self.errors.append(str(params["exceptionDetails"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("warning", "error"):
            self.errors.append(params["entry"]["text"])
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("warning", "error"):
            self.errors.append(str(params["args"]))

    @property
    def requests(self) -> list[str]:
        return list(self._asked.values())

    def open(self, file: Path, *, width: int = 1280, height: int = 900) -> None:
        """Show a file in a window of that size, and wait until it is loaded."""
        self.resize(width, height)
        self._asked, self.errors, self._loaded = {}, [], False
        self.send("Page.navigate", url=file.resolve().as_uri())
        while not self._loaded:
            self._receive()

    def resize(self, width: int, height: int) -> None:
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )

    def emulate(self, *, media: str = "", dark: bool = False) -> None:
        """Show the page as "print" or on a screen, dark or light."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", media=media, features=[scheme])

    def evaluate(self, expression: str) -> Any:
        """The value of an expression on the page; promises are awaited. Raises what it throws."""
        result = self.send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in result:
            raise RuntimeError(str(result["exceptionDetails"]))
        return result["result"].get("value")

    def press(self, key: str, *, times: int = 1) -> None:
        """Press a key of `KEYS`, or type a character."""
        for _ in range(times):
            code = {"windowsVirtualKeyCode": KEYS.get(key, ord(key[0].upper()))}
            text = {} if key == "Tab" else {"text": "\r" if key == "Enter" else key}
            self.send("Input.dispatchKeyEvent", type="keyDown", key=key, **code, **text)
            self.send("Input.dispatchKeyEvent", type="keyUp", key=key, **code)

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        """The page as PNG, as far as it goes down or only what the window shows."""
        data = self.send("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(data["data"]))

    def pdf(self, path: Path) -> None:
        """The page as it is printed, on A4."""
        data = self.send("Page.printToPDF", paperWidth=8.27, paperHeight=11.69)
        path.write_bytes(base64.b64decode(data["data"]))
