"""`EmbeddingRecord`: what was measured on tables of word vectors, as a JSON file."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from bench.records.score_record import IntervalEntry, Text
from bench.statistics.intervals import LEVEL, Uncertainty

SCHEMA_VERSION: Final = 1
Count = Annotated[int, Field(ge=0)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TableIdentity(_Model):
    """A table as it was read. `sha256` is that of the file, None for a table in memory; `skipped`
    counts rows that were left out, by reason.
    """

    name: Text
    sha256: str | None
    num_words: Count
    dim: Count
    skipped: dict[Text, Count] = {}


class ListIdentity(_Model):
    """A file of questions or of word pairs."""

    name: Text
    sha256: str | None
    num_lines: Count


class EmbeddingValue(_Model):
    """One value: `value` is a number, or `reason` says why there is none.

    `n` is the number of questions or queries that it is the share of. Those with a word outside a
    table are counted in `num_unknown`, and those that ask for one of their own words in
    `num_impossible`; neither is part of `n`. `seed` is None where nothing is random.
    """

    group: Literal["analogies", "translation"]
    name: Text
    method: Text
    section: Text | None = None
    value: FiniteFloat | None
    reason: Text | None = None
    interval: IntervalEntry | None = None
    best: Literal["higher", "lower"] | None = "higher"
    n: Count
    num_unknown: Count = 0
    num_impossible: Count = 0
    seed: Count | None = None
    definition: Text

    @model_validator(mode="after")
    def _value_or_reason(self) -> EmbeddingValue:
        if (self.value is None) == (self.reason is None):
            raise ValueError(f"{self.name}: exactly one of value and reason must be given")
        return self


class EmbeddingRecord(_Model):
    """The values with what they depend on."""

    schema_version: Literal[1] = SCHEMA_VERSION
    kind: Literal["embeddings"] = "embeddings"
    version: str
    created: str
    table: TableIdentity
    target: TableIdentity | None = None
    analogies: ListIdentity | None = None
    dictionary: ListIdentity | None = None
    test_dictionary: ListIdentity | None = None
    lowercase: bool = False
    values: list[EmbeddingValue] = []
    notes: list[Text] = []
    libraries: dict[str, str]


def interval_entry(found: Uncertainty) -> IntervalEntry:
    """Return an interval as a part of a record."""
    return IntervalEntry(**found._asdict(), level=LEVEL)
