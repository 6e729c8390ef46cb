"""Comparing records: what is found, what luck does, what is refused, how it is told."""

from __future__ import annotations

import html
import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

import bench
from bench.__main__ import run
from bench.comparing.comparison import Comparison, compare
from bench.comparing.views import escaped, headline, markdown, print_comparison
from bench.errors import (
    EXIT_INVALID,
    EXIT_OK,
    EXIT_USAGE,
    NothingFoundError,
    UnknownNameError,
    UsageError,
)
from bench.records.score_record import (
    ExtractorIdentity,
    Identity,
    IntervalEntry,
    ScoreRecord,
    ScoreValue,
    append_record,
    write_record,
)
from bench.statistics.intervals import Uncertainty, difference, holm, normal_interval, wilson
from tests.records.test_score_record import record

DIRECTIONS = {"fid": "lower", "recall_k3": "higher", "density_k5": "target", "kid_poly3": "lower"}


def value(
    metric: str, number: float | None, interval: Uncertainty | None = None, **more: object
) -> ScoreValue:
    fields = {
        "metric": metric,
        "value": number,
        "reason": None if number is not None else "too few images, got 1",
        "direction": DIRECTIONS.get(metric, "lower"),
        "expected": 1.0 if metric == "density_k5" else None,
        "unit": "x",
        "n_real": 100,
        "n_fake": 1000,
        "interval": None if interval is None else IntervalEntry(**interval._asdict(), level=0.95),
    }
    return ScoreValue.model_validate(fields | more)


def scored(*values: ScoreValue, images: str = "", name: str = "samples") -> ScoreRecord:
    """A record of some images; other `images` are another draw."""
    made = record(name, values)
    digest = (images or "c").ljust(64, "0")
    return made.model_copy(
        update={"submission": made.submission.model_copy(update={"sequence_digest": digest})}
    )


def normal(metric: str, number: float, error: float, **more: object) -> ScoreValue:
    return value(metric, number, normal_interval(number, error, "test"), **more)


def only(comparison: Comparison):
    (change,) = comparison.changes
    return change


# ----------------------------------------------------------------------------------- verdicts


def test_the_same_record_twice_is_no_difference() -> None:
    same = scored(normal("fid", 9.0, 0.1), value("kid_poly3", 1.0), value("prd_f8", None))
    found = compare(same, same)
    assert found.ok
    assert [change.verdict for change in found.changes] == ["no change", "no change", "not judged"]
    assert [change.change for change in found.changes] == [0, 0, None]
    assert found.warnings == ()


@pytest.mark.parametrize(
    ("metric", "before", "after", "verdict"),
    [
        ("fid", 9.0, 9.6, "regression"),
        ("fid", 9.6, 9.0, "improvement"),
        ("fid", 9.0, 9.2, "no change"),  # z = 0.2 / (0.1 sqrt 2) = 1.41
        ("recall_k3", 9.0, 9.6, "improvement"),
        ("recall_k3", 9.6, 9.0, "regression"),
        ("density_k5", 2.0, 2.6, "regression"),  # the target is 1
        ("density_k5", -0.6, 0.0, "improvement"),
        ("density_k5", 1.5, 0.5, "no change"),  # as far from it, on the other side
        ("density_k5", 1.2, 0.0, "regression"),
    ],
)
def test_worse_is_what_the_direction_says(metric, before, after, verdict) -> None:
    base, new = scored(normal(metric, before, 0.1)), scored(normal(metric, after, 0.1), images="d")
    found = only(compare(base, new))
    assert found.verdict == verdict
    assert found.change == pytest.approx(after - before)
    half = 1.959964 * 0.1 * math.sqrt(2)
    assert (found.low, found.high) == pytest.approx((found.change - half, found.change + half))


def test_an_unknown_target_is_not_judged() -> None:
    base = scored(normal("vendi_score", 3.0, 0.1, direction="target"))
    new = scored(normal("vendi_score", 9.0, 0.1, direction="target"), images="d")
    assert only(compare(base, new)).verdict == "not judged"


def test_a_target_is_aimed_at_with_the_bias_that_it_holds() -> None:
    """The value and the expected value carry the same bias; the estimate carries none."""
    biased = [Uncertainty(number - 5, 0.1, number - 5.2, number - 4.8, "t") for number in (6, 7)]
    base, new = (
        scored(value("density_k5", n, u, expected=6.0), images=str(n))
        for n, u in zip((6, 7), biased, strict=True)
    )
    assert only(compare(base, new)).verdict == "regression"
    assert only(compare(new, base)).verdict == "improvement"


