"""The record of one space: every value, what it depends on, and the pictures beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.errors import InputError, UnknownNameError, reason_of
from bench.latent.values import LatentValue
from bench.runtime.whole_files import write_atomically

SCHEMA_VERSION: Final = 1


class PictureEntry(BaseModel):
    """A picture in the folder of a record: the name of its PNG file without suffix, the group that
    it belongs to, and its caption.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    group: str
    caption: str


class LatentRecord(BaseModel):
    """Every value of one space on one data set, and what the values depend on."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)

    schema_version: int = SCHEMA_VERSION
    name: str
    title: str
    data: str
    other: str | None = None  # data set that the space was not trained on
    num_train: int
    num_test: int
    seed: int
    extractor: str
    classifier: str | None
    given_class: bool  # the model is given the class of an image
    values: tuple[LatentValue, ...]
    pictures: tuple[PictureEntry, ...] = ()
    seconds: dict[str, float] = Field(default_factory=dict)  # by group
    created_at: str
    latentbench: str
    libraries: dict[str, str] = Field(default_factory=dict)

    def value(self, name: str, variant: str = "") -> LatentValue:
        """Return a value. Raises `UnknownNameError`, which lists the keys."""
        for found in self.values:
            if (found.name, found.variant) == (name, variant):
                return found
        key = f"{name} ({variant})" if variant else name
        raise UnknownNameError("value", key, [found.key for found in self.values])

    def write(self, path: Path) -> None:
        """Write the record as JSON, whole or not at all."""
        write_atomically(path, f"{self.model_dump_json(indent=1)}\n".encode())


def read_latent_record(path: Path) -> LatentRecord:
    """Read a record. Raises `InputError` for a file that is none."""
    try:
        return LatentRecord.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "file"
        raise InputError(f"{path}: not a record of a latent space: {where}: {first['msg']}") from (
            error
        )
    except OSError as error:
        raise InputError(f"{path}: {reason_of(error)}") from error
