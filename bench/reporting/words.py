"""What the numbers of a record say about the images, in sentences that need no lecture first.

A sentence states a number of the record and what perfect images reach. Where there is a gap, a
hint says what to look at first.
"""

from __future__ import annotations

import math
import textwrap
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.content import CLASS_NAMES
from bench.metrics import known_metric
from bench.records.finding_order import by_urgency
from bench.records.score_record import FindingEntry, ScoreRecord, ScoreValue
from bench.reporting.sentence import Sentence, Tone
from bench.reporting.sources import Scored
from bench.tables.numbers import expected_text, listed, percent, value_text
from bench.tables.verdict import verdict

NOTABLE_SD = 5.0  # a class share is mentioned beyond this many binomial standard deviations
NOTABLE_RATIO = 1.25  # and only when it is off by this factor
MAX_NAMES = 5  # of missing classes
MAX_LETTERS = 170  # of a finding, which the page repeats in full further down
MARGIN = 0.02  # share of the perfect value that counts as equal without an interval

_ORDER: tuple[Tone, ...] = ("bad", "gap", "good", "note")


class Shares(NamedTuple):
    """Shares of the predicted classes in the folder and in the reference, float64 of shape K."""

    fake: NDArray[np.float64]
    real: NDArray[np.float64]


def sentences(scored: Scored) -> list[Sentence]:
    """Return what a record says: the verdict, problems, gaps, then what is as good as real ones."""
    record = scored.record
    found = [*problems(record), *_class_sentences(scored)]
    found += [one for entry in record.values if (one := _metric_sentence(entry)) is not None]
    found.sort(key=lambda sentence: _ORDER.index(sentence.tone))
    absent = [entry.metric for entry in record.values if entry.value is None]
    if absent:
        found.append(Sentence("note", f"No value for {listed(absent)}: the table below says why."))
    placed = verdict(record)
    return found if placed is None else [Sentence("note", placed.text), *found]


def problems(record: ScoreRecord) -> list[Sentence]:
    """Return the most urgent errors and warnings among the findings, three at most."""
    first, _ = by_urgency(entry for entry in record.findings if entry.severity != "info")
    return [Sentence("bad", _summary(one)) for one in first]


def _summary(finding: FindingEntry) -> str:
    """Return the first part of a message, and all figures of one about classes."""
    if finding.code == "class-imbalance":
        return f"{finding.message.partition(': ')[2] or finding.message}."
    message = finding.message.partition("; ")[0].rstrip(".")
    message = textwrap.shorten(message, MAX_LETTERS, placeholder=" …")
    end = "" if message.endswith("…") else "."
    return f"{message[:1].upper()}{message[1:]}{end}"


def tone(entry: ScoreValue) -> Tone:
    """Return "good" when a value cannot be told from perfect, else "gap".

    Value and perfect value are two draws, so they may differ by the square root of 2 times the
    half width of the interval; without an interval, by 2 %. Returns "note" when the value or the
    perfect value is missing.
    """
    if entry.value is None or entry.expected is None:
        return "note"
    below = above = MARGIN * abs(entry.expected)
    if entry.interval is not None:
        below = math.sqrt(2) * (entry.interval.high - entry.interval.estimate)
        above = math.sqrt(2) * (entry.interval.estimate - entry.interval.low)
    reaches_from_below = entry.value + below >= entry.expected
    reaches_from_above = entry.value - above <= entry.expected
    if entry.direction == "higher":
        return "good" if reaches_from_below else "gap"
    if entry.direction == "lower":
        return "good" if reaches_from_above else "gap"
    return "good" if reaches_from_below and reaches_from_above else "gap"


def _metric_sentence(entry: ScoreValue) -> Sentence | None:
    """Return the sentence that the metric's row has for a value; None without one."""
    metric = known_metric(entry.metric)
    if entry.value is None or metric is None or metric.saying is None:
        return None
    saying = metric.saying
    value = percent(entry.value) if saying.percent else value_text(entry)
    if entry.expected is None or not saying.compared:
        text = saying.alone.format(value=value)
    else:
        expected = percent(entry.expected) if saying.percent else expected_text(entry)
        text = saying.compared.format(value=value, expected=expected)
    judged = tone(entry)
    return Sentence(judged, text, saying.hint if judged == "gap" else "")


def class_name(extractor: str, position: int) -> str:
    """Return a plural such as "ones" for the built-in classifiers, else "class 1".

    >>> class_name("digits", 1), class_name("inception", 1)
    ('ones', 'class 1')
    """
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
    found = []
    if missing:
        found.append(
            Sentence(
                "gap",
                f"There are no {listed(missing, most=MAX_NAMES)}.",
                "Compare samples of earlier checkpoints: when did they disappear?",
            )
        )
    deviation = np.sqrt(
        np.maximum(expected * (1 - expected), 1e-9) / max(record.submission.num_images, 1)
    )
    ratio = shares / np.maximum(expected, 1e-9)
    notable = (np.abs(shares - expected) > NOTABLE_SD * deviation) & (shares > 0)
    notable &= (ratio > NOTABLE_RATIO) | (ratio < 1 / NOTABLE_RATIO)
    worst = sorted(np.flatnonzero(notable), key=lambda k: -abs(shares[k] - expected[k]))
    if worst:
        both = [
            (class_name(name, int(k)), percent(float(shares[k])), percent(float(expected[k])))
            for k in worst
        ]
        (first, share, usual), *others = both
        text = f"{share} of the images are {first} ({usual} expected)"
        if others:
            text += "; also " + listed([f"{one} {own} ({real})" for one, own, real in others])
        found.append(Sentence("gap", f"{text}."))
    if not found:
        found.append(
            Sentence("good", f"All {len(shares)} classes occur in about the right shares.")
        )
    return found


def class_shares(scored: Scored) -> Shares | None:
    """Return the class shares of folder and reference, or None when they are not known."""
    fake, real = (scored.exhibits.get(k) for k in ("class_shares", "reference_class_shares"))
    if fake is None or real is None or fake.shape != real.shape or fake.ndim != 1:
        return None
    return Shares(fake.astype(np.float64), real.astype(np.float64))


def headline(record: ScoreRecord) -> str:
    """Return the first metric that has a value on one line, for a card or a list."""
    for entry in record.values:
        if entry.value is not None and math.isfinite(entry.value):
            perfect = "" if entry.expected is None else f" (perfect {expected_text(entry)})"
            return f"{entry.metric} {value_text(entry)}{perfect}"
    return "no metric has a value"
