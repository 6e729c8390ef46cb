"""The group of transforms, the Dirichlet estimate, the two scores and the stacks of GeoTrans."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import gammaln
from scipy.stats import dirichlet
from torch.optim.lr_scheduler import CosineAnnealingLR

from baselines.detectors.dirichlet import fit_dirichlet, inverse_psi, log_kernel
from baselines.detectors.fitting import Job, Schedule, train_jobs
from baselines.detectors.geotrans import (
    GeoTrans,
    fit_together,
    log_softmax,
    simple_score,
)
from baselines.detectors.transforms import (
    Transform,
    TransformedBatches,
    applied,
    pixel_indices,
    transform_objective,
    transformed,
    transforms,
)
from baselines.detectors.wide_net import Block, WideResNet
from baselines.runs.train import TrainingDiverged
from bench.anomaly.detectors.base import StackFitting
from bench.errors import LatentbenchError, UsageError
from tests.baselines.detectors.conftest import made, shortest
from tests.baselines.detectors.devices import on_every_device, shortest_on
from tests.conftest import RealSample

Pictures = NDArray[np.uint8]


def test_the_set_and_its_sizes() -> None:
    """2 x 3 x 3 x 4 = 72 different maps, translations by 7 px of 28, the identity first."""
    found = transforms(28)
    assert len(set(found)) == 72
    assert found[0] == Transform(mirrored=False, right=0, down=0, turns=0)
    assert {t.right for t in found} == {t.down for t in found} == {0, -7, 7}
    indices = pixel_indices(28, 28)
    assert indices.shape == (72, 784)
    assert torch.equal(indices[0], torch.arange(784))
    assert len(torch.unique(indices, dim=0)) == 72


@pytest.mark.parametrize("side", [5, 28])
def test_mirrors_and_turns_have_their_inverses_in_the_set(side: int) -> None:
    """The 8 without translation are the symmetries of the square: permutations whose inverses are
    among them, and closed under composition.
    """
    indices = pixel_indices(side, side)
    kept = [k for k, t in enumerate(transforms(side)) if t.right == t.down == 0]
    assert len(kept) == 8
    group = {tuple(indices[k].tolist()) for k in kept}
    for a in kept:
        assert tuple(torch.argsort(indices[a]).tolist()) in group
        for b in kept:
            assert tuple(indices[a][indices[b]].tolist()) in group


def test_a_translation_is_undone_inside_and_mirrored_at_the_border() -> None:
    """By hand on a row of 8 moved by 2: b a a b c d e f; there and back leaves the inside."""
    picture = np.tile(np.arange(8), (8, 1))
    right = applied(picture, Transform(False, 2, 0, 0))
    assert right[0].tolist() == [1, 0, 0, 1, 2, 3, 4, 5]
    left = applied(picture, Transform(False, -2, 0, 0))
    assert left[0].tolist() == [2, 3, 4, 5, 6, 7, 7, 6]
    again = applied(right, Transform(False, -2, 0, 0))
    assert again[0, :6].tolist() == picture[0, :6].tolist()
    assert applied(picture.T, Transform(False, 0, 2, 0))[:, 0].tolist() == right[0].tolist()


@settings(max_examples=10)
@given(seed=st.integers(0, 99), side=st.sampled_from([4, 9, 16]), channels=st.sampled_from([1, 3]))
def test_the_gather_is_the_transform(seed: int, side: int, channels: int) -> None:
    """Against numpy's flip, pad, crop and rot90 on every channel, in one batch of all 72."""
    x = np.random.default_rng(seed).random((channels, side, side)).astype(np.float32)
    indices = pixel_indices(side, side)
    found = transformed(torch.from_numpy(x)[None].repeat(72, 1, 1, 1), indices).numpy()
    for got, t in zip(found, transforms(side), strict=True):
        for channel in range(channels):
            picture = np.fliplr(x[channel]) if t.mirrored else x[channel]
            pad = side // 4
            wide = np.pad(picture, pad, mode="symmetric")
            rows, columns = pad - t.down, pad - t.right
            moved = wide[rows : rows + side, columns : columns + side]
            np.testing.assert_array_equal(got[channel], np.rot90(moved, t.turns))


