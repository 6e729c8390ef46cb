"""What the page says of simple and deep detectors, from rows whose differences are known."""

from __future__ import annotations

from typing import Any

from bench.anomaly.benchmark.sentences import sentences

Row = dict[str, Any]


def mean(
    name: str, auc: float, seconds: float, *, trains: bool = False, labels: str = "none"
) -> Row:
    return {
        "kind": "mean",
        "detector": name,
        "budget": "cpu" if trains else "published",
        "extractor": "",
        "auc": auc,
        "low": auc - 0.01,
        "high": auc + 0.01,
        "trains": trains,
        "labels": labels,
        "fit_s": seconds - 1,
        "score_s": 1.0,
    }


def pair(first: str, second: str, estimate: float, p: float = 0.001) -> Row:
    return {
        "first": first,
        "second": second,
        "estimate": estimate,
        "low": estimate - 0.005,
        "high": estimate + 0.005,
        "p_adjusted": p,
    }


HOG, PIXELS, PCA = mean("knn-hog", 0.99, 4), mean("knn-pixels", 0.95, 2), mean("pca", 0.93, 9)
DEEP = mean("ae-conv", 0.94, 20, trains=True)
NAME = "ae-conv (cpu budget)"


def told(pairs: list[Row], *means: Row) -> list[str]:
    return sentences("elsewhere", sorted(means, key=lambda row: -row["auc"]), pairs)


def test_the_best_and_the_cheapest_that_beat_a_network_with_difference_and_costs() -> None:
    pairs = [
        pair(NAME, "knn-hog", 0.05),
        pair(NAME, "knn-pixels", 0.01),
        pair("pca", NAME, 0.01),
    ]
    assert told(pairs, HOG, PIXELS, PCA, DEEP) == [
        "The best detector without labels is `knn-hog`: 99.00 [98.00, 100.00].",
        "`knn-hog` beats `ae-conv` (cpu budget) by 5.00 points [4.50, 5.50], at 4 s a class "
        "against 20 s; the cheapest that beats it is `knn-pixels`, by 1.00 points [0.50, 1.50], at "
        "2 s.",
    ]


def test_others_that_beat_it_are_named() -> None:
    pairs = [pair(NAME, name, 0.02) for name in ("knn-hog", "knn-pixels", "pca")]
    (_, sentence) = told(pairs, HOG, PIXELS, PCA, DEEP)
    assert sentence.endswith("at 2 s; so does `pca`.")


def test_a_difference_that_may_be_chance_is_no_victory() -> None:
    """The closest is named with its difference, from the side of the simple detector."""
    pairs = [pair(NAME, "knn-hog", 0.001, p=0.2), pair("knn-pixels", NAME, 0.02)]
    (_, sentence) = told(pairs, HOG, PIXELS, DEEP)
    assert sentence == (
        "No detector without training significantly beats `ae-conv` (cpu budget) (20 s a class); "
        "the "
        "closest is `knn-hog`, 0.10 points [-0.40, 0.60] (4 s)."
    )
    (_, sentence) = told([pair("knn-pixels", NAME, 0.02)], PIXELS, DEEP)
    assert "the closest is `knn-pixels`, -2.00 points [-2.50, -1.50] (2 s)" in sentence


def test_what_was_not_compared_is_said() -> None:
    (_, sentence) = told([pair(NAME, "knn-hog", 0.05)], HOG, PIXELS, PCA, DEEP)
    assert sentence.startswith("`knn-hog` beats `ae-conv` (cpu budget) by 5.00 points")
    assert sentence.endswith("not compared with `knn-pixels`, `pca`: they were not in one run.")
    (_, sentence) = told([], PIXELS, DEEP)
    assert sentence == (
        "`ae-conv` (cpu budget) (20 s a class). It was not compared with `knn-pixels`: they were "
        "not in one run."
    )


def test_what_has_seen_labels_beats_nobody() -> None:
    oracle = mean("oc-svm-oracle", 0.999, 1, labels="test")
    found = told([pair(NAME, "oc-svm-oracle", 0.06)], oracle, DEEP)
    assert found == [
        "The best detector without labels is `ae-conv` (cpu budget): 94.00 [93.00, 95.00]."
    ]
