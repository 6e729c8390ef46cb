"""Blocks, resuming, stacking: every way of executing a run gives the same result."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.training.build import build_for
from baselines.training.engine import BlockTerms, Engine, first_non_finite, train_through
from baselines.training.stacked import stacks_of
from baselines.training.training_images import TrainingSet
from baselines.tricks import TRICKS
from bench.errors import UsageError
from tests.baselines.conftest import small_engine, small_game

EVERYTHING = (
    "tricks.ema=on",
    "tricks.replay-buffer=on",
    "tricks.instance-noise=on",
    "tricks.label-flips=on",
    "tricks.historical-averaging=on",
    "tricks.dropout=on",
    "tricks.spectral-norm=on",
    "tricks.r1=on",
    "tricks.feature-matching=on",
)
RESUMED = {
    "course-gan": EVERYTHING,
    "dcgan": ("tricks.ema=on", "tricks.minibatch-discrimination=on"),
    "wgan": (),
    "infogan": (),
    "vae-conditional": (),
    "ae-denoising-masking": (),
}


def assert_resumed_bit_by_bit(
    recipe: str, data: TrainingSet, *settings: str, num_steps: int = 40
) -> None:
    """A run interrupted after the first block has the same tensors, all of them finite."""
    whole, first, again = (
        small_engine(recipe, data, *settings, num_steps=num_steps) for _ in range(3)
    )
    train_through(whole)
    first.run_block()
    again.load([first.tensors()], first.step)
    train_through(again)
    expected, found = whole.tensors(), again.tensors()
    assert set(expected) == set(found)
    for name, value in expected.items():
        assert torch.isfinite(value).all(), name
        assert torch.equal(found[name], value), name


@pytest.mark.parametrize("recipe", RESUMED)
def test_resuming_is_bit_equal(recipe: str, digits: TrainingSet) -> None:
    assert_resumed_bit_by_bit(recipe, digits, *RESUMED[recipe])


@pytest.mark.parametrize("optimiser", ["rmsprop", "sgd"])
def test_resuming_is_bit_equal_with_other_optimisers(optimiser: str, digits: TrainingSet) -> None:
    chosen = [f"optimiser={optimiser}", "learning_rate=1e-3"]
    assert_resumed_bit_by_bit("course-gan", digits, *chosen, num_steps=20)


@given(names=st.sets(st.sampled_from(sorted(TRICKS)), min_size=1, max_size=4))
@settings(max_examples=25)
def test_any_tricks_that_are_admitted_together_train_and_resume(
    names: set[str], digits: TrainingSet
) -> None:
    recipe = "dcgan" if names & {"downsampling", "up-kernel"} else "course-gan"
    on = [f"tricks.{name}=on" for name in sorted(names)]
    refused = ""
    try:
        small_game(recipe, digits, *on)
    except UsageError as error:
        refused = str(error)
    if refused:  # two that contradict each other, or the model: with the reason
        assert "cannot be" in refused
        return
    assert_resumed_bit_by_bit(recipe, digits, *on, num_steps=18)


def test_same_seed_same_bits_other_seed_other_bits(digits: TrainingSet) -> None:
    runs = [small_engine("course-gan", digits, seed=seed, num_steps=16) for seed in (1, 1, 2)]
    first, same, other = [run.run_block().values for run in runs]
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_training_leaves_the_global_random_state_alone(digits: TrainingSet) -> None:
    before = torch.random.get_rng_state()
    small_engine("course-gan", digits, *EVERYTHING, num_steps=16).run_block()
    assert torch.equal(torch.random.get_rng_state(), before)


STACKED = {
    "course-gan": ("tricks.ema=on", "tricks.label-noise=on", "tricks.dropout=on"),
    "dcgan": ("tricks.replay-buffer=on", "tricks.instance-noise=on"),
    "wgan": (),
    "vae-gaussian": ("optimiser=sgd", "learning_rate=1e-6"),
    "wgan-gp": ("tricks.spectral-norm=on",),
    "hinge-gan": ("tricks.historical-averaging=on",),
    "conditional-dcgan": (),
    "infogan": ("tricks.feature-matching=on",),
    "vae": (),
    "ae-sparse-kl": (),
    "ae-conv": (),
}


@pytest.fixture
def _one_thread() -> Iterator[None]:
    """Sum in the same order for any number of cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_one_thread")
