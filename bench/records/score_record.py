"""`ScoreRecord`: the scores of one submission, with everything needed to compare them later.

Records are JSON objects, one per line of an append-only JSONL file. No value is NaN or infinite: a
metric without a value has a reason instead.
"""

from __future__ import annotations

import hashlib
import json
import sys
import warnings
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    FiniteFloat,
    ValidationError,
    model_validator,
)

from bench.errors import InputError, NothingFoundError, reason_of
from bench.runtime.printable import sanitise
from bench.runtime.whole_files import append_line, write_atomically

SCHEMA_VERSION: Final = 1
SHORT_DIGEST = 8
COMPILING_STAGE = "of these, compiling"


def _printable(text: str) -> str:
    """Return text with control characters as escapes: a record may come from anybody, and its
    texts go to terminals and into tables of every format.
    """
    return text if text.isprintable() else sanitise(text, sys.maxsize)


Text = Annotated[str, AfterValidator(_printable)]
Count = Annotated[int, Field(ge=0)]
Kind = Literal["folder", "zip", "npz", "npy", "idx", "array"]
Detail = FiniteFloat | int | Text | list[FiniteFloat] | list[int]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TornLineWarning(UserWarning):
    """A line of a file of records was cut short, by a killed process or a full disk."""


class RecordLines(NamedTuple):
    """The records of a file, and a message for every line that was skipped because it is torn."""

    records: list[ScoreRecord]
    torn: tuple[str, ...]


class FindingEntry(_Model):
    """A finding of the audit (see `bench.intake.Finding`) or about the content of the images.

    `figures` are the numbers in the message, by name.
    """

    code: Text
    severity: Literal["error", "warning", "info"]
    count: Count
    examples: tuple[Text, ...]
    message: Text
    fix: Text
    figures: dict[Text, FiniteFloat] = {}


class IntervalEntry(_Model):
    """A confidence interval; see `bench.statistics.intervals.Uncertainty`.

    It covers the random draw of the submission's images; the reference is fixed. It is centred on
    `estimate`, which is the value minus its bias if the metric has one.
    """

    estimate: FiniteFloat
    standard_error: Annotated[FiniteFloat, Field(ge=0)]
    low: FiniteFloat
    high: FiniteFloat
    level: FiniteFloat
    method: Text


class ScoreValue(_Model):
    """The value of one metric: `value` is a number, or `reason` says why there is none.

    `spread` is the standard deviation over the metric's splits or subsets, not a standard error.
    `expected` is the score of a perfect submission of this size, and `expected_source` says where
    it comes from: a closed form, or held-out real images scored by the same code.
    """

    metric: Text
    value: FiniteFloat | None
    reason: Text | None = None
    interval: IntervalEntry | None = None
    spread: FiniteFloat | None = None
    expected: FiniteFloat | None = None
    expected_source: Text | None = None
    direction: Literal["lower", "higher", "target"]
    unit: Text
    n_real: Count | None
    n_fake: Count
    constants: dict[Text, Detail] = {}
    details: dict[Text, Detail] = {}

    @model_validator(mode="after")
    def _value_or_reason(self) -> ScoreValue:
        if (self.value is None) == (self.reason is None):
            raise ValueError(f"{self.metric}: exactly one of value and reason must be given")
        return self


class Submission(_Model):
    """The scored images: origin, size and content digests (SHA-256, hex)."""

    name: Text
    source: Text
    kind: Kind
    num_images: Count
    height_px: Count
    width_px: Count
    channels: Literal[1, 3]
    resize: Text | None = None  # WIDTHxHEIGHT to which images of other sizes were resized
    array: Text | None = None  # name of the array of an npz file
    digest: Text
    pixel_digest: Text
    sequence_digest: Text


class Identity(_Model):
    """A name and the SHA-256 of what it stands for."""

    name: Text
    digest: Text


class ExtractorIdentity(Identity):
    """An extractor: its name, the digest of its weights, and its settings.

    `settings` holds layer, protocol and precision, as far as the extractor offers a choice;
    `verified` says whether the weights are the published ones.
    """

    settings: dict[Text, Text] = {}
    verified: bool = True

    @property
    def label(self) -> str:
        """The name and the settings, to be shown."""
        return " ".join([self.name, *self.settings.values()])


class ScoreRecord(_Model):
    """The scores of one submission, and the identity of everything they depend on."""

    schema_version: Literal[1] = SCHEMA_VERSION
    created_at: Text
    submission: Submission
    reference: Identity
    reference_origin: Text | None = None  # of a statistics file: where its moments come from
    extractor: ExtractorIdentity
    code: Identity
    seed: int
    subset: Count | None = None  # number of images whose features were stored, if not all
    # effective number of different images, which intervals are for; None when all images differ
    independent_images: FiniteFloat | None = None
    official: bool
    detector: Text | None = None  # the detector of anomaly_auc, if not the default
    options: tuple[Text, ...] = ()  # the settings as words of `latentbench score`
    device: Text
    libraries: dict[Text, Text]
    timings_s: dict[Text, FiniteFloat]
    from_cache: bool = False
    findings: tuple[FindingEntry, ...] = ()
    values: tuple[ScoreValue, ...]

    @property
    def signature(self) -> str:
        """The identity of the record on one line.

        Equal signatures mean equal images in equal order, equal protocol and code, and so equal
        values. Two values are comparable if their signatures agree except for `images` and small
        differences in `n`.
        """

        def short(identity: Identity) -> str:
            return f"{identity.name}:{identity.digest[:SHORT_DIGEST]}"

        resize = self.submission.resize
        return "|".join(
            [
                f"reference={short(self.reference)}",
                ":".join([f"extractor={short(self.extractor)}", *self.extractor.settings.values()]),
                f"n={self.submission.num_images}",
                *([] if self.subset is None else [f"subset={self.subset}"]),
                *([] if resize is None else [f"resize={resize}"]),
                *([] if self.detector is None else [f"detector={self.detector}"]),
                f"seed={self.seed}",
                f"latentbench={short(self.code)}",
                f"device={self.device.split()[0]}",
                f"images={self.submission.sequence_digest[:SHORT_DIGEST]}",
                *([] if self.official else ["unofficial"]),
            ]
        )

    def value(self, metric: str) -> float:
        """Return the value of a metric. Raises `InputError`, with the reason, if it has none."""
        for entry in self.values:
            if entry.metric == metric:
                if entry.value is None:
                    raise InputError(f"{metric} has no value: {entry.reason}")
                return entry.value
        names = ", ".join(entry.metric for entry in self.values)
        raise InputError(f"this record holds no {metric!r}; it holds {names}")


