"""Sentences about a record state its numbers, most important first."""

from __future__ import annotations

import numpy as np
import pytest

from bench.records.score_record import ScoreValue
from bench.reporting.sources import Exhibits, Scored
from bench.reporting.words import headline, sentences, tone
from tests.records.test_score_record import record, value
from tests.reporting.complete import complete, entry


def said(shares: list[float], real: list[float] | None = None, **update: object) -> list[str]:
    exhibits: Exhibits = {
        "class_shares": np.array(shares),
        "reference_class_shares": np.array(real or [1 / len(shares)] * len(shares)),
    }
    base = record("x", ()).model_copy(update=update)
    submission = base.submission.model_copy(update={"num_images": 10_000})
    scored = Scored(base.model_copy(update={"submission": submission}), exhibits)
    return [sentence.text for sentence in sentences(scored)]


def test_too_many_ones() -> None:
    assert said([0.07, 0.40] + [0.53 / 8] * 8, [0.099, 0.112] + [0.789 / 8] * 8)[0] == (
        "40 % of the images are ones (11 % expected); also twos 6.6 % (9.9 %), threes 6.6 % "
        "(9.9 %), fours 6.6 % (9.9 %), fives 6.6 % (9.9 %), sixes 6.6 % (9.9 %), sevens 6.6 % "
        "(9.9 %), eights 6.6 % (9.9 %), nines 6.6 % (9.9 %) and zeros 7.0 % (9.9 %)."
    )


def test_missing_classes() -> None:
    assert said([0.5, 0.5, 0, 0]) == [
        "There are no twos and threes.",
        "50 % of the images are zeros (25 % expected); also ones 50 % (25 %).",
    ]


def test_right_shares_and_other_classifiers() -> None:
    # 0.26 of 10,000 is 2.3 sd from 0.25: luck
    assert said([0.26, 0.24, 0.25, 0.25]) == ["All 4 classes occur in about the right shares."]
    other = record().extractor.model_copy(update={"name": "mine"})
    assert said([0.7, 0.1, 0.1, 0.1], extractor=other)[0].startswith(
        "70 % of the images are class 0"
    )


def test_a_finding_about_classes_takes_the_place() -> None:
    (one,) = complete(1)
    finding = one.record.findings[1].model_copy(
        update={
            "code": "class-imbalance",
            "message": "classes are uneven: 40 % are ones; 3 % are twos",
        }
    )
    scored = Scored(one.record.model_copy(update={"findings": (finding,)}), one.exhibits)
    texts = [sentence.text for sentence in sentences(scored)]
    assert texts[0] == "40 % are ones; 3 % are twos."
    assert not [text for text in texts if "nines" in text]


def test_errors_come_first_and_information_does_not_come() -> None:
    (one,) = complete(1)
    tones = [sentence.tone for sentence in sentences(one)]
    assert tones[:2] == ["bad", "bad"]
    assert sentences(one)[0].text.startswith("Error about")
    assert tones.count("bad") == 2


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        # expected 0.25; two draws of error 0.1 lie up to 1.96 * 0.1 * sqrt(2) = 0.277 apart
        (entry("fid", 0.52, 0.1), "good"),
        (entry("fid", 0.53, 0.1), "gap"),
        (entry("fid", 0.1, 0.01), "good"),
        (entry("recall_k3", 0.84), "good"),  # within 2 % of 0.85
        (entry("recall_k3", 0.83), "gap"),
        (entry("recall_k3", 0.99, 0.001), "good"),
        (entry("density_k5", 0.99, 0.001), "gap"),
        (entry("density_k5", 0.0, 0.1), "good"),
        (value(number=None, reason="few"), "note"),
    ],
)
def test_tone(given: ScoreValue, expected: str) -> None:
    assert tone(given) == expected


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            value(number=12.0).model_copy(update={"expected": None}),
            "The distance to real images (FID) is 12; lower is better.",
        ),
        (
            value(number=12.0),
            "The distance to real images (FID) is 12; the same number of real images would score "
            "0.2.",
        ),
        (
            entry("precision_k3", 0.721),
            "72 % of the images look real; 85 % of real test images do.",
        ),
        (
            entry("anomaly_auc", 0.9),
            "A detector of unusual images finds these stranger than real ones in 90 % of the "
            "pairs; 50 % is perfect.",
        ),
    ],
)
def test_the_sentence_of_a_metric(given: ScoreValue, text: str) -> None:
    assert [one.text for one in sentences(Scored(record("x", (given,)), {}))] == [text]


def test_a_metric_that_is_not_installed_here_has_no_sentence() -> None:
    foreign = value("of-another-package", 1.0)
    assert sentences(Scored(record("x", (foreign,)), {})) == []


def test_absent_values_and_headlines() -> None:
    few = value(number=None, reason="few")
    empty = record("x", (few,))
    (only,) = sentences(Scored(empty, {}))
    assert only.text == "No value for fid: the table below says why."
    assert headline(empty) == "no metric has a value"
    assert headline(record()) == "fid 1.5 (perfect 0.2)"


def test_a_hint_is_given_for_a_gap_only() -> None:
    short, fine = entry("recall_k3", 0.4, 0.01), entry("recall_k3", 0.9, 0.01)
    for given, hint in ((short, "Look for kinds of real images"), (fine, "")):
        (one,) = sentences(Scored(record("x", (given,)), {}))
        assert one.hint.startswith(hint)
        assert bool(one.hint) == bool(hint)


def test_gaps_come_before_what_is_as_good_as_real() -> None:
    values = (entry("precision_k3", 0.9, 0.01), entry("recall_k3", 0.4, 0.01))
    found = sentences(Scored(record("x", values), {}))
    assert [one.tone for one in found] == ["gap", "good"]
