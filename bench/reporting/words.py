"""A score in words that need no lecture first: what the numbers say about the images.

Every sentence states a number of the record and what perfect images reach, nothing else.
"""

from __future__ import annotations

import math
import textwrap
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.content import CLASS_NAMES
from bench.metrics import known_metric
from bench.records.score_record import FindingEntry, ScoreRecord, ScoreValue
from bench.reporting.sources import Scored
from bench.tables.numbers import number, percent

Tone = Literal["good", "gap", "bad", "note"]
NUMEROUS_SD = 5.0  # deviations of a binomial share beyond which a class is named
NOTABLE_RATIO = 1.25
MAX_CLASSES = 2
MAX_LETTERS = 170  # of a finding, which is told in full elsewhere
MARGIN = 0.02  # of the expected value, where there is no interval


class Sentence(NamedTuple):
    """One thing that the record says. `good`: as near to perfect as can be told, `gap`: not,
    `bad`: a finding.
    """

    tone: Tone
    text: str


class Shares(NamedTuple):
    """Shares of the predicted classes, float64 K each."""

    fake: NDArray[np.float64]
    real: NDArray[np.float64]


def sentences(scored: Scored) -> list[Sentence]:
    """What a record says, the most telling first."""
    record = scored.record
    said = [*problems(record), *_class_sentences(scored)]
    for entry in record.values:
        text = None if entry.value is None else _saying(entry, entry.value)
        if text is not None:
            said.append(Sentence(tone(entry), text))
    absent = [entry.metric for entry in record.values if entry.value is None]
    if absent:
        said.append(Sentence("note", f"No value for {', '.join(absent)}: see the table."))
    return said


def problems(record: ScoreRecord) -> list[Sentence]:
    """Errors, then warnings among the findings."""
    found = sorted(
        (entry for entry in record.findings if entry.severity != "info"),
        key=lambda entry: entry.severity != "error",
    )
    return [Sentence("bad", _in_short(one)) for one in found]


def _in_short(finding: FindingEntry) -> str:
    """The first part of a message; of classes the figures alone."""
    message = finding.message.partition("; ")[0].rstrip(".")
    if finding.code == "class-imbalance":
        message = message.partition(": ")[2] or message
    message = textwrap.shorten(message, MAX_LETTERS, placeholder=" …")
    end = "" if message.endswith("…") else "."
    return f"{message[:1].upper()}{message[1:]}{end}"


def tone(entry: ScoreValue) -> Tone:
    """Whether a value is as good as perfect: no further off than two draws may lie apart, or, for
    one without an interval, than 2 %.
    """
    if entry.value is None or entry.expected is None:
        return "note"
    below = above = MARGIN * abs(entry.expected)
    if entry.interval is not None:  # what real images score is a draw of the same spread
        below = math.sqrt(2) * (entry.interval.high - entry.interval.estimate)
        above = math.sqrt(2) * (entry.interval.estimate - entry.interval.low)
    reaches_from_below = entry.value + below >= entry.expected
    reaches_from_above = entry.value - above <= entry.expected
    if entry.direction == "higher":
        return "good" if reaches_from_below else "gap"
    if entry.direction == "lower":
        return "good" if reaches_from_above else "gap"
    return "good" if reaches_from_below and reaches_from_above else "gap"


def _saying(entry: ScoreValue, value: float) -> str | None:
    """The sentence that the metric's row has for a value; None without one."""
    metric = known_metric(entry.metric)
    if metric is None or metric.saying is None:
        return None
    saying = metric.saying
    shown = percent if saying.percent else number
    if entry.expected is None or not saying.compared:
        return saying.alone.format(value=shown(value))
    return saying.compared.format(value=shown(value), expected=shown(entry.expected))


def class_name(extractor: str, position: int) -> str:
    """As "ones" for the embedded classifiers, "class 1" for others."""
    names = CLASS_NAMES.get(extractor, ())
    return names[position] if position < len(names) else f"class {position}"


def _class_sentences(scored: Scored) -> list[Sentence]:
    known = class_shares(scored)
    record = scored.record
    if known is None or any("class" in finding.code for finding in record.findings):
        return []
    shares, expected = known
    name = record.extractor.name
    missing = [class_name(name, int(k)) for k in np.flatnonzero((shares == 0) & (expected > 0))]
    said = []
    if missing:
        said.append(Sentence("gap", f"Nothing is there of {_listed(missing)}."))
    deviation = np.sqrt(
        np.maximum(expected * (1 - expected), 1e-9) / max(record.submission.num_images, 1)
    )
    ratio = shares / np.maximum(expected, 1e-9)
    notable = (np.abs(shares - expected) > NUMEROUS_SD * deviation) & (shares > 0)
    notable &= (ratio > NOTABLE_RATIO) | (ratio < 1 / NOTABLE_RATIO)
    worst = sorted(np.flatnonzero(notable), key=lambda k: -abs(shares[k] - expected[k]))
    said += [
        Sentence(
            "gap",
            f"{percent(float(shares[k]))} of the images are {class_name(name, int(k))}; "
            f"expected {percent(float(expected[k]))}.",
        )
        for k in worst[:MAX_CLASSES]
    ]
    if not said:
        said.append(
            Sentence("good", f"All {len(shares)} classes are there in about the right shares.")
        )
    return said


def class_shares(scored: Scored) -> Shares | None:
    """Shares of the classes in the folder and in the reference, None when they are not known."""
    fake, real = (scored.exhibits.get(k) for k in ("class_shares", "reference_class_shares"))
    if fake is None or real is None or fake.shape != real.shape or fake.ndim != 1:
        return None
    return Shares(fake.astype(np.float64), real.astype(np.float64))


def _listed(names: list[str]) -> str:
    if len(names) == 1:
        return names[0]
    shown = names if len(names) <= 5 else [*names[:4], f"{len(names) - 4} more"]
    return f"{', '.join(shown[:-1])} and {shown[-1]}"


def headline(record: ScoreRecord) -> str:
    """One line for a card or a list: the first metric that has a value."""
    for entry in record.values:
        if entry.value is not None and math.isfinite(entry.value):
            perfect = "" if entry.expected is None else f" (perfect {number(entry.expected)})"
            return f"{entry.metric} {number(entry.value)}{perfect}"
    return "no metric has a value"