@pytest.mark.parametrize(
    ("tolerance", "verdict"),
    [
        ("5%", "regression"),  # 0.6 of 9.0 is 6.7 %
        ("7%", "no change"),
        ("fid=7%", "no change"),
        ("kid_poly3=7%", "regression"),
        ("0.59", "regression"),
        (0.61, "no change"),
        ({"fid": "7%"}, "no change"),
        ("7%,fid=1%", "regression"),
    ],
)
def test_tolerance(tolerance, verdict) -> None:
    kid = normal("kid_poly3", 1.0, 0.1)
    base = scored(normal("fid", 9.0, 0.1), kid)
    new = scored(normal("fid", 9.6, 0.1), kid, images="d")
    assert compare(base, new, tolerance=tolerance).changes[0].verdict == verdict


@pytest.mark.parametrize("tolerance", ["x", "-1%", "nan", "fid=", "inf%"])
def test_tolerances_that_are_none(tolerance) -> None:
    with pytest.raises(UsageError, match="expected a number of 0 or more"):
        compare(record(), record(), tolerance=tolerance)
    with pytest.raises(UnknownNameError, match="Did you mean 'fid'"):
        compare(record(), record(), tolerance="fdi=2%")


def test_holm_over_all_metrics() -> None:
    """One z of 2.1 (p 0.036) among five metrics is luck; alone it is not."""
    shift = 2.1 * 0.1 * math.sqrt(2)
    names = ["a", "b", "c", "d", "e"]
    base = scored(*(normal(name, 1.0, 0.1) for name in names))
    moved = [normal(name, 1.0 + (shift if name == "a" else 0), 0.1) for name in names]
    new = scored(*moved, images="d")
    assert compare(base, new).ok
    assert compare(base, new).changes[0].p_value == pytest.approx(5 * 0.0357, rel=0.01)
    assert not compare(base, new, metrics="a").ok


def test_a_metric_that_lost_its_value_is_a_regression() -> None:
    base, new = scored(value("fid", 1.0)), scored(value("fid", None))
    found = only(compare(base, new))
    assert (found.verdict, found.note) == ("regression", "lost its value: too few images, got 1")
    assert only(compare(new, base)).verdict == "improvement"


def test_without_intervals_the_tolerance_decides_alone() -> None:
    base, new = scored(value("fid", 100.0)), scored(value("fid", 101.0), images="d")
    found = only(compare(base, new))
    assert (found.verdict, found.note) == ("not judged", "no interval and no tolerance")
    found = only(compare(base, new, tolerance="0.5%"))
    assert (found.verdict, found.note) == ("regression", "no interval: the tolerance alone decides")
    assert only(compare(base, new, tolerance="2%")).verdict == "no change"
    half = scored(normal("fid", 100.0, 0.1))
    assert only(compare(half, new, tolerance="0.5%")).p_value is None


def test_of_the_same_images_every_change_counts_but_rounding() -> None:
    base = scored(normal("fid", 9.0, 1.0))
    assert only(compare(base, scored(normal("fid", 9.0 + 1e-7, 1.0)))).verdict == "no change"
    found = only(compare(base, scored(normal("fid", 9.001, 1.0))))
    assert (found.verdict, found.note) == ("regression", "same images, no draw")
    assert compare(base, scored(normal("fid", 9.001, 1.0)), tolerance="1%").ok


# -------------------------------------------------------------------------------- differences


@pytest.mark.parametrize(
    ("new", "base", "low", "high"),
    [  # Newcombe 1998, table II, method 10
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((10, 10), (0, 10), 0.6075, 1.0),
        ((0, 10), (0, 10), -0.2775, 0.2775),
    ],
)
def test_differences_of_shares_are_newcombes(new, base, low, high) -> None:
    found = difference(wilson(*base), wilson(*new))
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-4)
    assert (found.p_value < 0.05) == (low > 0)


def test_differences_of_symmetric_intervals_add_variances() -> None:
    found = difference(normal_interval(1.0, 0.3, "a"), normal_interval(2.0, 0.4, "b"))
    half = 1.959964 * 0.5
    assert found[:3] == pytest.approx((1, 1 - half, 1 + half))
    assert found.p_value == pytest.approx(2 * norm.sf(1 / 0.5))


def test_a_difference_without_width_is_certain() -> None:
    one, two = normal_interval(1.0, 0.0, ""), normal_interval(2.0, 0.0, "")
    assert difference(one, two).p_value == 0
    assert difference(one, one).p_value == 1


