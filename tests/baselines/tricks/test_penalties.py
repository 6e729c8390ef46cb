"""Tricks that bound the discriminator or slow a player down."""

from __future__ import annotations

import pytest
import torch

from baselines.models.base import DiscriminatorOutput
from baselines.training.training_images import TrainingSet
from baselines.tricks.base import JudgedBatch
from tests.baselines.conftest import small_engine, small_game
from tests.baselines.tricks.contexts import Linear, active, context, judged


@pytest.fixture
def critic() -> Linear:
    """The slope is (3, 4), of norm 5, everywhere."""
    return Linear(torch.tensor([3.0, 4.0]))


def test_r1_of_a_linear_critic(critic: Linear) -> None:
    trick, options = active("r1", gamma=10.0)
    assert trick.d_penalty is not None
    real, fake = (judged(torch.randn(6, 1, 1, 2), critic) for _ in range(2))
    penalty = trick.d_penalty(real, fake, context(discriminator=critic), options)
    assert penalty.item() == pytest.approx(10 / 2 * 25)
    penalty.backward()
    assert critic.w.grad is not None
    torch.testing.assert_close(critic.w.grad, torch.tensor([30.0, 40.0]))  # gamma w


def test_gradient_penalty_of_a_linear_critic(critic: Linear) -> None:
    trick, options = active("gradient-penalty", weight=10.0)
    assert trick.d_penalty is not None
    real, fake = (judged(torch.randn(6, 1, 1, 2), critic) for _ in range(2))
    at = context(discriminator=critic, draws={"gradient-penalty/mix": torch.rand(6, 1, 1, 1)})
    assert trick.d_penalty(real, fake, at, options).item() == pytest.approx(10 * (5 - 1) ** 2)
    with torch.no_grad():
        critic.w.div_(5)
    assert trick.d_penalty(real, fake, at, options).item() == pytest.approx(0, abs=1e-6)


def test_gradient_penalty_looks_between_real_and_fake() -> None:
    class Seen(torch.nn.Module):
        def forward(
            self, x: torch.Tensor, y: object = None, keep: object = None
        ) -> DiscriminatorOutput:
            self.x = x.detach()
            return DiscriminatorOutput(x.flatten(1).sum(1), x.flatten(1))

    trick, options = active("gradient-penalty")
    assert trick.d_penalty is not None
    critic = Seen()
    share = torch.tensor([0.0, 0.25, 1.0]).view(3, 1, 1, 1)
    real = judged(torch.ones(3, 1, 1, 2), critic)
    fake = judged(-torch.ones(3, 1, 1, 2), critic)
    at = context(discriminator=critic, draws={"gradient-penalty/mix": share})
    trick.d_penalty(real, fake, at, options)
    assert critic.x[:, 0, 0, 0].tolist() == [-1, -0.5, 1]


def test_gradient_penalty_mixes_the_classes_of_the_two_images() -> None:
    class Seen(torch.nn.Module):
        def forward(
            self, x: torch.Tensor, y: torch.Tensor, keep: object = None
        ) -> DiscriminatorOutput:
            self.y = y.detach()
            return DiscriminatorOutput(x.flatten(1).sum(1), x.flatten(1))

    trick, options = active("gradient-penalty")
    assert trick.d_penalty is not None
    critic = Seen()
    x, classes = torch.ones(2, 1, 1, 2), torch.eye(3)
    real, fake = (JudgedBatch(x, y, critic(x, y)) for y in (classes[[0, 1]], classes[[2, 1]]))
    share = torch.tensor([0.25, 0.25]).view(2, 1, 1, 1)
    at = context(discriminator=critic, draws={"gradient-penalty/mix": share})
    trick.d_penalty(real, fake, at, options)
    assert critic.y.tolist() == [[0.25, 0, 0.75], [0, 1, 0]]


def test_clipped_parameters_stay_in_the_box(digits: TrainingSet) -> None:
    engine = small_engine("wgan", digits, num_steps=16)
    engine.run_block()
    values = engine.lanes[0].parameters["discriminator"].values()
    assert max(value.abs().max().item() for value in values) == pytest.approx(0.01, rel=1e-6)
    generator = engine.lanes[0].parameters["generator"].values()
    assert max(value.abs().max().item() for value in generator) > 0.05, "the generator is free"


