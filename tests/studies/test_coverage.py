"""The study of the intervals: its populations, its rows and its page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from bench.__main__ import run
from bench.errors import EXIT_NOTHING_FOUND, EXIT_OK
from bench.metrics import METRICS
from bench.metrics.frechet import frechet_distance
from bench.plots import new_figure
from bench.plots.coverage import plot_coverage
from bench.statistics.moments import Moments
from bench.studies import coverage
from bench.studies.coverage import (
    FastKernelDistance,
    bootstrap,
    drawn,
    measure,
    run_study,
    summary,
    truths,
)
from bench.studies.coverage_populations import Population, digits, gaussian
from bench.studies.coverage_report import accepted, write_report


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def far() -> Population:
    return gaussian(same=False)


@pytest.mark.parametrize("make", [gaussian, digits])
@pytest.mark.parametrize("same", [False, True])
def test_moments_are_those_of_many_draws(make, same):
    population = make(same=same)
    many = Moments.of(population.draw(np.random.default_rng(3), 40_000))
    apart = frechet_distance(many, population.moments).value
    # FID of n draws of one distribution with D features is at most about D (D + 5) / (4 n) of
    # the largest variance
    assert apart < 0.05
    distance = frechet_distance(population.reference.real_moments, population.moments).value
    if same:
        assert distance == pytest.approx(0, abs=1e-5)
    else:
        assert distance > 1


def test_one_digit_is_as_rare_as_a_covered_class_may_be():
    population = digits(same=False)
    p = population.probabilities_of_many(0)
    shares = np.bincount(p.argmax(axis=1), minlength=10) / len(p)
    ratio = shares / population.reference.real_class_shares
    assert ratio.min() == pytest.approx(0.1, abs=0.03)
    assert np.sort(ratio)[1] > 0.2


def test_logits_of_the_classifier_are_found_again():
    population = digits(same=True)
    # real digits are classified nearly without a doubt
    p = population.classify(population.reference.held_out_features)
    assert p.max(axis=1).mean() > 0.98


@pytest.mark.parametrize("n", [400, 1200])
def test_fast_kernel_distance_is_the_metric(far, n):
    inputs = drawn(far, far.draw(np.random.default_rng(0), n))
    fast = FastKernelDistance(far.reference, n)(inputs)
    metric = METRICS["kid_poly3"].compute(inputs)
    assert fast.value == pytest.approx(metric.value, rel=1e-5)
    assert fast.spread == pytest.approx(metric.spread, rel=1e-4)
    assert fast.details == metric.details


def test_known_truths(far):
    known = truths(far)
    mean, variance = far.moments.mean, np.diag(far.moments.covariance())
    # both covariances are diagonal
    expected = (mean**2).sum() + ((np.sqrt(variance) - 1) ** 2).sum()
    assert known["fid"] == pytest.approx(expected, rel=1e-6)
    assert known["modes_covered"] in (9, 10)
    assert truths(gaussian(same=True))["class_kl"] == 0


def test_summary_by_hand():
    # value, estimate, standard error, low, high
    draws = np.array([[3, 2, 0.1, 1, 3], [5, 4, 1.0, 3, 5], [2, 1, 1.0, 0, 1.5]], float)
    found = summary(draws, known=2.0)
    assert found["covered"] == pytest.approx(1 / 3)
    assert found["covered_uncorrected"] == pytest.approx(1 / 3)  # 3 +- 0.2, 5 +- 2, 2 +- 2
    assert found["mean_width"] == pytest.approx(5.5 / 3)
    assert found["truth_is"] == "known"
    of_draws = summary(draws, known=None)
    assert of_draws["truth"] == pytest.approx(7 / 3)


def test_intervals_hold_the_truth_of_means_and_shares(far):
    rows = measure(
        far, 300, draws=120, seed=1, names=("mean_confidence", "class_kl", "inception_score")
    )
    assert [row["metric"] for row in rows] == ["mean_confidence", "class_kl", "inception_score"]
    for row in rows:
        assert row["num"] == 120
        assert row["covered_high"] > 0.92
        assert row["mean_se"] == pytest.approx(row["sd"], rel=0.25)


def test_bootstrap_agrees_for_a_mean(far):
    names = ("mean_confidence",)
    ratio = bootstrap(far, 300, names, FastKernelDistance(far.reference, 300))
    assert ratio["mean_confidence"] == pytest.approx(1, abs=0.35)


def test_study_resumes_and_makes_its_page(tmp_path, monkeypatch, far):
    monkeypatch.setattr(coverage, "SIZES", (110, 130))
    monkeypatch.setattr(coverage, "NEAR_ZERO", ("fid", "class_kl"))
    monkeypatch.setattr(coverage, "populations", lambda _: [gaussian(same=True)])
    run_study(tmp_path, draws=4, seed=2)
    path = tmp_path / "records.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(row["metric"], row["n"]) for row in rows] == [
        ("fid", 110),
        ("class_kl", 110),
        ("fid", 130),
        ("class_kl", 130),
    ]
    before = path.read_bytes()
    path.write_bytes(b"\n".join(before.splitlines()[:2]) + b"\n")  # as if stopped half way
    run_study(tmp_path, draws=4, seed=2)
    assert path.read_bytes() == before
    outside = write_report(tmp_path)
    assert len(outside) == sum(not accepted(row) for row in rows)
    page = (tmp_path / "README.md").read_text()
    assert "--num-draws 4 --seed 2" in page
    assert "| gaussian, same | 110 |" in page
    (tmp_path / "README.md").unlink()
    assert run(["study", "uncertainty", "--out", str(tmp_path), "--render"]) == EXIT_OK
    assert (tmp_path / "README.md").read_text() == page
    # other settings are measured anew
    run_study(tmp_path, draws=3, seed=2)
    assert all(json.loads(line)["draws"] == 3 for line in path.read_text().splitlines())


def test_rendering_without_records(tmp_path: Path) -> None:
    command = ["study", "uncertainty", "--out", str(tmp_path), "--render"]
    assert run(command) == EXIT_NOTHING_FOUND


def test_plot_of_rates():
    ax = plot_coverage(
        ["fid", "kid"],
        {"a": {"fid": (0.95, 0.9, 0.97), "kid": (0.9, 0.88, 0.93)}, "b": {"kid": (1, 0.98, 1)}},
        ax=new_figure(4, 3).subplots(),
        level=0.95,
    )
    points = {line.get_label(): line.get_xdata() for line in ax.lines}
    assert list(points["a"]) == [0.95, 0.9]
    assert list(points["b"]) == [1]