def test_holm_by_hand() -> None:
    # sorted .01 .03 .04 -> 3 * .01, 2 * .03, then .04 is raised to the .06 before it
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


# --------------------------------------------------------------------------------- simulation


def drawn(rng: np.random.Generator, shift: float = 0.0) -> ScoreRecord:
    """Six metrics of 500 images of one generator: shares near 0 and 1, normals, a target."""
    hits = rng.binomial(500, [0.5, 0.03, 0.995])
    shares = [
        value(f"share_{k}", n / 500, wilson(int(n), 500), direction="higher")
        for k, n in enumerate(hits)
    ]
    normals = [
        normal("fid", rng.normal(9 + shift, 0.1), 0.1),
        normal("kid_poly3", rng.normal(0, 1e-4), 1e-4),
        normal("density_k5", rng.normal(1, 0.05), 0.05),
    ]
    return scored(*shares, *normals, images=f"{rng.integers(2**60)}")


def test_type_one_error_and_power() -> None:
    rng = np.random.default_rng(0)
    num = 1500
    wrong = sum(not compare(drawn(rng), drawn(rng)).ok for _ in range(num))
    # one-sided at 2.5 % of a family: at most 5 % with three standard errors of the simulation
    assert 0.005 <= wrong / num <= 0.05
    found = [compare(drawn(rng), drawn(rng, shift=0.7)) for _ in range(100)]  # 4.9 errors
    hits = sum("fid" in [change.metric for change in each.regressions] for each in found)
    assert hits >= 95  # the power against a corrected level of 0.05 / 6 is 0.99


@given(
    hits=st.lists(st.integers(0, 40), min_size=2, max_size=2),
    shift=st.floats(-5, 5),
    error=st.floats(0, 3),
)
def test_swapping_the_sides_swaps_the_verdict(hits, shift, error) -> None:
    opposite = {"regression": "improvement", "improvement": "regression"}
    records = [
        scored(value("recall_k3", n / 40, wilson(n, 40)), normal("fid", mean, error), images=side)
        for n, mean, side in zip(hits, (0.0, shift), "ab", strict=True)
    ]
    forth, back = compare(*records).changes, compare(*reversed(records)).changes
    for one, other in zip(forth, back, strict=True):
        assert other.verdict == opposite.get(one.verdict, one.verdict)
        assert other.p_value == pytest.approx(one.p_value)
        assert other.change == pytest.approx(-one.change)
        assert (other.low, other.high) == pytest.approx((-one.high, -one.low))
        assert 0 <= one.p_value <= 1


# ----------------------------------------------------------------------------------- refusals


def changed(**update: object) -> ScoreRecord:
    return record().model_copy(update=update)


@pytest.mark.parametrize(
    ("new", "words"),
    [
        (changed(reference=Identity(name="mnist", digest="0" * 64)), "reference (mnist:dddddddd"),
        (
            changed(extractor=ExtractorIdentity(name="digits", digest="0" * 64)),
            "extractor (digits:eeeeeeee in BASE, digits:00000000 in NEW)",
        ),
        (
            changed(
                extractor=ExtractorIdentity(
                    name="digits", digest="e" * 64, settings={"precision": "fp16"}
                )
            ),
            "precision (None in BASE, fp16 in NEW)",
        ),
        (changed(seed=7), "seed (2020 in BASE, 7 in NEW)"),
        (changed(subset=5), "subset (None in BASE, 5 in NEW)"),
        (changed(official=False), "official (True in BASE, False in NEW)"),
        (
            changed(submission=record().submission.model_copy(update={"resize": "8x8"})),
            "resize (None in BASE, 8x8 in NEW)",
        ),
        (
            changed(values=(record().values[0].model_copy(update={"constants": {"k": 4}}),)),
            "the definition of fid ({}, {'k': 4})",
        ),
    ],
)
def test_other_protocols_are_refused(
    new: ScoreRecord, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError) as refused:
        compare(record(), new)
    assert words in str(refused.value)
    assert run(["compare", *written(tmp_path, record(), new)]) == EXIT_USAGE
    assert "cannot be compared" in capsys.readouterr().err


def test_other_numbers_of_images() -> None:
    base = scored(normal("fid", 9.0, 0.1), normal("kid_poly3", 1.0, 0.1))
    new = scored(
        normal("fid", 9.0, 0.1, n_fake=5000), normal("kid_poly3", 1.0, 0.1, n_fake=5000), images="d"
    )
    with pytest.raises(UsageError, match=r"fid depend on their number.*--allow-other-size"):
        compare(base, new)
    assert compare(base, new, metrics="kid_poly3").warnings == ()
    (warning,) = compare(base, new, allow_other_size=True).warnings
    assert "fid depend on their number" in warning


