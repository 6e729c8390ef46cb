"""The rows of the study: one line of records.jsonl for each data set, recipe, seed and sampling.

Commands that finish at the same time update the file one after the other, under a lock, and replace
it atomically. The rows of a run replace those of an earlier run of the same recipe and seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from bench.errors import InputError, UsageError
from bench.execution.ledger.claims import claim_within
from bench.runtime.whole_files import write_atomically

RECORDS, LOCK = "records.jsonl", ".records.lock"
WAIT_S = 120.0
PLAIN = "plain"
DIVERGED = "diverged"  # in place of a sampling: the run has no samples

Key = tuple[str, str, int, str]  # data, recipe, seed, sampling


class Row(BaseModel):
    """The result of one sampling of one run, or why the run diverged. `share` is the share of the
    recipe's steps; `terms` are in nats per image.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    data: str
    recipe: str
    seed: int
    sampling: str
    num_steps: int
    share: float
    narrowing: str
    config_digest: str
    reason: str | None = None
    num_images: int = 0
    values: dict[str, float | None] = {}
    perfect: dict[str, float | None] = {}
    terms: dict[str, float] = {}
    signature: str = ""
    created_at: str = ""
    acceptance_rate: float | None = None
    num_forced: int | None = None
    checkerboard_ratio: float | None = None
    train_s: float | None = None
    train_cpu_s: float | None = None
    stacked: int = 1
    device: str = ""

    @property
    def key(self) -> Key:
        return self.data, self.recipe, self.seed, self.sampling


def read_rows(path: Path) -> dict[Key, Row]:
    """Return the rows by key; a truncated last line is ignored, so that its run is repeated.

    Raises `InputError` naming any other line that is not a row.
    """
    if not path.is_file():
        return {}
    found: dict[Key, Row] = {}
    text = path.read_text()
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = Row.model_validate_json(line)
        except ValidationError as error:
            if number == len(lines) and not text.endswith("\n"):
                break
            fault = error.errors()[0]
            where = ".".join(map(str, fault["loc"])) or "the line"
            raise InputError(
                f"{path}, line {number}: not a row of this study ({where}: {fault['msg']}); delete "
                "the line, so that its run is repeated, or give another --out"
            ) from error
        found[row.key] = row
    return found


def publish(path: Path, rows: Sequence[Row]) -> None:
    """Write the rows of runs, replacing those of earlier runs of the same recipes and seeds.

    Raises `InputError` as `read_rows` does, and `UsageError` if another command holds the lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    claim = claim_within(path.parent / LOCK, WAIT_S)
    if claim is None:
        raise UsageError(
            f"{path.parent / LOCK}: another command has been writing there for {WAIT_S:.0f} s; run "
            "this command again when it has ended: finished runs are not repeated"
        )
    with claim:
        again = {row.key[:3] for row in rows}
        others = [row for row in read_rows(path).values() if row.key[:3] not in again]
        lines = [row.model_dump_json(exclude_defaults=True) + "\n" for row in [*others, *rows]]
        write_atomically(path, "".join(lines).encode())
