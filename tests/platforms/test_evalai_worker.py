"""The remote worker of EvalAI against a server that answers as EvalAI does."""

from __future__ import annotations

import json
import threading
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bench.errors import EXIT_OK, EXIT_USAGE
from bench.platforms import evalai_worker
from bench.platforms.evalai_worker import main
from bench.platforms.settings import prepare
from tests.platforms.golden import METRICS, SUBMISSION, result


class EvalAI(ThreadingHTTPServer):
    """One challenge with at most one submission, and the requests that it got."""

    def __init__(self, status: str = "submitted", content: bytes = b"") -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.content = status, content
        self.queue = [{"submission_pk": 7, "challenge_pk": 5, "phase_pk": 3}]
        self.updates: list[tuple[str, dict[str, str]]] = []
        self.tokens: set[str] = set()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def environment(self) -> dict[str, str]:
        return {
            "AUTH_TOKEN": "secret",
            "API_SERVER": self.address,
            "QUEUE_NAME": "digits-5",
            "CHALLENGE_PK": "5",
        }


class Handler(BaseHTTPRequestHandler):
    server: EvalAI

    def answer(self) -> None:
        size = int(self.headers.get("Content-Length", 0))
        form = dict(urllib.parse.parse_qsl(self.rfile.read(size).decode(), keep_blank_values=True))
        if self.path == "/media/submission.zip":
            self.reply(self.server.content)
            return
        self.server.tokens.add(self.headers["Authorization"])
        body: Any = {}
        if self.path == "/api/jobs/challenge/queues/digits-5/":
            waiting = self.server.queue
            body = {"body": waiting[0], "receipt_handle": "r1"} if waiting else {"body": None}
        elif self.path == "/api/jobs/submission/7":
            file = f"{self.server.address}/media/submission.zip"
            body = {"status": self.server.status, "input_file": file}
        elif self.path == "/api/jobs/queues/digits-5/" and form == {"receipt_handle": "r1"}:
            self.server.queue.clear()
        elif self.path == "/api/jobs/challenge/5/update_submission/":
            self.server.updates.append((self.command, form))
        else:
            self.send_error(404)
            return
        self.reply(json.dumps(body).encode())

    do_GET = do_POST = do_PUT = do_PATCH = answer  # noqa: N815

    def reply(self, content: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    made = prepare(title="Digits", reference="mnist", metrics=METRICS)
    (tmp_path / "settings.json").write_bytes(made.files["settings.json"])
    return tmp_path


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[EvalAI]:
    with EvalAI(**request.param) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


GOOD = {"content": SUBMISSION.read_bytes()}
BROKEN = {"content": b"PK\x03\x04 cut short"}


@pytest.mark.parametrize("server", [GOOD], indirect=True)
def test_a_submission_is_scored_and_its_result_sent(server: EvalAI, settings: Path) -> None:
    assert main(["--once", str(settings)], server.environment()) == EXIT_OK
    (running, finished) = server.updates
    assert running == ("PATCH", {"submission": "7", "submission_status": "RUNNING"})
    method, form = finished
    assert (method, form["submission_status"], form["challenge_phase"]) == ("PUT", "FINISHED", "3")
    (row,) = json.loads(form["result"])
    assert (row["split"], row["show_to_participant"]) == ("images", True)
    golden = result("evalai")["result"][0]["images"]
    assert row["accuracies"] == pytest.approx(golden, rel=1e-3)
    assert "valid: 60 images" in form["stdout"]
    assert server.queue == []
    assert server.tokens == {"Bearer secret"}


@pytest.mark.parametrize("server", [BROKEN], indirect=True)
def test_a_broken_submission_fails_with_its_reason(server: EvalAI, settings: Path) -> None:
    assert main(["--once", str(settings)], server.environment()) == EXIT_OK
    _, form = server.updates[-1]
    assert form["submission_status"] == "FAILED"
    assert "zip" in form["stderr"]
    assert "result" not in form
    assert server.queue == []


@pytest.mark.parametrize(
    ("server", "left"),
    [({"status": "finished"}, 0), ({"status": "running"}, 1)],
    indirect=["server"],
)
def test_a_submission_that_was_or_is_handled(server: EvalAI, left: int, settings: Path) -> None:
    assert main(["--once", str(settings)], server.environment()) == EXIT_OK
    assert server.updates == []
    assert len(server.queue) == left


def test_a_server_that_is_away_stops_nothing(
    settings: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with EvalAI() as closed:
        environment = closed.environment()
    assert main(["--once", str(settings)], environment) == EXIT_OK
    assert "does not answer as expected" in capsys.readouterr().out

    class Enough(Exception):
        pass

    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise Enough

    monkeypatch.setattr(evalai_worker.time, "sleep", sleep)
    with pytest.raises(Enough):
        main([str(settings)], environment)
    assert pauses == [60.0] * 3


def test_missing_keys_and_settings(
    settings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(settings)], {"AUTH_TOKEN": "x"}) == EXIT_USAGE
    assert "API_SERVER, QUEUE_NAME, CHALLENGE_PK" in capsys.readouterr().err
    keys = {"AUTH_TOKEN": "x", "API_SERVER": "ftp://x", "QUEUE_NAME": "q", "CHALLENGE_PK": "1"}
    assert main([str(settings)], keys) == EXIT_USAGE
    assert "https://eval.ai" in capsys.readouterr().err
    assert main([str(tmp_path / "none")], {**keys, "API_SERVER": "http://x"}) == EXIT_USAGE
    assert main([], keys) == EXIT_USAGE
