"""The tidy table has the declared columns and types for any records."""

from __future__ import annotations

import pandas as pd
import pytest

from bench.errors import InputError, NothingFoundError
from bench.records.score_record import ScoreRecord
from bench.tables.frame import COLUMNS, table
from tests.records.test_score_record import OLD_LINE, chosen, record, value


def test_tidy_form() -> None:
    values = (value("fid", 1.5), value("kid_poly3", None, "too few images"))
    frame = table([record("one", values), record("two")])
    assert list(frame.columns) == list(COLUMNS)
    assert {name: str(dtype) for name, dtype in frame.dtypes.items()} == COLUMNS
    assert frame["submission"].tolist() == ["one", "one", "two"]
    assert frame["value"].tolist()[::2] == [1.5, 1.5]
    assert frame.loc[1, "value"] is pd.NA
    assert frame.loc[1, "reason"] == "too few images"


def test_one_record_is_enough() -> None:
    assert len(table(record())) == 1


def test_wide_form_keeps_the_order_of_metrics_and_apart_what_differs() -> None:
    values = (value("kid_poly3", 0.5), value("fid", 1.5))
    other = record("one", values).model_copy(update={"seed": 7})
    frame = table([record("one", values), other], wide=True)
    assert list(frame.columns) == ["kid_poly3", "fid"]
    assert frame["fid"].tolist() == [1.5, 1.5]
    assert frame.index.get_level_values("submission").tolist() == ["one", "one"]


def test_copies_under_other_names_stay_and_a_rescored_one_does_not() -> None:
    first = record("samples")
    copied = first.model_copy(
        update={"submission": first.submission.model_copy(update={"source": "/y/samples"})}
    )
    assert len(table([first, copied], wide=True)) == 2
    assert len(table([first, first], wide=True)) == 1


def test_what_is_no_record_is_named() -> None:
    with pytest.raises(InputError, match="not a score record: oops"):
        table([record(), "oops"])  # type: ignore[list-item]


def test_nothing_to_show() -> None:
    with pytest.raises(NothingFoundError, match="no records"):
        table(r for r in [])
    with pytest.raises(NothingFoundError, match="no records"):
        table([])


def test_columns_for_layer_protocol_and_precision() -> None:
    old = ScoreRecord.model_validate_json(OLD_LINE)
    frame = table([old, record(), chosen()])
    assert frame["layer"].tolist()[2:] == ["2048"]
    assert frame["protocol"].tolist()[2:] == ["clean-fid"]
    assert frame["precision"].tolist()[2:] == ["fp16"]
    assert frame[["layer", "protocol", "precision"]].isna().sum(axis=1).tolist() == [3, 3, 0]


def test_protocols_of_one_submission_are_rows_of_their_own() -> None:
    protocols = ("clean-fid", "pytorch-fid")
    records = [
        chosen(
            extractor=chosen().extractor.model_copy(
                update={"settings": {"layer": "2048", "protocol": protocol}}
            )
        )
        for protocol in protocols
    ]
    assert len(table(records, wide=True)) == 2
    frame = table(records)
    assert frame["protocol"].tolist() == list(protocols)
    assert frame["precision"].isna().all()
