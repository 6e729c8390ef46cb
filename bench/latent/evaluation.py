"""All measures of one space in one call."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from bench.errors import UnknownNameError, UsageError
from bench.latent.context import Context
from bench.latent.data import LatentData
from bench.latent.measures import GROUPS
from bench.latent.record import LatentRecord
from bench.latent.space import checked
from bench.latent.values import Absent, Group, LatentValue, absent
from bench.runtime.provenance import library_versions, version


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
    """Measure the space of a context, as `evaluate` does.

    Raises `UsageError` for a space whose images have another shape than those of the data.
    """
    _require_image_shape(context)
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


def _require_image_shape(context: Context) -> None:
    space, data = context.space, context.data
    try:
        if space.has("sample_latents"):
            code = space.sample_latents(1, context.seed)
        else:
            first = data.test.at(np.zeros(1, np.int64))
            code = space.encode(first.images, first.labels)
        shape = space.decode(code).shape[1:]
    except Absent:
        return
    if shape != data.image_shape:
        (h, w, c), (height, width, channels) = data.image_shape, shape
        raise UsageError(
            f"latent space {space.name} makes images of {width}x{height} px with {channels} "
            f"channels; those of {data.name} have {w}x{h} px and {c}: measure it on the data that "
            "it was trained on, or give --resize WIDTHxHEIGHT"
        )


def _classifier(data: LatentData) -> str | None:
    try:
        return data.classifier_name
    except Absent:
        return None
