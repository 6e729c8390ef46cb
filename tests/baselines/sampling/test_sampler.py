"""Sampling: seeds, batches, truncation, rejection."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from baselines.models.base import DiscriminatorOutput
from baselines.runs.demo import load_demo
from baselines.runs.run_folder import checkpoint_of
from baselines.sampling.rejection import budget_scale, drs_values, jacobian_norms, truncated
from baselines.sampling.sampler import (
    Sampler,
    Samples,
    SamplingOptions,
    preview,
)
from baselines.sampling.trained import Trained, trained_from
from baselines.training.engine import train_through
from baselines.training.training_images import TrainingSet
from bench.errors import UnknownNameError, UsageError
from bench.extractors import EXTRACTORS
from bench.metrics.precision_recall import precision, recall
from bench.statistics.neighbours.search import neighbour_pass
from tests.baselines.conftest import small_engine
from tests.conftest import RealSample


def trained_run(recipe: str, data: TrainingSet, *settings: str, num_steps: int = 4) -> Trained:
    engine = small_engine(recipe, data, *settings, num_steps=num_steps)
    train_through(engine)
    return trained_from(checkpoint_of(engine))


def sampled(trained: Trained, num: int, seed: int = 0, **options: object) -> Samples:
    return Sampler(trained, SamplingOptions(**options), seed).sample(num)  # type: ignore[arg-type]


class Ramp(nn.Module):
    """A generator whose every pixel is the distribution function of the first latent, on [-1, 1]:
    uniform for a Gaussian latent.
    """

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return torch.erf(z[:, 0] / math.sqrt(2)).view(-1, 1, 1, 1).expand(-1, 1, 28, 28)


class Step(nn.Module):
    """Two modes at -1 and 1 with a steep transition between them."""

    def forward(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        return torch.tanh(10 * z[:, 0]).view(-1, 1, 1, 1).expand(-1, 1, 28, 28)


class Ratio(nn.Module):
    """A discriminator that returns the log density ratio for a real density of exp(2 v)."""

    def forward(
        self, x: Tensor, y: Tensor | None = None, keep: Tensor | None = None
    ) -> DiscriminatorOutput:
        v = x[:, 0, 0, 0]
        return DiscriminatorOutput(2 * v - math.log(math.sinh(2) / 2), v[:, None])


def toy(digits: TrainingSet, generator: nn.Module, recipe: str = "course-gan") -> Trained:
    base = trained_run(recipe, digits)
    networks = {"generator": generator, "discriminator": Ratio()}
    return Trained(base.checkpoint, base.game, networks, "cpu")


def values(samples: Samples) -> np.ndarray:
    return samples.images[:, 0, 0, 0] / 127.5 - 1


@pytest.mark.parametrize("recipe", ["course-gan", "dcgan", "conditional-dcgan", "infogan", "vae"])
def test_an_image_depends_on_its_number_and_the_seed_alone(
    recipe: str, digits: TrainingSet
) -> None:
    trained = trained_run(recipe, digits)
    few, many = sampled(trained, 30), sampled(trained, 260)
    assert few.images.shape == (30, 28, 28, 1)
    assert few.images.dtype == np.uint8
    np.testing.assert_array_equal(few.images, many.images[:30])
    assert (sampled(trained, 30, seed=1).images != few.images).any()
    assert len(np.unique(many.images.reshape(260, -1), axis=0)) > 100


def test_another_chunk_size_moves_no_pixel_by_more_than_rounding(
    digits: TrainingSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = trained_run("dcgan", digits)
    first = sampled(trained, 60).images
    monkeypatch.setattr("baselines.sampling.trained.CHUNK", 7)
    second = sampled(trained, 60).images
    assert np.abs(first.astype(int) - second.astype(int)).max() <= 1
    assert (first == second).mean() > 0.999


def test_conditional_samples_take_classes_in_turn(digits: TrainingSet) -> None:
    trained = trained_run("conditional-dcgan", digits)
    samples = sampled(trained, 25)
    assert samples.labels is not None
    assert samples.labels.tolist() == [n % 10 for n in range(25)]
    chosen = Sampler(trained, SamplingOptions()).sample(5, np.array([3, 3, 3, 3, 3]))
    np.testing.assert_array_equal(chosen.images[3], samples.images[3])
    assert (chosen.images[0] != samples.images[0]).any()
    with pytest.raises(UsageError, match="labels are for conditional models only"):
        Sampler(trained_run("dcgan", digits), SamplingOptions()).sample(5, np.zeros(5, np.int64))


def test_truncated_latents_have_the_truncated_distribution() -> None:
    z = torch.randn(20_000, generator=torch.Generator().manual_seed(0))
    for threshold in (0.3, 1.0, 2.0):
        found = truncated(z, threshold)
        assert found.abs().max() <= threshold
        expected = stats.truncnorm(-threshold, threshold).cdf
        assert stats.kstest(found.numpy(), expected).pvalue > 0.01
        assert (found[z.argsort()].diff() >= 0).all(), "each latent keeps its rank"
    torch.testing.assert_close(truncated(z, 8.0), z, rtol=1e-3, atol=1e-3)


def test_truncation_raises_precision_and_lowers_recall(mnist: RealSample) -> None:
    """Uses the bundled run."""
    trained = load_demo()
    extractor = EXTRACTORS["digits"].resolve().load()
    real = extractor(mnist.images).values
    found = []
    for threshold in (None, 1.5, 1.0):
        images = sampled(trained, 2000, truncation=threshold).images
        nearest = neighbour_pass(real, extractor(images).values)
        found.append((precision(nearest), recall(nearest)))
    precisions, recalls = zip(*found, strict=True)
    assert list(precisions) == sorted(precisions)
    assert list(recalls) == sorted(recalls, reverse=True)
    assert precisions[-1] > precisions[0] + 0.05
    assert recalls[-1] < recalls[0] - 0.05


def test_rejection_moves_samples_towards_the_real_density(digits: TrainingSet) -> None:
    """The real density is exp(2 v) on [-1, 1], with mean (coth 2 - 1/2) = 0.537; the generated one
    is uniform.

    The acceptance probability sigmoid(F) equals r / max r if the shift is 0. F = 0 at r / max r =
    1/2, that is at v = 1 - log(2) / 2 = 0.653; 82.7 % of uniform values are below.
    """
    trained = toy(digits, Ramp())
    plain = sampled(trained, 2000)
    assert plain.acceptance_rate == 1
    assert values(plain).mean() == pytest.approx(0, abs=0.04)
    rates, means = [], []
    for gamma in (0.0, 50.0, 82.7):
        samples = sampled(trained, 6000, rejection_gamma=gamma)
        assert samples.num_forced == 0
        rates.append(samples.acceptance_rate)
        means.append(values(samples).mean())
    assert rates == sorted(rates, reverse=True), "a higher percentile accepts less"
    assert means == sorted(means)
    assert rates[0] > 0.5, "at the lowest percentile every chance is at least sigmoid(0)"
    assert means[-1] == pytest.approx(1 / math.tanh(2) - 0.5, abs=0.02)


def test_drs_by_hand() -> None:
    # D - D_M = -log 2: F = -log 2 - log(1 - 1/2) = 0, so that half are accepted
    value = drs_values(torch.tensor([3.0 - math.log(2)]), torch.tensor(3.0))
    assert value.item() == pytest.approx(0, abs=1e-5)
    top = drs_values(torch.tensor([3.0, 4.0]), torch.tensor(3.0))
    assert torch.isfinite(top).all()
    assert torch.sigmoid(top).min() > 0.99


def test_the_budget_is_kept(digits: TrainingSet) -> None:
    log_ratio = torch.randn(10_000, generator=torch.Generator().manual_seed(0)) * 3
    for budget in (1.0, 2.0, 10.0):
        scale = budget_scale(log_ratio, budget)
        rate = (log_ratio + scale).clamp_max(0).exp().mean().item()
        assert rate == pytest.approx(1 / budget, rel=1e-4)
    trained = toy(digits, Ramp())
    for budget in (1.0, 2.0, 4.0):
        samples = sampled(trained, 2000, budget=budget)
        assert samples.acceptance_rate == pytest.approx(1 / budget, rel=0.06)
    # with K = max r the accepted density is the real one: r = 2 exp(2 v) / sinh 2, at most 4.07
    assert values(sampled(trained, 4000, budget=4.0)).mean() == pytest.approx(0.537, abs=0.03)


def test_latent_rejection_clears_the_space_between_modes(digits: TrainingSet) -> None:
    trained = toy(digits, Step())
    z = torch.zeros(3, 8)
    z[:, 0] = torch.tensor([0.0, 0.1, 1.0])
    norms = jacobian_norms(trained, z, None, seed=0)
    assert norms[0] > norms[1] > 100 * norms[2]
    between = []
    for share in (None, 0.9, 0.8):
        samples = sampled(trained, 1000, latent_share=share)
        assert samples.acceptance_rate == pytest.approx(share or 1, abs=0.03)
        between.append((np.abs(values(samples)) < 0.9).mean())
    # |tanh(10 z)| < 0.9 means |z| < 0.147, which has probability 0.117
    assert between[0] == pytest.approx(0.117, abs=0.03)
    assert between[2] == 0
    assert between[0] > between[1]


def test_jacobian_norms_rank_latents_as_the_exact_ones(digits: TrainingSet) -> None:
    trained = load_demo()
    z = torch.randn(64, 54, generator=torch.Generator().manual_seed(1))
    y = torch.nn.functional.one_hot(torch.arange(64) % 10, 10).float()
    exact = torch.zeros(64, dtype=torch.float64)
    with torch.no_grad():
        here = trained.decode(z, y)
        for axis in torch.eye(54):  # the whole Jacobian, column by column
            column = (trained.decode(z + 0.01 * axis, y) - here) / 0.01
            exact += column.flatten(1).double().square().sum(1)
    norms = jacobian_norms(trained, z, y, seed=0)
    assert stats.spearmanr(exact, norms)[0] > 0.95
    assert float((norms / exact).mean()) == pytest.approx(1, abs=0.1)


def test_jacobian_norms_are_exact_where_directions_suffice(digits: TrainingSet) -> None:
    trained = trained_run("dcgan", digits)  # 8 latents
    z = torch.randn(2, 8, generator=torch.Generator().manual_seed(1))
    norms = jacobian_norms(trained, z, None, seed=0)
    for row, norm in zip(z, norms, strict=True):
        jacobian = torch.func.jacrev(lambda one: trained.decode(one[None]).flatten())(row)
        assert norm == pytest.approx(float(jacobian.square().sum()), rel=0.02)


def test_labels_are_checked(digits: TrainingSet) -> None:
    sampler = Sampler(trained_run("conditional-dcgan", digits), SamplingOptions())
    threes = sampler.sample(4, 3)
    assert threes.labels is not None
    assert threes.labels.tolist() == [3, 3, 3, 3]
    np.testing.assert_array_equal(threes.images, sampler.sample(4, [3, 3, 3, 3]).images)
    for labels, told in (
        ([1, 2], "expected 4 integers, or one"),
        ([0.5] * 4, "expected 4 integers"),
        (10, "10 to 10: the model has classes 0 to 9"),
        ([0, 1, 2, -1], "-1 to 2"),
    ):
        with pytest.raises(UsageError, match=told):
            sampler.sample(4, labels)
    plain = Sampler(trained_run("course-gan", digits), SamplingOptions())
    with pytest.raises(UsageError, match="conditional models only"):
        plain.sample(4, 3)


def test_options_that_leave_many_images_without_an_accepted_candidate_are_refused(
    digits: TrainingSet,
) -> None:
    """Of 200 candidates none is accepted with probability (1 - rate)^200, which is at most .01 for
    a rate of 1 - .01^(1/200) = .0228: a budget of 43.9, or a latent share of .0228.
    """
    trained = toy(digits, Ramp())
    assert sampled(trained, 50, rejection_gamma=95).num_forced == 0
    with pytest.raises(UsageError, match=r"gamma 100 accepts .*; give a smaller percentile$"):
        sampled(trained, 50, rejection_gamma=100)
    assert sampled(trained, 2000, budget=43).num_forced == pytest.approx(18, abs=14)  # .99 %
    with pytest.raises(UsageError, match="budget 100: expected 1 to 43"):
        SamplingOptions(budget=100)
    with pytest.raises(UsageError, match=r"latent share 0.022: expected 0.023 to 1"):
        SamplingOptions(latent_share=0.022)
    SamplingOptions(budget=21, latent_share=0.5)
    with pytest.raises(UsageError, match=r"budget 22 with latent share 0.5 accepts 0.023 of .*1%"):
        SamplingOptions(budget=22, latent_share=0.5)


class ClassRatio(Ratio):
    """A discriminator that rejects class 7."""

    def forward(
        self, x: Tensor, y: Tensor | None = None, keep: Tensor | None = None
    ) -> DiscriminatorOutput:
        found = super().forward(x)
        assert y is not None
        return found._replace(logits=found.logits - 30 * y[:, 7])


def test_a_class_that_is_never_accepted_is_an_error(digits: TrainingSet) -> None:
    base = toy(digits, Ramp(), "conditional-dense-gan")
    networks = {"generator": Ramp(), "discriminator": ClassRatio()}
    trained = Trained(base.checkpoint, base.game, networks, "cpu")
    sampler = Sampler(trained, SamplingOptions(budget=4))
    assert sampler.sample(20, 6).num_forced == 0
    for labels, count in ((7, "40 of 40"), (None, "4 of 40")):
        with pytest.raises(UsageError, match=f"{count} images have no accepted .* smaller budget"):
            sampler.sample(40, labels)


@pytest.mark.parametrize("gamma", [None, 80])
def test_progress_counts_images(gamma: float | None, digits: TrainingSet) -> None:
    seen: list[tuple[int, int]] = []
    sampler = Sampler(toy(digits, Ramp()), SamplingOptions(rejection_gamma=gamma))
    sampler.sample(300, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (300, 300)
    assert sorted(seen) == seen


def test_rejected_samples_do_not_depend_on_their_number(digits: TrainingSet) -> None:
    trained = toy(digits, Ramp())
    few = sampled(trained, 20, rejection_gamma=80)
    many = sampled(trained, 300, rejection_gamma=80)
    np.testing.assert_array_equal(few.images, many.images[:20])


def test_what_cannot_be_sampled(digits: TrainingSet) -> None:
    gan = trained_run("course-gan", digits, "tricks.latent=on")
    with pytest.raises(UsageError, match="truncation needs a Gaussian latent"):
        sampled(gan, 3, truncation=1.0)
    for loss in ("hinge", "wasserstein"):
        with pytest.raises(UsageError, match="does not estimate a density ratio"):
            sampled(trained_run("course-gan", digits, f"loss={loss}"), 3, budget=2)
    for trick in ("minibatch-discrimination", "minibatch-standard-deviation"):
        with pytest.raises(UsageError, match="depends on the rest of the batch"):
            sampled(trained_run("course-gan", digits, f"tricks.{trick}=on"), 3, budget=2)
    with pytest.raises(UsageError, match="needs a GAN"):
        sampled(trained_run("vae", digits), 3, budget=2)
    with pytest.raises(UsageError, match="fitted at the end of training"):
        sampled(trained_run("ae-dense", digits), 3)
    with pytest.raises(UsageError, match="expected at least 1"):
        sampled(gan, 0)
    bad_options: tuple[dict[str, float], ...] = (
        {"rejection_gamma": 101},
        {"truncation": 0},
        {"truncation": math.inf},
        {"budget": 0.5},
        {"budget": math.inf},
        {"latent_share": 2},
    )
    for bad in bad_options:
        with pytest.raises(UsageError, match="expected"):
            SamplingOptions(**bad)  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="unknown prior 'gauss'"):
        SamplingOptions(prior="gauss")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="two rejection samplers"):
        SamplingOptions(rejection_gamma=80, budget=2)


def test_previews_are_the_same_all_along(digits: TrainingSet) -> None:
    trained = trained_run("conditional-dcgan", digits)
    np.testing.assert_array_equal(preview(trained, 12), preview(trained, 12))
    assert preview(trained, 12).shape == (12, 28, 28, 1)


def test_the_manifest_is_next_to_the_folder(digits: TrainingSet, tmp_path: Path) -> None:
    from baselines.sampling.samples_folder import manifest_path

    assert manifest_path(tmp_path / "samples").name == "samples.manifest.json"
