"""The page of a run of anomaly detectors over labelled images: one HTML file, from the files that
the run left in its folder.
"""

from __future__ import annotations

import io
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup
from PIL import Image
from pydantic import ValidationError

from bench.anomaly.folder.record import AnomalyRecord, DetectorEntry
from bench.errors import InputError
from bench.records.score_record import Submission
from bench.reporting.picture import Picture, data_uri, png_uri, themed_svg
from bench.reporting.sentence import Sentence
from bench.reporting.templating import CSS, JS, asset, environment, policy
from bench.runtime.provenance import version
from bench.tables.numbers import bounds, counted, decimals, fixed, listed

CHANCE = 0.5
MAX_PICTURE_BYTES = 4 << 20


class _Row(NamedTuple):
    """One detector, as text."""

    name: str
    title: str
    auc: str
    bounds: str
    average_precision: str
    false_positives: str
    counts: str
    seconds: str
    seen: str


class _Part(NamedTuple):
    """The pictures of one detector."""

    name: str
    title: str
    pictures: list[Picture]


def anomaly_page(file: Path) -> str:
    """Return the HTML of a report on the record `file` and the pictures beside it.

    Raises `InputError` for a record of another form.
    """
    try:
        record = AnomalyRecord.model_validate_json(file.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "file"
        raise InputError(f"{file}: not a record of detectors: {where}: {first['msg']}") from error
    entries = sorted(record.detectors, key=lambda entry: -entry.auc)
    parts = [part for entry in entries if (part := _part(file.parent, entry)).pictures]
    roc = _svg(file.parent / "roc.svg", "ROC curves of all detectors", _roc_caption(entries))
    css, js = asset(CSS), asset(JS)
    sections = [("summary", "In words"), ("results", "Results")]
    sections += [("detectors", "Each detector")] if parts else []
    sections += [("findings", "Findings"), ("protocol", "Protocol"), ("reproduce", "Reproduce")]
    return (
        environment()
        .get_template("anomaly.html.j2")
        .render(
            policy=policy(css, js),
            css=Markup(css),  # noqa: S704  (a file of this package)
            js=Markup(js),  # noqa: S704  (a file of this package)
            version=version(),
            title=f"Anomaly detectors on {listed([one.name for one in record.test])}",
            facts=_facts(record),
            sections=sections,
            sentences=_sentences(record, entries),
            roc=roc,
            rows=_rows(entries),
            note=_note(entries),
            parts=parts,
            findings=record.findings,
            missed=[*record.failed, *record.left_out],
            protocol=_protocol(record),
            command=shlex.join(["latentbench", "anomaly", *record.options]),
            has_command=bool(record.options),
        )
    )


def _facts(record: AnomalyRecord) -> list[str]:
    train = record.train
    return [
        f"trained on {train.num_images:,} normal images",
        f"judged on {sum(one.num_images for one in record.test):,} labelled images",
        f"{train.width_px} × {train.height_px} px {'grey' if train.channels == 1 else 'RGB'}",
        counted(len(record.detectors), "detector"),
        f"run {record.created_at[:10]}",
    ]


def _sentences(record: AnomalyRecord, entries: Sequence[DetectorEntry]) -> list[Sentence]:
    """Say which detector is best, what it means, and what is wrong."""
    found = []
    if entries:
        best = entries[0]
        text = (
            f"{best.name} separates best: an anomalous image scores above a normal one in "
            f"{100 * best.auc:.1f} % of all pairs (AUC {_auc(best)})."
        )
        found.append(Sentence("good" if _above_chance(best) else "gap", text))
        alike = [one.name for one in entries[1:] if _overlap(best, one)]
        if alike:
            verb = "is" if len(alike) == 1 else "are"
            found.append(
                Sentence(
                    "note",
                    f"{listed(alike, most=5)} {verb} not clearly worse: the intervals overlap.",
                )
            )
        found += [
            Sentence(
                "gap",
                f"{one.name} is no better than chance (AUC {_auc(one)}).",
                "An AUC of 0.5 is a coin toss; far below, normal and anomalous may be swapped.",
            )
            for one in entries
            if not _above_chance(one)
        ]
        found += [
            Sentence("note", f"{one.name} was tuned on labelled test images: it is an oracle.")
            for one in entries
            if one.labels == "test"
        ]
    found += [Sentence("bad", f"{one.name} failed: {one.reason}.") for one in record.failed]
    found += [
        Sentence("gap", f"{finding.message[:1].upper()}{finding.message[1:]}.", finding.fix)
        for finding in record.findings
        if finding.severity != "info"
    ]
    return found


def _auc(entry: DetectorEntry) -> str:
    interval = entry.interval
    if interval is None:
        return f"{entry.auc:.3f}"
    return f"{entry.auc:.3f}, 95 % interval {interval.low:.3f} to {interval.high:.3f}"


def _above_chance(entry: DetectorEntry) -> bool:
    return (entry.auc if entry.interval is None else entry.interval.low) > CHANCE


def _overlap(best: DetectorEntry, other: DetectorEntry) -> bool:
    if best.interval is None or other.interval is None:
        return False
    return other.interval.high >= best.interval.low


def _rows(entries: Sequence[DetectorEntry]) -> list[_Row]:
    known = [entry.interval for entry in entries if entry.interval is not None]
    places = max([3, *map(decimals, known)])
    return [
        _Row(
            name=entry.name + (" (cpu budget)" if entry.budget == "cpu" else ""),
            title=entry.title,
            auc=fixed(entry.auc, places),
            bounds="" if entry.interval is None else bounds(entry.interval, places),
            average_precision=f"{entry.average_precision:.3f}",
            false_positives=f"{100 * entry.fpr_at_95_tpr:.1f} %",
            counts=f"{entry.num_normal:,} + {entry.num_anomalous:,}",
            seconds=f"{entry.fit_s:.1f} + {entry.score_s:.1f}",
            seen=entry.seen or "nothing",
        )
        for entry in entries
    ]


def _note(entries: Sequence[DetectorEntry]) -> str:
    text = (
        "AUC: the share of pairs of an anomalous and a normal image in which the anomalous one "
        "scores higher, with DeLong's 95 % interval. AP: average precision"
    )
    shares = {
        entry.num_anomalous / (entry.num_normal + entry.num_anomalous)
        for entry in entries
        if entry.num_normal + entry.num_anomalous
    }
    if len(shares) == 1:
        text += f", which is {shares.pop():.3f} for random scores"
    return text + (
        ". FPR: the share of normal images that are called anomalous at the threshold that finds "
        "95 % of the anomalies."
    )


def _part(folder: Path, entry: DetectorEntry) -> _Part:
    """Return the pictures in the folder of a detector; a name that is no folder name has none."""
    place = folder / entry.name
    if Path(entry.name).name != entry.name:
        return _Part(entry.name, entry.title, [])
    histogram = _svg(
        place / "histogram.svg",
        f"Histogram of the scores of {entry.name}",
        "Where the two overlap, the detector cannot tell normal from anomalous.",
    )
    images = _png(
        place / "most-anomalous.png",
        f"The most anomalous images by {entry.name}",
        "The images with the highest scores; those that are labelled normal are marked.",
    )
    return _Part(entry.name, entry.title, [one for one in (histogram, images) if one is not None])


def _roc_caption(entries: Sequence[DetectorEntry]) -> str:
    several = "curves" if len(entries) > 1 else "curve"
    return f"The nearer the {several} to the upper left corner, the better."


def _bytes(file: Path) -> bytes | None:
    try:
        if file.stat().st_size > MAX_PICTURE_BYTES:
            return None
        return file.read_bytes()
    except OSError:
        return None


def _svg(file: Path, alt: str, caption: str) -> Picture | None:
    data = _bytes(file)
    if data is None or b"<svg" not in data:
        return None
    text = data.decode("utf-8", "replace")
    svg = themed_svg(text[text.index("<svg") :])
    return Picture(data_uri("image/svg+xml", svg.encode()), alt, caption, 480, 480)


def _png(file: Path, alt: str, caption: str) -> Picture | None:
    data = _bytes(file)
    if data is None:
        return None
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            width, height = image.size
    except (OSError, ValueError):
        return None
    return Picture(png_uri(data), alt, caption, width, height, opaque=True)


def _protocol(record: AnomalyRecord) -> list[tuple[str, str]]:
    rows = [("training images", _described(record.train))]
    rows += [("test images", _described(one)) for one in record.test]
    if record.labels_sha256 is not None:
        rows.append(("labels", f"SHA-256 {record.labels_sha256}"))
    extractors = dict.fromkeys(one.extractor for one in record.detectors if one.extractor)
    if extractors:
        rows.append(("extractor", ", ".join(extractors)))
    rows += [
        (one.name, ", ".join(f"{name} {value}" for name, value in one.options.items()))
        for one in record.detectors
        if one.options
    ]
    return [
        *rows,
        ("latentbench", f"{record.code.name}, source {record.code.digest[:16]}"),
        ("seed", str(record.seed)),
        ("device", record.device),
        ("libraries", ", ".join(f"{name} {v}" for name, v in record.libraries.items())),
    ]


def _described(images: Submission) -> str:
    resized = "" if images.resize is None else f", resized to {images.resize} px"
    return f"{images.source}: {counted(images.num_images, 'image')}{resized}, {images.digest[:16]}"
