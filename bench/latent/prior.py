"""The prior against the codes of the data: where a space has codes that no image maps to.

Shape legend: N, M codes, D dimensions, B blocks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.latent.context import Context
from bench.latent.inversion import NUM_INVERTED, NUM_ITERATIONS, NUM_RESTARTS, RATE
from bench.latent.values import Absent, LatentMeasure, LatentValue, Measured, attempt
from bench.statistics.intervals import mean_interval
from bench.statistics.moments import Moments

BLOCK = 250
MAX_BLOCKS = 40
NUM_BANDWIDTH = 1000
Floats = NDArray[np.floating]

MMD = LatentMeasure(
    name="prior_mmd",
    group="prior",
    title="MMD of codes and prior",
    definition="unbiased squared MMD of the codes of held-out images and sampled latents, with a "
    "Gaussian kernel whose bandwidth is the median distance of two latents; mean over disjoint "
    f"blocks of {BLOCK}, at most {MAX_BLOCKS}; codes of a VAE are drawn from q(z | x)",
    source="Gretton et al. 2012; Zaremba et al. 2013 (blocks); Tolstikhin et al. 2018",
    best="lower",
    needs=frozenset({"encoder", "prior"}),
)
HOLES = LatentMeasure(
    name="prior_fid",
    group="prior",
    title="FID of prior samples to reconstructions",
    definition="FID of images of sampled latents against reconstructions of the same number of "
    "held-out images: 0 where the prior has no holes",
    source="after Rosca et al. 2018; Heusel et al. 2017",
    best="lower",
    needs=frozenset({"encoder", "prior"}),
    low=0.0,
)
RECONSTRUCTION = LatentMeasure(
    name="reconstruction_error",
    group="prior",
    title="reconstruction error",
    definition="mean over held-out images of the mean squared error of a pixel in [0, 1]",
    source="Hinton & Salakhutdinov 2006",
    best="lower",
    needs=frozenset({"encoder"}),
    low=0.0,
)
RECONSTRUCTION_FID = LatentMeasure(
    name="reconstruction_fid",
    group="prior",
    title="FID of reconstructions",
    definition="FID of the reconstructions of held-out images against these images",
    source="Heusel et al. 2017",
    best="lower",
    needs=frozenset({"encoder"}),
    low=0.0,
)
SAMPLES_FID = LatentMeasure(
    name="samples_fid",
    group="prior",
    title="FID of prior samples",
    definition="FID of images of sampled latents, as many as held-out images, against these images",
    source="Heusel et al. 2017",
    best="lower",
    needs=frozenset({"prior"}),
    low=0.0,
)
INVERSION = LatentMeasure(
    name="inversion_error",
    group="prior",
    title="error of inversion",
    definition=f"mean over {NUM_INVERTED} held-out images of the mean squared error of a pixel in "
    f"[0, 1] at the best code of {NUM_RESTARTS} searches of {NUM_ITERATIONS} steps (Adam, {RATE})",
    source="Zhu et al. 2016; Creswell & Bharath 2018",
    best="lower",
    needs=frozenset({"prior"}),
    low=0.0,
)
MEASURES = (MMD, HOLES, RECONSTRUCTION, RECONSTRUCTION_FID, SAMPLES_FID, INVERSION)


def squared_distances(a_ND: Floats, b_MD: Floats) -> NDArray[np.float64]:
    """Return squared Euclidean distances, float64 N,M."""
    a, b = a_ND.astype(np.float64), b_MD.astype(np.float64)
    found = np.square(a).sum(axis=1)[:, None] - 2 * a @ b.T + np.square(b).sum(axis=1)
    return np.asarray(np.maximum(found, 0))


def median_distance(latents_ND: Floats) -> float:
    """Return the median distance of two different latents among the first 1,000.

    >>> median_distance(np.array([[0.0], [1.0], [3.0]]))
    2.0
    """
    first = latents_ND[:NUM_BANDWIDTH]
    distances = np.sqrt(squared_distances(first, first))
    return float(np.median(distances[np.triu_indices(len(first), 1)]))


def mmd_unbiased(x_ND: Floats, y_MD: Floats, bandwidth: float) -> float:
    """Return the unbiased squared MMD with kernel exp(-|x - y|^2 / (2 bandwidth^2)) (Gretton et
    al. 2012, lemma 6). It may be negative.

    >>> x, y = np.array([[0.0], [0.0]]), np.array([[9.0], [9.0]])
    >>> round(mmd_unbiased(x, y, 1.0), 6)  # 1 + 1 - 2 exp(-40.5)
    2.0
    """
    n, m = len(x_ND), len(y_MD)
    k_xx, k_yy, k_xy = (
        np.exp(-squared_distances(a, b) / (2 * bandwidth**2))
        for a, b in ((x_ND, x_ND), (y_MD, y_MD), (x_ND, y_MD))
    )
    within = (k_xx.sum() - np.trace(k_xx)) / (n * (n - 1))
    within += (k_yy.sum() - np.trace(k_yy)) / (m * (m - 1))
    return float(within - 2 * k_xy.mean())


def block_mmd(x_ND: Floats, y_ND: Floats, bandwidth: float) -> NDArray[np.float64]:
    """Return the squared MMD of disjoint blocks of `BLOCK` rows, at most `MAX_BLOCKS`: float64 B.

    Raises `Absent` for fewer than two blocks.
    """
    num = min(len(x_ND), len(y_ND)) // BLOCK
    if num < 2:
        raise Absent(f"{min(len(x_ND), len(y_ND))} codes are fewer than two blocks of {BLOCK}")
    found = [
        mmd_unbiased(x_ND[i * BLOCK :][:BLOCK], y_ND[i * BLOCK :][:BLOCK], bandwidth)
        for i in range(min(num, MAX_BLOCKS))
    ]
    return np.array(found)


def aggregated_codes(context: Context) -> NDArray[np.floating]:
    """Return a code of every held-out image: drawn from q(z | x) where there is such, else the
    code itself.
    """
    space, test = context.space, context.data.test
    if not space.has("posterior"):
        return context.test_codes
    mean, log_variance = space.posterior(test.images, test.labels)
    noise = context.generator("posterior").standard_normal(mean.shape)
    return np.asarray(mean + np.exp(0.5 * log_variance.astype(np.float64)) * noise)


def measure_prior(context: Context) -> list[LatentValue]:
    """Return every value of this group."""
    from bench.metrics.frechet import (
        frechet_distance_to_features,
    )

    space, data, seed = context.space, context.data, context.seed

    def mmd() -> Measured:
        codes = aggregated_codes(context)
        latents = space.free(space.sample_latents(len(codes), seed))
        codes = codes[:, : latents.shape[1]]
        order = context.generator("blocks").permutation(len(codes))
        bandwidth = median_distance(latents)
        if not bandwidth > 0:
            raise Absent("all latents are equal")
        blocks = block_mmd(codes[order], latents, bandwidth)
        return Measured(mean_interval(blocks, len(blocks), "mean over blocks, Hall"), len(codes))

    def distance(real: Moments, features: NDArray[np.float32]) -> Measured:
        return Measured(frechet_distance_to_features(real, features).value, len(features))

    def error() -> Measured:
        difference = context.reconstructions.astype(np.float32) - data.test.images
        errors = np.square(difference / 255).mean(axis=(1, 2, 3), dtype=np.float64)
        if len(errors) < 2:
            raise Absent("one image has no interval")
        found = mean_interval(errors, len(errors), "mean over images, Hall")
        return Measured(found, len(errors))

    def holes() -> Measured:
        return distance(Moments.of(context.reconstruction_features), context.sample_features)

    def of_reconstructions() -> Measured:
        return distance(data.test_moments, context.reconstruction_features)

    def of_samples() -> Measured:
        return distance(data.test_moments, context.sample_features)

    def inversion() -> Measured:
        if space.has("encode"):
            raise Absent(f"{space.name} has an encoder")
        errors = context.inversion[1]
        if len(errors) < 2:
            raise Absent("one image has no interval")
        return Measured(mean_interval(errors, len(errors), "mean over images, Hall"), len(errors))

    return [
        attempt(MMD, mmd, seed=seed),
        attempt(HOLES, holes, seed=seed),
        attempt(RECONSTRUCTION, error, seed=seed),
        attempt(RECONSTRUCTION_FID, of_reconstructions, seed=seed),
        attempt(SAMPLES_FID, of_samples, seed=seed),
        attempt(INVERSION, inversion, seed=seed),
    ]
