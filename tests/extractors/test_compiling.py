"""Compiling once that pays: a clock that the test moves, and PyTorch's own compiler for real."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from bench.extractors import compiling
from bench.extractors.compiling import CompiledOncePaid


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def perf_counter(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(compiling, "time", found)
    return found


@pytest.fixture
def compiled_sizes(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> list[int]:
    """Sizes of the batches that ran compiled; the first of them costs 20 s."""
    sizes: list[int] = []

    def fake(network: Callable[..., Any]) -> Callable[..., Any]:
        def run(x: torch.Tensor) -> Any:
            clock.now_s += 0 if sizes else 20
            sizes.append(len(x))
            return network(x)

        return run

    monkeypatch.setattr(torch, "compile", fake)
    return sizes


def test_compiles_when_the_plain_network_has_cost_as_much(
    clock: Clock, compiled_sizes: list[int]
) -> None:
    def network(x: torch.Tensor) -> torch.Tensor:
        clock.now_s += 1
        return x + 1

    run = CompiledOncePaid(network, 4, cost_s=3)
    batch = torch.zeros(4, 1)
    for _ in range(4):  # the first one loads and tunes, and does not count: 3 s are over after 4
        assert torch.equal(run(batch), batch + 1)
    assert not compiled_sizes
    assert run.compile_s is None
    run(batch)
    assert compiled_sizes == [4]
    assert run.compile_s == 21  # 20 s, and the 1 s of its batch
    for size in (4, 3, 4):  # a smaller one would be compiled anew
        assert len(run(torch.zeros(size, 1))) == size
    assert compiled_sizes == [4, 4, 4]
    assert run.compile_s == 21  # told once


def test_small_folders_never_pay(clock: Clock, compiled_sizes: list[int]) -> None:
    def network(x: torch.Tensor) -> torch.Tensor:
        clock.now_s += 0.1
        return x

    run = CompiledOncePaid(network, 500)
    for _ in range(20):  # 10,000 images
        run(torch.zeros(500, 1))
    assert not compiled_sizes
    assert run.compile_s is None


def test_the_result_stays_the_same_with_pytorchs_compiler() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))
    x = torch.randn(32, 8, generator=torch.Generator().manual_seed(0))
    run = CompiledOncePaid(network, 32, cost_s=0)
    with torch.inference_mode():
        plain = run(x)
        compiled = run(x)
    assert run.compile_s is not None
    assert run.compile_s > 0
    torch.testing.assert_close(compiled, plain, rtol=1e-5, atol=1e-6)
