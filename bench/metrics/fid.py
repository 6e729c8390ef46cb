"""Fréchet distance (FID) between the folder and the train split; see `bench.metrics.frechet`."""

from __future__ import annotations

from bench.metrics.base import Metric, MetricInputs, MetricValue, Saying
from bench.metrics.frechet_intervals import fid_interval


def _fid(inputs: MetricInputs) -> MetricValue:
    from bench.metrics.frechet import frechet_distance, frechet_distance_to_features

    real, fake = inputs.real_moments, inputs.fake_features
    if len(fake) == inputs.num_fake <= real.dim:
        distance = frechet_distance_to_features(real, fake)
    else:
        distance = frechet_distance(real, inputs.fake_moments)
    return MetricValue(
        distance.value,
        details={
            "mean_term": distance.mean_term,
            "covariance_term": distance.covariance_term,
            "clamped": distance.clamped,
        },
    )


FID = Metric(
    name="fid",
    title="Fréchet distance",
    meaning="distance from the distribution of real images",
    unit="squared feature units",
    citation="Heusel et al. 2017, arXiv:1706.08500",
    direction="lower",
    scale="log",
    compute=_fid,
    reads=frozenset({"moments"}),
    uses=frozenset(),
    sees="all",
    depends_on_count=True,
    uncertainty=fid_interval,
    constants={"covariance_divisor": "n - 1"},
    least=0.0,
    highlight=True,
    saying=Saying(
        "The distance to real images (FID) is {value}; lower is better.",
        "The distance to real images (FID) is {value}; the same number of real images would score "
        "{expected}.",
        hint="Precision and recall tell whether quality or variety is missing.",
    ),
)
