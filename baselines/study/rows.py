"""The study's rows: one line of records.jsonl for each data set, recipe, seed and sampling.

Commands that end at the same time change the file one after the other, behind a lock beside it, and
put a whole new one in its place; what a run gives takes the place of all that an earlier run of the
same recipe and seed gave.
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
    """What one sampling of one run came to; of a run that diverged, why. `share` is that of the
    recipe's steps, `terms` are in nats per image.
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
    """Rows by what they are about; a last line cut short is left out, its run is made again.

    Raises `InputError` naming any other line that is no row.
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
                f"{path}, line {number}: no row of this study ({where}: {fault['msg']}); delete "
                "the line, its run is made again, or give another --out"
            ) from error
        found[row.key] = row
    return found


def publish(path: Path, rows: Sequence[Row]) -> None:
    """Put the rows of runs in the place of what earlier runs of the same recipes and seeds left.

    Raises `InputError` as `read_rows`, `UsageError` when another command holds the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    claim = claim_within(path.parent / LOCK, WAIT_S)
    if claim is None:
        raise UsageError(
            f"{path.parent / LOCK}: another command has been writing there for {WAIT_S:.0f} s; run "
            "this one again when it has ended: what is in the ledger is not computed anew"
        )
    with claim:
        again = {row.key[:3] for row in rows}
        kept = [row for row in read_rows(path).values() if row.key[:3] not in again]
        lines = [row.model_dump_json(exclude_defaults=True) + "\n" for row in [*kept, *rows]]
        write_atomically(path, "".join(lines).encode())
