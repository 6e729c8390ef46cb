"""`ScoreSettings`: everything that decides what a score is and how it is computed."""

from __future__ import annotations

import difflib
import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.anomaly.detectors import DetectorRow
from bench.errors import UsageError
from bench.extractors.base import ExtractorChoice
from bench.intake import Size, SubmissionSpec, load_spec, parse_size, sanitise
from bench.metrics.anomaly_auc import ANOMALY_AUC
from bench.metrics.base import Metric
from bench.scoring.detector_choice import chosen_detector
from bench.scoring.evaluate import select_metrics
from bench.statistics.moments import SUBSET_SIZE

DEFAULT_SEED = 2020
# options of the command whose name is not that of the setting; "" has none
OPTION_NAMES = {"compiled": "--compile", "use_cache": "--no-cache", "cache_submissions": ""}


@dataclass(frozen=True, kw_only=True)
class ScoreSettings:
    """The settings of a `Scorer`, checked when they are made.

    Raises `UnknownNameError` for the name of a metric, detector or spec that does not exist, and
    `UsageError` for a value that cannot be used.

    >>> settings = ScoreSettings(reference="mnist", metrics="fid,coverage_k5")
    >>> settings.metrics
    ('fid', 'coverage_k5')
    >>> ScoreSettings(subset=1)
    Traceback (most recent call last):
    bench.errors.UsageError: subset 1: expected at least 2 images
    """

    # What is compared
    reference: str | Path = "mnist"  # name of a bundle, path of its manifest, or of real images
    extractor: str | None = None  # None: that of the reference, inception for real images
    layer: str | None = None  # of the extractor; None: its default
    protocol: str | None = None  # resizing of the extractor; None: its default; "all": each of them
    precision: str | None = None  # of the extractor's arithmetic; None: exact
    weights: str | Path | None = None  # file, or folder that holds it; None: looked up or fetched
    unverified_weights: bool = False  # accept weights with another digest than the published one
    resize: str | Size | None = None  # WIDTHxHEIGHT in px that images of other sizes are brought to
    spec: str | Path | SubmissionSpec | None = None  # what a submission must be: a name or a file

    # What is computed
    metrics: str | Iterable[str] | None = None  # names, or one text with commas; None: all
    subset: int = SUBSET_SIZE  # images of a larger set whose features are kept
    seed: int = DEFAULT_SEED  # of every random choice, 0 to 2**32 - 1
    detector: str | None = None  # scores images for anomaly_auc; None: distance to 5th neighbour
    budget: str | None = None  # training of a detector that is a network: "published" or "cpu"

    # How it is computed
    device: str | None = None  # "cpu" or "cuda"; None: CUDA if there is a GPU
    batch_size: int | None = None  # images; None: by the memory of the device
    compiled: bool = False  # compile the network when that pays: very many images on a GPU
    use_cache: bool = True  # read and write the cache
    cache_submissions: bool = True  # False: cache only what references score

    def __post_init__(self) -> None:
        if not str(self.reference):
            raise UsageError(
                "an empty reference: give a name, a manifest, or a folder of real images"
            )
        for name in ("seed", "subset"):
            object.__setattr__(self, name, operator.index(getattr(self, name)))
        if self.metrics is not None:
            object.__setattr__(self, "metrics", _names(self.metrics))
        _ = self.metric_rows  # looks up the detector and the metrics
        if not 0 <= self.seed < 2**32:
            raise UsageError(f"seed {self.seed}: expected 0 to 2**32 - 1")
        if self.subset < 2:
            raise UsageError(f"subset {self.subset}: expected at least 2 images")
        if self.batch_size is not None and self.batch_size < 1:
            raise UsageError(f"batch size {self.batch_size}: expected at least 1")
        _ = self.submission_spec, self.size

    @classmethod
    def of(cls, settings: ScoreSettings | None, options: Mapping[str, Any]) -> ScoreSettings:
        """Return `settings` with `options` changed, the defaults for None.

        Raises `UsageError` for an option that does not exist.

        >>> ScoreSettings.of(None, {"sede": 1})
        Traceback (most recent call last):
        bench.errors.UsageError: unknown option 'sede'. Did you mean 'seed'? ...
        """
        valid = [field.name for field in fields(cls)]
        for name in options:
            if name not in valid:
                close = difflib.get_close_matches(name, valid, n=1)
                hint = f" Did you mean {close[0]!r}?" if close else ""
                raise UsageError(f"unknown option {name!r}.{hint} Valid: {', '.join(valid)}")
        return cls(**options) if settings is None else replace(settings, **options)

    @cached_property
    def detector_row(self) -> DetectorRow | None:
        """The detector that scores images for `anomaly_auc`; None for the metric's own, and when
        that metric is not computed.
        """
        row = chosen_detector(self.detector, self.budget)
        wanted = self.metrics is None or ANOMALY_AUC.name in self.metrics
        return row if wanted else None

    @cached_property
    def metric_rows(self) -> tuple[Metric, ...]:
        """The metrics, in the order of the table."""
        return tuple(select_metrics(self.metrics, self.detector_row))

    @cached_property
    def submission_spec(self) -> SubmissionSpec | None:
        """What a submission must be; None for anything."""
        spec = self.spec
        return spec if isinstance(spec, SubmissionSpec | None) else load_spec(str(spec))

    @cached_property
    def size(self) -> Size | None:
        """The size that images of other sizes are brought to; None to leave them."""
        resize = self.resize
        return resize if isinstance(resize, Size | None) else parse_size(resize)

    @cached_property
    def options(self) -> tuple[str, ...]:
        """The settings that differ from the defaults, as words of `latentbench score`.

        >>> ScoreSettings(metrics="fid,coverage_k5", seed=3, use_cache=False).options
        ('--reference', 'mnist', '--metrics', 'fid,coverage_k5', '--seed', '3', '--no-cache')
        """
        words = ["--reference", str(self.reference)]
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "reference" or value == field.default:
                continue
            option = OPTION_NAMES.get(field.name, f"--{field.name.replace('_', '-')}")
            words += [option] if isinstance(value, bool) else [option, _option_text(value)]
        return tuple(sanitise(word, 400) for word in words if word)

    @property
    def extractor_choice(self) -> ExtractorChoice:
        """The settings of the extractor."""
        return ExtractorChoice(
            layer=self.layer,
            protocol=self.protocol,
            precision=self.precision,
            weights=None if self.weights is None else Path(self.weights),
            unverified_weights=self.unverified_weights,
            batch_size=self.batch_size,
            compiled=self.compiled,
        )


def _option_text(value: object) -> str:
    if isinstance(value, Size):
        return f"{value.width}x{value.height}"
    if isinstance(value, SubmissionSpec):
        return value.name
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _names(metrics: str | Iterable[str]) -> tuple[str, ...]:
    """Return names given one by one, or several with commas, as on the command line."""
    texts = [metrics] if isinstance(metrics, str) else metrics
    return tuple(name.strip() for text in texts for name in text.split(",") if name.strip())