@pytest.mark.parametrize(("num_steps", "tolerance"), [(3, 1e-4), (20, 1e-2)])
@pytest.mark.parametrize("recipe", STACKED)
def test_a_stack_equals_its_single_runs(
    recipe: str, num_steps: int, tolerance: float, digits: TrainingSet
) -> None:
    """Compare losses and all tensors of three seeds, relative to a tensor's largest value if that
    exceeds 1. Within 20 steps a rounding error at the kink of a ReLU may separate the runs, by at
    most what Adam moves a weight in 20 steps. Whether it does depends on the processor.
    """
    games = [
        small_game(recipe, digits, *STACKED[recipe], seed=seed, num_steps=num_steps)
        for seed in range(3)
    ]
    stack = Engine(games, digits, stack=True)
    blocks: list[BlockTerms] = []
    train_through(stack, blocks.append)
    values = torch.cat([block.values for block in blocks])
    for run in range(3):
        single = small_engine(recipe, digits, *STACKED[recipe], seed=run, num_steps=num_steps)
        alone: list[BlockTerms] = []
        train_through(single, alone.append)
        torch.testing.assert_close(
            values[:, run],
            torch.cat([block.values for block in alone]),
            rtol=tolerance,
            atol=tolerance,
        )
        expected, found = single.tensors(), stack.tensors(run)
        assert set(expected) == set(found)
        for name, value in expected.items():
            if num_steps > 3 and not name.startswith("networks/"):
                continue
            size = max(1.0, value.abs().max().item())
            torch.testing.assert_close(
                found[name], value, rtol=tolerance, atol=tolerance * size, msg=name
            )


@pytest.mark.usefixtures("_one_thread")
@pytest.mark.parametrize("trick", TRICKS)
def test_a_stack_equals_its_single_runs_under_every_trick(trick: str, digits: TrainingSet) -> None:
    """Compare two seeds after three steps of both players; the pool is full after one. Kinks of
    leaky ReLU and minibatch discrimination raise rounding errors above 1e-4 in 2 to 4 of 40 seeds,
    but not in these with one thread; more threads sum in another order.
    """
    recipe = "dcgan" if trick in ("downsampling", "up-kernel") else "course-gan"
    on = "tricks.replay-buffer.pool_size=8" if trick == "replay-buffer" else f"tricks.{trick}=on"
    seeds = (2, 3)
    games = [small_game(recipe, digits, on, seed=seed, num_steps=3) for seed in seeds]
    stack = Engine(games, digits, stack=True)
    train_through(stack)
    for run, seed in enumerate(seeds):
        single = small_engine(recipe, digits, on, seed=seed, num_steps=3)
        train_through(single)
        found = stack.tensors(run)
        for name, value in single.tensors().items():
            size = max(1.0, value.abs().max().item())
            torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-4 * size, msg=name)


def test_stacked_learning_rates(digits: TrainingSet) -> None:
    """K settings: runs of one seed that differ in their learning rates."""
    rates = [1e-4, 4e-4]

    def settings(rate: float) -> tuple[str, ...]:
        return (f"tricks.two-time-scales.discriminator={rate}", f"learning_rate={rate}")

    games = [small_game("course-gan", digits, *settings(r), num_steps=20) for r in rates]
    stack = Engine(games, digits, stack=True)
    train_through(stack)
    for run, rate in enumerate(rates):
        single = small_engine("course-gan", digits, *settings(rate), num_steps=20)
        train_through(single)
        expected, found = single.tensors(), stack.tensors(run)
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-4, msg=name)
    assert not torch.allclose(
        stack.tensors(0)["networks/discriminator/out.weight"],
        stack.tensors(1)["networks/discriminator/out.weight"],
    )