def test_sides_that_do_not_turn() -> None:
    with pytest.raises(UsageError, match="20x28 px: .* square"):
        pixel_indices(28, 20)
    with pytest.raises(UsageError, match="3x3 px"):
        pixel_indices(3, 3)


@given(st.floats(1e-3, 1e4))
@example(1.0)  # psi(1) = minus Euler's constant, a pole of the start for small x
def test_inverse_of_digamma(x: float) -> None:
    from scipy.special import psi

    assert inverse_psi(np.array(psi(x)))[()] == pytest.approx(x, rel=1e-9)


@pytest.mark.parametrize("scale", [0.3, 3.0, 100.0])
def test_dirichlet_against_a_general_optimiser(scale: float) -> None:
    """400 draws of two distributions at once; L-BFGS on the log likelihood in float64."""
    alphas = scale * np.array([[0.2, 1.0, 4.0, 0.7], [2.0, 2.0, 2.0, 0.5]])
    rng = np.random.default_rng(0)
    p = np.stack([np.clip(rng.dirichlet(alpha, 400), 1e-30, 1) for alpha in alphas], axis=1)
    mean, mean_log = p.mean(0), np.log(p).mean(0)
    found = fit_dirichlet(mean, mean_log)

    def objective(log_alpha: NDArray[np.float64], row: int) -> float:
        a = np.exp(log_alpha)
        return float(-(gammaln(a.sum()) - gammaln(a).sum() + ((a - 1) * mean_log[row]).sum()))

    for row in range(2):
        best = minimize(
            objective,
            np.log(found[row]) + 0.3,
            args=(row,),
            method="BFGS",
            options={"gtol": 1e-9},
        )
        np.testing.assert_allclose(found[row], np.exp(best.x), rtol=1e-4)
        assert objective(np.log(found[row]), row) <= best.fun + 1e-9 * abs(best.fun)
        np.testing.assert_allclose(found[row], alphas[row], rtol=0.35)  # what was drawn from


def test_the_log_kernel_is_the_density_less_its_constant() -> None:
    """Differences of log densities by scipy.stats."""
    alpha = np.array([0.5, 2.0, 3.0])
    p = np.random.default_rng(1).dirichlet(alpha, 5)
    expected = np.array([dirichlet.logpdf(each, alpha) for each in p])
    found = log_kernel(alpha, np.log(p))
    np.testing.assert_allclose(found - found[0], expected - expected[0], rtol=1e-10)


def test_no_maximum() -> None:
    p = np.array([0.2, 0.8])
    with pytest.raises(LatentbenchError, match="do not vary"):
        fit_dirichlet(p, np.log(p))
    with pytest.raises(LatentbenchError, match="must be finite"):
        fit_dirichlet(p, np.array([0.0, -np.inf]))


def test_simple_score_by_hand() -> None:
    """Right ones have 1/2 and 1/4: minus the mean of their logarithms."""
    log_y = torch.tensor([[[0.5, 0.5], [0.75, 0.25]]]).log()
    assert float(simple_score(log_y)) == pytest.approx((np.log(2) + np.log(4)) / 2)


def test_the_dirichlet_score_adds_up_over_transforms(ones: Pictures) -> None:
    """Against numpy on the network's probabilities: alpha solves its equations on the images that
    it was estimated from, all of them here; the score is minus the sum of the log kernels.
    """
    detector = made("geotrans", epochs=0.004)
    assert isinstance(detector, GeoTrans)
    normal = ones[:30]
    detector.fit(normal)
    assert detector.network is not None
    assert detector.alpha is not None
    x = torch.from_numpy(np.ascontiguousarray(normal.transpose(0, 3, 1, 2)))
    log_y = log_softmax(detector.network, pixel_indices(28, 28), x).numpy()
    np.testing.assert_allclose(np.exp(log_y).sum(2), 1)
    expected = fit_dirichlet(np.exp(log_y).mean(0), log_y.mean(0))
    np.testing.assert_allclose(detector.alpha, expected, rtol=1e-3)
    scores = -log_kernel(detector.alpha, log_y).sum(1)
    np.testing.assert_allclose(detector.scores(normal), scores, rtol=1e-4)


