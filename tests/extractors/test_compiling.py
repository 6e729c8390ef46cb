"""Compiling once that pays: a clock that the test moves, and PyTorch's own compiler for real."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.extractors import compiling
from bench.extractors.compiling import CompiledOncePaid
from bench.scoring.scorer import Scorer
from tests.conftest import RealSample, write_pngs

LOADED_BY_INDUCTOR = "ignore:`torch.jit.script_method` is:DeprecationWarning"  # of torch 2.11

DEVICES = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])


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

    def fake(network: Callable[..., Any], *, dynamic: bool) -> Callable[..., Any]:
        assert not dynamic  # one batch size only: nothing to generalise

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


@pytest.mark.filterwarnings(LOADED_BY_INDUCTOR)
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


def test_idle_time_is_not_paid(clock: Clock, compiled_sizes: list[int]) -> None:
    def network(x: torch.Tensor) -> torch.Tensor:
        clock.now_s += 1
        return x

    run = CompiledOncePaid(network, 4, cost_s=3)
    for _ in range(4):
        run(torch.zeros(4, 1))
        clock.now_s += 3600  # nothing to score for an hour
    assert not compiled_sizes
    run(torch.zeros(4, 1))
    assert compiled_sizes == [4]


class Event:
    """An event of a GPU that is `late` calls behind: its clock is the test's."""

    late = 0
    made: list[Event]

    def __init__(self, *, enable_timing: bool) -> None:
        assert enable_timing
        self.recorded_s = 0.0
        Event.made.append(self)

    def record(self, stream: str) -> None:
        assert stream == "stream of cuda:1"
        self.recorded_s = compiling.time.perf_counter()

    def query(self) -> bool:
        return Event.made.index(self) < len(Event.made) - 2 * Event.late

    def elapsed_time(self, end: Event) -> float:
        return (end.recorded_s - self.recorded_s) * 1e3


class OnGpu:
    """A batch that says it is on the second GPU."""

    is_cuda, device = True, "cuda:1"

    def __len__(self) -> int:
        return 4


@pytest.mark.parametrize(("late", "plain"), [(0, 4), (1, 5), (2, 6)])
def test_a_gpu_pays_by_its_own_clock_and_is_not_waited_for(
    clock: Clock,
    compiled_sizes: list[int],
    monkeypatch: pytest.MonkeyPatch,
    late: int,
    plain: int,
) -> None:
    Event.late, Event.made = late, []
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: f"stream of {device}")
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)

    def network(x: OnGpu) -> OnGpu:
        clock.now_s += 1
        return x

    run = CompiledOncePaid(network, 4, cost_s=3)
    for _ in range(plain):  # the first one does not count
        run(OnGpu())  # type: ignore[arg-type]
        clock.now_s += 10
    assert not compiled_sizes
    run(OnGpu())  # type: ignore[arg-type]
    assert compiled_sizes == [4]


def test_another_batch_size_is_compiled_once_it_has_paid(
    clock: Clock, compiled_sizes: list[int]
) -> None:
    def network(x: torch.Tensor) -> torch.Tensor:
        clock.now_s += 1
        return x

    run = CompiledOncePaid(network, 4, cost_s=1)
    for _ in range(3):
        run(torch.zeros(4, 1))
    assert compiled_sizes == [4]
    run.resize(2)  # memory ran out
    for _ in range(2):
        run(torch.zeros(2, 1))
    assert compiled_sizes == [4]
    first_s = run.compile_s
    assert first_s == 21
    run(torch.zeros(2, 1))
    run(torch.zeros(4, 1))  # no longer a whole batch
    assert compiled_sizes == [4, 2]
    assert run.compile_s == first_s + 1  # the fake compiler takes time once


WITHOUT_A_COMPILER = """
import torch
from bench.extractors.compiling import CompiledOncePaid

network = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Sigmoid(), torch.nn.LayerNorm(4))
x = torch.ones(2, 4)
run = CompiledOncePaid(network, 2, cost_s=0)
with torch.inference_mode():
    for _ in range(3):
        assert torch.equal(run(x), network(x))
assert run.compile_s > 0  # what the attempt took
print(run.failure)
"""


def test_without_a_compiler_the_plain_network_goes_on(tmp_path: Path) -> None:
    nowhere = {"CC": "/nowhere/cc", "CXX": "/nowhere/c++", "CUDA_VISIBLE_DEVICES": ""}
    found = subprocess.run(
        [sys.executable, "-c", WITHOUT_A_COMPILER],
        env=os.environ | nowhere | {"TORCHINDUCTOR_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert "/nowhere/c++" in found.stdout


def test_running_out_of_memory_while_compiling_is_no_failure_to_compile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from torch._dynamo.exc import TorchDynamoException

    error = TorchDynamoException("backend raised: OutOfMemoryError: CUDA out of memory. Tried")

    def compiled(_: Callable[..., Any], *, dynamic: bool) -> Callable[..., Any]:
        def run(x: torch.Tensor) -> torch.Tensor:
            raise error

        return run

    monkeypatch.setattr(torch, "compile", compiled)
    run = CompiledOncePaid(lambda x: x, 2, cost_s=0)
    run(torch.zeros(2, 1))
    with pytest.raises(TorchDynamoException, match="out of memory"):
        run(torch.zeros(2, 1))
    assert run.failure is None


@pytest.mark.filterwarnings(LOADED_BY_INDUCTOR)
@pytest.mark.parametrize("device", DEVICES)
def test_compiles_on_the_device(device: str) -> None:
    """A real network, real batches, the compiler of the device: what it pays is counted there."""
    torch._dynamo.reset()
    network = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU()).to(device)
    x = torch.randn(256, 64, generator=torch.Generator().manual_seed(0)).to(device)
    run = CompiledOncePaid(network, 256, cost_s=1e-6)
    with torch.inference_mode():
        expected = network(x)
        for _ in range(4):
            found = run(x)
            if device == "cuda":
                torch.cuda.synchronize()
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert run.compile_s is not None
    assert run.failure is None


def test_the_record_says_that_compiling_failed(mnist: RealSample, tmp_path: Path) -> None:
    fakes = write_pngs(mnist.images[:30], tmp_path)
    scorer = Scorer(reference="mnist", metrics=["modes_covered"], use_cache=False)
    network: Any = scorer.targets[0].network
    network.compiling = CompiledOncePaid(network.forward, network.batch_size)
    assert "not-compiled" not in [finding.code for finding in scorer.score(fakes).findings]
    network.compiling.failure = "InductorError: no compiler"
    found = {finding.code: finding for finding in scorer.score(fakes).findings}
    assert "no compiler" in found["not-compiled"].message
