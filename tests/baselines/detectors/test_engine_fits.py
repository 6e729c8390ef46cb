"""Subsets of one resident data set, stacks of normal sets of several sizes, lengths in epochs."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.optim.lr_scheduler import MultiStepLR

from baselines.detectors import deep_svdd, recipe_detector
from baselines.detectors.engine_fits import one_class_config, steps_of
from baselines.detectors.fitting import Job, Schedule, train_jobs
from baselines.detectors.svdd_net import Encoder, Pretraining
from baselines.detectors.svdd_objectives import SoftBoundary, reconstruction_objective
from baselines.detectors.table import epochs_of
from baselines.training.engine import Engine, train_through
from baselines.training.training_images import TrainingSet, training_set
from bench.anomaly.detectors.base import Detector, StackFitting
from bench.errors import UsageError
from tests.baselines.conftest import small_game
from tests.baselines.detectors.conftest import shortest
from tests.baselines.detectors.devices import on_every_device, shortest_on
from tests.conftest import RealSample

Pictures = NDArray[np.uint8]
STACKED = [
    "ae-dense",
    "ae-conv",
    "ae-denoising",
    "vae-reconstruction",
    "vae-elbo",
    "ae-oc-svm",
    "deep-svdd",
    "deep-svdd-soft",
    "gan-discriminator",
    "anogan",
]


def test_lengths_are_in_epochs_of_6000_images() -> None:
    """30 epochs of 60,000 images are 300 of 6,000; 6,000 / 128 = 46.9 steps."""
    assert epochs_of("ae-dense") == 300
    assert epochs_of("dcgan") == 500
    assert steps_of(1, 128) == 47
    assert steps_of(1e-9, 128) == 1
    config = one_class_config(
        "ae-dense", seed=5, epochs=3, model_options={"code_dim": 7}, batch_size=None
    )
    assert (config.num_steps, config.batch_size, config.seed) == (141, 128, 5)
    assert config.model_options["code_dim"] == 7


@pytest.mark.parametrize("recipe", ["ae-dense", "dcgan"])
def test_a_subset_draws_what_a_data_set_of_its_own_would(
    recipe: str, digits: TrainingSet, mnist: RealSample
) -> None:
    """Places 40, 43, 46, ... of 500 digits, against those digits alone: the same bits."""
    places = torch.arange(40, 400, 3)
    own = training_set(mnist.images[places.numpy()], None, name="own")
    part = Engine(small_game(recipe, digits, num_steps=20), digits, subsets=[places])
    alone = Engine(small_game(recipe, own, num_steps=20), own)
    for engine in (part, alone):
        train_through(engine)
    found = part.tensors()
    for name, value in alone.tensors().items():
        assert torch.equal(found[name], value), name


def test_subsets_must_fit(digits: TrainingSet) -> None:
    game = small_game("ae-dense", digits)
    with pytest.raises(UsageError, match="1 runs: expected 1 subsets, got 2"):
        Engine(game, digits, subsets=[torch.arange(3)] * 2)
    for bad in (torch.tensor([500]), torch.tensor([-1]), torch.arange(0)):
        with pytest.raises(UsageError, match=r"subset 0 of the data: expected indices 0\.\.499"):
            Engine(game, digits, subsets=[bad])


@on_every_device
@pytest.mark.parametrize("name", STACKED)
def test_a_stack_equals_its_single_fits(name: str, device: str, mnist: RealSample) -> None:
    """Three classes of several sizes trained as one program: the scores of the single fits within
    1e-3 of the largest score. AnoGAN, whose search comes after, and Deep SVDD, where Adam gives
    weights of hardly any gradient steps of full size, within 1e-2; for the latter see the test in
    float64 below.
    """
    normals = [mnist.images[mnist.labels == digit][:count] for digit, count in ((1, 90), (7, 60))]
    normals.append(mnist.images[:33])
    images = mnist.images[300:330]
    options: dict[str, float | int | str] = {"learning_rate": 1e-4 if "svdd" in name else 1e-3}
    together: list[Detector] = [
        shortest_on(device, name, seed=seed, **options) for seed in range(3)
    ]
    family = deep_svdd if name.startswith("deep") else recipe_detector
    family.fit_together(together, normals, stack=True)
    tolerance = 1e-2 if name.startswith(("anogan", "deep")) else 1e-3
    for seed, (stacked, normal) in enumerate(zip(together, normals, strict=True)):
        single = shortest_on(device, name, seed=seed, **options)
        single.fit(normal)
        expected, found = single.scores(images), stacked.scores(images)
        np.testing.assert_allclose(found, expected, atol=tolerance * np.abs(expected).max())
        assert np.ptp(expected) > 10 * np.abs(found - expected).max()


@on_every_device
def test_stacked_jobs_equal_single_ones_in_float64(device: str) -> None:
    """Pre-training and soft boundary for 20 steps each, three sets of several sizes: weights,
    statistics and radii within 1e-8, so what differs in float32 is rounding alone.
    """
    soft = SoftBoundary(0.1, warm_up_steps=5)
    for stage in ("pre-training", "soft"):
        runs = {}
        for stack in (True, False):
            jobs = [_job(stage, seed, count, device) for seed, count in enumerate((30, 50, 12))]
            schedule = Schedule(
                stage=stage,
                num_steps=20,
                batch_size=16,
                learning_rate=1e-3,
                weight_decay=1e-3,
                decay=functools.partial(MultiStepLR, milestones=[12]),
            )
            train_jobs(
                jobs,
                reconstruction_objective if stage != "soft" else soft.objective,
                schedule,
                stack=stack,
                on_step=soft.on_step if stage == "soft" else None,
            )
            runs[stack] = jobs
        for stacked, single in zip(runs[True], runs[False], strict=True):
            expected = {**single.network.state_dict(), **single.carried}
            found = {**stacked.network.state_dict(), **stacked.carried}
            assert set(found) == set(expected)
            for name, value in expected.items():
                torch.testing.assert_close(found[name], value, rtol=1e-8, atol=1e-8, msg=name)


def _job(stage: str, seed: int, count: int, device: str) -> Job:
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, 1, 12, 12, generator=generator, dtype=torch.float64)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Encoder((1, 12, 12), 16) if stage == "soft" else Pretraining((1, 12, 12), 16)
    carried = {
        "centre": torch.full((16,), 0.2, dtype=torch.float64, device=device),
        "radius": torch.zeros((), dtype=torch.float64, device=device),
    }
    network = network.double().to(device)
    return Job(network=network, images=images.to(device), seed=seed, carried=carried)


@pytest.mark.parametrize("name", ["ae-dense", "deep-svdd"])
def test_on_a_cpu_the_fits_take_turns_and_are_bit_equal(name: str, mnist: RealSample) -> None:
    normals = [mnist.images[:40], mnist.images[40:100]]
    first, second = shortest(name), shortest(name, seed=1)
    assert isinstance(first, StackFitting)
    first.fit_stack([second], normals)
    for seed, found in enumerate((first, second)):
        single = shortest(name, seed=seed)
        single.fit(normals[seed])
        images = mnist.images[200:220]
        np.testing.assert_array_equal(found.scores(images), single.scores(images))


@pytest.mark.parametrize("name", ["ae-dense", "deep-svdd"])
def test_what_cannot_be_stacked(name: str, ones: Pictures) -> None:
    first = shortest(name)
    assert isinstance(first, StackFitting)
    with pytest.raises(UsageError, match="2 detectors cannot be fitted to 1 sets"):
        first.fit_stack([shortest(name)], [ones])
    with pytest.raises(UsageError, match=f"{name}: only detectors of this row"):
        first.fit_stack([shortest("geotrans")], [ones, ones])
    with pytest.raises(UsageError, match=f"{name}: normal sets of several sizes H,W,C"):
        first.fit_stack([shortest(name)], [ones, ones[:, 4:24, 4:24]])
    with pytest.raises(UsageError, match=f"{name} needs 2 or more"):
        first.fit_stack([shortest(name)], [ones, ones[:1]])
