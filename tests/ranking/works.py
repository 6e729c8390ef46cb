"""A job in place of the scoring: by the team's name it ends its process, or never ends."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

from bench.execution.ledger.work import WorkContext


def crash_hang_or_answer(payload: Mapping[str, Any], _: WorkContext) -> dict[str, Any]:
    if payload["name"] == "crashes":
        os._exit(9)
    if payload["name"] == "hangs":
        time.sleep(600)
    return {"error": f"{payload['name']} is empty", "findings": []}
