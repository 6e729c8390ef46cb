"""Weights files: where they are looked for, how they are fetched, what is refused to be read.

Downloads come from a real HTTP server on this machine's loopback.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import pickle
import struct
import subprocess
import sys
import threading
import time
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from bench.errors import BundleError
from bench.extractors.weights_files import HostedWeights, hub_folder, load_state, locate
from bench.extractors.weights_reading import load_strictly
from bench.runtime import download

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


class _Handler(BaseHTTPRequestHandler):
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


@pytest.fixture
def host() -> Iterator[Host]:
    host = Host()
    handler = type("Handler", (_Handler,), {"host": host})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    host.url = f"http://127.0.0.1:{server.server_port}/{FILE}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield host
    server.shutdown()
    thread.join()
    server.server_close()


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
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
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


def saved(path: Path, state: object, **options: object) -> Path:
    torch.save(state, path, **options)  # type: ignore[arg-type]
    return path


STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "n": torch.tensor(3)}


@pytest.mark.parametrize("zipped", [True, False])
def test_what_torch_save_writes(tmp_path: Path, *, zipped: bool) -> None:
    path = saved(tmp_path / "w.pth", STATE, _use_new_zipfile_serialization=zipped)
    found = load_state(path)
    assert list(found) == list(STATE)
    assert all(torch.equal(found[name], STATE[name]) for name in STATE)


def test_safetensors(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "w.safetensors")
    found = load_state(tmp_path / "w.safetensors")
    assert all(torch.equal(found[name], STATE[name]) for name in STATE)


class Inner(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, bias=False).half()
        self.norm = nn.BatchNorm2d(4)
        self.token = nn.Parameter(torch.randn(5))
        self.layers = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.MultiheadAttention(4, 2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


class Outer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.visual = Inner()
        self.shared = nn.Parameter(torch.randn(4, 8)[:, ::2])  # a view with strides
        self.register_buffer("count", torch.tensor(224))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 1


def torchscript(module: nn.Module, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated; CLIP comes in it
        torch.jit.trace(module.eval(), torch.zeros(1)).save(path)
    return path


def test_torchscript_is_read_as_torch_reads_it(tmp_path: Path) -> None:
    torch.manual_seed(0)
    path = torchscript(Outer(), tmp_path / "w.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = torch.jit.load(path).state_dict()
    found = load_state(path)
    assert set(found) == set(expected)
    for name, value in expected.items():
        assert found[name].dtype == value.dtype
        assert torch.equal(found[name], value)


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def in_archive(path: Path, source: Path, data: bytes) -> Path:
    """A copy of a torch archive with another pickle."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for entry in old.infolist():
            pickled = entry.filename.endswith("/data.pkl")
            new.writestr(entry, data if pickled else old.read(entry))
    return path


@pytest.mark.parametrize("kind", ["legacy", "zip", "torchscript", "safetensors", "bare"])
def test_code_in_a_file_is_not_run(tmp_path: Path, kind: str) -> None:
    ran = tmp_path / "ran"
    data = pickle.dumps({"a": Bomb(ran)}, protocol=2)
    if kind in ("legacy", "zip"):
        path = saved(
            tmp_path / "w.pth", {"a": Bomb(ran)}, _use_new_zipfile_serialization=kind == "zip"
        )
    elif kind == "torchscript":
        path = in_archive(tmp_path / "w.pt", torchscript(Outer(), tmp_path / "good.pt"), data)
    else:
        path = tmp_path / ("w.safetensors" if kind == "safetensors" else "w.pth")
        path.write_bytes(data)
    pickle.loads(pickle.dumps(Bomb(ran)))  # noqa: S301  (the bomb works)
    ran.unlink()
    said = {"torchscript": "", "safetensors": ""}.get(kind, "which could run code")
    # and not PyTorch's advice, which is to run it
    with pytest.raises(
        BundleError, match=f"{path.name} cannot be read: (?!.*weights_only).*{said}"
    ):
        load_state(path)
    assert not ran.exists()


def test_code_of_a_torchscript_archive_is_not_run(tmp_path: Path) -> None:
    """Its source may be anything at all: it is not even looked at."""
    good = torchscript(Outer(), tmp_path / "good.pt")
    with zipfile.ZipFile(good) as old, zipfile.ZipFile(tmp_path / "w.pt", "w") as new:
        for entry in old.infolist():
            code = "/code/" in entry.filename
            new.writestr(entry, b"raise SystemExit" if code else old.read(entry))
    assert set(load_state(tmp_path / "w.pt")) == set(load_state(good))