def test_a_metric_that_is_not_installed_here_is_compared_as_depending_on_the_number() -> None:
    base, same = (scored(normal("foreign", 9.0, 0.1)), scored(normal("foreign", 9.0, 0.1)))
    assert compare(base, same).changes[0].verdict == "no change"
    other = scored(normal("foreign", 9.0, 0.1, n_fake=5000), images="d")
    with pytest.raises(UsageError, match="foreign depend on their number"):
        compare(base, other)


def test_other_code_is_a_warning() -> None:
    new = changed(
        code=Identity(name="0.2.0", digest="9" * 64), libraries={"torch": "3"}, device="cuda"
    )
    warnings = " | ".join(compare(record(), new).warnings)
    assert "different code: 0.1.0:ffffffff and 0.2.0:99999999" in warnings
    assert "different libraries: torch 2 and 3" in warnings
    assert "different devices: cpu and cuda" in warnings


def test_metrics_of_one_side_only() -> None:
    base = scored(value("fid", 1.0), value("kid_poly3", 1.0))
    new = scored(value("fid", 1.0), value("recall_k3", 1.0))
    found = compare(base, new)
    assert [change.metric for change in found.changes] == ["fid"]
    assert found.warnings == (
        "in BASE only, not compared: kid_poly3",
        "in NEW only, not compared: recall_k3",
    )
    with pytest.raises(UnknownNameError, match="'kid_poly3'"):
        compare(base, new, metrics=["fid", "kid_poly3"])
    with pytest.raises(UsageError, match="no metric in common"):
        compare(base, scored(value("recall_k3", 1.0)))
    with pytest.raises(UsageError, match="no metric is named"):
        compare(base, new, metrics=[])


# ------------------------------------------------------------------------- several submissions


def test_the_last_record_of_each_submission_counts() -> None:
    def of(name: str, number: float, images: str) -> ScoreRecord:
        return scored(normal("fid", number, 0.1), name=name, images=images)

    base = [of("a", 50.0, "1"), of("b", 5.0, "2"), of("a", 4.0, "3")]
    new = [of("b", 5.1, "4"), of("a", 9.0, "5"), of("c", 1.0, "6")]
    found = compare(base, new)
    assert [(c.submission, c.base, c.verdict) for c in found.changes] == [
        ("a", 4.0, "regression"),
        ("b", 5.0, "no change"),
    ]
    assert found.added == ("c",)
    assert not compare(new, base).ok  # c is gone
    assert compare(new, base).missing == ("c",)
    assert compare(new, base, submission="a").ok
    with pytest.raises(UnknownNameError, match="unknown submission 'd'"):
        compare(base, new, submission="d")
    with pytest.raises(UsageError, match="no submission is in both: BASE holds a, b; NEW holds c"):
        compare(base, new[2:])
    with pytest.raises(NothingFoundError, match="no records to compare"):
        compare([], new)


def test_one_submission_a_side_may_be_renamed() -> None:
    base, new = scored(value("fid", 1.0), name="old"), scored(value("fid", 1.0), name="new")
    assert only(compare(base, new)).submission == "old -> new"


def test_protocols_of_one_submission_are_kept_apart() -> None:
    def of(protocol: str, number: float) -> ScoreRecord:
        extractor = ExtractorIdentity(name="i", digest="e" * 64, settings={"protocol": protocol})
        made = scored(value("fid", number))
        return made.model_copy(update={"extractor": extractor})

    found = compare([of("x", 1.0), of("y", 2.0)], [of("y", 2.0), of("x", 1.0)])
    assert [(c.submission, c.change) for c in found.changes] == [
        ("samples (i x)", 0),
        ("samples (i y)", 0),
    ]


# ------------------------------------------------------------------------------- what is told


HOSTILE = "a|b`c`<img src=x>@user [x](http://evil.example)\n# big ![i](u) &amp; *b* www.x.de"


def written(folder: Path, base: ScoreRecord, new: ScoreRecord) -> list[str]:
    for name, each in (("base.json", base), ("new.json", new)):
        write_record(each, folder / name)
    return [str(folder / "base.json"), str(folder / "new.json")]


def pair_of(name: str = "samples") -> tuple[ScoreRecord, ScoreRecord]:
    base = scored(normal("fid", 9.0, 0.1), value("prd_f8", 0.5), name=name)
    new = scored(normal("fid", 9.6, 0.1), value("prd_f8", 0.4), name=name, images="d")
    return base, new