def append_record(record: ScoreRecord, path: str | Path) -> None:
    """Append a record to a JSONL file, under a lock, and flush it to disk.

    If an earlier crash left half a line, the record starts a new one. Raises `OSError`, and leaves
    the file unchanged, if the disk is full.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    append_line(path, record.model_dump_json().encode())


def write_record(record: ScoreRecord, path: str | Path) -> None:
    """Write a record as an indented JSON file, whole or not at all."""
    write_atomically(Path(path), record.model_dump_json(indent=1).encode() + b"\n")


def read_records(path: str | Path) -> list[ScoreRecord]:
    """Return the records of a .jsonl file (one per line), of a .json file (one) or of a folder.

    In a folder, a record in its own file and in records.jsonl counts once, and the newest comes
    last. Files that hold other JSON are skipped.

    A line of a .jsonl file that was cut short is skipped with a `TornLineWarning`. Raises
    `InputError`, which names file and line, for a line that is not a record, and
    `NothingFoundError` for a file without records.
    """
    found = read_record_lines(path)
    for message in found.torn:
        warnings.warn(message, TornLineWarning, stacklevel=2)
    return found.records


def read_record_lines(path: str | Path) -> RecordLines:
    """Return the records of a file, and what is wrong with the lines that were skipped.

    Raises what `read_records` raises.
    """
    path = Path(path)
    if path.is_dir():
        return _records_in(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read as records: {reason_of(error)}") from error
    is_lines = path.suffix == ".jsonl"
    records, torn = [], []
    for number, chunk in enumerate(data.split(b"\n") if is_lines else [data], start=1):
        if not chunk.strip():
            continue
        try:
            records.append(ScoreRecord.model_validate_json(chunk))
        except ValidationError as error:
            first = error.errors()[0]
            if is_lines and first["type"] == "json_invalid":
                torn.append(
                    f"{path}:{number}: skipped a line that was cut short ({len(chunk):,} bytes); "
                    "score that submission again"
                )
                continue
            where = ".".join(str(part) for part in first["loc"]) or "line"
            raise InputError(
                f"{path}:{number}: not a score record of schema {SCHEMA_VERSION}: "
                f"{where}: {first['msg']}"
            ) from error
    if not records:
        why = f": {torn[0]}" if torn else ""
        raise NothingFoundError(f"{path}: holds no records{why}")
    return RecordLines(records, tuple(torn))


def _records_in(folder: Path) -> RecordLines:
    found: dict[str, ScoreRecord] = {}
    torn: list[str] = []
    for file in json_files(folder):
        lines = read_record_lines(file) if holds_records(file) else RecordLines([], ())
        torn += lines.torn
        for record in lines.records:
            name = record_file_name(record)
            if name not in found or found[name].created_at <= record.created_at:
                found[name] = record
    if not found:
        raise NothingFoundError(f"{folder}: holds no score records")
    return RecordLines(sorted(found.values(), key=lambda record: record.created_at), tuple(torn))


def json_files(folder: Path) -> list[Path]:
    """Return the .json and .jsonl files of a folder, without those of its subfolders."""
    return sorted(file for file in folder.iterdir() if file.suffix in (".json", ".jsonl"))


def holds_records(file: Path) -> bool:
    """Tell whether the file, or the first whole line of JSONL, is an object with the fields of a
    record.
    """
    try:
        data = file.read_bytes()
    except OSError:
        return False
    for text in data.split(b"\n") if file.suffix == ".jsonl" else [data]:
        try:
            parsed = json.loads(text)
        except (ValueError, RecursionError):
            continue
        return isinstance(parsed, dict) and {"submission", "values", "extractor"} <= set(parsed)
    return False


def record_file_name(record: ScoreRecord) -> str:
    """Return the file name `NAME-IMAGES-PROTOCOL.json` of a record.

    Records of other submissions, images, references, seeds or metrics have other names.
    """
    protocol = [record.submission.source, record.signature]
    protocol += [entry.metric for entry in record.values]
    digest = hashlib.sha256("\0".join(protocol).encode()).hexdigest()
    name = safe_file_name(record.submission.name)
    return f"{name}-{record.submission.pixel_digest[:8]}-{digest[:8]}.json"


def safe_file_name(name: str) -> str:
    """Return a name with unsafe characters replaced, of at most 60 characters, and not hidden.

    >>> safe_file_name("team a/samples")
    'team_a_samples'
    """
    safe = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in name)
    return safe.lstrip(".")[:60] or "submission"
