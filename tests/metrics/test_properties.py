"""The property table: how every metric behaves, checked for all of them, on the same inputs.

A metric that is not classified here fails `test_every_metric_is_classified`. Features are
multiples of 1/256 below 64, so that the shift by 8 and the scale by 4 are exact in float32 and
whatever changes is the metric's doing.

Shape legend: N images, D features, K classes.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from threadpoolctl import threadpool_limits

from bench.metrics import METRICS, OWN_METRICS
from bench.metrics.base import MetricInputs, MetricValue, Sizes, UndefinedMetric
from bench.statistics.moments import Moments

D, K = 6, 4
SHIFT, SCALE = 8.0, 4.0
ROUNDING = 1e-7  # relative; kid_poly3 has float32 products, the others are nearer 1e-12


@dataclass(frozen=True, kw_only=True)
class Properties:
    """What is asserted of one metric.

    `identity`: least and largest value when the folder is the reference itself. `symmetric`: the
    value stays when real and fake change places. `order`: under another order of the folder's
    images the value is the same to the bit, to rounding, or another draw of a seeded choice that
    stays within `noise`. `shift`, `scale`: what adding 8 to all features, resp. multiplying them
    by 4, does ("squared": the value grows by 16; "unread": the metric reads no features).
    `min_images`: the smallest folder that has a value.
    """

    identity: tuple[float, float]
    symmetric: bool = False
    order: Literal["exact", "rounding", "seeded"] = "rounding"
    noise: float = 0.0
    shift: Literal["invariant", "changes", "unread"] = "invariant"
    scale: Literal["invariant", "squared", "changes", "unread"] = "invariant"
    min_images: int = 1


TABLE = {
    "fid": Properties(identity=(0, 1e-6), symmetric=True, scale="squared", min_images=2),
    "fid_infinity": Properties(
        identity=(-3, 0), order="seeded", noise=5, scale="squared", min_images=30
    ),  # FID_N = 0 at the full size, positive before it: the line meets 1/N = 0 below zero
    "inception_score": Properties(
        identity=(1, K), order="seeded", noise=0.4, shift="unread", scale="unread", min_images=10
    ),
    "kid_poly3": Properties(  # below 0: the diagonal is left out within, not between, the sets
        identity=(-200, 0), symmetric=True, shift="changes", scale="changes", min_images=2
    ),  # up to 1,000 images the subset is the folder; above, the order decides who is drawn
    "precision_k3": Properties(identity=(1, 1), order="exact"),
    "recall_k3": Properties(identity=(1, 1), order="exact", min_images=4),
    "density_k5": Properties(identity=(1, 1)),  # a ball holds its centre and 4 of 5 neighbours
    "coverage_k5": Properties(identity=(1, 1), order="exact"),
    "prd_f8": Properties(identity=(1 - 1e-9, 1), order="seeded", noise=0.05, min_images=20),
    "prd_f1_8": Properties(identity=(1 - 1e-9, 1), order="seeded", noise=0.05, min_images=20),
    "modes_covered": Properties(identity=(K, K), order="exact", shift="unread", scale="unread"),
    "class_kl": Properties(identity=(0, 1e-3), order="exact", shift="unread", scale="unread"),
    "mean_confidence": Properties(identity=(1 / K, 1), shift="unread", scale="unread"),
    "vendi_score": Properties(identity=(1, D), shift="changes"),
    "anomaly_auc": Properties(identity=(0, 0.55)),  # each image is its own nearest neighbour
    "authenticity": Properties(identity=(0, 0), order="exact"),  # copies, every one
    "ct_score": Properties(identity=(-40, -3), min_images=29),  # 20 of them in one cell
    "fid_test": Properties(identity=(0, 5), scale="squared", min_images=2),
}

every_metric = pytest.mark.parametrize("name", sorted(TABLE))


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Small problems crawl on several threads when other jobs share the cores."""
    with threadpool_limits(1):
        yield


# ------------------------------------------------------------------------------------- inputs


def on_grid(x_ND: np.ndarray) -> np.ndarray:
    return (np.round(x_ND * 256) / 256).astype(np.float32)


