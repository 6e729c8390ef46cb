"""A presentation holds values with intervals, arrows, the perfect row, and marks for the best."""

from __future__ import annotations

from bench.tables.presentation import present
from tests.reporting.complete import complete_record
from tests.tables.three import three


def test_presentation() -> None:
    (shown,) = present(three())
    assert list(shown.cells.columns) == ["fid ↓", "recall_k3 ↑"]
    assert list(shown.cells.index) == ["a", "b", "c", "perfect (10 images)"]
    assert shown.cells.loc["b", "fid ↓"] == "2.01 [1.81, 2.21]"
    assert shown.cells.iloc[3].tolist() == ["0.25", "0.850"]
    assert shown.best["fid ↓"].tolist() == [False, True, False, False]
    assert not shown.best["recall_k3 ↑"].any()


def test_protocols_have_tables_of_their_own_and_names_stay_apart() -> None:
    other = three()[0].model_copy(update={"seed": 1})
    assert [len(shown.records) for shown in present([*three(), other])] == [3, 1]
    twice = [complete_record("same", 0), complete_record("same", 1)]
    (shown,) = present(twice)
    assert list(shown.cells.index)[:2] == ["same (00000001)", "same (00000002)"]
