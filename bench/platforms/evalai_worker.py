"""The remote worker of EvalAI: fetch submissions from the queue, score them, send the results.

    export AUTH_TOKEN=... API_SERVER=https://eval.ai QUEUE_NAME=... CHALLENGE_PK=...
    python -m bench.platforms.evalai_worker SETTINGS_FOLDER

It asks for work once a minute. A submission that cannot be scored is reported as failed, with the
reason. The server being away stops nothing: the worker asks again. With `--once`, it handles at
most one submission and exits. Source: the remote evaluation of Cloud-CV/EvalAI-Starters, 2026.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.errors import EXIT_OK, EXIT_USAGE, InputError, UsageError, reason_of
from bench.platforms.evalai import evaluate
from bench.platforms.settings import SETTINGS, read_settings

PAUSE_S = 60.0
TIMEOUT_S = 150.0
MAX_BYTES = 2 << 30  # of a submission
VARIABLES = ("AUTH_TOKEN", "API_SERVER", "QUEUE_NAME", "CHALLENGE_PK")
DONE = ("finished", "failed", "cancelled")


class Server(NamedTuple):
    """The server of a challenge: address and keys."""

    token: str
    address: str
    queue: str
    challenge: str

    @classmethod
    def of_environment(cls, environment: Mapping[str, str]) -> Server:
        """Return the server that the environment names. Raises `UsageError` if it names none."""
        missing = [name for name in VARIABLES if not environment.get(name)]
        if missing:
            raise UsageError(
                f"the environment lacks {', '.join(missing)}: the page of the challenge on EvalAI "
                "shows them"
            )
        token, address, queue, challenge = (environment[name] for name in VARIABLES)
        if urllib.parse.urlsplit(address).scheme not in ("http", "https"):
            raise UsageError(f"API_SERVER {address!r}: expected an address such as https://eval.ai")
        return cls(token, address.rstrip("/"), queue, challenge)

    def call(self, method: str, path: str, data: Mapping[str, Any] | None = None) -> Any:
        """Return the JSON that the server answers. Raises `OSError` or `ValueError`."""
        body = None if data is None else urllib.parse.urlencode(data).encode()
        request = urllib.request.Request(  # noqa: S310  (the scheme was checked)
            f"{self.address}{path}",
            data=body,
            method=method,
            headers={"Authorization": f"Bearer {self.token}"},
        )
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            return json.loads(answer.read())

    def message(self) -> Mapping[str, Any]:
        """Return the next message of the queue; without "body" there is none."""
        found = self.call("GET", f"/api/jobs/challenge/queues/{self.queue}/")
        return found if isinstance(found, dict) else {}

    def forget(self, message: Mapping[str, Any]) -> None:
        """Remove a message from the queue."""
        data = {"receipt_handle": message.get("receipt_handle", "")}
        self.call("POST", f"/api/jobs/queues/{self.queue}/", data)

    def update(self, method: str, data: Mapping[str, Any]) -> None:
        """Tell the state or the result of a submission."""
        self.call(method, f"/api/jobs/challenge/{self.challenge}/update_submission/", data)


def handle_next(server: Server, settings: Path) -> str:
    """Handle the next message of the queue, and return what was done in words; "" for no message.

    Raises `OSError` or `ValueError` when the server does not answer as expected.
    """
    message = server.message()
    body = message.get("body")
    if not body:
        return ""
    submission = body["submission_pk"]
    known = server.call("GET", f"/api/jobs/submission/{submission}")
    if known.get("status") in DONE:
        server.forget(message)
        return f"submission {submission}: {known['status']} before"
    if known.get("status") == "running":
        return f"submission {submission}: another worker has it"
    server.update("PATCH", {"submission": submission, "submission_status": "RUNNING"})
    result: dict[str, Any] = {
        "challenge_phase": body["phase_pk"],
        "submission": submission,
        "stdout": "",
        "stderr": "",
        "metadata": "",
    }
    try:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "submission.zip"
            _download(str(known["input_file"]), file)
            found = evaluate(settings / SETTINGS, file, str(body["phase_pk"]))
    except (InputError, OSError, ValueError, KeyError) as error:
        result |= {"submission_status": "FAILED", "stderr": reason_of(error)}
    else:
        ((split, scores),) = found["result"][0].items()
        accuracies = [{"split": split, "show_to_participant": True, "accuracies": scores}]
        result |= {
            "submission_status": "FINISHED",
            "result": json.dumps(accuracies, allow_nan=False),
            "stdout": "\n".join([*found["submission_result"]["summary"], *_table(found)]),
            "metadata": json.dumps(found["submission_result"], allow_nan=False),
        }
    server.update("PUT", result)
    server.forget(message)
    return f"submission {submission}: {result['submission_status'].lower()}"


def main(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> int:
    """Handle submissions until interrupted; with `--once`, at most one."""
    once = "--once" in arguments
    folders = [word for word in arguments if word != "--once"]
    if len(folders) != 1:
        sys.stderr.write("expected the folder that holds settings.json\n")
        return EXIT_USAGE
    settings = Path(folders[0])
    try:
        server = Server.of_environment(os.environ if environment is None else environment)
        read_settings(settings / SETTINGS)
    except UsageError as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_USAGE
    while True:
        try:
            done = handle_next(server, settings)
        except (OSError, ValueError, KeyError) as error:  # the server is away, or another program
            done = f"{server.address} does not answer as expected: {reason_of(error)}"
        if done:
            sys.stdout.write(f"{done}\n")
            sys.stdout.flush()
        if once:
            return EXIT_OK
        time.sleep(PAUSE_S)


def _table(found: Mapping[str, Any]) -> list[str]:
    return list(found["submission_result"]["table"])


def _download(address: str, file: Path) -> None:
    """Write a file from the network. Raises `OSError`, and `ValueError` for another scheme."""
    if urllib.parse.urlsplit(address).scheme not in ("http", "https"):
        raise ValueError(f"the address of the submission is not one of the web: {address!r}")
    with (
        urllib.request.urlopen(address, timeout=TIMEOUT_S) as answer,  # noqa: S310
        file.open("wb") as target,
    ):
        size = 0
        while chunk := answer.read(1 << 20):
            size += len(chunk)
            if size > MAX_BYTES:
                raise ValueError(f"the submission has more than {MAX_BYTES >> 30} GB")
            target.write(chunk)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
