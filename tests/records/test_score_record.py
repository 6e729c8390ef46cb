"""Records: complete, finite, append-only."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from bench.errors import InputError, NothingFoundError
from bench.records.score_record import (
    ExtractorIdentity,
    Identity,
    ScoreRecord,
    ScoreValue,
    Submission,
    TornLineWarning,
    append_record,
    read_record_lines,
    read_records,
    write_record,
)


def value(metric: str = "fid", number: float | None = 1.5, reason: str | None = None) -> ScoreValue:
    return ScoreValue(
        metric=metric,
        value=number,
        reason=reason,
        expected=0.2,
        expected_source="closed form",
        direction="lower",
        unit="x",
        n_real=100,
        n_fake=10,
    )


def record(name: str = "samples", values: tuple[ScoreValue, ...] | None = None) -> ScoreRecord:
    return ScoreRecord(
        created_at="2026-01-01T00:00:00+00:00",
        submission=Submission(
            name=name,
            source="/x/samples",
            kind="folder",
            num_images=10,
            height_px=28,
            width_px=28,
            channels=1,
            digest="a" * 64,
            pixel_digest="b" * 64,
            sequence_digest="c" * 64,
        ),
        reference=Identity(name="mnist", digest="d" * 64),
        extractor=ExtractorIdentity(name="digits", digest="e" * 64),
        code=Identity(name="0.1.0", digest="f" * 64),
        seed=2020,
        official=True,
        device="cpu",
        libraries={"torch": "2"},
        timings_s={"intake": 0.1},
        values=values if values is not None else (value(),),
    )


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("field", ["value", "spread", "expected"])
def test_non_finite_numbers_are_refused(number: float, field: str) -> None:
    with pytest.raises(ValidationError, match="finite"):
        ScoreValue.model_validate(value().model_dump() | {field: number})


def test_non_finite_details_are_refused() -> None:
    with pytest.raises(ValidationError):
        ScoreValue.model_validate(value().model_dump() | {"details": {"curve": [0.0, math.nan]}})


def test_a_value_or_a_reason_never_both_or_neither() -> None:
    with pytest.raises(ValidationError, match="exactly one of value and reason"):
        value(number=None)
    with pytest.raises(ValidationError, match="exactly one of value and reason"):
        value(number=1.0, reason="too few images")
    assert value(number=None, reason="too few images").value is None


def test_unknown_fields_are_refused() -> None:
    with pytest.raises(ValidationError, match="extra"):
        ScoreRecord.model_validate(record().model_dump() | {"surprise": 1})


def test_signature_names_all_that_a_number_depends_on() -> None:
    assert record().signature == (
        "reference=mnist:dddddddd|extractor=digits:eeeeeeee|n=10|seed=2020|"
        "latentbench=0.1.0:ffffffff|device=cpu|images=cccccccc"
    )
    unofficial = record().model_copy(update={"official": False})
    assert unofficial.signature.endswith("|unofficial")


def chosen(**changes: object) -> ScoreRecord:
    """A record with everything that an extractor has a choice of."""
    identity = ExtractorIdentity(
        name="inception",
        digest="e" * 64,
        settings={"layer": "2048", "protocol": "clean-fid", "precision": "fp16"},
        verified=False,
    )
    return record().model_copy(update={"extractor": identity, **changes})


def test_signature_names_layer_protocol_precision_subset_and_resize() -> None:
    submission = record().submission.model_copy(update={"resize": "64x48"})
    full = chosen(subset=5, submission=submission)
    assert full.signature == (
        "reference=mnist:dddddddd|extractor=inception:eeeeeeee:2048:clean-fid:fp16|n=10|subset=5|"
        "resize=64x48|seed=2020|latentbench=0.1.0:ffffffff|device=cpu|images=cccccccc"
    )
    assert chosen().extractor.label == "inception 2048 clean-fid fp16"
    others = {
        chosen(
            extractor=ExtractorIdentity(name="inception", digest="e" * 64, settings=settings)
        ).signature
        for settings in (
            {"layer": "768", "protocol": "clean-fid", "precision": "fp16"},
            {"layer": "2048", "protocol": "pytorch-fid", "precision": "fp16"},
            {"layer": "2048", "protocol": "clean-fid", "precision": "exact"},
            {},
        )
    }
    assert len(others | {chosen().signature}) == 5


def test_settings_survive_the_file(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    submission = record().submission.model_copy(update={"resize": "64x48"})
    append_record(chosen(subset=5, submission=submission), path)
    (again,) = read_records(path)
    assert again == chosen(subset=5, submission=submission)
    assert again.extractor.verified is False


OLD_LINE = (  # as written by the commit before settings, subset and resize were recorded
    '{"schema_version":1,"created_at":"2026-01-01T00:00:00+00:00","submission":{"name":"samples",'
    '"source":"/x/samples","kind":"folder","num_images":10,"height_px":28,"width_px":28,'
    '"channels":1,"digest":"aa","pixel_digest":"bb","sequence_digest":"cccccccccc"},'
    '"reference":{"name":"mnist","digest":"dddddddddd"},"extractor":{"name":"digits",'
    '"digest":"eeeeeeeeee"},"code":{"name":"0.1.0","digest":"ffffffffff"},"seed":2020,'
    '"official":true,"device":"cpu","libraries":{"torch":"2"},"timings_s":{"intake":0.1},'
    '"from_cache":false,"findings":[],"values":[{"metric":"fid","value":1.5,"reason":null,'
    '"spread":null,"expected":0.2,"expected_source":"closed form","direction":"lower","unit":"x",'
    '"n_real":100,"n_fake":10,"constants":{},"details":{}}]}'
)


def test_records_of_before_are_read(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text(OLD_LINE + "\n")
    append_record(chosen(), path)
    old, new = read_records(path)
    assert (old.extractor.settings, old.subset, old.submission.resize) == ({}, None, None)
    assert old.extractor.verified
    assert old.signature == (
        "reference=mnist:dddddddd|extractor=digits:eeeeeeee|n=10|seed=2020|"
        "latentbench=0.1.0:ffffffff|device=cpu|images=cccccccc"
    )
    assert new == chosen()


def test_value_by_name() -> None:
    assert record().value("fid") == 1.5
    with pytest.raises(InputError, match="holds no 'kid'; it holds fid"):
        record().value("kid")
    empty = record(values=(value(number=None, reason="too few"),))
    with pytest.raises(InputError, match="fid has no value: too few"):
        empty.value("fid")


def test_append_and_read(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "records.jsonl"
    append_record(record("one"), path)
    append_record(record("two"), path)
    assert [r.submission.name for r in read_records(path)] == ["one", "two"]
    assert read_records(path)[0] == record("one")


def test_single_file(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    write_record(record(), path)
    assert read_records(path) == [record()]
    assert json.loads(path.read_text())["schema_version"] == 1
    assert list(tmp_path.iterdir()) == [path]


def test_a_torn_line_is_named_and_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    append_record(record("one"), path)
    with path.open("a") as stream:
        stream.write('{"schema_version": 1, "crea')  # a crash in the middle of a write
    append_record(record("two"), path)
    lines = path.read_text().splitlines()
    assert len(lines) == 3
    assert ScoreRecord.model_validate_json(lines[2]).submission.name == "two"
    with pytest.warns(TornLineWarning, match=r"records\.jsonl:2: skipped a line that was cut"):
        found = read_records(path)
    assert [one.submission.name for one in found] == ["one", "two"]


@pytest.mark.parametrize("tail", [b'{"schema_version": 1, "x": "\xc3', b"\0" * 300, b"{" * 9999])
def test_whatever_a_crash_leaves_behind_is_skipped(tmp_path: Path, tail: bytes) -> None:
    """Half of a character, blocks of zeros that a file system never filled."""
    path = tmp_path / "records.jsonl"
    append_record(record("one"), path)
    with path.open("ab") as stream:
        stream.write(tail)
    records, (message,) = read_record_lines(path)
    assert [one.submission.name for one in records] == ["one"]
    assert f":2: skipped a line that was cut short ({len(tail):,} bytes)" in message
    path.write_bytes(tail)
    with pytest.raises(NothingFoundError, match=r"holds no records: .*:1: skipped"):
        read_record_lines(path)


def test_a_whole_line_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    append_record(record("one"), path)
    with path.open("a") as stream:
        stream.write('{"schema_version": 1}\n')
    with pytest.raises(InputError, match=r"records\.jsonl:2: not a score record of schema 1"):
        read_records(path)


def test_line_separators_in_a_text_end_no_line(tmp_path: Path) -> None:
    """Unicode has line ends that JSON keeps as they are."""
    path = tmp_path / "records.jsonl"
    line = record("one").model_dump_json().replace('"one"', '"o\u2028n\u0085e"')
    path.write_text(f"{line}\n{line}\n", encoding="utf-8")
    assert [one.submission.name for one in read_records(path)] == ["o\\u2028n\\x85e"] * 2


def test_escape_bytes_of_a_record_are_text() -> None:
    """A record may come from anybody."""
    hostile = json.loads(record("one").model_dump_json())
    hostile["submission"]["name"] = "a\x1b[2Jb\x9bc\u202e"
    hostile["values"][0] |= {"value": None, "reason": "\x1b]0;x\x07", "unit": "\r"}
    hostile["values"][0]["details"] = {"\x1b": "\x1b"}
    hostile["libraries"] = {"\x1b[1m": "\x1b[0m"}
    read = ScoreRecord.model_validate_json(json.dumps(hostile))
    assert read.submission.name == r"a\x1b[2Jb\x9bc\u202e"
    assert read.values[0].reason == r"\x1b]0;x\x07"
    assert r"\x1b" in read.values[0].details
    assert read.model_dump_json().isprintable()
    assert ScoreRecord.model_validate_json(read.model_dump_json()) == read


@pytest.mark.parametrize("room", [0, 1, 200])
def test_a_full_disk_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    """A part of the line may fit."""
    path = tmp_path / "records.jsonl"
    append_record(record("one"), str(path))
    before = path.read_bytes()
    write, left = os.write, [room]

    def full(descriptor: int, data: bytes) -> int:
        if not left[0]:
            raise OSError(28, "No space left on device")
        done = write(descriptor, data[: left[0]])
        left[0] -= done
        return done

    with monkeypatch.context() as patch:
        patch.setattr("bench.runtime.whole_files.os.write", full)
        with pytest.raises(OSError, match="No space left"):
            append_record(record("two"), path)
    assert path.read_bytes() == before
    assert len(read_records(str(path))) == 1
    append_record(record("two"), path)
    assert [one.submission.name for one in read_records(path)] == ["one", "two"]


def _append_many(path: Path, name: str) -> None:
    for _ in range(25):
        append_record(record(name), path)


def test_two_writers_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_append_many, args=(path, name)) for name in ("a", "b")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    names = [r.submission.name for r in read_records(path)]
    assert (names.count("a"), names.count("b")) == (25, 25)


def test_files_that_hold_no_records(tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.write_text("\n\n")
    with pytest.raises(NothingFoundError, match="holds no records"):
        read_records(empty)
    with pytest.raises(InputError, match="cannot be read as records"):
        read_records(tmp_path / "missing.jsonl")
    binary = tmp_path / "binary.jsonl"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(NothingFoundError, match=r"binary\.jsonl:1: skipped"):
        read_records(binary)
    other = tmp_path / "other.json"
    other.write_text('{"schema_version": 2}')
    with pytest.raises(InputError, match="schema_version"):
        read_records(other)
