"""Download a large file: resumed after a broken transfer, and moved into place once it is verified.

The bytes are written to `NAME.part` in the folder of the target, under a lock that ends with the
process, and the file is renamed if its SHA-256 is the expected one. The next attempt continues
where a broken transfer ended. The library pooch is not used because it cannot resume a download.
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

from bench.errors import BundleError, reason_of
from bench.runtime.progress import Progress

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows: concurrent downloads cost time, and the digest is checked anyway
    fcntl = None


CHUNK = 1 << 20
TIMEOUT_S = 30.0
PAUSE_S = 0.5
FRUITLESS_ATTEMPTS = 3  # in a row, before giving up
LOOPBACK = ("127.0.0.1", "::1", "localhost")
HTTP_PARTIAL = 206
HTTP_RANGE_NOT_SATISFIABLE = 416


class _Broken(OSError):
    """A transfer that ended early; the next attempt continues from there."""


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
    """Raise `BundleError` unless the URL is https, or http to this machine.

    >>> require_safe("https://example.org/weights.pth")
    """
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme == "http" and parts.hostname in LOOPBACK:
        return
    raise BundleError(f"{url}: weights are downloaded over https only")


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fetch(url: str, target: Path, sha256: str, *, progress: Progress | None = None) -> str:
    """Download `url` to `target`, whose SHA-256 must start with `sha256`, and return its SHA-256.

    Waits for another process that is downloading the same file. `progress` is called with the file
    name, the bytes so far and the total. Raises `BundleError`, and leaves no `target`, if the
    download fails.
    """
    require_safe(url)
    part = target.with_name(f"{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _exclusive(part, lambda size: _report(progress, target.name, size, 0)) as stream:
            if target.exists():  # downloaded by the process that held the lock
                part.unlink()
                return _require(sha256_of(target), sha256, target, url)
            resumed = stream.seek(0, io.SEEK_END) > 0
            digest = _attempts(url, stream, target.name, progress)
            if resumed and not digest.startswith(sha256):  # the part came from another file
                stream.truncate(0)
                digest = _attempts(url, stream, target.name, progress)
            if not digest.startswith(sha256):
                part.unlink()
                _require(digest, sha256, target, url)
            os.fsync(stream.fileno())
            part.replace(target)
            _sync_folder(target.parent)
    except OSError as error:
        raise BundleError(f"{reason_of(error)} (while downloading {url} to {part})") from error
    return digest


def _require(digest: str, expected: str, target: Path, url: str) -> str:
    if not digest.startswith(expected):
        raise BundleError(f"{target.name} from {url} has SHA-256 {digest}, expected {expected}")
    return digest


def _report(progress: Progress | None, name: str, done: int, total: int) -> None:
    if progress is not None:
        progress(name, done, total)


@contextmanager
def _exclusive(part: Path, waiting: Callable[[int], None]) -> Iterator[io.FileIO]:
    """Yield the part, open for appending and locked.

    While another process holds the lock, `waiting` is called with the size of the part.
    """
    while True:
        with io.FileIO(part, "a+b") as stream:
            while not _lock(stream):
                waiting(os.fstat(stream.fileno()).st_size)
                time.sleep(PAUSE_S)
            # The process that held the lock may have renamed the file that is open here.
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
    """Fill the part, resuming broken transfers, and return its SHA-256."""
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
            refused = isinstance(error, HTTPError) and error.code < 500  # retrying is no use
            if refused or best == reached == 0 or fruitless == FRUITLESS_ATTEMPTS:
                note = f"; the next run resumes after {reached:,} bytes" if reached else ""
                raise BundleError(f"{_reason(error)}{note}") from error
            best = max(best, reached)
            time.sleep(PAUSE_S * (1 + fruitless))
    stream.seek(0)
    return hashlib.file_digest(stream, "sha256").hexdigest()


def _reason(error: Exception) -> str:
    if isinstance(error, HTTPError):
        return f"the server answered {error.code} {error.reason}"
    return f"{getattr(error, 'reason', None) or error or type(error).__name__}"


def _receive(url: str, stream: io.FileIO, name: str, progress: Progress | None) -> None:
    """Append the answer to one request to the part. Raises `_Broken` if it ends early."""
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
                return  # the part is already complete
            stream.truncate(0)
            raise _Broken("the file on the server is shorter than the part on disk") from error
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
    """Return where the body begins in the part, which is emptied if the server did not resume."""
    if not start:
        return 0
    if response.status != HTTP_PARTIAL:
        stream.truncate(0)
        return 0
    if not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
        stream.truncate(0)
        raise _Broken("the server sent another range than was requested")
    return start


def _write(stream: io.FileIO, chunk: bytes, name: str) -> None:
    rest = memoryview(chunk)
    try:
        while rest:
            rest = rest[stream.write(rest) :]
    except OSError as error:
        raise BundleError(
            f"cannot write {name}.part: {error.strerror}; free some space, and the next run resumes"
        ) from error


def _sync_folder(folder: Path) -> None:
    """Make the rename survive a power failure, if the system can sync folders."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
