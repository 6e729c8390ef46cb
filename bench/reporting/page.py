"""The page: one HTML file that contains everything and fetches nothing (see `templating`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from bench.metrics import known_metric
from bench.records.finding_order import by_urgency
from bench.records.score_record import FindingEntry, ScoreRecord, ScoreValue
from bench.reporting.figures import plot_pictures
from bench.reporting.overview import comparisons_of, overview
from bench.reporting.picture import Picture
from bench.reporting.reproduce import commands, protocol_rows
from bench.reporting.sentence import Sentence
from bench.reporting.sheets import image_pictures
from bench.reporting.sources import Scored
from bench.reporting.templating import CSS, JS, asset, environment, policy
from bench.reporting.words import headline, sentences, tone
from bench.runtime.cache import Cache
from bench.runtime.progress import Progress
from bench.runtime.provenance import version
from bench.tables.directions import DIRECTIONS
from bench.tables.numbers import (
    bounds,
    centre_text,
    corrected_text,
    counted,
    expected_text,
    value_text,
)
from bench.tables.presentation import NOTE, Presentation, labels, present, protocol_title
from bench.tables.significance import best_first, comparable, shortfall
from bench.tables.verdict import short, verdict

INTERVAL_NOTE = (
    "The 95 % interval is for another draw of the same number of images. Where few images bias a "
    "value, the interval is corrected for it and lies around the number given below; a value "
    "outside its interval is followed by the corrected one. Perfect: what the same number of "
    "held-out real images score, or the closed form."
)
AT_LENGTH = 4  # up to this many submissions, a page shows every stored image
SCALE_PX = 180


@dataclass(frozen=True)
class Row:
    """One metric of one submission, as text."""

    name: str
    meaning: str
    value: str
    corrected: str  # value less its bias, where the value lies outside its interval
    bounds: str
    centre: str  # of an interval that was corrected for bias
    reason: str | None
    perfect: str
    arrow: str
    better: str
    tone: str
    n_fake: str
    n_real: str


@dataclass(frozen=True)
class Rung:
    """A model on the scale of a verdict, `place` px from the best; `own` is the submission."""

    name: str
    value: str
    place: float
    own: bool


@dataclass(frozen=True)
class Part:
    """One submission as the page shows it."""

    anchor: str
    name: str
    headline: str
    facts: list[str]
    sentences: list[Sentence]
    findings: list[FindingEntry]  # the most urgent ones
    other_findings: list[FindingEntry]
    rows: list[Row]
    scale: list[Rung]
    sample: Picture | None = None
    sheets: list[Picture] = field(default_factory=list)
    plots: list[Picture] = field(default_factory=list)


def page(scored: Sequence[Scored], cache: Cache, progress: Progress | None = None) -> str:
    """Return the HTML of a report on one or several records, the best first."""
    scored = [scored[place] for place in best_first([one.record for one in scored])]
    records = [one.record for one in scored]
    names = labels(records)
    parts = []
    for position, (one, name) in enumerate(zip(scored, names, strict=True)):
        if progress is not None:
            progress("pictures", position, len(scored))
        anchor = f"submission-{position + 1}"
        parts.append(_part(one, name, anchor, cache, briefly=len(scored) > AT_LENGTH))
    if progress is not None:
        progress("pictures", len(scored), len(scored))
    single = parts[0] if len(parts) == 1 else None
    presentations = present(records)
    anchors = {id(record): part.anchor for record, part in zip(records, parts, strict=True)}
    css, js = asset(CSS), asset(JS)
    comparisons = [] if single else comparisons_of(presentations)
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            policy=policy(css, js),
            css=Markup(css),  # noqa: S704  (a file of this package)
            js=Markup(js),  # noqa: S704  (a file of this package)
            version=version(),
            title=parts[0].name if single else counted(len(parts), "submission"),
            facts=single.facts if single else _shared_facts(records),
            sections=_sections(single, bool(comparisons)),
            single=single,
            summary=[] if single else _summary(presentations, parts),
            groups=[overview(shown, anchors) for shown in presentations],
            comparisons=comparisons,
            submissions=parts,
            protocols=[protocol_rows(shown.records) for shown in presentations],
            signatures=[
                (name, record.signature) for name, record in zip(names, records, strict=True)
            ],
            commands=commands(records),
            scale_px=SCALE_PX,
            note=NOTE,
            interval_note=INTERVAL_NOTE,
            made_from=counted(len(records), "record"),
        )
    )


def _sections(single: Part | None, compared: bool) -> list[tuple[str, str]]:
    found = [("summary", "In words"), ("scores", "Scores")]
    if single is None:
        found += [("comparison", "Side by side")] if compared else []
        found.append(("folders", "Each submission"))
    else:
        found.append(("findings", "Findings"))
        found += [("pictures", "Pictures")] if single.sheets or single.plots else []
    return [*found, ("protocol", "Protocol"), ("reproduce", "Reproduce")]


def _part(one: Scored, name: str, anchor: str, cache: Cache, *, briefly: bool) -> Part:
    record = one.record
    sheets = image_pictures(one.exhibits, briefly=briefly)
    has_sample = bool(sheets) and "sample_images" in one.exhibits
    return Part(
        anchor=anchor,
        name=name,
        headline=headline(record),
        facts=_facts(record),
        sentences=sentences(one),
        scale=_scale(record),
        findings=by_urgency(record.findings)[0],
        other_findings=by_urgency(record.findings)[1],
        rows=[_row(entry) for entry in record.values],
        sample=sheets[0] if has_sample else None,
        sheets=sheets[1:] if has_sample else sheets,
        plots=plot_pictures(one, cache),
    )


def _scale(record: ScoreRecord) -> list[Rung]:
    """The submission among reference models, best first; empty without a verdict."""
    found = verdict(record)
    if found is None:
        return []
    return [
        Rung(name or "this submission", short(value), round(place * SCALE_PX, 1), own=not name)
        for name, value, place in sorted(found.places(), key=lambda row: row[1])
    ]


def _facts(record: ScoreRecord) -> list[str]:
    submission = record.submission
    mode = "grey" if submission.channels == 1 else "RGB"
    facts = [
        f"{submission.num_images:,} images",
        f"{submission.width_px} × {submission.height_px} px {mode}",
        protocol_title(record),
        f"scored {record.created_at[:10]}",
    ]
    if submission.resize is not None:
        facts.append(f"other sizes resized to {submission.resize} px")
    if not record.official:
        facts.append("unofficial: only some images were read")
    if not record.extractor.verified:
        facts.append("extractor weights are not the published ones")
    return facts


def _shared_facts(records: Sequence[ScoreRecord]) -> list[str]:
    groups = comparable(records)
    days = sorted({record.created_at[:10] for record in records})
    facts = [protocol_title(group[0]) for group in groups[:3]]
    facts += [f"and {counted(len(groups) - 3, 'more protocol')}"] if len(groups) > 3 else []
    return [*facts, f"scored {' to '.join(dict.fromkeys((days[0], days[-1])))}"]


def _row(entry: ScoreValue) -> Row:
    metric = known_metric(entry.metric)
    direction = DIRECTIONS[entry.direction]
    return Row(
        name=entry.metric,
        meaning="" if metric is None else metric.meaning,
        value=value_text(entry),
        corrected=corrected_text(entry),
        bounds="" if entry.interval is None else bounds(entry.interval),
        centre=centre_text(entry),
        reason=entry.reason,
        perfect=expected_text(entry),
        arrow=direction.arrow,
        better="near perfect" if entry.direction == "target" else direction.word,
        tone=tone(entry),
        n_fake=f"{entry.n_fake:,}",
        n_real="–" if entry.n_real is None else f"{entry.n_real:,}",
    )


def _summary(presentations: Sequence[Presentation], parts: Sequence[Part]) -> list[Sentence]:
    """Say who is best in the first metric, and the main problem of each submission."""
    found = []
    for shown in presentations:
        if len(shown.records) < 2:
            continue
        metric = shown.metrics[0]
        where = "" if len(presentations) == 1 else f" ({shown.title})"
        marks = list(shown.best.iloc[:, 0])
        if any(shortfall(entry) is None for r in shown.records for entry in r.values[:1]):
            continue  # no interval, so no test
        if any(marks):
            name = shown.cells.index[marks.index(True)]
            found.append(Sentence("good", f"{name} is significantly the best in {metric}{where}."))
        else:
            found.append(
                Sentence("note", f"No submission is significantly the best in {metric}{where}.")
            )
    for part in parts:
        worst = [one for one in part.sentences if one.tone == "bad"]
        gap = next((one for one in part.sentences if one.tone == "gap"), None)
        if worst:
            more = f" And {len(worst) - 1} more." if len(worst) > 1 else ""
            found.append(Sentence("bad", f"{part.name}: {worst[0].text}{more}"))
        elif gap is not None:
            found.append(Sentence("gap", f"{part.name}: {gap.text}"))
        else:
            found.append(Sentence("good", f"{part.name}: nothing stands out."))
    return found