WITHOUT_BATCH_NORM = "model.batch_norm_discriminator=false"


@pytest.mark.parametrize(("recipe", "own"), [("course-gan", ()), ("dcgan", (WITHOUT_BATCH_NORM,))])
def test_spectral_norms_are_one_after_training(
    recipe: str, own: tuple[str, ...], digits: TrainingSet
) -> None:
    settings = (*own, "tricks.spectral-norm=on", "learning_rate=1e-3")
    engine = small_engine(recipe, digits, *settings, num_steps=32)
    engine.run_block()
    engine.run_block()
    norms = [
        torch.linalg.matrix_norm(module.weight.flatten(1), 2).item()
        for module in engine.lanes[0].modules["discriminator"].modules()
        if isinstance(module, torch.nn.Linear | torch.nn.Conv2d)
    ]
    assert len(norms) == 3
    assert norms == pytest.approx([1] * 3, rel=0.05)


def test_without_it_spectral_norms_are_not_one(digits: TrainingSet) -> None:
    engine = small_engine("course-gan", digits, "learning_rate=1e-3", num_steps=16)
    engine.run_block()
    weight = engine.lanes[0].parameters["discriminator"]["hidden.0.weight"]
    assert abs(torch.linalg.matrix_norm(weight.detach(), 2).item() - 1) > 0.1


def test_historical_average_is_the_mean_of_all_past_values(digits: TrainingSet) -> None:
    engine = small_engine("course-gan", digits, "tricks.historical-averaging=on", num_steps=3)
    from baselines.training.steps import adversarial_step

    name = "hidden.0.weight"
    engine._fill(0)
    past = {
        p: [engine.lanes[0].parameters[p][name].detach().clone()] for p in engine.lanes[0].modules
    }
    for step in range(3):
        draws = {key: value[step] for key, value in engine._blocks[0].items()}
        adversarial_step(engine.lanes[0], digits, draws, torch.tensor(0.0))
        for player, values in past.items():
            values.append(engine.lanes[0].parameters[player][name].detach().clone())
    for player, values in past.items():
        torch.testing.assert_close(
            engine.lanes[0].state[f"historical-averaging/{player}.{name}"],
            torch.stack(values).mean(0),
        )


def test_the_historical_average_is_that_of_clipped_parameters(digits: TrainingSet) -> None:
    engine = small_engine("wgan", digits, "tricks.historical-averaging=on", num_steps=1)
    state = engine.lanes[0].state
    key = "historical-averaging/discriminator.hidden.0.weight"
    first = state[key].clone()
    engine.run_block()
    # the start and five clipped values of it: the sum of the five is 6 mean - start
    assert (6 * state[key] - first).abs().max() <= 5 * 0.01 + 1e-6


def test_historical_penalty_by_hand(critic: Linear) -> None:
    trick, options = active("historical-averaging", weight=0.5)
    assert trick.d_penalty is not None
    mean = {"historical-averaging/discriminator.w": torch.tensor([1.0, 1.0])}
    x = judged(torch.randn(2, 1, 1, 2), critic)
    penalty = trick.d_penalty(x, x, context(discriminator=critic, state=mean), options)
    assert penalty.item() == pytest.approx(0.5 * (2**2 + 3**2))


@pytest.mark.parametrize("trick", ["r1", "gradient-penalty"])
def test_a_penalty_leaves_power_iterations_alone(trick: str, digits: TrainingSet) -> None:
    """A penalty's calls do not update the buffers of a spectral norm."""
    switches = ("tricks.spectral-norm=on", f"tricks.{trick}=on")
    game = small_game("course-gan", digits, *switches)
    network = game.networks["discriminator"]
    before = [value.clone() for value in network.buffers()]
    found = next(a for a in game.active if a.trick.name == trick)
    x = digits.batch(torch.arange(4), "signed")
    with torch.no_grad():
        network.eval()
        real = judged(x, network)
        network.train()
    at = context(discriminator=network, draws={"gradient-penalty/mix": torch.rand(4, 1, 1, 1)})
    assert found.trick.d_penalty is not None
    assert found.trick.d_penalty(real, real, at, found.options).item() > 0
    assert all(torch.equal(a, b) for a, b in zip(before, network.buffers(), strict=True))
