"""How often do the intervals of the metrics hold the true value?

Images are drawn many times from known populations. For each draw, every metric and its interval
are computed, and the intervals that hold the true value are counted.

- The truth is known for the Fréchet distances, from the moments of the population.
- For class_kl, modes_covered and mean_confidence it comes from 200,000 images.
- For KID it is at least zero, as a distance between distributions is.
- For the other metrics it is the expectation at this number of images, estimated by the mean over
  the draws. That mean shares 1/400 of the variance with each of 400 draws, which raises the rate
  slightly.

KID is computed on the same subsets as `kid_poly3`, but from kernel matrices that are kept in
memory, in a tenth of the time.

Shape legend: N images, S subsets, M images of a subset.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.metrics import METRICS, OWN_METRICS
from bench.metrics.base import MetricInputs, MetricValue, UndefinedMetric
from bench.metrics.class_coverage import class_kl, modes_covered
from bench.metrics.frechet import frechet_distance
from bench.metrics.kid import SUBSET_SIZE, SUBSETS
from bench.runtime.progress import Progress
from bench.statistics.intervals import Z, wilson
from bench.studies.coverage_populations import Population, populations
from bench.studies.study_folder import RECORDS, Row, read_rows, write_rows

SIZES = (1000, 2500)
FRECHET = ("fid", "fid_infinity")
TWIN = "fid_test"  # omitted: `fid` against other moments, with the same interval
MEASURED = tuple(metric for metric in OWN_METRICS if metric.name != TWIN)
# distances, which are also measured where they are zero
NEAR_ZERO = tuple(metric.name for metric in MEASURED if metric.direction == "lower")
SEED_OF_MANY = 10**6
RESAMPLES = 50

Results = dict[str, list[tuple[float, ...]]]  # value, estimate, standard error, low, high


def run_study(
    out: Path,
    *,
    draws: int,
    seed: int,
    samples: Path | None = None,
    progress: Progress | None = None,
) -> None:
    """Measure what `out`/records.jsonl does not hold yet, and add it there.

    `samples` are generated images that stand for one more population. Records of another number of
    draws or another seed are replaced.
    """
    settings = {"draws": draws, "seed": seed}
    rows = []
    if (out / RECORDS).is_file():
        rows = [row for row in read_rows(out) if settings.items() <= row.items()]
    done = {(row["population"], row["n"]) for row in rows}
    for population in populations(samples):
        for n in SIZES:
            if (population.name, n) not in done:
                rows += [
                    row | settings
                    for row in measure(population, n, draws=draws, seed=seed, progress=progress)
                ]
                write_rows(out, rows)


def measure(
    population: Population,
    n: int,
    *,
    draws: int,
    seed: int,
    progress: Progress | None = None,
    names: tuple[str, ...] | None = None,
) -> list[Row]:
    """Return one row for each metric: how often its interval holds the truth.

    `names` defaults to all metrics, or to those that have a meaning near zero for a population
    that equals its reference.
    """
    same = population.name.endswith("same")
    names = names or (NEAR_ZERO if same else tuple(metric.name for metric in MEASURED))
    distance = FastKernelDistance(population.reference, n)
    results: Results = {name: [] for name in names}
    for number in range(draws):
        rng = np.random.default_rng([seed, n, number])
        inputs = drawn(population, population.draw(rng, n))
        for name, result in scored(inputs, names, distance):
            results[name].append(result)
        if progress is not None:
            progress(f"{population.name}, {n} images", number + 1, draws)
    resampled = {} if same or n != SIZES[0] else bootstrap(population, n, names, distance)
    known = truths(population)
    return [
        {
            "population": population.name,
            "n": n,
            "metric": name,
            "bootstrap_ratio": resampled.get(name),
            "resamples": RESAMPLES,
            **summary(np.array(results[name]), known.get(name), METRICS[name].least),
        }
        for name in names
        if results[name]
    ]


def drawn(population: Population, f_ND: NDArray[np.float32]) -> MetricInputs:
    """Return what metrics read when the features `f_ND` are scored."""
    return dataclasses.replace(
        population.reference, fake_features=f_ND, fake_probabilities=population.classify(f_ND)
    )


def scored(
    inputs: MetricInputs, names: tuple[str, ...], distance: FastKernelDistance
) -> Iterator[tuple[str, tuple[float, ...]]]:
    """Yield value, estimate, standard error, low and high of each metric that has an interval."""
    for name in names:
        metric = METRICS[name]
        try:
            found = distance(inputs) if name == "kid_poly3" else metric.compute(inputs)
            yield name, (found.value, *metric.interval(inputs, found)[:4])
        except UndefinedMetric:
            continue


def truths(population: Population) -> dict[str, float]:
    """Return the true values that are known for a population, by metric."""
    reference = population.reference
    shares_of_reference = reference.real_class_shares
    assert shares_of_reference is not None  # noqa: S101  (all populations have classes)
    p_NK = population.probabilities_of_many(SEED_OF_MANY)
    shares = np.bincount(p_NK.argmax(axis=1), minlength=p_NK.shape[1]) / len(p_NK)
    zero = population.name.endswith("same")
    distance = frechet_distance(reference.real_moments, population.moments).value
    return {
        **dict.fromkeys(FRECHET, 0.0 if zero else distance),
        "class_kl": 0.0
        if zero
        else class_kl(shares, shares_of_reference, reference.real_moments.n),
        "modes_covered": modes_covered(shares, shares_of_reference),
        "mean_confidence": float(p_NK.max(axis=1).mean()),
    }


def summary(result: NDArray[np.float64], known: float | None, least: float | None = None) -> Row:
    """Return rates and widths; columns are value, estimate, standard error, low and high.

    Without a `known` truth it is the mean of the estimates, or their median where some are limited
    to `least`, which leaves the median as it is.
    """
    value, estimate, error, low, high = result.T
    truth = known
    if truth is None:
        limited = least is not None and bool((estimate <= least).any())
        truth = float(np.median(estimate) if limited else estimate.mean())
    covered = int(((low <= truth) & (truth <= high)).sum())
    plain = int((np.abs(value - truth) <= Z * error).sum())
    share = wilson(covered, len(result))
    return {
        "num": len(result),
        "truth": truth,
        "truth_is": "mean of the draws" if known is None else "known",
        "mean_value": float(value.mean()),
        "mean_estimate": float(estimate.mean()),
        "sd": float(estimate.std(ddof=1)),
        "mean_se": float(np.sqrt((error**2).mean())),
        "mean_width": float((high - low).mean()),
        "covered": covered / len(result),
        "covered_low": share.low,
        "covered_high": share.high,
        "covered_uncorrected": plain / len(result),
    }


def bootstrap(
    population: Population, n: int, names: tuple[str, ...], distance: FastKernelDistance
) -> dict[str, float]:
    """Return standard errors relative to the standard deviation over resamples of one draw."""
    rng = np.random.default_rng(SEED_OF_MANY)
    f_ND = population.draw(rng, n)
    original = dict(scored(drawn(population, f_ND), names, distance))
    values: dict[str, list[float]] = {name: [] for name in original}
    for _ in range(RESAMPLES):
        inputs = drawn(population, f_ND[rng.integers(n, size=n)])
        for name in original:
            compute = distance if name == "kid_poly3" else METRICS[name].compute
            values[name].append(compute(inputs).value)
    deviations = {name: float(np.std(found, ddof=1)) for name, found in values.items()}
    return {
        name: original[name][2] / deviation
        for name, deviation in deviations.items()
        if deviation > 0
    }


class FastKernelDistance:
    """`kid_poly3` of `n` fakes against one reference, computed from kernel matrices.

    The subsets are those of the metric; values agree to 1e-6 of the size of the kernel.
    """

    def __init__(self, reference: MetricInputs, n: int) -> None:
        self.real = reference.real_features.astype(np.float64)
        self.size = min(SUBSET_SIZE, n, len(self.real))
        fake_SN, self.real_SN = _subsets(n, len(self.real), self.size, reference.seed)
        self.one_set = n == self.size  # all subsets of fakes are equal
        self.fake_SN = fake_SN[:1] if self.one_set else fake_SN
        self.of_reals = self._within(self.real, self.real_SN)

    def __call__(self, inputs: MetricInputs) -> MetricValue:
        fake = inputs.fake_features.astype(np.float64)
        within = self._within(fake, self.fake_SN)
        met_SN = self.real_SN @ _kernel(self.real, fake)
        across = np.einsum("sn,sn->s", met_SN, np.broadcast_to(self.fake_SN, met_SN.shape))
        value_S = within + self.of_reals - 2 * across / self.size**2
        return MetricValue(float(value_S.mean()), float(value_S.std()), {"subset_size": self.size})

    def _within(self, f_ND: NDArray[np.float64], member_SN: NDArray[np.float64]) -> Any:
        kernel = _kernel(f_ND, f_ND)
        np.fill_diagonal(kernel, 0)
        total = np.einsum("sn,sn->s", member_SN @ kernel, member_SN)
        return total / (self.size * (self.size - 1))


def _kernel(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    t = x @ y.T
    t /= x.shape[1]
    return np.asarray(t * (t * (t + 3) + 3))


@cache
def _subsets(
    n_fake: int, n_real: int, size: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the members of each subset as 0 and 1, S,N, drawn as in `bench.metrics.kid`."""
    rng = np.random.RandomState(seed)
    fake, real = np.zeros((SUBSETS, n_fake)), np.zeros((SUBSETS, n_real))
    for number in range(SUBSETS):
        for side in (fake, real):
            side[number, rng.choice(side.shape[1], size, replace=False)] = 1
    return fake, real
