"""What is refused, what is warned about, and which submissions are paired."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.__main__ import run
from bench.comparing.comparison import compare
from bench.errors import EXIT_USAGE, NothingFoundError, UnknownNameError, UsageError
from bench.records.score_record import ExtractorIdentity, Identity, ScoreRecord
from tests.comparing.made_records import changed, normal, only, scored, value, written
from tests.records.test_score_record import record


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
