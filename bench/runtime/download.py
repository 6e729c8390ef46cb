"""Downloading one large file: resumed, checked, and in place only when it is whole.

The bytes go to `NAME.part` beside the target, under a lock that a killed process gives up, and
are renamed when their SHA-256 is the expected one. What a broken transfer leaves in the part is
where the next attempt goes on.
"""

from __future__ import annotations

import hashlib
import io
import os
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from types import ModuleType
from typing import IO
from urllib.error import HTTPError
from urllib.parse import urlsplit

from bench.errors import BundleError
from bench.runtime.progress import Progress

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # no such locks on Windows: two at once cost time there, the digest guards
    fcntl = None


CHUNK = 1 << 20
TIMEOUT_S = 30.0
PAUSE_S = 0.5
FRUITLESS_ATTEMPTS = 3  # in a row, before giving up
LOOPBACK = ("127.0.0.1", "::1", "localhost")
HTTP_PARTIAL = 206
HTTP_RANGE_NOT_SATISFIABLE = 416


class _Broken(OSError):
    """A transfer that ended early; the next attempt goes on from there."""


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(  # noqa: PLR0917  (the signature of urllib)
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        require_safe(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def require_safe(url: str) -> None:
    """Raises `BundleError` unless the URL is https, or http to this machine itself."""
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme == "http" and parts.hostname in LOOPBACK:
        return
    raise BundleError(f"{url}: weights are fetched over https only")


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hex, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fetch(url: str, target: Path, sha256: str, *, progress: Progress | None = None) -> str:
    """Download `url` to `target`, whose SHA-256 must start with `sha256`; the whole digest in hex.

    Waits for another process that is fetching the same file. Raises `BundleError` with the
    reason when the file cannot be had, and leaves no `target` then.
    """
    require_safe(url)
    part = target.with_name(f"{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _exclusive(part, lambda size: _report(progress, target.name, size, 0)) as stream:
            if target.exists():  # fetched by the process that held the lock
                part.unlink()
                return _require(sha256_of(target), sha256, target, url)
            resumed = stream.seek(0, io.SEEK_END) > 0
            digest = _attempts(url, stream, target.name, progress)
            if resumed and not digest.startswith(sha256):  # the part was of some other file
                stream.truncate(0)
                digest = _attempts(url, stream, target.name, progress)
            if not digest.startswith(sha256):
                part.unlink()
                _require(digest, sha256, target, url)
            os.fsync(stream.fileno())
            part.replace(target)
            _sync_folder(target.parent)
    except OSError as error:
        raise BundleError(f"{error} (while fetching {url} to {part})") from error
    return digest


def _require(digest: str, expected: str, target: Path, url: str) -> str:
    if not digest.startswith(expected):
        raise BundleError(
            f"what {url} sent for {target.name} has SHA-256 {digest}, expected {expected}"
        )
    return digest


def _report(progress: Progress | None, name: str, done: int, total: int) -> None:
    if progress is not None:
        progress(name, done, total)


@contextmanager
def _exclusive(part: Path, waiting: Callable[[int], None]) -> Iterator[io.FileIO]:
    """The part, open for appending and locked; `waiting` gets its size while another has it."""
    while True:
        with io.FileIO(part, "a+b") as stream:
            while not _lock(stream):
                waiting(os.fstat(stream.fileno()).st_size)
                time.sleep(PAUSE_S)
            # Whoever held the lock may have renamed the file that is open here.
            if part.exists() and os.path.samestat(part.stat(), os.fstat(stream.fileno())):
                yield stream
                return


def _lock(stream: io.FileIO) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(stream.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _attempts(url: str, stream: io.FileIO, name: str, progress: Progress | None) -> str:
    """Fill the part, going on where a broken transfer ended; its SHA-256."""
    best = stream.seek(0, io.SEEK_END)
    fruitless = 0
    while True:
        try:
            _receive(url, stream, name, progress)
            break
        except BundleError:
            raise
        except (OSError, HTTPException) as error:
            reached = stream.seek(0, io.SEEK_END)
            fruitless = 0 if reached > best else fruitless + 1
            refused = isinstance(error, HTTPError) and error.code < 500  # it will say so again
            if refused or best == reached == 0 or fruitless == FRUITLESS_ATTEMPTS:
                kept = f"; {reached:,} bytes are kept and the next run goes on" if reached else ""
                raise BundleError(f"{_reason(error)}{kept}") from error
            best = max(best, reached)
            time.sleep(PAUSE_S * (1 + fruitless))
    stream.seek(0)
    return hashlib.file_digest(stream, "sha256").hexdigest()


def _reason(error: Exception) -> str:
    if isinstance(error, HTTPError):
        return f"the server answers {error.code} {error.reason}"
    return f"{getattr(error, 'reason', None) or error or type(error).__name__}"


def _receive(url: str, stream: io.FileIO, name: str, progress: Progress | None) -> None:
    """One request, appended to the part. Raises `_Broken` when it ends early."""
    start = stream.seek(0, io.SEEK_END)
    headers = {"User-Agent": "latentbench", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
    request = urllib.request.Request(url, headers=headers)  # noqa: S310  (checked: require_safe)
    try:
        response: HTTPResponse = urllib.request.build_opener(_SafeRedirects).open(
            request, timeout=TIMEOUT_S
        )
    except HTTPError as error:
        with error:
            if error.code != HTTP_RANGE_NOT_SATISFIABLE or not start:
                raise
            if error.headers.get("Content-Range", "") == f"bytes */{start}":
                return  # the part is the whole file already
            stream.truncate(0)
            raise _Broken("the server has no more bytes than the part on disk") from error
    with response:
        done = _position(response, start, stream)
        length = response.headers.get("Content-Length")
        total = done + int(length) if length and length.isdigit() else 0
        while chunk := response.read(CHUNK):
            _write(stream, chunk, name)
            done += len(chunk)
            _report(progress, name, done, total)
    if done < total:
        raise _Broken(f"the connection ended after {done:,} of {total:,} bytes")


def _position(response: HTTPResponse, start: int, stream: io.FileIO) -> int:
    """Where the body begins: at the end of the part, or at 0 of an emptied one."""
    if not start:
        return 0
    if response.status != HTTP_PARTIAL:
        stream.truncate(0)
        return 0
    if not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
        stream.truncate(0)
        raise _Broken("the server sent another range than the one asked for")
    return start


def _write(stream: io.FileIO, chunk: bytes, name: str) -> None:
    rest = memoryview(chunk)
    try:
        while rest:
            rest = rest[stream.write(rest) :]
    except OSError as error:
        raise BundleError(
            f"cannot write {name}.part: {error.strerror}; make room, the next run goes on"
        ) from error


def _sync_folder(folder: Path) -> None:
    """Make the rename last through a power cut, where the system lets folders be synced."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
