"""Replay buffer: the pool of earlier fakes."""

from __future__ import annotations

import pytest
import torch

from baselines.training.training_images import TrainingSet
from baselines.tricks.replay_buffer import exchange
from bench.errors import UsageError
from tests.baselines.conftest import small_engine, small_game


def numbered(start: int, count: int) -> torch.Tensor:
    """Return images whose pixels are their number."""
    return torch.arange(start, start + count, dtype=torch.float32).view(-1, 1, 1, 1)


def test_the_pool_fills_first_then_returns_half_new_images() -> None:
    generator = torch.Generator().manual_seed(0)
    pool, filled = torch.zeros(50, 1, 1, 1), torch.zeros((), dtype=torch.int64)
    shown_new, num_shown, seen = 0, 0, set()
    for batch in range(400):
        fake = numbered(1 + 20 * batch, 20)
        swap = torch.rand(20, generator=generator) < 0.5
        place = torch.randint(50, (20,), generator=generator)
        was_full = int(filled) == 50
        before = set(pool.flatten().tolist())
        shown, pool, filled = exchange(fake, pool, filled, swap, place)
        new = torch.isin(shown, fake).flatten()
        if not was_full:
            assert batch < 3
            assert torch.equal(shown, fake), "while it fills, images pass as they are"
            continue
        shown_new += int(new.sum())
        num_shown += 20
        assert set(shown.flatten()[~new].tolist()) <= before, "old images come from the pool"
        seen |= set(pool.flatten().tolist())
    assert shown_new / num_shown == pytest.approx(0.5, abs=0.02)
    assert int(filled) == 50
    assert len(pool.unique()) == 50
    # what the pool took in over 397 batches are the images that were swapped: half of them, less
    # those that met in one place within a batch
    assert 0.35 < len(seen) / (397 * 20) < 0.5


def test_a_swapped_image_takes_the_place_of_the_one_shown() -> None:
    pool = numbered(0, 4)
    swap, place = torch.tensor([True, False, True]), torch.tensor([2, 0, 2])
    full = torch.tensor(4)
    shown, updated, _ = exchange(numbered(10, 3), pool, full, swap, place)
    assert shown.flatten().tolist() == [2, 11, 2]
    assert updated.flatten().tolist() == [0, 1, 12, 3]


def test_a_batch_that_overflows_the_pool() -> None:
    empty = torch.zeros((), dtype=torch.int64)
    swap, place = torch.ones(5, dtype=torch.bool), torch.zeros(5, dtype=torch.int64)
    shown, pool, filled = exchange(numbered(1, 5), torch.zeros(3, 1, 1, 1), empty, swap, place)
    assert shown.flatten().tolist() == [1, 2, 3, 4, 5]
    assert pool.flatten().tolist() == [1, 2, 3]
    assert int(filled) == 3


def test_in_training_the_pool_holds_what_the_generator_made(digits: TrainingSet) -> None:
    engine = small_engine("course-gan", digits, "tricks.replay-buffer=on", num_steps=16)
    engine.run_block()
    pool = engine.tensors()["tricks/replay-buffer/pool"]
    assert pool.shape == (50, 1, 28, 28)
    assert len(pool.flatten(1).unique(dim=0)) == 50
    assert pool.abs().max() < 1


def test_conditional_models_are_refused(digits: TrainingSet) -> None:
    with pytest.raises(UsageError, match="without their classes"):
        small_game("conditional-dcgan", digits, "tricks.replay-buffer=on")
    with pytest.raises(UsageError, match="without their codes"):
        small_game("infogan", digits, "tricks.replay-buffer=on")