def zip_bomb(path: Path) -> Path:
    buffer = io.BytesIO()
    torch.save({"a": torch.zeros(30_000_000)}, buffer)
    with zipfile.ZipFile(buffer) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    return path


def broken(tmp_path: Path, kind: str) -> Path:
    path = tmp_path / "w.pth"
    if kind == "missing":
        return path
    if kind == "text":
        path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1234\n")
    elif kind == "empty":
        path.touch()
    elif kind == "truncated":
        whole = saved(tmp_path / "whole", {"a": torch.zeros(10_000)})
        path.write_bytes(whole.read_bytes()[:20_000])
    elif kind == "truncated torchscript":
        whole = torchscript(Outer(), tmp_path / "whole")
        path.write_bytes(whole.read_bytes()[:-200])
    elif kind == "truncated safetensors":
        path = tmp_path / "w.safetensors"
        save_file({"a": torch.zeros(1000)}, path)
        path.write_bytes(path.read_bytes()[:-1])
    elif kind == "huge safetensors header":
        path = tmp_path / "w.safetensors"
        path.write_bytes(struct.pack("<Q", 2**60) + b"{}")
    elif kind == "zip bomb":
        zip_bomb(path)
    else:
        states: dict[str, object] = {
            "list": [torch.zeros(1)],
            "tensor": torch.zeros(3),
            "nested": {"state_dict": {"a": torch.zeros(1)}, "epoch": 3},
            "nothing": {},
            "nan": {"fine": torch.zeros(2), "layer.bias": torch.tensor([0.0, float("nan")])},
            "infinite": {"a": torch.tensor([float("inf")]).half()},
            "sparse": {"a": torch.eye(3).to_sparse()},
            "expanded": {"a": torch.zeros(1).expand(10**6, 10**6)},
        }
        saved(path, states[kind])
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "cannot be read: .*No such file"),
        ("text", "cannot be read"),
        ("empty", "cannot be read"),
        ("truncated", "cannot be read"),
        ("truncated torchscript", "cannot be read"),
        ("truncated safetensors", "cannot be read"),
        ("huge safetensors header", "cannot be read"),
        ("zip bomb", "that unpack to 120,0"),
        ("list", "hold a list, not a dict of tensors"),
        ("tensor", "hold a Tensor, not a dict"),
        ("nested", "hold a dict at 'state_dict'.*save the state_dict"),
        ("nothing", "not a dict of tensors"),
        ("nan", "layer.bias has NaN or infinite values"),
        ("infinite", "a has NaN or infinite"),
        ("sparse", "a is not a plain dense tensor"),
        ("expanded", "a claims more values than the file holds"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*[Ss]parse")  # torch's notices about sparse tensors
def test_files_that_are_refused(tmp_path: Path, kind: str, message: str) -> None:
    path = broken(tmp_path, kind)
    with pytest.raises(BundleError, match=message) as caught:
        load_state(path)
    assert str(path) in str(caught.value)


# Into a network


def test_strict_loading_names_what_is_wrong() -> None:
    def network() -> nn.Module:
        with torch.device("meta"):
            return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))

    state = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).state_dict()
    loaded = network()
    load_strictly(
        loaded, {k: v.double() if v.is_floating_point() else v for k, v in state.items()}, "w"
    )
    assert all(torch.equal(value, state[name]) for name, value in loaded.state_dict().items())
    assert loaded(torch.ones(4, 3)).dtype == torch.float32
    for change, message in (
        (
            {"0.weight": torch.zeros(2, 4)},
            r"0.weight is torch.float32 \(2, 4\), expected .*\(2, 3\)",
        ),
        ({"0.bias": torch.zeros(2, dtype=torch.int64)}, "0.bias is torch.int64"),
        ({"extra": torch.zeros(1)}, "w do not fit the network: extra is not of this network"),
    ):
        with pytest.raises(BundleError, match=message):
            load_strictly(network(), {**state, **change}, "w")
    with pytest.raises(BundleError, match="0.bias is missing"):
        load_strictly(network(), {k: v for k, v in state.items() if k != "0.bias"}, "w")
