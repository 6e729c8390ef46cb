"""Methods compared over several training runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import bench
from bench.__main__ import run
from bench.cli.help import repeat_greedy
from bench.comparing.methods import MethodChange, compare_methods, welch
from bench.errors import EXIT_INVALID, EXIT_OK, EXIT_USAGE, UsageError
from bench.records.score_record import ScoreRecord, ScoreValue, append_record, write_record
from tests.comparing.made_records import normal, scored, value

# FID of five runs a side, as five seeds of one recipe give them
A = [9.1, 9.8, 8.7, 10.4, 9.5]
B = [11.9, 10.6, 12.8, 11.1, 13.0]


def runs(side: str, *metrics: list[ScoreValue]) -> list[ScoreRecord]:
    """One record for each run; a metric is the list of its values over the runs."""
    return [
        scored(*values, images=f"{side}{number:x}")
        for number, values in enumerate(zip(*metrics, strict=True))
    ]


def fids(values: list[float], error: float = 0.2) -> list[ScoreValue]:
    return [normal("fid", number, error) for number in values]


def only(found: bench.comparing.methods.MethodComparison) -> MethodChange:
    (change,) = found.changes
    return change


@pytest.mark.parametrize(
    ("base", "new"), [(A, B), (A, B[:2]), (B[:3], A), ([1.0, 1.5], [1.1, 9.0])]
)
def test_the_test_is_that_of_scipy(base: list[float], new: list[float]) -> None:
    found = welch(base, new, (0.0, 0.0))
    expected = stats.ttest_ind(new, base, equal_var=False)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-10)
    assert found.df == pytest.approx(expected.df, rel=1e-10)
    interval = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-10)


def test_a_method_over_five_runs() -> None:
    found = compare_methods(runs("a", fids(A)), runs("b", fids(B)))
    change = only(found)
    expected = stats.ttest_ind(B, A, equal_var=False)
    assert change.p_value == pytest.approx(expected.pvalue)
    assert (change.base, change.new) == pytest.approx((9.5, 11.88))
    assert change.base_sd == pytest.approx(np.std(A, ddof=1))
    assert change.verdict == "regression"
    # .04 of the variance of each side is the draw of images
    total = np.var(A, ddof=1) + np.var(B, ddof=1)
    assert change.image_share == pytest.approx(0.08 / total)
    assert not found.ok
    back = compare_methods(runs("b", fids(B)), runs("a", fids(A)))
    assert only(back).verdict == "improvement"
    assert back.ok


def test_runs_that_agree_by_chance_have_the_variance_of_their_images() -> None:
    """s = .01 between two runs whose images alone make .5: V = .25 / 2 + .25 / 2."""
    found = only(
        compare_methods(runs("a", fids([9.0, 9.01], 0.5)), runs("b", fids([10.0, 10.01], 0.5)))
    )
    assert found.p_value == pytest.approx(2 * stats.t.sf(1 / 0.5, 2))
    assert found.image_share == 1
    assert found.verdict == "no change"
    unknown = [value("fid", x) for x in (9.0, 9.01)], [value("fid", x) for x in (10.0, 10.01)]
    found = only(compare_methods(runs("a", unknown[0]), runs("b", unknown[1])))
    assert found.p_value == pytest.approx(
        stats.ttest_ind([9, 9.01], [10, 10.01], equal_var=False).pvalue
    )
    assert found.image_share is None


def test_the_level_and_the_coverage_hold() -> None:
    """4,000 pairs of methods with 3 and 5 runs, of sd 1 and 3, whose images make half of the
    variance. Nominal 95 %; the floor may only raise it.
    """
    generator = np.random.default_rng(0)
    floors = (0.5, 4.5)
    held = 0
    for _ in range(4_000):
        base = generator.normal(0, 1, 3)
        new = generator.normal(2, 3, 5)
        found = welch(list(base), list(new), floors)
        held += found.low <= 2 <= found.high
    assert 0.94 <= held / 4_000 <= 0.985


def test_runs_needed_are_those_of_a_power_table() -> None:
    """Cohen (1988), table 2.4.1: two samples, d = 1, two-sided .05, power .80: 17 a side."""
    half = 1 / np.sqrt(2)  # two values 1 - half and 1 + half have variance 1
    base, new = [-half, half], [1 - half, 1 + half]
    found = only(compare_methods(runs("a", fids(base, 0.1)), runs("b", fids(new, 0.1))))
    assert found.change == pytest.approx(1)
    assert found.runs_needed == 17


def test_directions_and_targets() -> None:
    recall = [[normal("recall_k3", x, 0.01) for x in side] for side in ([0.2, 0.21], [0.5, 0.51])]
    found = only(compare_methods(runs("a", recall[0]), runs("b", recall[1])))
    assert found.verdict == "improvement"
    # density aims at 1: 1.5 to .5 is as far away on the other side, 1.1 to .5 is worse
    for before, verdict in ((1.5, "no change"), (1.1, "regression")):
        base, new = (
            [normal("density_k5", x + shift, 1e-4) for shift in (-0.001, 0.001)]
            for x in (before, 0.5)
        )
        found = only(compare_methods(runs("a", base), runs("b", new)))
        assert (found.verdict, found.change) == (verdict, pytest.approx(0.5 - before))
    unknown = [[value("density_k5", x, expected=None) for x in side] for side in ([1, 2], [3, 4])]
    found = only(compare_methods(runs("a", unknown[0]), runs("b", unknown[1])))
    assert found.verdict == "not judged"


def test_p_values_are_corrected_and_tolerated() -> None:
    recall = [[normal("recall_k3", x, 0.01) for x in side] for side in (A, B)]
    both = compare_methods(runs("a", fids(A), recall[0]), runs("b", fids(B), recall[1]))
    single = stats.ttest_ind(B, A, equal_var=False).pvalue
    assert [change.p_value for change in both.changes] == pytest.approx([2 * single] * 2)
    found = compare_methods(runs("a", fids(A)), runs("b", fids(B)), tolerance="fid=30%")
    assert (only(found).verdict, only(found).note) == ("no change", "within the tolerance")
    found = compare_methods(runs("a", fids(A)), runs("b", fids(B)), "fid", tolerance="20%")
    assert only(found).verdict == "regression"


def test_what_is_not_a_comparison_of_methods() -> None:
    with pytest.raises(UsageError, match=r"BASE has 1 training run, .*at least 2 a side"):
        compare_methods(runs("a", fids(A[:1])), runs("b", fids(B)))
    with pytest.raises(UsageError, match=r"NEW has 1 training run"):
        compare_methods(runs("a", fids(A)), runs("b", fids(B[:1])) * 3)  # one run, three times
    with pytest.raises(UsageError, match="are on both sides"):
        compare_methods(runs("a", fids(A)), [*runs("b", fids(B)), *runs("a", fids(A[:1]))])
    other = [record.model_copy(update={"seed": 7}) for record in runs("b", fids(B))]
    with pytest.raises(UsageError, match="differ in seed"):
        compare_methods(runs("a", fids(A)), other)
    lost = [*fids(B[:4]), value("fid", None)]
    found = only(compare_methods(runs("a", fids(A)), runs("b", lost)))
    assert (found.verdict, found.note[:29]) == ("not judged", "1 of 10 runs have no value: t")


def test_from_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for side, values in (("a", A), ("b", B)):
        (tmp_path / side).mkdir()
        for number, record in enumerate(runs(side, fids(values))):
            write_record(record, tmp_path / side / f"{number}.json")
            append_record(record, tmp_path / f"{side}.jsonl")
    new, base = ([f"{side}/{number}.json" for number in range(5)] for side in "ba")
    assert run(["compare", *new, "--against", *base]) == EXIT_INVALID
    out = capsys.readouterr().out
    for words in (
        "9.5 +- 0.",
        "11.88 +- 1.",
        "worse",
        "NEW is worse in fid (5 training runs against 5)",
        "mean +- standard deviation over training runs",
        "the draw of images explains",
    ):
        assert words in out
    assert run(["compare", *base, "--metrics", "fid", "--against", *new]) == EXIT_OK
    assert "NEW is better in fid" in capsys.readouterr().out
    lines = ["compare", "b.jsonl", "--against", "a.jsonl", "--format"]
    assert run([*lines, "json"]) == EXIT_INVALID
    told = json.loads(capsys.readouterr().out)
    assert told["changes"][0]["p_value"] == pytest.approx(
        stats.ttest_ind(A, B, equal_var=False).pvalue
    )
    assert run([*lines, "md", "--out", "comment.md"]) == EXIT_INVALID
    assert "| fid | 9.5 +- 0." in Path("comment.md").read_text()
    capsys.readouterr()
    for wrong, told in (
        ([*new, "--against", base[0]], "BASE has 1 training run"),
        (new, "5 record files: expected BASE and NEW"),
        ([*new, "--against", *base, "--submission", "x"], "leave --submission out"),
        ([*new, "--against", "--format", "md"], "--against needs one or more values after it"),
    ):
        assert run(["compare", *wrong]) == EXIT_USAGE
        assert told in capsys.readouterr().err
    assert run(["compare", base[0], new[0]]) == EXIT_INVALID
    assert "two folders of samples, not two methods" in capsys.readouterr().out


def test_several_values_of_one_option() -> None:
    words = ["a", "--against", "b", "c", "-q", "d", "--against", "e"]
    repeated = ["a", "--against", "b", "--against", "c", "-q", "d", "--against", "e"]
    assert repeat_greedy(words) == repeat_greedy(repeated) == repeated
    with pytest.raises(UsageError, match="--against needs one or more values"):
        repeat_greedy(["a", "--against"])
    assert repeat_greedy(["--against=b", "c"]) == ["--against=b", "c"]
