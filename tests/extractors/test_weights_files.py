"""Weights files: where they are looked for, how they are fetched, what is refused to be read.

Downloads come from a real HTTP server on this machine's loopback.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from bench.errors import BundleError
from bench.extractors.weights_files import HostedWeights, hub_folder, locate
from bench.runtime import download
from tests.extractors.weights_host import CONTENT, FILE, SHA256, Handler, Host, serving


@pytest.fixture
def host() -> Iterator[Host]:
    with serving() as host:
        yield host


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """torch's cache of downloads, empty; no proxy, no variable, short pauses."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("LATENTBENCH_WEIGHTS", raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(download, "PAUSE_S", 0.01)
    return tmp_path / "torch" / "hub" / "checkpoints"


def leftovers(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir())


# Where a file is looked for


def test_the_cache_is_torchs_own(cache: Path) -> None:
    assert hub_folder() == cache == Path(torch.hub.get_dir()) / "checkpoints"


@pytest.mark.parametrize("variables", [{}, {"XDG_CACHE_HOME": "/x"}, {"TORCH_HOME": "~/t"}])
def test_the_cache_is_known_without_torch(
    variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    expected = Path(torch.hub.get_dir()) / "checkpoints"
    monkeypatch.delitem(sys.modules, "torch.hub")
    assert hub_folder() == expected


def test_order_of_places(
    host: Host, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each place in turn is given the file, from the last to the first."""
    found = locate(host.weights())
    assert found == (cache / FILE, SHA256, True)
    assert len(host.requests) == 1
    assert locate(host.weights()) == found  # now from the cache
    assert len(host.requests) == 1

    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.setenv("LATENTBENCH_WEIGHTS", str(folder))
    assert locate(host.weights()).path == cache / FILE  # a folder without it is passed over
    (folder / FILE).write_bytes(CONTENT)
    assert locate(host.weights()).path == folder / FILE

    named = tmp_path / "renamed.bin"
    named.write_bytes(CONTENT)
    monkeypatch.setenv("LATENTBENCH_WEIGHTS", str(named))
    assert locate(host.weights()).path == named
    given = tmp_path / "given.bin"
    given.write_bytes(CONTENT)
    assert locate(host.weights(), given=given).path == given
    assert locate(host.weights(), given=folder).path == folder / FILE
    assert len(host.requests) == 1


def test_digest_prefix_is_enough_and_the_whole_digest_comes_back(host: Host) -> None:
    assert locate(host.weights(SHA256[:8])).sha256 == SHA256


@pytest.mark.parametrize("digest", ["1234567", "xyz" * 8, "A" * 64, "0" * 65])
def test_digests_of_the_table_are_checked(digest: str) -> None:
    with pytest.raises(ValueError, match="8 to 64 hex digits"):
        HostedWeights("https://example.org/f", "f", digest)


def test_places_that_are_not_there(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BundleError, match="--weights .*nowhere: there is no such file"):
        locate(host.weights(), given=tmp_path / "nowhere")
    with pytest.raises(BundleError, match=f"the folder holds no {FILE}"):
        locate(host.weights(), given=tmp_path)
    monkeypatch.setenv("LATENTBENCH_WEIGHTS", str(tmp_path / "typo"))
    with pytest.raises(BundleError, match="LATENTBENCH_WEIGHTS=.*typo: there is no such"):
        locate(host.weights())
    assert host.requests == []


def test_another_digest_is_refused_unless_accepted(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.bin"
    other.write_bytes(b"other")
    found = hashlib.sha256(b"other").hexdigest()
    pattern = f"other.bin.*SHA-256 {found}, expected {SHA256} .*--unverified-weights"
    with pytest.raises(BundleError, match=pattern):
        locate(host.weights(), given=other)
    assert locate(host.weights(), given=other, unverified=True) == (other, found, False)
    monkeypatch.setenv("LATENTBENCH_WEIGHTS", str(other))
    with pytest.raises(BundleError, match="LATENTBENCH_WEIGHTS must name"):
        locate(host.weights())
    assert not locate(host.weights(), unverified=True).verified
    other.write_bytes(CONTENT)
    assert locate(host.weights(), unverified=True).verified


def test_a_damaged_file_of_the_cache_is_neither_used_nor_deleted(host: Host, cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / FILE).write_bytes(CONTENT[:-1])
    with pytest.raises(BundleError, match="Delete the file to fetch it again"):
        locate(host.weights(), unverified=True)
    assert (cache / FILE).read_bytes() == CONTENT[:-1]
    assert host.requests == []


# Downloads


def test_download_reports_its_progress(host: Host, cache: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    locate(host.weights(), progress=lambda *at: seen.append(at))
    assert seen[-1] == (FILE, len(CONTENT), len(CONTENT))
    assert [done for _, done, _ in seen] == sorted({done for _, done, _ in seen})
    assert leftovers(cache) == [FILE]


@pytest.mark.parametrize("lengths", [True, False])
def test_servers_without_ranges_and_lengths(host: Host, cache: Path, *, lengths: bool) -> None:
    host.ranges, host.lengths = False, lengths
    cache.mkdir(parents=True)
    (cache / f"{FILE}.part").write_bytes(b"left by a killed run")
    assert locate(host.weights()).verified
    assert leftovers(cache) == [FILE]


def test_a_killed_download_is_resumed(host: Host, cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / f"{FILE}.part").write_bytes(CONTENT[:1_234_567])
    assert locate(host.weights()).verified
    assert host.requests == ["bytes=1234567-"]
    assert (cache / FILE).read_bytes() == CONTENT


def test_a_process_that_is_killed_leaves_its_part_and_no_lock(host: Host, cache: Path) -> None:
    host.pause_s = 0.05
    program = (
        "import sys; from pathlib import Path; from bench.runtime.download import fetch\n"
        "fetch(sys.argv[1], Path(sys.argv[2]), sys.argv[3])"
    )
    arguments = [sys.executable, "-c", program, host.url, str(cache / FILE), SHA256]
    part = cache / f"{FILE}.part"
    with subprocess.Popen(arguments) as process:
        while not part.exists() or part.stat().st_size == 0:
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    kept = part.stat().st_size
    assert 0 < kept < len(CONTENT)
    host.pause_s = 0.0
    assert locate(host.weights()).verified
    assert host.requests == [None, f"bytes={kept}-"]


def test_a_whole_part_is_used_as_it_is(host: Host, cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / f"{FILE}.part").write_bytes(CONTENT)
    assert locate(host.weights()).verified  # the server answers 416: no more bytes
    assert host.requests == [f"bytes={len(CONTENT)}-"]


@pytest.mark.parametrize("part", [b"of another file", CONTENT + b"too long", b"x" * len(CONTENT)])
def test_a_part_of_something_else_is_dropped(host: Host, cache: Path, part: bytes) -> None:
    cache.mkdir(parents=True)
    (cache / f"{FILE}.part").write_bytes(part)
    assert locate(host.weights()).verified
    assert (cache / FILE).read_bytes() == CONTENT


def test_a_wrong_range_is_not_glued_on(host: Host, cache: Path) -> None:
    host.wrong_range = True
    cache.mkdir(parents=True)
    (cache / f"{FILE}.part").write_bytes(CONTENT[:1000])
    assert locate(host.weights()).verified
    assert host.requests == ["bytes=1000-", None]


def test_a_dropped_connection_is_taken_up_again(host: Host, cache: Path) -> None:
    host.drop_after = [2_000_000, 1_000_000, 0]
    assert locate(host.weights()).verified
    assert host.requests == [None, "bytes=2000000-", "bytes=3000000-", "bytes=3000000-"]
    assert leftovers(cache) == [FILE]


def test_a_connection_that_keeps_dropping_leaves_a_part(host: Host, cache: Path) -> None:
    host.drop_after = [1_000_000, 0, 0, 0]
    with pytest.raises(
        BundleError, match="ended after 1,000,000 of 5,000,000 bytes.*the next run resumes after"
    ):
        locate(host.weights())
    assert leftovers(cache) == [f"{FILE}.part"]
    assert locate(host.weights()).verified
    assert host.requests[-1] == "bytes=1000000-"


def test_a_server_that_ignores_ranges_and_drops_is_given_up(host: Host) -> None:
    host.ranges = False
    host.drop_after = [1_000_000] * 20
    with pytest.raises(BundleError, match="ended after"):
        locate(host.weights())
    assert len(host.requests) == 4


def test_wrong_content_is_thrown_away(host: Host, cache: Path) -> None:
    host.content = b"<html>please log in</html>"
    found = hashlib.sha256(host.content).hexdigest()
    with pytest.raises(BundleError, match=f"has SHA-256 {found}, expected {SHA256}"):
        locate(host.weights(), unverified=True)
    assert leftovers(cache) == []


@pytest.mark.parametrize("status", [404, 403, 500])
def test_http_errors_name_everything(host: Host, cache: Path, status: int) -> None:
    host.status = status
    with pytest.raises(BundleError) as caught:
        locate(host.weights())
    for part in (
        FILE,
        f"the server answered {status}",
        host.url,
        SHA256,
        str(cache),
        "--weights FILE",
        "LATENTBENCH_WEIGHTS",
    ):
        assert part in str(caught.value)
    assert len(host.requests) == 1
    assert not (cache / FILE).exists()


def test_offline(cache: Path) -> None:
    """A port of this machine that nobody listens to."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    port = server.server_port
    server.server_close()
    source = HostedWeights(f"http://127.0.0.1:{port}/f", FILE, SHA256)
    with pytest.raises(BundleError, match="cannot be downloaded.*Connection refused"):
        locate(source)
    assert not (cache / FILE).exists()


@pytest.mark.parametrize(
    "url", ["http://example.org/f", "ftp://example.org/f", "file:///etc/hosts", "https:///f"]
)
def test_only_https(url: str) -> None:
    with pytest.raises(BundleError, match="over https only"):
        locate(HostedWeights(url, FILE, SHA256))


def test_no_redirect_to_something_else(host: Host) -> None:
    host.redirect = "ftp://example.org/f"
    with pytest.raises(
        BundleError, match=r"ftp://example.org/f: weights are downloaded over https"
    ):
        locate(host.weights())


def test_full_disk(host: Host, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.FileIO):
        def write(self, data: object, /) -> int:
            if self.tell() > 1_000_000:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().write(bytes(memoryview(data)[:700_001]))  # type: ignore[call-overload]

    monkeypatch.setattr(download.io, "FileIO", Full)
    with pytest.raises(BundleError, match="No space left on device.*free some space"):
        locate(host.weights())
    assert leftovers(cache) == [f"{FILE}.part"]
    monkeypatch.undo()
    (cache / f"{FILE}.part").rename(cache / "seen")
    assert CONTENT.startswith((cache / "seen").read_bytes())


def test_several_at_once_fetch_it_once(host: Host, cache: Path) -> None:
    host.pause_s = 0.01
    results: list[object] = []
    waits: list[int] = []

    def run() -> None:
        try:
            results.append(locate(host.weights(), progress=lambda _, __, n: waits.append(n)))
        except BundleError as error:
            results.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [(cache / FILE, SHA256, True)] * 4
    assert host.requests == [None]
    assert 0 in waits  # those that waited said so
    assert leftovers(cache) == [FILE]


# Reading


# Into a network