def sample(seed: int, n: int, weights: tuple[float, ...] = (1, 1, 1, 1), spread: float = 1.0):
    """`n` images around K centres that do not depend on the seed, in shares as `weights`."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((K, D)) * 3
    bounds = np.cumsum(weights) / sum(weights)
    which = rng.permutation(np.searchsorted(bounds, (np.arange(n) + 0.5) / n))
    return on_grid(centres[which] + spread * rng.standard_normal((n, D)))


def probabilities(f_ND: np.ndarray) -> np.ndarray:
    """A fixed classifier by distance to the centres."""
    centres = np.random.default_rng(99).standard_normal((K, D)) * 3
    logits = -((f_ND[:, None].astype(float) - centres) ** 2).sum(axis=2) / 8
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exp / exp.sum(axis=1, keepdims=True)


def inputs_of(real: np.ndarray, fake: np.ndarray, held_out: np.ndarray | None = None):
    shares = np.bincount(probabilities(real).argmax(axis=1), minlength=K) / len(real)
    return MetricInputs(
        fake_features=fake,
        fake_probabilities=probabilities(fake),
        real_features=real,
        real_moments=Moments.of(real),
        real_class_shares=shares,
        held_out_features=sample(7, 100) if held_out is None else held_out,
    )


def typical(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """200 real images, and 150 fakes that favour a class, nearly miss another (3 images, under 10 %
    of its share) and spread less.
    """
    return sample(seed, 200), sample(seed + 1000, 150, weights=(50, 30, 18, 2), spread=0.8)


def value(name: str, inputs: MetricInputs) -> float:
    return METRICS[name].compute(inputs).value


def assert_finite(result: MetricValue) -> None:
    assert math.isfinite(result.value)
    assert result.spread is None or math.isfinite(result.spread)
    for detail in result.details.values():
        if not isinstance(detail, str):
            assert np.isfinite(detail).all()


# ---------------------------------------------------------------------------------- the table


def test_every_metric_is_classified():
    assert sorted(TABLE) == sorted(metric.name for metric in OWN_METRICS)


@every_metric
def test_row_is_complete(name):
    metric = METRICS[name]
    assert metric.name == name
    assert not metric.meaning.endswith(".")
    assert metric.uncertainty is not None
    if metric.expected is not None:
        assert math.isfinite(metric.expected(Sizes(10_000, 2_000)))
    if metric.saying is not None:
        for text in metric.saying[:2]:
            text.format(value="1", expected="2")
    assert metric.diversity is None or metric.diversity in METRICS


@every_metric
def test_uses_names_the_shared_work_that_is_done(name):
    inputs = inputs_of(*typical())
    METRICS[name].compute(inputs)
    done = {"neighbours", "prd"} & set(vars(inputs))
    assert done == METRICS[name].uses


# ---------------------------------------------------------------------------------- properties


@every_metric
def test_identity(name):
    low, high = TABLE[name].identity
    for seed in range(3):
        real = sample(seed, 200)
        got = value(name, inputs_of(real, real))
        assert low - 1e-12 <= got <= high + 1e-12


@every_metric
def test_symmetry(name):
    real, fake = typical()
    real = real[: len(fake)]  # so that neither side is thinned at random
    forth = value(name, inputs_of(real, fake))
    back = value(name, inputs_of(fake, real))
    if TABLE[name].symmetric:
        assert back == pytest.approx(forth, rel=ROUNDING)
    else:
        assert back != pytest.approx(forth, rel=1e-3)


@every_metric
@settings(deadline=None, max_examples=5)
@given(seed=st.integers(0, 2**20))
def test_order_of_images(name, seed):
    real, fake = typical(seed)
    before = value(name, inputs_of(real, fake))
    order = np.random.default_rng(seed).permutation(len(fake))
    after = value(name, inputs_of(real, fake[order]))
    row = TABLE[name]
    if row.order == "exact":
        assert after == before
    elif row.order == "rounding":
        assert after == pytest.approx(before, rel=ROUNDING)
    else:
        assert after == pytest.approx(before, abs=row.noise)


@every_metric
@settings(deadline=None, max_examples=5)
@given(seed=st.integers(0, 2**20))
def test_common_shift_and_scale(name, seed):
    real, fake = typical(seed)
    base = inputs_of(real, fake)
    before = value(name, base)

    def after(change):
        changed = inputs_of(change(real), change(fake), change(sample(7, 100)))
        return value(  # the classifier is not asked again: it may answer anything elsewhere
            name,
            dataclasses.replace(
                changed,
                fake_probabilities=base.fake_probabilities,
                real_class_shares=base.real_class_shares,
            ),
        )

    shifted = after(lambda f: f + np.float32(SHIFT))
    scaled = after(lambda f: f * np.float32(SCALE))
    row = TABLE[name]
    for got, kind in ((shifted, row.shift), (scaled, row.scale)):
        if kind == "changes":
            assert got != pytest.approx(before, rel=1e-3)
        elif kind == "unread":
            assert got == before
        else:
            factor = SCALE**2 if kind == "squared" else 1
            assert got == pytest.approx(factor * before, rel=1e-8, abs=1e-9)


@every_metric
def test_computed_twice_and_from_any_memory_layout(name):
    real, fake = typical()
    first = METRICS[name].compute(inputs_of(real, fake))
    assert METRICS[name].compute(inputs_of(real, fake)) == first
    wide = np.repeat(fake, 2, axis=1)[:, ::2]
    for same in (np.asfortranarray(fake), wide, fake[::-1].copy()[::-1]):
        got = value(name, inputs_of(real, same))
        assert got == pytest.approx(first.value, rel=ROUNDING)


@every_metric
def test_inputs_are_not_written_to(name):
    real, fake = typical()
    inputs = inputs_of(real, fake)
    for array in (real, fake, inputs.fake_probabilities, inputs.held_out_features):
        array.flags.writeable = False
    assert_finite(METRICS[name].compute(inputs))


# ------------------------------------------------------------------------------------ extremes


@every_metric
def test_smallest_folder(name):
    real, fake = typical()
    least = TABLE[name].min_images
    assert_finite(METRICS[name].compute(inputs_of(real, fake[:least])))
    if least > 1:
        with pytest.raises(UndefinedMetric, match=r"\d"):
            METRICS[name].compute(inputs_of(real, fake[: least - 1]))


REAL = sample(0, 60)
EXTREMES = {
    "one fake": (REAL, sample(1, 1)),
    "one real": (sample(1, 1), REAL),
    "one of each": (sample(1, 1), sample(2, 1)),
    "fewer fakes than neighbours": (REAL, sample(1, 3)),
    "fewer reals than neighbours": (sample(1, 3), REAL),
    "fewer fakes than features": (REAL, sample(1, D - 1)),
    "fewer of both than features": (sample(1, D - 1), sample(2, D - 2)),
    "as many as features": (sample(1, D), sample(2, D)),
    "constant fakes": (REAL, np.ones((40, D), np.float32)),
    "constant reals": (np.ones((40, D), np.float32), REAL),
    "all equal": (np.ones((40, D), np.float32), np.ones((50, D), np.float32)),
    "all zero": (np.zeros((40, D), np.float32), np.zeros((50, D), np.float32)),
    "two constants": (np.ones((40, D), np.float32), np.zeros((50, D), np.float32)),
    "one real image repeated": (REAL, np.repeat(REAL[:1], 40, axis=0)),
    "every fake twice": (REAL, np.repeat(sample(1, 40), 2, axis=0)),
    "every real twice": (np.repeat(REAL, 2, axis=0), sample(1, 40)),
    "far away": (REAL, sample(1, 40) + np.float32(1e6)),
    "large": (REAL * np.float32(1e12), sample(1, 40) * np.float32(1e12)),
    "small": (REAL * np.float32(1e-15), sample(1, 40) * np.float32(1e-15)),
    "dead features": (REAL * np.eye(D)[0], sample(1, 40) * np.eye(D)[1]),
}


def assert_value_or_reason(name: str, real: np.ndarray, fake: np.ndarray) -> None:
    inputs = inputs_of(real.astype(np.float32), fake.astype(np.float32), held_out=sample(3, 20))
    try:
        result = METRICS[name].compute(inputs)
    except UndefinedMetric as undefined:
        reason = str(undefined)
    else:
        assert_finite(result)
        return
    assert len(reason) > 10


@every_metric
@pytest.mark.parametrize("case", EXTREMES)
def test_extremes_have_a_value_or_a_reason(name, case):
    assert_value_or_reason(name, *EXTREMES[case])


@every_metric
@settings(deadline=None, max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    levels=st.integers(1, 3),
    data=st.data(),
)
def test_many_ties_have_a_value_or_a_reason(name, shape, levels, data):
    real, fake = (
        data.draw(hnp.arrays(np.int8, (n, D), elements=st.integers(0, levels))) for n in shape
    )
    assert_value_or_reason(name, real, fake)


def test_no_classifier_and_no_held_out_images_are_reasons():
    real, fake = typical()
    bare = dataclasses.replace(
        inputs_of(real, fake),
        fake_probabilities=None,
        real_class_shares=None,
        held_out_features=None,
    )
    classifier = {"inception_score", "modes_covered", "class_kl", "mean_confidence"}
    for name, metric in METRICS.items():
        if name in classifier | {"anomaly_auc", "ct_score", "fid_test"}:
            with pytest.raises(UndefinedMetric, match=r"classifier|held.out"):
                metric.compute(bare)
        else:
            assert value(name, bare) == value(name, inputs_of(real, fake))


@every_metric
def test_a_part_of_the_reference_that_is_not_read_changes_nothing(name):
    real, fake = typical()
    inputs = inputs_of(real, fake)
    other = np.random.default_rng(9).standard_normal(real.shape).astype(np.float32) + 1
    changes = {
        "moments": {"real_moments": Moments.of(other)},
        "class_shares": {"real_class_shares": np.roll(inputs.real_class_shares, 1)},
        "features": {"real_features": other, "real_nearest": None},
        "held_out": {"held_out_features": other, "held_out_nearest": None},
    }
    for part, change in changes.items():
        changed = value(name, dataclasses.replace(inputs, **change))
        if part in METRICS[name].reads:
            continue
        assert changed == value(name, inputs), part
