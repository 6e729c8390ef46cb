"""The result of detectors on a labelled folder, as a JSON file."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from bench.records.score_record import FindingEntry, Identity, IntervalEntry, Submission

SCHEMA_VERSION: Final = 1
Count = Annotated[int, Field(ge=0)]
Share = Annotated[FiniteFloat, Field(ge=0, le=1)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ThresholdEntry(_Model):
    """A cut-off from held-out normal images (`bench.anomaly.threshold`): an image is anomalous if
    its score is above `value`. `fpr` is the rate that was asked for; `found_fpr` and `found_tpr`
    are the shares of normal and of anomalous test images above it.
    """

    value: FiniteFloat
    fpr: Share
    num_held_out: Count
    found_fpr: Share | None = None
    found_tpr: Share | None = None


class DetectorEntry(_Model):
    """One detector: its name, what it has seen, and its results.

    `labels` is the kind of labels it has seen, and `seen` describes it in words
    (`bench.anomaly.detectors.seen`). `options` are all options as used, including those that the
    fit chose; `given` are the requested ones. `code` is the digest of its code
    (`bench.anomaly.detectors.code`). `num_tuned` is the number of labelled test images that an
    oracle was tuned on and that are not judged. `interval` is None when a side has a single image.
    Times are in seconds.
    """

    name: str
    title: str
    source: str
    labels: Literal["none", "test", "outside", "data"]
    seen: str = ""
    extractor: str | None = None
    budget: Literal["published", "cpu"] | None = None  # of a detector that trains a network
    options: dict[str, FiniteFloat | int | str] = {}
    given: dict[str, FiniteFloat | int | str] = {}
    code: str | None = None
    num_tuned: Count = 0
    num_normal: Count
    num_anomalous: Count
    auc: Share
    interval: IntervalEntry | None
    average_precision: Share
    fpr_at_95_tpr: Share
    threshold: ThresholdEntry | None = None
    fit_s: FiniteFloat
    score_s: FiniteFloat

    @property
    def prevalence(self) -> float:
        """Share of anomalous images: the average precision of a detector without any skill."""
        return self.num_anomalous / (self.num_normal + self.num_anomalous)


class MissedEntry(_Model):
    """A detector without a result, and the reason."""

    name: str
    reason: str


class AnomalyRecord(_Model):
    """One run over a training folder and labelled test images. `labels_sha256` is the digest of the
    CSV file, None for labels by subfolder. `failed` are detectors that raised, `left_out` those of
    a group that these images do not admit.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    created_at: str
    train: Submission
    test: tuple[Submission, ...]
    labels_sha256: str | None = None
    code: Identity
    seed: int
    options: tuple[str, ...] = ()  # the run as words of `latentbench anomaly`
    device: str
    libraries: dict[str, str]
    findings: tuple[FindingEntry, ...] = ()
    detectors: tuple[DetectorEntry, ...]
    failed: tuple[MissedEntry, ...] = ()
    left_out: tuple[MissedEntry, ...] = ()


class VerdictEntry(_Model):
    """The verdicts of one detector on images without labels. Times are in seconds."""

    name: str
    title: str
    source: str
    extractor: str | None = None
    given: dict[str, FiniteFloat | int | str] = {}
    code: str | None = None
    threshold: ThresholdEntry
    num_images: Count
    num_anomalous: Count
    fit_s: FiniteFloat
    score_s: FiniteFloat


class VerdictRecord(_Model):
    """One run over a training folder and images without labels."""

    schema_version: Literal[1] = SCHEMA_VERSION
    created_at: str
    train: Submission
    test: Submission
    code: Identity
    seed: int
    device: str
    libraries: dict[str, str]
    findings: tuple[FindingEntry, ...] = ()
    detectors: tuple[VerdictEntry, ...]
    failed: tuple[MissedEntry, ...] = ()