def test_a_run_of_a_stack_goes_on_as_a_single_run(digits: TrainingSet) -> None:
    games = [small_game("course-gan", digits, seed=seed, num_steps=20) for seed in range(2)]
    stack = Engine(games, digits, stack=True)
    stack.run_block()
    single = small_engine("course-gan", digits, seed=1, num_steps=20)
    single.load([stack.tensors(1)], stack.step)
    train_through(single)
    train_through(stack)
    for name, value in single.tensors().items():
        torch.testing.assert_close(stack.tensors(1)[name], value, rtol=1e-4, atol=1e-4, msg=name)


CELLS = (
    (),
    ("tricks.label-noise=on",),
    ("tricks.replay-buffer=on", "tricks.label-noise=on"),
    ("tricks.minibatch-discrimination=on", "batch_size=8"),
    ("loss=minimax",),
    ("model.latent_dim=9",),
    ("tricks.discriminator-steps=on", "optimiser=rmsprop", "learning_rate=1e-5"),
)


@pytest.mark.parametrize("stack", [False, True], ids=["in turn", "stacked"])
def test_cells_of_one_model_are_one_program(stack: bool, digits: TrainingSet) -> None:
    """Cells that share no settings, with two seeds each, equal their single runs bit for bit when
    they take turns, and to 1e-3 after 20 steps when stacked. A resumed program continues unchanged.
    """

    def program() -> Engine:
        return Engine(
            [
                small_game("course-gan", digits, *cell, seed=seed, num_steps=20)
                for seed in (2, 3)
                for cell in CELLS
            ],
            digits,
            stack=stack,
        )

    whole, first, again = program(), program(), program()
    assert len(whole.lanes) == len(CELLS) * (1 if stack else 2)
    blocks: list[BlockTerms] = []
    train_through(whole, blocks.append)
    values = torch.cat([block.values for block in blocks])
    first.run_block()
    again.load([first.tensors(run) for run in range(again.num_runs)], first.step)
    train_through(again)
    for run, game in enumerate(whole.games):
        alone: list[BlockTerms] = []
        single = Engine(build_for(game.config, digits), digits)
        train_through(single, alone.append)
        expected = torch.cat([block.values for block in alone])
        found, resumed = whole.tensors(run), again.tensors(run)
        assert set(found) == set(single.tensors())
        if not stack:
            assert torch.equal(values[:, run], expected)
        torch.testing.assert_close(values[:, run], expected, rtol=1e-3, atol=1e-3)
        for name, value in single.tensors().items():
            assert torch.equal(found[name], resumed[name]), name
            if not stack:
                assert torch.equal(found[name], value), name
            size = max(1.0, value.abs().max().item())
            torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-3 * size, msg=name)


def test_what_cannot_be_one_program_is_refused(digits: TrainingSet) -> None:
    games = [small_game("course-gan", digits), small_game("dcgan", digits)]
    with pytest.raises(UsageError, match="the same model, got dcgan, dense-gan"):
        Engine(games, digits)
    lengths = [small_game("course-gan", digits, num_steps=steps) for steps in (8, 16)]
    with pytest.raises(UsageError, match="the same num_steps, got 8, 16"):
        Engine(lengths, digits)


def test_rates_are_stacked_with_adam_alone(digits: TrainingSet) -> None:
    for optimiser, expected in (("adam", [[0, 1, 2]]), ("rmsprop", [[0, 2], [1]])):
        configs = [
            small_game("wgan", digits, f"optimiser={optimiser}", f"learning_rate={rate}").config
            for rate in (1e-5, 2e-5, 1e-5)
        ]
        assert stacks_of(configs) == expected


