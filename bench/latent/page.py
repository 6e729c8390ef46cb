"""The page of one or several latent spaces: one HTML file, from their records and pictures."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup
from PIL import Image

from bench.latent.measures import GROUPS, MEASURES
from bench.latent.record import LatentRecord, PictureEntry
from bench.latent.table import DASH, TableRow, folder_name, number, shown, table_rows
from bench.latent.values import LatentValue
from bench.reporting.picture import Picture, png_uri
from bench.reporting.sentence import Sentence
from bench.reporting.templating import CSS, JS, asset, environment, policy
from bench.runtime.provenance import version
from bench.tables.numbers import listed

MAX_PICTURE_BYTES = 4 << 20


class _Cell(NamedTuple):
    value: str
    bounds: str
    best: bool
    reason: str


class _Row(NamedTuple):
    title: str
    variant: str
    definition: str
    direction: str
    cells: list[_Cell]


class _Section(NamedTuple):
    anchor: str
    title: str
    rows: list[_Row]
    others: list[_Row]
    pictures: list[tuple[str, list[Picture]]]  # by caption
    absences: list[tuple[str, str]]


def latent_page(out: Path, records: Sequence[LatentRecord]) -> str:
    """Return the HTML of a report on records whose pictures lie in `out/NAME/`."""
    css, js = asset(CSS), asset(JS)
    rows = table_rows(records)
    sections = [_section(group, rows, out, records) for group in GROUPS]
    sections = [one for one in sections if one.rows or one.pictures or one.absences]
    return (
        environment("bench.latent")
        .get_template("latent.html.j2")
        .render(
            policy=policy(css, js),
            css=Markup(css),  # noqa: S704  (a file of this package)
            js=Markup(js),  # noqa: S704  (a file of this package)
            version=version(),
            title=f"Latent spaces of {listed([record.name for record in records])}",
            facts=_facts(records),
            names=[record.name for record in records],
            sections=sections,
            sentences=sentences(records),
            spaces=[(record.name, record.title or DASH) for record in records],
            protocol=_protocol(records),
        )
    )


def _facts(records: Sequence[LatentRecord]) -> list[str]:
    first = records[0]
    return [
        first.data,
        f"{first.num_train:,} training images",
        f"{first.num_test:,} held-out images",
        f"features: {first.extractor}",
        f"seed {first.seed}",
        f"run {first.created_at[:10]}",
    ]


def _section(
    group: str, rows: Sequence[TableRow], out: Path, records: Sequence[LatentRecord]
) -> _Section:
    own = [row for row in rows if row.group == group]
    known = [row for row in own if any(c is not None and c.value is not None for c in row.cells)]
    head = [row for row in known if MEASURES[row.name].is_headline(row.variant)]
    rest = [row for row in known if not MEASURES[row.name].is_headline(row.variant)]
    pictures: dict[str, list[Picture]] = {}
    captions: dict[str, str] = {}
    for record in records:
        for entry in record.pictures:
            found = _picture(out, record, entry) if entry.group == group else None
            if found is not None:
                pictures.setdefault(entry.name, []).append(found)
                captions.setdefault(entry.name, entry.caption)
    return _Section(
        group,
        GROUPS[group].title,  # type: ignore[index]
        [_row(row) for row in head],
        [_row(row) for row in rest],
        [(captions[name], found) for name, found in pictures.items()],
        _absences(own, records),
    )


def _row(row: TableRow) -> _Row:
    measure = MEASURES[row.name]
    direction = {"higher": "↑", "lower": "↓", None: ""}[measure.best]
    cells = [_cell(cell, column in row.best) for column, cell in enumerate(row.cells)]
    return _Row(row.title, row.variant, measure.definition, direction, cells)


def _cell(value: LatentValue | None, best: bool) -> _Cell:
    bounds = ""
    if value is not None and value.low is not None and value.high is not None:
        bounds = f"{number(value.low)} to {number(value.high)}"
    return _Cell(shown(value), bounds, best, "" if value is None else value.reason)


def _absences(rows: Sequence[TableRow], records: Sequence[LatentRecord]) -> list[tuple[str, str]]:
    """Return for each space the reasons why values are absent, each once, with the measures."""
    found = []
    for column, record in enumerate(records):
        reasons: dict[str, list[str]] = {}
        for row in rows:
            cell = row.cells[column]
            if cell is not None and cell.reason:
                reasons.setdefault(cell.reason, []).append(row.title)
        for reason, titles in reasons.items():
            found.append((record.name, f"{listed(list(dict.fromkeys(titles)), most=4)}: {reason}"))
    return found


def _picture(out: Path, record: LatentRecord, entry: PictureEntry) -> Picture | None:
    file = out / folder_name(record.name) / folder_name(f"{entry.name}.png")
    try:
        if file.stat().st_size > MAX_PICTURE_BYTES:
            return None
        data = file.read_bytes()
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            width, height = image.size
    except (OSError, ValueError):
        return None
    alt = f"{record.name}: {entry.caption}"
    return Picture(png_uri(data), alt, record.name, width, height, opaque=True)


def sentences(records: Sequence[LatentRecord]) -> list[Sentence]:
    """Say in words what the values of each space mean."""
    found = []
    for record in records:
        found += [
            sentence
            for make in (_interpolates, _holes, _categories, _collapsed)
            if (sentence := make(record)) is not None
        ]
    return found


def _of(record: LatentRecord, name: str, variant: str = "") -> LatentValue | None:
    for value in record.values:
        if (value.name, value.variant) == (name, variant) and value.value is not None:
            return value
    return None


def _interpolates(record: LatentRecord) -> Sentence | None:
    """Compare paths in codes with paths in pixels, each relative to its own ends."""
    known = []
    for variant in ("pixels", "spherical", "linear"):
        found = _of(record, "manifold_departure", f"{variant}, other class")
        if found is not None and found.low is not None and found.high is not None:
            known.append((variant, found.value or 0.0, found.low, found.high))
    if len(known) < 2 or known[0][0] != "pixels" or record.name == "pixels":
        return None
    (_, pixels, low, high), (name, codes, codes_low, codes_high) = known[:2]
    text = (
        f"{record.name}: between two images of different classes, {name} paths in the codes lead "
        f"{number(codes)} times as far from the training images as their ends, paths in the pixels "
        f"{number(pixels)} times."
    )
    if codes_high < low:
        return Sentence("good", text, "The codes interpolate better than pixels do.")
    if codes_low > high:
        return Sentence("gap", text, "Pixels interpolate better than the codes do.")
    return Sentence("note", text, "The two do not differ clearly.")


def _holes(record: LatentRecord) -> Sentence | None:
    holes, own = _of(record, "prior_fid"), _of(record, "reconstruction_fid")
    if holes is None or own is None or not own.value or holes.value is None:
        return None
    if holes.value <= 2 * own.value:
        return None
    return Sentence(
        "gap",
        f"{record.name}: images of sampled latents are far from its reconstructions (FID "
        f"{number(holes.value)}; reconstructions to real images {number(own.value)}).",
        "The prior covers codes that no image maps to.",
    )


def _categories(record: LatentRecord) -> Sentence | None:
    purity = _of(record, "category_purity_real") or _of(record, "category_purity_generated")
    if purity is None or purity.value is None:
        return None
    return Sentence(
        "good" if purity.value > 0.5 else "gap",
        f"{record.name}: the categorical code finds the classes of "
        f"{100 * purity.value:.1f} % of the images without having seen a label.",
    )


def _collapsed(record: LatentRecord) -> Sentence | None:
    active = _of(record, "active_units")
    num = sum(value.name == "code_kl" and value.variant != "all codes" for value in record.values)
    if active is None or active.value is None or not num or active.value >= num / 2:
        return None
    return Sentence(
        "note",
        f"{record.name}: {active.value:.0f} of {num} codes are active; the others carry no "
        "information about the image.",
        "A smaller beta keeps more of them.",
    )


def _protocol(records: Sequence[LatentRecord]) -> list[tuple[str, str]]:
    first = records[0]
    seconds = ", ".join(f"{record.name} {sum(record.seconds.values()):.0f}" for record in records)
    return [
        ("extractor", first.extractor),
        ("classifier", first.classifier or "none"),
        ("seed", str(first.seed)),
        ("seconds", seconds),
        ("latentbench", first.latentbench),
        ("libraries", ", ".join(f"{name} {v}" for name, v in first.libraries.items())),
    ]
