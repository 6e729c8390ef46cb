"""Measure several spaces on one data set and write records, table, pictures and a page.

    OUT/NAME/record.json   every value of one space
    OUT/NAME/*.png         its pictures
    OUT/table.csv          every value of every space
    OUT/report.html        the page

The baselines `pca` and `pixels` are measured as well.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from bench.errors import UsageError
from bench.latent.context import Context
from bench.latent.evaluation import evaluate_context, groups_of
from bench.latent.loading import load_latent_data
from bench.latent.page import latent_page
from bench.latent.pictures import draw_pictures
from bench.latent.record import LatentRecord
from bench.latent.sources import PCA, PCA_DIM, PIXELS, space_of
from bench.latent.table import folder_name, table_csv
from bench.runtime.whole_files import write_atomically

RECORD, TABLE, PAGE = "record.json", "table.csv", "report.html"


def run_spaces(
    names: Sequence[str],
    out: Path,
    *,
    data: str = "mnist",
    data_root: Path | None = None,
    download: bool = False,
    resize: str | None = None,
    num_images: int = 10_000,
    only: Iterable[str] | None = None,
    extractor: str | None = None,
    dimensions: int = PCA_DIM,
    invert: bool = False,
    other: str | None = None,
    seed: int = 0,
    device: str = "cpu",
    progress: Callable[[str], None] | None = None,
) -> list[LatentRecord]:
    """Measure the spaces of these names (see `bench.latent.sources`) and write the files.

    Returns a record for each space, in the order given, followed by the baselines. With `invert`,
    codes of real images are searched for where a space has no encoder; `other` is a data set that
    the spaces were not trained on. Raises `UsageError` for a
    space that cannot be opened, before anything is measured, and what `load_latent_data` raises.
    """
    groups = groups_of(only)
    load = functools.partial(
        load_latent_data,
        num_images=num_images,
        seed=seed,
        data_root=data_root,
        download=download,
        resize=resize,
        extractor=extractor,
        device=device,
    )
    loaded = load(data)
    foreign = None if other is None else load(other)
    wanted = list(dict.fromkeys([*names, PCA, PIXELS]))
    spaces = [space_of(name, loaded, dim=dimensions, device=device) for name in wanted]
    if len({space.name for space in spaces}) < len(spaces):
        raise UsageError("two spaces have one name; rename the folder of one")
    records = []
    for space in spaces:

        def report(step: str, name: str = space.name) -> None:
            if progress is not None:
                progress(f"{name}: {step}")

        context = Context(space, loaded, seed, invert, foreign)
        record = evaluate_context(context, only=groups, progress=report)
        folder = out / folder_name(space.name)
        report("pictures")
        pictures = draw_pictures(context, folder, groups)
        record = record.model_copy(update={"pictures": tuple(pictures)})
        record.write(folder / RECORD)
        records.append(record)
    write_atomically(out / TABLE, table_csv(records).encode())
    write_atomically(out / PAGE, latent_page(out, records).encode())
    return records
