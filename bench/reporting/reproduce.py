"""How records were made: their protocol in words, and the commands that reproduce them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from bench.metrics import METRICS
from bench.records.score_record import ScoreRecord

OPTIONS = ("layer", "protocol", "precision")
DEFAULT_SEED = 2020


def protocol_rows(records: Sequence[ScoreRecord]) -> list[tuple[str, str]]:
    """Return terms and texts that describe the protocol that the records share."""
    record = records[0]
    extractor = record.extractor
    verified = "" if extractor.verified else " (not the published weights)"
    origin = "" if record.reference_origin is None else f"; {record.reference_origin}"
    rows = [
        ("reference", f"{record.reference.name}, {record.reference.digest[:16]}{origin}"),
        ("extractor", f"{extractor.label}, weights {extractor.digest[:16]}{verified}"),
        ("latentbench", f"{record.code.name}, source {record.code.digest[:16]}"),
        ("seed", str(record.seed)),
        ("device", ", ".join(dict.fromkeys(one.device for one in records))),
        ("libraries", ", ".join(f"{name} {v}" for name, v in record.libraries.items())),
    ]
    if record.subset is not None:
        rows.append(("subset", f"{record.subset:,} images for metrics of neighbours"))
    if record.submission.resize is not None:
        rows.append(("resize", record.submission.resize))
    expected = dict.fromkeys(
        entry.expected_source for entry in record.values if entry.expected is not None
    )
    sources = [source for source in expected if source]
    if sources:
        rows.append(("perfect", "; ".join(sources)))
    methods = dict.fromkeys(
        entry.interval.method for entry in record.values if entry.interval is not None
    )
    if methods:
        rows.append(("intervals", "; ".join(methods)))
    if len(records) == 1:
        timings = ", ".join(f"{stage} {s:.2f} s" for stage, s in record.timings_s.items() if s > 0)
        array = record.submission.array
        source = record.submission.source + ("" if array is None else f", array {array}")
        rows += [("source", source), ("time", timings or "read from the cache")]
        rows.append(("images", f"SHA-256 {record.submission.digest}"))
    return rows


def commands(records: Sequence[ScoreRecord]) -> list[str]:
    """Return one `latentbench score` command for each set of options among the records."""
    by_options: dict[tuple[str, ...], list[str]] = {}
    for record in records:
        sources = by_options.setdefault(tuple(_options(record)), [])
        if record.submission.source not in sources:
            sources.append(record.submission.source)
    return [
        " ".join(["latentbench score", *map(shlex.quote, sources), *map(shlex.quote, options)])
        for options, sources in by_options.items()
    ]


def _options(record: ScoreRecord) -> list[str]:
    """Return the options that were given, and those that the record shows to be in effect."""
    given = _pairs(record.options)
    found = {
        "--reference": given.get("--reference", record.reference.name),
        "--extractor": record.extractor.name,
    }
    settings = record.extractor.settings
    found |= {f"--{kind}": settings[kind] for kind in OPTIONS if kind in settings}
    if record.submission.resize is not None:
        found["--resize"] = record.submission.resize
    if record.subset is not None:
        found["--subset"] = str(record.subset)
    if record.seed != DEFAULT_SEED:
        found["--seed"] = str(record.seed)
    names = [entry.metric for entry in record.values]
    if set(names) != {metric.name for metric in METRICS.loadable().rows}:
        found["--metrics"] = ",".join(names)
    if not record.official:
        found["--limit"] = str(record.submission.num_images)
    found |= {name: text for name, text in given.items() if name not in found}
    return [word for name, text in found.items() for word in (name, text) if word]


def _pairs(words: Sequence[str]) -> dict[str, str]:
    """Return the value of each option; "" for a switch."""
    pairs: dict[str, str] = {}
    for word in words:
        if word.startswith("--"):
            name = word
            pairs[name] = ""
        elif pairs:
            pairs[name] = word
    return pairs