def test_the_simple_option(ones: Pictures) -> None:
    detector = made("geotrans", epochs=0.002, score="simple")
    assert isinstance(detector, GeoTrans)
    detector.fit(ones)
    assert detector.alpha is None
    scores = detector.scores(ones[:5])
    assert (scores > 0).all()
    assert scores.mean() < 2 * np.log(72)


def test_the_shortcut_is_a_strided_1x1_convolution() -> None:
    generator = torch.Generator().manual_seed(0)
    for size in (7, 8):  # odd and even maps
        block = Block(8, 16, 2)
        x = torch.randn(3, 8, size, size, generator=generator)
        h = torch.relu(block.norm_1(x))
        assert block.shortcut is not None
        strided = torch.nn.functional.conv2d(h, block.shortcut.weight, stride=2)
        rest = block.conv_2(torch.relu(block.norm_2(block.conv_1(h))))
        torch.testing.assert_close(block(x), strided + rest, rtol=1e-5, atol=1e-5)


def test_wide_networks() -> None:
    """WRN-10-4: 16 -> 64 -> 128 -> 256 channels; the paper's first stride keeps the map."""
    network = WideResNet(3, 72, depth=10, width=4, first_stride=1)
    assert network.body(torch.zeros(1, 3, 32, 32)).shape == (1, 256, 8, 8)
    assert sum(isinstance(m, torch.nn.Conv2d) for m in network.modules()) == 1 + 6 + 3
    small = WideResNet(1, 72, depth=16, width=0.5, first_stride=2)
    assert small(torch.zeros(2, 1, 28, 28)).shape == (2, 72)
    for depth in (4, 11):
        with pytest.raises(UsageError, match=f"depth {depth}"):
            WideResNet(1, 72, depth=depth, width=1, first_stride=1)