def test_the_first_bad_step_is_found() -> None:
    values = torch.zeros(4, 3)
    values[2, 1] = torch.inf
    values[3, 0] = torch.nan
    assert first_non_finite(BlockTerms(32, ("a", "b", "c"), values)) == (34, "b")
    assert first_non_finite(BlockTerms(32, ("a", "b", "c"), values[:2])) is None
    stacked = torch.stack([torch.zeros(4, 3), values], dim=1)
    assert first_non_finite(BlockTerms(0, ("a", "b", "c"), stacked), run=1) == (2, "b")
    assert first_non_finite(BlockTerms(0, ("a", "b", "c"), stacked), run=0) is None


def test_bfloat16_is_near_float32(digits: TrainingSet) -> None:
    exact = small_engine("course-gan", digits, num_steps=16).run_block()
    rough = small_engine("course-gan", digits, "precision=bfloat16", num_steps=16).run_block()
    assert not torch.equal(exact.values, rough.values)
    torch.testing.assert_close(exact.values, rough.values, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("head", [None, "minibatch-discrimination", "minibatch-standard-deviation"])
@pytest.mark.parametrize("recipe", ["course-gan", "dense-gan", "dcgan", "infogan", "vae-conv"])
def test_stacks_compute_in_bfloat16_too(recipe: str, head: str | None, digits: TrainingSet) -> None:
    if head is not None and recipe == "vae-conv":
        head = None
    settings = ["precision=bfloat16", *([] if head is None else [f"tricks.{head}=on"])]
    games = [small_game(recipe, digits, *settings, seed=seed, num_steps=2) for seed in (0, 1)]
    stacked = Engine(games, digits, stack=True).run_block().values
    alone = small_engine(recipe, digits, *settings, num_steps=2).run_block().values
    # 8 bits of mantissa: a relative 2^-8 of each term
    torch.testing.assert_close(stacked[:, 0], alone, rtol=0.02, atol=0.02)


def test_graphs_are_refused_without_a_gpu(digits: TrainingSet) -> None:
    with pytest.raises(UsageError, match="no CUDA graphs"):
        Engine(small_game("course-gan", digits), digits, graph=True)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("recipe", ["course-gan", "dcgan", "conditional-dcgan", "wgan-gp", "vae"])
def test_a_captured_step_equals_the_eager_one(recipe: str, digits: TrainingSet) -> None:
    from dataclasses import replace

    assert digits.labels is not None
    on_gpu = replace(digits, images=digits.images.cuda(), labels=digits.labels.cuda())
    engines = [
        Engine(small_game(recipe, digits), on_gpu, device="cuda", graph=graph)
        for graph in (True, False)
    ]
    for engine in engines:
        train_through(engine)
    captured, eager = [engine.tensors() for engine in engines]
    for name, value in eager.items():
        torch.testing.assert_close(captured[name], value, rtol=1e-4, atol=1e-5, msg=name)


def test_runs_that_take_turns_equal_single_runs_bit_by_bit(digits: TrainingSet) -> None:
    games = [small_game("dcgan", digits, seed=seed, num_steps=20) for seed in range(2)]
    turns = Engine(games, digits)
    assert len(turns.lanes) == 2, "on a CPU"
    blocks: list[BlockTerms] = []
    train_through(turns, blocks.append)
    for run in range(2):
        single = small_engine("dcgan", digits, seed=run, num_steps=20)
        alone: list[BlockTerms] = []
        train_through(single, alone.append)
        for block, own in zip(blocks, alone, strict=True):
            assert torch.equal(block.values[:, run], own.values)
        for name, value in single.tensors().items():
            assert torch.equal(turns.tensors(run)[name], value), name


def test_a_stack_is_taken_up_again_bit_by_bit(digits: TrainingSet) -> None:
    def stack() -> Engine:
        games = [small_game("course-gan", digits, seed=seed, num_steps=20) for seed in range(2)]
        return Engine(games, digits, stack=True)

    whole, first, again = stack(), stack(), stack()
    train_through(whole)
    first.run_block()
    again.load([first.tensors(run) for run in range(2)], first.step)
    train_through(again)
    for run in range(2):
        for name, value in whole.tensors(run).items():
            assert torch.equal(again.tensors(run)[name], value), name
