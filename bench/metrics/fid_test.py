"""Fréchet distance to held-out real images instead of the train images.

`fid` compares with the train split. A generator that repeats few training images comes close to
the train split, but not to the test split. The detail `gap` is `fid_test` - `fid`. It must be
compared with the gap of held-out real images, since two splits of different sizes or writers
differ by themselves. A gap far above that means memorisation or, where the splits differ, a
faithful copy of the train split's distribution. Copies of many thousand images have the moments of
a fresh sample, and only neighbours reveal them (`authenticity`, `ct_score`). Measured on 10,000
images: the gap of copies of MNIST's train images is +0.26, that of held-out images -0.11. For
Fashion-MNIST it is +0.08 and +0.10, which is no alarm at all.

Scoring held-out images against themselves would give 0. Perfect images are therefore represented
by a random part of the held-out images, at most half, against the rest. To first order a Fréchet
distance between samples of one distribution is proportional to 1/n1 + 1/n2, which converts the
result to the requested sizes (coarsely when there are fewer images than features). The mean of 4
such splits is taken; single halves of MNIST's test split give 0.10 to 0.20.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from bench.metrics.base import Metric, MetricInputs, MetricValue, UndefinedMetric
from bench.metrics.fid import FID
from bench.statistics.intervals import Uncertainty
from bench.statistics.moments import Moments

SPLITS = 4  # of the held-out images, for the expected value


def perfect_fid_test(inputs: MetricInputs) -> float:
    """Return the expected score of images from the distribution of the held-out ones.

    Their number is that of the fakes of `inputs`. Raises `UndefinedMetric` with fewer than 4
    held-out images or 2 fakes.
    """
    held_out, whole = inputs.held_out_features, inputs.held_out_moments
    if held_out is None or whole is None or len(held_out) < 4 or inputs.num_fake < 2:
        raise UndefinedMetric("two parts of the held-out images need 2 images each")
    rng = np.random.default_rng(inputs.seed)
    values = [_part_against_rest(held_out, inputs.num_fake, rng) for _ in range(SPLITS)]
    return float(np.mean(values)) * (1 / inputs.num_fake + 1 / whole.n)


def _part_against_rest(
    held_out: NDArray[np.float32], num_fake: int, rng: np.random.Generator
) -> float:
    """Return the distance of `num_fake` random images to the rest, divided by 1/n1 + 1/n2.

    The part has at most half of all images.
    """
    from bench.metrics.frechet import frechet_distance, frechet_distance_to_features

    order = rng.permutation(len(held_out))
    num = min(num_fake, len(held_out) // 2)
    part, rest = held_out[order[:num]], Moments.of(held_out[order[num:]])
    if num <= rest.dim:
        distance = frechet_distance_to_features(rest, part)
    else:
        distance = frechet_distance(rest, Moments.of(part))
    return distance.value / (1 / num + 1 / rest.n)


def _against_held_out(inputs: MetricInputs) -> MetricInputs:
    """Return `inputs` with the moments of the held-out images in place of the train moments."""
    moments = inputs.held_out_moments
    if moments is None:
        raise UndefinedMetric("the reference has no held-out images")
    few = inputs.num_fake <= moments.dim  # then FID reads features, not moments, of the fakes
    return dataclasses.replace(
        inputs,
        real_moments=moments,
        fake_moments_of_all=inputs.fake_moments_of_all if few else inputs.fake_moments,
    )


def _fid_test(inputs: MetricInputs) -> MetricValue:
    against = _against_held_out(inputs)
    found = FID.compute(against)
    gap = found.value - FID.compute(inputs).value
    return found._replace(details={**found.details, "gap": gap}, n_real=against.real_moments.n)


def _uncertainty(inputs: MetricInputs, found: MetricValue) -> Uncertainty:
    if FID.uncertainty is None:
        raise UndefinedMetric("fid has no interval")
    return FID.uncertainty(_against_held_out(inputs), found)


FID_TEST = Metric(
    name="fid_test",
    title="Fréchet distance to held-out images",
    meaning="Fréchet distance to real images that no model was trained on",
    unit="squared feature units",
    citation="Heusel et al. 2017, arXiv:1706.08500",
    direction="lower",
    scale="log",
    compute=_fid_test,
    reads=frozenset({"moments", "held_out"}),
    uses=frozenset(),
    sees="all",
    depends_on_count=True,
    perfect=perfect_fid_test,
    uncertainty=_uncertainty,
    constants={"covariance_divisor": "n - 1"},
    least=0.0,
)