class InDouble(torch.nn.Module):
    """A network in float64 on float32 images."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network.double()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.network(x.double())
        return logits


def jobs_of(sets: list[Pictures], *, double: bool, device: str) -> list[Job]:
    """One job for each set, of different seeds."""
    jobs = []
    for seed, images in enumerate(sets):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network: torch.nn.Module = WideResNet(1, 72, depth=10, width=0.25, first_stride=2)
        job = Job(
            network=(InDouble(network) if double else network).to(device),
            images=torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).to(device),
            seed=10 + seed,
        )
        jobs.append(job)
    return jobs


def sets_of(mnist: RealSample) -> list[Pictures]:
    """Three classes, of 90, 60 and 33 images."""
    return [
        mnist.images[mnist.labels == digit][:count] for digit, count in ((1, 90), (7, 60), (0, 33))
    ]


def train(jobs: list[Job], indices: torch.Tensor, num_steps: int, *, stack: bool) -> None:
    """As `fit_together` does, for a number of steps."""
    schedule = Schedule(
        stage="geotrans",
        num_steps=num_steps,
        batch_size=32,
        learning_rate=1e-3,
        decay=functools.partial(CosineAnnealingLR, T_max=num_steps),
    )
    train_jobs(
        jobs, transform_objective, schedule, batches=TransformedBatches(indices), stack=stack
    )


@on_every_device
def test_stacked_trainings_equal_single_ones_in_float64(device: str, mnist: RealSample) -> None:
    """20 steps on three sets of several sizes: weights and the statistics of batch norm within
    1e-10, and so are both scores of one of them. So each saw its own batches and no others, and
    what differs in float32 is rounding alone.
    """
    indices, images = pixel_indices(28, 28).to(device), mnist.images[300:320]
    sets = sets_of(mnist)
    single, stacked = (jobs_of(sets, double=True, device=device) for _ in range(2))
    starts = [
        {name: value.clone() for name, value in job.network.state_dict().items()} for job in single
    ]
    train(single, indices, 20, stack=False)
    train(stacked, indices, 20, stack=True)
    for start, one, other in zip(starts, single, stacked, strict=True):
        expected, found = one.network.state_dict(), other.network.state_dict()
        assert sum("running_" in name for name in expected) == 2 * 7
        assert found["network.body.4.num_batches_tracked"] == 20
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=1e-10, atol=1e-10, msg=name)
            assert not torch.equal(start[name], value)
    for score in ("dirichlet", "simple"):
        scores = []
        for jobs in (single, stacked):
            detector = shortest_on(device, "geotrans", score=score, fit_images=20)
            assert isinstance(detector, GeoTrans)
            detector.take_up(jobs[1], sets[1], indices)
            scores.append(detector.scores(images))
        np.testing.assert_allclose(scores[1], scores[0], rtol=1e-10)
        assert np.ptp(scores[0]) > 1e3 * np.abs(scores[1] - scores[0]).max()


@on_every_device
def test_a_stack_equals_its_single_fits(device: str, mnist: RealSample) -> None:
    """Short fits to three sets of several sizes as one program, in float32: simple scores within
    1e-3 of the largest. Dirichlet parameters are large where probabilities hardly vary, so that
    those of a short fit pass rounding on; their equality is shown in float64 above.
    """
    sets, images = sets_of(mnist), mnist.images[300:330]
    options: dict[str, float | str] = {"learning_rate": 1e-3, "score": "simple"}
    together = [shortest_on(device, "geotrans", seed=seed, **options) for seed in range(3)]
    fit_together(together, sets, stack=True)
    for seed, (stacked, normal) in enumerate(zip(together, sets, strict=True)):
        single = shortest_on(device, "geotrans", seed=seed, **options)
        single.fit(normal)
        expected, found = single.scores(images), stacked.scores(images)
        np.testing.assert_allclose(found, expected, atol=1e-3 * np.abs(expected).max())
        assert np.ptp(expected) > 10 * np.abs(found - expected).max()


@pytest.mark.parametrize("stack", [None, True])
def test_turns_on_a_cpu_and_a_stack_of_one_are_bit_equal(
    stack: bool | None, mnist: RealSample
) -> None:
    """To single fits: two sets that take turns, and one set asked to be a stack."""
    sets = sets_of(mnist)[: 1 if stack else 2]
    together = [shortest("geotrans", seed=seed) for seed in range(len(sets))]
    assert isinstance(together[0], StackFitting)
    if stack is None:
        together[0].fit_stack(together[1:], sets)
    else:
        fit_together(together, sets, stack=stack)
    for seed, (found, normal) in enumerate(zip(together, sets, strict=True)):
        single = shortest("geotrans", seed=seed)
        single.fit(normal)
        images = mnist.images[200:220]
        np.testing.assert_array_equal(found.scores(images), single.scores(images))


def test_what_cannot_be_stacked(ones: Pictures) -> None:
    first = shortest("geotrans")
    assert isinstance(first, StackFitting)
    with pytest.raises(UsageError, match="2 detectors cannot be fitted to 1 sets"):
        first.fit_stack([shortest("geotrans")], [ones])
    for other in (shortest("deep-svdd"), shortest("geotrans", score="simple")):
        with pytest.raises(UsageError, match="geotrans: only detectors of this row with the same"):
            first.fit_stack([other], [ones, ones])
    with pytest.raises(UsageError, match="geotrans: normal sets of several sizes H,W,C"):
        first.fit_stack([shortest("geotrans")], [ones, ones[:, 4:24, 4:24]])
    with pytest.raises(UsageError, match="geotrans needs 2 or more"):
        first.fit_stack([shortest("geotrans")], [ones, ones[:1]])


@pytest.mark.parametrize("stack", [False, True])
def test_what_fails_in_a_stack_names_the_set(stack: bool, ones: Pictures) -> None:
    """A set of images that are all alike has no Dirichlet score; a rate that diverges."""
    flat = np.zeros_like(ones[:8])
    together = [shortest("geotrans"), shortest("geotrans", seed=1)]
    with pytest.raises(UsageError, match="geotrans, normal set 1: .*all alike"):
        fit_together(together, [ones, flat], stack=stack)
    together = [shortest("geotrans", learning_rate=1e25, epochs=0.005) for _ in range(2)]
    with pytest.raises(TrainingDiverged, match="^geotrans, normal set 0: .* step [0-9]+ of"):
        fit_together(together, [ones, ones], stack=stack)
