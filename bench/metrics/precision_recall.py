"""Improved precision and recall: the share of images that look real, and of real ones covered.

The ball of a sample reaches to its 3rd nearest neighbour in its own set, itself excluded.
Precision is the share of fakes inside the union of the balls of the reals, recall the share of
reals inside the union of the balls of the fakes. The surface belongs to the ball (`<=`).

Kynkaanniemi et al., Improved Precision and Recall Metric for Assessing Generative Models, NeurIPS
2019 (arXiv:1904.06991); realism is eq. 3. Agrees with torch-fidelity 0.4 (`metric_prc`, same
features) to the sample, except for samples within float32 rounding of a ball's surface, which
torch-fidelity decides by rounded distances and this pass by exact ones. prdc 0.2 uses `<`, so
exact copies of real images on the surface score 0 there.

With the reals fixed, precision is a share of independent images and has Wilson's interval. The
balls of recall depend on their neighbours, so a delete-one jackknife gives two to four times the
variance. Instead, recall is computed for disjoint random blocks of at most 500 fakes. Over blocks,
the mean variance of whether one real is covered stays about the same at other numbers of fakes,
since balls adapt. The mean covariance of two reals falls as 1/M, as does the number of pairs that
lie in one neighbourhood.

Shape legend: M fakes, D features, N reals, B blocks.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.metrics.base import Metric, MetricInputs, MetricValue, Saying, UndefinedMetric
from bench.statistics.intervals import Uncertainty, share_interval, wilson
from bench.statistics.neighbours.results import K_BALL, NeighbourPass

if TYPE_CHECKING:
    from torch import Tensor

BLOCK_SIZE = 500  # fakes
BLOCK_REALS = 1000
BLOCKS = 40
LEAST_FAKES = 2 * (K_BALL + 2)


def precision(neighbours: NeighbourPass) -> float:
    """Return the share in [0, 1] of fakes in a real ball.

    Raises `UndefinedMetric` with 3 reals or fewer.
    """
    _check_count("precision_k3", "real", len(neighbours.in_fake_ball))
    return float(neighbours.in_real_ball.mean())


def recall(neighbours: NeighbourPass) -> float:
    """Return the share in [0, 1] of reals in a fake ball.

    Raises `UndefinedMetric` with 3 fakes or fewer.
    """
    _check_count("recall_k3", "fake", len(neighbours.in_real_ball))
    return float(neighbours.in_fake_ball.mean())


def realism(neighbours: NeighbourPass) -> NDArray[np.float32]:
    """Return the realism of each fake, float32 M in [0, inf].

    It is 1 or more inside a real ball whose radius is at most the median. Raises
    `UndefinedMetric` with 3 reals or fewer.
    """
    _check_count("realism", "real", len(neighbours.in_fake_ball))
    return neighbours.realism


def recall_variance(real_ND: NDArray[np.float32], fake_MD: NDArray[np.float32], seed: int) -> float:
    """Return the variance of recall over draws of the fakes (at least 10).

    Distances are plain float32 products, since an estimate of a variance needs no exact decisions.
    """
    import torch

    rng = np.random.default_rng(seed)
    m = len(fake_MD)
    size = min(BLOCK_SIZE, m // 2)
    rows = rng.permutation(len(real_ND))[:BLOCK_REALS]
    centre = real_ND.mean(axis=0)
    real = torch.from_numpy(real_ND[rows] - centre)
    fake = torch.from_numpy(fake_MD - centre)
    variances: list[float] = []
    of_one: list[float] = []
    while len(variances) * (m // size) < BLOCKS:
        order = torch.from_numpy(rng.permutation(m))
        met_BN = torch.stack(
            [_met(real, fake[part]) for part in torch.split(order, size)[: m // size]]
        )
        variances.append(float(met_BN.mean(dim=1).var()))
        of_one.append(float(met_BN.var(dim=0).mean()))
    single, n = float(np.mean(of_one)), len(rows)
    together = (float(np.mean(variances)) - single / n) / max(1 - 1 / n, 1 / n)
    num_real = len(real_ND)
    return single / num_real + (1 - 1 / num_real) * max(together, 0.0) * size / m


def _met(real_ND: Tensor, fake_MD: Tensor) -> Tensor:
    """Return whether each real lies in a ball of these fakes, as 0 or 1 in float64 N."""
    import torch

    square_M = fake_MD.square().sum(dim=1)
    # |x - y|^2 - |x|^2, which has the same order and membership
    within = torch.addmm(square_M, fake_MD, fake_MD.T, alpha=-2).fill_diagonal_(torch.inf)
    radius_M = within.topk(K_BALL, dim=1, largest=False).values[:, -1] + square_M
    to_fakes = torch.addmm(square_M, real_ND, fake_MD.T, alpha=-2)
    to_fakes += real_ND.square().sum(dim=1, keepdim=True)
    return (to_fakes <= radius_M).any(dim=1).double()


def _check_count(name: str, side: str, num: int) -> None:
    if num <= K_BALL:
        raise UndefinedMetric(f"{name} needs more than {K_BALL} {side} images, got {num}")


def _precision(inputs: MetricInputs) -> MetricValue:
    return MetricValue(precision(inputs.neighbours))


def _recall(inputs: MetricInputs) -> MetricValue:
    return MetricValue(recall(inputs.neighbours))


def _precision_interval(inputs: MetricInputs, _: MetricValue) -> Uncertainty:
    inside = inputs.neighbours.in_real_ball
    return wilson(int(inside.sum()), len(inside))


def _recall_interval(inputs: MetricInputs, found: MetricValue) -> Uncertainty:
    real, fake = inputs.real_features, inputs.fake_features
    if len(fake) < LEAST_FAKES:
        raise UndefinedMetric(f"an interval of recall needs {LEAST_FAKES} images, got {len(fake)}")
    error = math.sqrt(recall_variance(real, fake, inputs.seed))
    return share_interval(found.value, error, len(real), "disjoint blocks")


PRECISION = Metric(
    name="precision_k3",
    title="Precision",
    meaning="share of the images that look real",
    unit="share",
    citation="Kynkäänniemi et al. 2019, arXiv:1904.06991",
    direction="higher",
    scale="linear",
    compute=_precision,
    reads=frozenset({"features"}),
    uses=frozenset({"neighbours"}),
    sees="subset",
    depends_on_count=True,
    uncertainty=_precision_interval,
    constants={"k": K_BALL, "membership": "<="},
    highlight=True,
    saying=Saying(
        "{value} of the images look real.",
        "{value} of the images look real; {expected} of real test images do.",
        percent=True,
        hint="Look at the images of lowest realism: what do they have in common?",
    ),
    diversity="recall_k3",
)

RECALL = Metric(
    name="recall_k3",
    title="Recall",
    meaning="share of the real variety that the images cover",
    unit="share",
    citation="Kynkäänniemi et al. 2019, arXiv:1904.06991",
    direction="higher",
    scale="linear",
    compute=_recall,
    reads=frozenset({"features"}),
    uses=frozenset({"neighbours"}),
    sees="subset",
    depends_on_count=True,
    uncertainty=_recall_interval,
    constants={"k": K_BALL, "membership": "<="},
    highlight=True,
    saying=Saying(
        "The images cover {value} of the variety of real images.",
        "The images cover {value} of the variety of real images; real test images cover "
        "{expected}.",
        percent=True,
        hint="Look for kinds of real images that are missing, class by class.",
    ),
)
