"""All measures of one space in one call, and the record of them."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.errors import InputError, UnknownNameError, reason_of
from bench.latent.context import Context
from bench.latent.data import LatentData
from bench.latent.measures import GROUPS
from bench.latent.space import checked
from bench.latent.values import Absent, Group, LatentValue, absent
from bench.runtime.provenance import library_versions, version
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


def groups_of(only: Iterable[str] | None) -> list[Group]:
    """Return the groups to measure in the order of the table. Raises `UnknownNameError`."""
    chosen = list(only) if only is not None else list(GROUPS)
    for name in chosen:
        if name not in GROUPS:
            raise UnknownNameError("group of measures", name, GROUPS)
    return [group for group in GROUPS if group in chosen]


def evaluate(
    space: Any,
    data: LatentData,
    *,
    only: Iterable[str] | None = None,
    seed: int = 0,
    other: LatentData | None = None,
    progress: Callable[[str], None] | None = None,
) -> LatentRecord:
    """Measure a space on a data set.

    `space` is any object with `decode` or `encode` (see `bench.latent.space`), and `only` chooses
    groups of measures. A measure that the space or the data do not allow is absent, with the
    reason. `other` is a data set that the space was not trained on, for the group `reuse`.
    `progress` is called with the name of each group before it is measured.
    """
    context = Context(checked(space), data, seed, other=other)
    return evaluate_context(context, only=only, progress=progress)


def evaluate_context(
    context: Context,
    *,
    only: Iterable[str] | None = None,
    progress: Callable[[str], None] | None = None,
) -> LatentRecord:
    """Measure the space of a context, as `evaluate` does."""
    values: list[LatentValue] = []
    seconds: dict[str, float] = {}
    for group in groups_of(only):
        if progress is not None:
            progress(group)
        begun_s = time.perf_counter()
        try:
            values += GROUPS[group].measure(context)
        except Absent as error:
            values += [absent(row, str(error), seed=context.seed) for row in GROUPS[group].measures]
        seconds[group] = round(time.perf_counter() - begun_s, 2)
    space, data = context.space, context.data
    return LatentRecord(
        name=space.name,
        title=space.title,
        data=data.name,
        other=None if context.other is None else context.other.name,
        num_train=len(data.train.images),
        num_test=len(data.test.images),
        seed=context.seed,
        extractor=data.extractor_name,
        classifier=_classifier(data),
        given_class=space.num_given > 0,
        values=tuple(values),
        seconds=seconds,
        created_at=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        latentbench=version(),
        libraries=library_versions(),
    )


def _classifier(data: LatentData) -> str | None:
    try:
        return data.classifier_name
    except Absent:
        return None