def test_exit_codes_and_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = written(tmp_path, *pair_of())
    assert run(["compare", *files]) == EXIT_INVALID
    out = capsys.readouterr().out
    for words in ("fid", "+0.6", "0.3228 to 0.8772", "regression", "1 regression (fid), 1 value"):
        assert words in out
    assert "prd_f8: no interval and no tolerance" in out
    assert run(["compare", *reversed(files)]) == EXIT_OK
    assert "no regression" in capsys.readouterr().out
    assert run(["compare", *files, "--tolerance", "fid=7%"]) == EXIT_OK
    assert run(["compare", *files, "--metrics", "prd_f8"]) == EXIT_OK
    assert run(["compare", files[0], files[0]]) == EXIT_OK
    capsys.readouterr()
    for wrong in (
        ["compare", *files, "--metrics", "nothing"],
        ["compare", *files, "--tolerance", "x"],
        ["compare", *files, "--format", "html"],
        ["compare", *files, "--out", str(tmp_path / "base.json" / "x")],
        ["compare", "absent.json", files[0]],
        ["compare", files[0], __file__],
        ["compare", files[0]],
    ):
        assert run(wrong) == EXIT_USAGE
        assert "Traceback" not in capsys.readouterr().err


def test_jsonl_and_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base, new = pair_of()
    for name, each in (("base", base), ("new", base), ("new", new)):
        append_record(each, tmp_path / f"{name}.jsonl")
    files = [str(tmp_path / f"{name}.jsonl") for name in ("base", "new")]
    for form in ("text", "md", "json"):
        page = tmp_path / f"page.{form}"
        assert run(["compare", *files, "--format", form, "--out", str(page)]) == EXIT_INVALID
        assert capsys.readouterr().out == "1 regression (fid), 1 value judged\n"
        assert "regression" in page.read_text()


def test_json_is_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = written(tmp_path, *pair_of(HOSTILE))
    assert run(["compare", *files, "--format", "json"]) == EXIT_INVALID
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is False
    fid = told["changes"][0]
    assert (fid["metric"], fid["verdict"], fid["base"], fid["new"]) == ("fid", "regression", 9, 9.6)
    assert fid["p_value"] == pytest.approx(2.2e-5, rel=0.01)  # 2 sf(0.6 / (0.1 sqrt 2) = 4.243)
    assert told["signatures"] == [[each.signature for each in pair_of(HOSTILE)]]


def test_markdown_escapes_what_comes_from_outside() -> None:
    pairs = [pair_of(HOSTILE), pair_of("b")]
    page = markdown(compare(*([pair[side] for pair in pairs] for side in (0, 1))))
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 4
    assert len({row.count("|") for row in rows}) == 1
    for char in "`<@[*!":
        ours = ("**regression**", "< 0.0001")
        assert all(char not in row.replace(ours[0], "").replace(ours[1], "") for row in rows[2:])
    assert "<img" not in page
    assert "http:" not in page
    assert "&#124;" in page


@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from("_.:a1 |\n`*<&@["))))
def test_escaped_text_holds_no_markup(text: str) -> None:
    found = escaped(text)
    bare = re.sub(r"&#\d+;", "", found)
    assert all(char.isalnum() or char in " ,()=-_.:" for char in bare)
    assert not re.search(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|(?<!\d)\.|:(?! )", found)


def test_escaped_text_reads_as_it_was() -> None:
    assert html.unescape(escaped(HOSTILE)) == " ".join(HOSTILE.split())
    assert escaped("fid_infinity: 1.5 (0.1.0)") == "fid_infinity: 1.5 (0.1.0)"


@pytest.mark.parametrize("width", [80, 140])
def test_the_table_fits_the_terminal(width: int, capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    base = scored(normal("inception_score", -1.2345e-5, 1e-7), normal("fid", 12345.678, 0.1))
    new = scored(normal("inception_score", 9.8765, 1e-7), normal("fid", 12.6, 0.1), images="d")
    comparison = compare(base, new)
    print_comparison(comparison, Console(width=width))
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= width
    for words in ("inception_score", "-1.234e-05", "regression", "improvement", "< 0.0001"):
        assert words in out
    assert ("95 % interval" in out) == (width == 140)


def test_public_names() -> None:
    assert bench.compare is compare
    assert bench.Comparison is Comparison
    assert headline(bench.compare(record(), record())) == "no regression, 1 value judged"
