"""An HTTP server on the loopback that serves one file, with the faults of real servers."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

from bench.extractors.weights_files import HostedWeights

CONTENT = np.random.default_rng(3).integers(0, 256, 5_000_000, dtype=np.uint8).tobytes()


SHA256 = hashlib.sha256(CONTENT).hexdigest()


FILE = "weights-of-a-test.bin"


@dataclass
class Host:
    """A server with one file, and what goes wrong with it."""

    content: bytes = CONTENT
    ranges: bool = True
    lengths: bool = True
    drop_after: list[int] = field(default_factory=list)  # bytes of the body, one per request
    status: int = 200
    wrong_range: bool = False
    redirect: str = ""
    pause_s: float = 0.0
    requests: list[str | None] = field(default_factory=list)  # the Range header of each
    url: str = ""

    def weights(self, sha256: str = SHA256) -> HostedWeights:
        return HostedWeights(self.url, FILE, sha256)


class Handler(BaseHTTPRequestHandler):
    host: Host

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        host = self.host
        wanted = self.headers.get("Range")
        host.requests.append(wanted)
        if host.redirect:
            self.send_response(302)
            self.send_header("Location", host.redirect)
            self.end_headers()
            return
        if host.status != 200:
            self.send_error(host.status)
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        if not host.ranges:
            start = 0
        if start and start >= len(host.content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(host.content)}")
            self.end_headers()
            return
        if start and host.wrong_range:
            start -= 1
        body = host.content[start:]
        self.send_response(206 if start else 200)
        if start:
            end = len(host.content) - 1
            self.send_header("Content-Range", f"bytes {start}-{end}/{len(host.content)}")
        if host.lengths:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if host.drop_after:
            body = body[: host.drop_after.pop(0)]
        for at in range(0, len(body), 1 << 18):
            time.sleep(host.pause_s)
            with suppress(ConnectionError):  # the reader was killed
                self.wfile.write(body[at : at + (1 << 18)])


@contextmanager
def serving() -> Iterator[Host]:
    host = Host()
    handler = type("Handler", (Handler,), {"host": host})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    host.url = f"http://127.0.0.1:{server.server_port}/{FILE}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield host
    server.shutdown()
    thread.join()
    server.server_close()
